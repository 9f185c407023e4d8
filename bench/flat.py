"""Whether answers and posts cost the same in a large clinic as in a small one, and what an answer over all of it costs."""

import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
from sqlalchemy import event, func
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlmodel import col, select

from app import clock
from app.checkins.models import CheckIn
from app.cohorts.store import spells as spells_of
from app.cohorts.tallies import Question
from app.exchange.store import _CURRENT as SCORES
from app.storage import Database
from bench import clinics, scale, services
from bench.load import GET, POST, Load, Seen
from bench.report import Report, Row
from bench.scale import Large

SIZES = {"PostgreSQL": 100_000, "SQLite": 8_400}
SMALL = 100
CONNECTIONS = 1
_FETCHED = 5_000
_ONCE = 5_000_000
_ASKED = {
    "GET relief": "/v1/patients/PATIENT/relief",
    "GET trend": "/v1/patients/PATIENT/trend?instrument=phq-9",
    "GET worklist": "/v1/worklist",
}
_SPELLS = (
    "select days, event is not null, count(*) from episodes where clinic_id = {mark} and instrument = 'phq-9' "
    "and evaluable and days is not null group by 1, 2"
)


def measure(report: Report, folder: Path, seconds: int, rounds: int) -> None:
    """Rows of both engines."""
    for engine, patients in SIZES.items():
        with ExitStack() as stack:
            small, large = (
                stack.enter_context(scale.large(engine.lower(), n, anew=n == SMALL)) for n in (SMALL, patients)
            )  # the small clinic is new each time: posts of many runs would use up its free instants
            loads = [stack.enter_context(_Served(clinic, folder)) for clinic in (small, large)]
            size = f"{large.patients:,} patients and {large.scores:,} scores"
            for work, path in _ASKED.items():
                _compare(report, f"{work}, {engine}", size, loads, rounds, partial(_get, path, seconds))
            _compare(report, f"POST check-in, {engine}", size, loads, rounds, partial(_post, seconds))
            _durability(report, engine, large, loads[1], rounds)
            _export(report, engine, large, loads[1], rounds if large.scores < _ONCE else 1)


