"""Joins an electronic health record and Holdfast: python ehr_bridge.py ADDRESS CLIENT_ID CLIENT_SECRET IN OUT [--once].

The integration needs the scopes `patients:read patients:write sessions:write outcomes:read`. IN is a file of infusions
that were given, a JSON object a line, as the record's own export or message queue would bring them:

    {"mrn": "0042", "encounter": "E-17", "started_at": "2026-03-02T09:30:00-05:00", "dose_mg": 35}

Patients and sessions get ids that follow from the record's own numbers. So the same line can come twice, and the
program can be stopped anywhere: nothing is doubled. Into OUT it writes a line for each patient whose relief changed,
with the status of each domain, for the record to show. A line can come twice, and the last one counts. The position in
the feed of changes lies beside it.
"""

import json
import sys
from datetime import datetime
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from holdfast_client import AuthenticatedClient, Client
from holdfast_client.api.access import issue_token
from holdfast_client.api.exchange import list_changes
from holdfast_client.api.outcomes import get_relief
from holdfast_client.api.patients import create_patient, get_patient, search_patients
from holdfast_client.api.sessions import record_session
from holdfast_client.models import (
    ChangeList,
    GrantType,
    PatientIn,
    PatientList,
    PatientOut,
    PatientSearch,
    ProblemOut,
    ReliefOut,
    SessionIn,
    SessionOut,
    TokenOut,
    TokenRequest,
)
from holdfast_client.types import UNSET

# Of this hospital's record: ids made from it are the same wherever the program runs.
_NUMBERS = uuid5(NAMESPACE_URL, "https://hospital.example/record")
_WAIT_SECONDS = 30


def main(address: str, client_id: str, secret: str, given: str, out: str, *options: str) -> None:
    is_once = "--once" in options
    while True:
        # A token is good for 15 minutes, and a round takes less.
        asked = TokenRequest(GrantType.CLIENT_CREDENTIALS, client_id=client_id, client_secret=secret)
        token = issue_token.sync(client=Client(address), body=asked)
        if not isinstance(token, TokenOut):
            raise SystemExit(f"signing in was refused: {token}")
        with AuthenticatedClient(address, token.access_token) as client:
            for line in Path(given).read_text(encoding="utf-8").splitlines():
                bring(client, json.loads(line))
            is_there_more = tell(client, Path(out), 0 if is_once else _WAIT_SECONDS)
        if is_once and not is_there_more:
            return


def bring(client: AuthenticatedClient, infusion: dict[str, str | float]) -> None:
    """Records an infusion, and its patient if there is none yet."""
    patient_id = patient_of(client, str(infusion["mrn"]))
    body = SessionIn(
        id=uuid5(_NUMBERS, f"encounter {infusion['encounter']}"),
        started_at=datetime.fromisoformat(str(infusion["started_at"])),
        dose_mg=float(infusion["dose_mg"]),
    )
    made = record_session.sync(patient_id, client=client, body=body)
    # Another one under the same id: it was changed since, on one of the two sides. A person has to look.
    if isinstance(made, ProblemOut) and made.code != "id_conflict":
        raise SystemExit(f"encounter {infusion['encounter']} was refused: {made.code}")
    if not isinstance(made, SessionOut):
        print(f"encounter {infusion['encounter']} differs from what was recorded", file=sys.stderr)


def patient_of(client: AuthenticatedClient, mrn: str) -> UUID:
    """The patient with a record number: by it and not by the id, because a person may have entered them before."""
    found = search_patients.sync(client=client, body=PatientSearch(external_id=mrn))
    if isinstance(found, PatientList) and found.items:
        return found.items[0].id
    body = PatientIn(external_id=mrn, id=uuid5(_NUMBERS, f"patient {mrn}"))
    made = create_patient.sync(client=client, body=body)
    if not isinstance(made, PatientOut):
        raise SystemExit(f"a patient was refused: {made}")
    return made.id


def tell(client: AuthenticatedClient, out: Path, wait: int) -> bool:
    """Writes the statuses of those whose relief has changed since. Tells whether there were any changes."""
    kept = out.with_suffix(".position")
    after = int(kept.read_text()) if kept.exists() else UNSET
    page = list_changes.sync(client=client, after=after, limit=200, wait=wait)
    if isinstance(page, ProblemOut) and page.code == "changes_gone":  # more than 90 days, or a restored service
        kept.unlink()
        return True
    if not isinstance(page, ChangeList):
        raise SystemExit(f"the feed was refused: {page}")
    with out.open("a", encoding="utf-8") as lines:
        for patient_id in {change.patient_id for change in page.items if change.kind == "relief.changed"}:
            patient, relief = get_patient.sync(patient_id, client=client), get_relief.sync(patient_id, client=client)
            if isinstance(patient, PatientOut) and isinstance(relief, ReliefOut):
                statuses = {domain.domain: domain.status for domain in relief.domains}
                told = {"mrn": patient.external_id, "as_of": str(relief.as_of), "rule": relief.rule, "relief": statuses}
                lines.write(json.dumps(told) + "\n")
    kept.write_text(str(page.next_after))
    return bool(page.items)


if __name__ == "__main__":
    main(*sys.argv[1:])
