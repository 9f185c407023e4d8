"""What the outlook and the worklist cost at 100,000 patients: python -m bench.answers [patients]

Patients, episodes and domain rows are those of 200 synthetic patients, copied. Alerts are not: the worklist's cost depends
on the number of open ones (decision 6), and so it is the same in both clinics. Questions are asked in the process,
without HTTP. Those compared are asked in turn; the medians are printed.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from pydantic import SecretStr

from app import clock
from app.access.service import Caller
from app.cohorts import service as cohorts
from app.cohorts.tallies import Question as Cohort
from app.facts import Fact
from app.migrating import upgrade
from app.outlook import service as outlooks
from app.outlook.models import OutlookOut
from app.outlook.service import Question
from app.settings import Settings
from app.storage import Database, Transaction, open_engine
from app.tracks.days import local_day
from app.work import turn
from app.worklist import service as worklist
from bench import clinics, scale

Large = tuple[Database, Caller, Sequence[UUID]]
_READ = ("patients", "episodes", "domain_statuses")
_ROUNDS = 7
_FILTERS: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
    ("all", None, ()),
    ("mood", "mood", ()),
    ("pain, fading or lost", "pain", ("fading", "lost")),
    ("stale", None, ("stale",)),
    ("holding", None, ("holding",)),
    ("not evaluable, anxiety", "anxiety", ("not_evaluable",)),
    ("ptsd (nobody)", "ptsd", ()),
)


@contextmanager
def _clinic(engine: str, patients: int, folder: Path) -> Iterator[Large]:
    """A clinic with so many patients."""
    if engine == "SQLite":
        url = f"sqlite:///{folder}/{patients}.db"
        settings = Settings(database_url=url, migration_database_url=None, secret_key=SecretStr("x" * 40))
        yield _filled(settings, url, patients)
        return
    with scale.postgres(folder / str(patients)) as owner:
        settings = scale.roles(owner, "x" * 40)
        yield _filled(settings, owner, patients)


def _filled(settings: Settings, owner: str, patients: int) -> Large:
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    template = clinics.filled(database, min(200, patients), 365, 41)
    asyncio.run(turn(database))
    engine = open_engine(owner)
    with engine.connect() as connection:
        scale.copy(connection, patients // 200 - 1, _READ)
    engine.dispose()
    return database, template.caller, template.patient_ids


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def _interleaved(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    first(), second()
    pairs = [(_timed(first), _timed(second)) for _ in range(_ROUNDS)]
    return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)


def _page(database: Database, caller: Caller, domain: str | None, statuses: tuple[str, ...], days: int = 0) -> object:
    day = local_day(clock.now() + timedelta(days=days), caller.time_zone)

    def work(db: Transaction) -> object:
        return worklist.listed(db, caller, day, "active", domain, statuses, None, None, 50)

    return database.reading(caller.clinic_id, work)


def _holder(database: Database, caller: Caller, patient_ids: Sequence[UUID]) -> UUID:
    """A patient of the template whose relief holds by PHQ-9, in a spell that has not ended."""
    for patient_id in patient_ids:
        if _outlook(database, caller, patient_id).value.reason is None:
            return patient_id
    raise RuntimeError("nobody holds")


def _outlook(database: Database, caller: Caller, patient_id: UUID) -> Fact[OutlookOut]:
    question = Question(patient_id, "phq-9", None, None)
    return database.reading(caller.clinic_id, lambda db: outlooks.outlook_of(db, caller, question, clock.now()))


def _durability(database: Database, caller: Caller) -> object:
    now = clock.now()
    asked = Cohort("phq-9", "none", local_day(now, caller.time_zone))

    def work(db: Transaction) -> object:
        return cohorts.durability_of(db, caller, asked, None, None, "first_day", now)

    return database.reading(caller.clinic_id, work)


def main(patients: int) -> None:
    """Measures both engines."""
    for engine in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder, ExitStack() as stack:
            small, large = (stack.enter_context(_clinic(engine, n, Path(folder))) for n in (1_000, patients))
            database, caller, patient_ids = large
            asked = partial(_outlook, database, caller, _holder(database, caller, patient_ids))
            other, mine = _interleaved(partial(_durability, database, caller), asked)
            spells = asked().value.n
            print(
                f"{engine}: outlook over {spells:,} spells {mine:.0f} ms, durability {other:.0f} ms: {mine / other:.2f}"
            )
            for name, domain, statuses in _FILTERS:
                few, many = _interleaved(
                    partial(_page, *small[:2], domain, statuses), partial(_page, *large[:2], domain, statuses)
                )
                print(f"{engine}: worklist, {name}: {many:.1f} ms of {few:.1f} ms at 1,000: {many / few:.2f}")
            few, many = _interleaved(partial(_page, *small[:2], None, (), 1), partial(_page, *large[:2], None, (), 1))
            print(f"{engine}: worklist just after midnight: {many:.1f} ms of {few:.1f} ms at 1,000: {many / few:.2f}")
            for one, _, _ in (small, large):
                one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