class _Served:
    """A service on a stored clinic, and a load for it. Posts are dated after those of the last run."""

    def __init__(self, clinic: Large, folder: Path) -> None:
        self.clinic = clinic
        self._database = Database(clinic.settings.database_url, clinic.settings.secret)
        self._stack = ExitStack()
        self._folder = folder

    def __enter__(self) -> "_Served":
        self.start = int(self._last_taken_at().timestamp()) + 3_600
        if self.start > (clock.now() - timedelta(days=14)).timestamp():
            raise RuntimeError(f"earlier runs posted up to today: remove {self.clinic.folder}, it will be built anew")
        self.service = self._stack.enter_context(services.holdfast(self.clinic.settings))
        self.address = f"http://127.0.0.1:{self.service.port}"
        self.load = Load(self._folder, f"{self.clinic.patients}", self.service.port, self._callers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._database.close()

    def _last_taken_at(self) -> datetime:
        query = select(func.max(CheckIn.taken_at)).where(col(CheckIn.clinic_id) == self.clinic.clinic_id)
        found: datetime = self._database.reading(self.clinic.clinic_id, lambda db: db.exec(query).one())
        return found

    def token(self) -> str:
        return clinics.token_of(self.clinic.settings, self._database, self.clinic.clinic_id, self.clinic.user_id)

    def _callers(self) -> list[tuple[str, str]]:
        token = self.token()
        return [(patient_id, token) for patient_id in self.clinic.patient_ids]


def _get(path: str, seconds: int, served: _Served) -> Seen:
    return served.load.run(GET, CONNECTIONS, seconds, path=path)


def _post(seconds: int, served: _Served) -> Seen:
    return served.load.run(POST, CONNECTIONS, seconds, start=served.start)


def _compare(
    report: Report, work: str, size: str, loads: list[_Served], rounds: int, run: Callable[[_Served], Seen]
) -> None:
    small, large = loads
    for served in loads:
        run(served)
    seen = [(run(small), run(large)) for _ in range(rounds)]
    middle = sorted(seen, key=lambda pair: pair[1].per_second)[len(seen) // 2]
    report.add(
        Row(
            f"{work}: {size}",
            f"{SMALL} patients, time per request",
            1.5,
            [few.per_second / many.per_second for few, many in seen],
            f"{1000 / middle[1].per_second:.2f} ms of {1000 / middle[0].per_second:.2f} ms",
            is_at_most=True,
            p50=middle[1].p50,
            p99=middle[1].p99,
        )
    )


def _durability(report: Report, engine: str, large: Large, served: _Served, rounds: int) -> None:
    """Durability through the service, against the same statements by the bare driver, and against the first alone."""
    headers = {"Authorization": f"Bearer {served.token()}"}
    execute, mark, clinic = _driver(engine, large)
    spells = sum(row[2] for row in execute(_SPELLS.format(mark=mark), (clinic,)))
    aggregates = _aggregates(large)

    def through() -> None:
        answer = httpx.get(
            f"{served.address}/v1/cohorts/durability", params={"instrument": "phq-9"}, headers=headers, timeout=60
        )
        if answer.status_code != 200:
            raise RuntimeError("the service does not answer as it should")

    def bare() -> None:
        for sql, values in aggregates:
            execute(sql, values)

    def curve() -> None:
        execute(_SPELLS.format(mark=mark), (clinic,))

    seen = [tuple(map(_milliseconds, (through, bare, curve))) for _ in range(rounds + 1)][1:]
    for side, against in ((1, "the same aggregates"), (2, "the curve's aggregate alone")):
        mine, theirs = (statistics.median(one[which] for one in seen) for which in (0, side))
        report.add(
            Row(
                f"GET durability over {spells:,} spells, {engine}",
                f"{against}, bare driver",
                2,
                [one[0] / one[side] for one in seen],
                f"{mine:.0f} ms of {theirs:.0f} ms",
                is_at_most=True,
            )
        )


def _aggregates(large: Large) -> list[tuple[str, Any]]:
    """The statements behind an answer about durability, with their values, as a driver takes them."""
    database = Database(large.settings.database_url, large.settings.secret)
    asked: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    question = Question("phq-9", "none", clock.now().date())
    database.reading(large.clinic_id, lambda db: spells_of(db, large.clinic_id, question))
    database.close()
    return asked


def _export(report: Report, engine: str, large: Large, served: _Served, rounds: int) -> None:
    """Every score through the service as NDJSON, against the same rows read by the bare driver, some at a time."""
    headers = {"Authorization": f"Bearer {served.token()}"}
    before, lines = served.service.peak_memory(), 0

    def through() -> None:
        nonlocal lines
        lines = 0
        url = f"{served.address}/v1/exports/scores.ndjson"
        with httpx.stream("GET", url, headers=headers, timeout=600) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_raw():
                lines += chunk.count(b"\n")

    pairs = [(_seconds(through), _seconds(lambda: _read(engine, large))) for _ in range(rounds)]
    if lines < large.scores:
        raise RuntimeError("the export is not whole")
    mine, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    report.add(
        Row(
            f"Export of {lines:,} scores, {engine}",
            "the same rows, bare driver",
            3,
            [through_s / alone_s for through_s, alone_s in pairs],
            f"{mine:.0f} s of {theirs:.0f} s",
            is_at_most=True,
        )
    )
    report.say(
        f"{engine}: the export of {lines:,} scores took the service's peak memory from {before:.0f} to "
        f"{served.service.peak_memory():.0f} MiB."
    )


def _read(engine: str, large: Large) -> None:
    if engine == "SQLite":
        compiled = SCORES.compile(dialect=SQLiteDialect_pysqlite())
        values = compiled.params | {"clinic": large.clinic_id.bytes, "since": 0}
        file = sqlite3.connect(large.settings.database_url.removeprefix("sqlite:///"))
        found = file.execute(str(compiled), [values[name] for name in compiled.positiontup or ()])
        while found.fetchmany(_FETCHED):
            pass
        file.close()
        return
    asked = SCORES.compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
    with psycopg.connect(str(large.settings.migration_database_url)) as connection, connection.cursor("alone") as rows:
        rows.execute(str(asked), asked.params | {"clinic": large.clinic_id, "since": "1900-01-01T00:00:00Z"})
        while rows.fetchmany(_FETCHED):
            pass


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _driver(engine: str, large: Large) -> tuple[Callable[..., list[Any]], str, Any]:
    """Access to the database without the service: a query function, its placeholder, and the clinic's id."""
    if engine == "SQLite":
        file = sqlite3.connect(large.settings.database_url.removeprefix("sqlite:///"))
        return lambda sql, values: file.execute(sql, values).fetchall(), "?", large.clinic_id.hex
    connection = psycopg.connect(str(large.settings.migration_database_url), autocommit=True)
    return lambda sql, values: connection.execute(sql, values).fetchall(), "%s", large.clinic_id


def _milliseconds(work: Callable[[], None]) -> float:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)
