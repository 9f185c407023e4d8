"""`serve` is killed ten times under load, with a ledger of what it acknowledged: nothing may be lost, doubled or half done.

python -m bench.kills [--kills 10] [--seconds 6]

Sixteen clients post check-ins of three instruments with ids of their own, each again and again until it is acknowledged,
as a phone does. At a moment drawn at chance the process gets SIGKILL, and is started anew. At the end each check-in that
was acknowledged is looked for, and counted; the stored answers are compared with what folding all scores again gives;
and the feed of changes is read to its end. PostgreSQL goes on running: only the service is killed.
"""

import argparse
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import httpx
from sqlmodel import col, select

from app import clock, keeping
from app.checkins.models import CheckIn
from app.outbox import service as outbox
from app.outbox import store as feeds
from app.storage import Database
from app.tracks.models import ScoreVersion
from bench import clinics, services
from bench.rates import SEED, fresh

CLIENTS = 16


class Ledger:
    """What clients sent, and which of it was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: dict[UUID, UUID] = {}
        self.tries: Counter[UUID] = Counter()
        self.port, self.is_over = 0, False

    def post_on(self, number: int, patient_ids: list[UUID], token: str, start: datetime) -> None:
        """One client: posts until it is over, each check-in until it is acknowledged."""
        with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=5) as http:
            for n in range(1_000_000):
                check_in_id, patient_id = uuid4(), patient_ids[(number + CLIENTS * n) % len(patient_ids)]
                body = {
                    "id": str(check_in_id),
                    "taken_at": (start + timedelta(seconds=CLIENTS * n + number)).isoformat(),
                    "responses": [{"instrument": "phq-9", "answers": [n % 4] * 8 + [0]},
                                  {"instrument": "gad-7", "answers": [n % 3] * 7},
                                  {"instrument": "nrs-pain", "score": n % 11}],
                }  # fmt: skip
                while not self._posted(http, patient_id, check_in_id, body):
                    if self.is_over:
                        return
                    time.sleep(0.02)
                if self.is_over:
                    return

    def _posted(self, http: httpx.Client, patient_id: UUID, check_in_id: UUID, body: Mapping[str, object]) -> bool:
        self.tries[check_in_id] += 1
        with suppress(httpx.HTTPError):
            answer = http.post(f"http://127.0.0.1:{self.port}/v1/patients/{patient_id}/check-ins", json=body)
            if answer.status_code in (200, 201) and answer.json()["id"] == str(check_in_id):
                self.acknowledged[check_in_id] = patient_id
                return True
            if answer.status_code < 500:
                raise RuntimeError(f"refused: {answer.text}")
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=6, help="at most between two of them")
    options = parser.parse_args()
    for engine in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory(prefix="holdfast-kills-") as folder:
            _try(engine, Path(folder), options.kills, options.seconds)


def _try(engine: str, folder: Path, kills: int, seconds: float) -> None:
    chance = random.Random(SEED)
    with ExitStack() as stack:
        settings = stack.enter_context(fresh(engine, folder / "db"))
        database = Database(settings.database_url, settings.secret)
        clinic = clinics.filled(database, 200, 30, SEED, timedelta(days=30))
        token, ledger = clinics.token(settings, database, clinic), Ledger()
        start = clock.now() - timedelta(days=20)
        threads = [
            threading.Thread(target=ledger.post_on, args=(number, [*clinic.patient_ids], token, start))
            for number in range(CLIENTS)
        ]
        for number in range(kills + 1):
            with suppress(ChildProcessError), services.holdfast(settings) as service:
                ledger.port = service.port
                if number == 0:
                    for thread in threads:
                        thread.start()
                time.sleep(chance.uniform(0.5, seconds))
                if number < kills:
                    service.kill()
                else:
                    ledger.is_over = True
                    for thread in threads:
                        thread.join()
        _told(engine, database, clinic.id, ledger, kills)
        database.close()


def _told(engine: str, database: Database, clinic_id: UUID, ledger: Ledger, kills: int) -> None:
    stored = database.reading(
        clinic_id, lambda db: list(db.exec(select(CheckIn.id).where(col(CheckIn.clinic_id) == clinic_id)))
    )
    scores = database.reading(
        clinic_id,
        lambda db: Counter(db.exec(select(ScoreVersion.check_in_id).where(col(ScoreVersion.clinic_id) == clinic_id))),
    )
    while database.reading(clinic_id, lambda db: feeds.has_waiting(db, clinic_id)):
        database.writing(clinic_id, lambda db: outbox.place(db, clinic_id))
    told = database.reading(
        clinic_id,
        lambda db: Counter(
            change.about_id
            for change in feeds.after(db, clinic_id, 0, 10_000_000, ["check_in.recorded"])
            if change.about_id in ledger.tries
        ),
    )
    lost = [one for one in ledger.acknowledged if one not in set(stored)]
    doubled = [one for one, count in Counter(stored).items() if count > 1]
    half = [one for one in ledger.tries if one in set(stored) and scores[one] != 3]
    untold = [one for one in ledger.tries if one in set(stored) and told[one] != 1]
    otherwise = list(keeping.folded_otherwise(database, clinic_id, lambda _: None))
    again = sum(1 for count in ledger.tries.values() if count > 1)
    print(
        f"{engine}: {kills} kills; {len(ledger.acknowledged):,} check-ins acknowledged, {again:,} sent more than once; "
        f"lost {len(lost)}, doubled {len(doubled)}, half recorded {len(half)}, not told once {len(untold)}, "
        f"patients folded otherwise {len(otherwise)}"
    )


if __name__ == "__main__":
    main()
