"""Puts a check-in into an outbox for each place at which the network can be cut, and delivers it: python cut.py FILE
ADDRESS PATIENT ACCESS REFRESH STEP.

ADDRESS is a proxy that cuts the first connection to it after so many bytes as `POST /cut` last said, of the request or
of the answer. Prints how many check-ins were put, and how many receipts came.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import httpx
from holdfast_client.models import CheckInIn, InstrumentCode, ResponseIn
from holdfast_outbox import Outbox


def main(file: str, address: str, patient: str, access: str, refresh: str, step: str) -> None:
    receipts: list[str] = []
    with httpx.Client() as http:
        outbox = Outbox(
            Path(file), address, UUID(patient), http=http, on_receipt=lambda receipt: receipts.append(receipt["id"]),
            sleep=lambda _: None,
        )  # fmt: skip
        outbox.sign_in(access, refresh)
        put: list[str] = []
        begun = datetime.now(UTC) - timedelta(days=20)
        for which in ("request", "answer"):
            for place in count(0, int(step)):
                http.post(f"{address}/cut", json={"which": which, "after": place})
                score = ResponseIn(InstrumentCode.NRS_PAIN, score=len(put) % 11)
                put.append(str(outbox.put(CheckInIn(taken_at=begun + timedelta(minutes=len(put)), responses=[score]))))
                outbox.deliver()
                if not http.post(f"{address}/cut", json={}).json()["was_cut"]:
                    break  # the place lies behind the end
        assert outbox.waiting == 0
        assert outbox.refused == []
        print(json.dumps({"put": put, "receipts": receipts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
