"""Many scores at once: batches against single posts, and recording a million against inserting their rows alone."""

import gc
import sqlite3
import statistics
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import func, inspect
from sqlmodel import Session, col, select

from app import clock
from app.audit import recording
from app.audit.service import Act, AuditEntry
from app.checkins import service as checkins
from app.checkins.deciding import Decision, Post
from app.checkins.models import CheckIn, CheckInIn, ResponseIn
from app.settings import Settings
from app.storage import Database, new_id
from app.storage.rows import _on_sqlite
from app.tracks.models import ScoreVersion
from bench import clinics, services
from bench.clinics import Clinic
from bench.load import BATCH, POST, Load
from bench.rates import ENDING, callers, fresh
from bench.report import Report, Row

PATIENTS, DAYS, SEED = 500, 30, 11
SCORES = 1_000_000
_AT_ONCE = 2_000
_PER_PATIENT = 33
# Few batches finish within a second, so they are run this many times longer than single posts.
_LONGER = 4


def measure(report: Report, folder: Path, seconds: int, rounds: int) -> None:
    """Rows of both engines."""
    for engine in ("SQLite", "PostgreSQL"):
        with fresh(engine, folder / f"bulk-{engine[:4]}") as settings:
            _batches(report, engine, settings, folder, seconds, rounds)
            _import(report, engine, settings, rounds)


def _batches(report: Report, engine: str, settings: Settings, folder: Path, seconds: int, rounds: int) -> None:
    """Batches of 500 check-ins: 50 each of ten patients (phones that were offline), and one each of 500 patients. Each
    kind is compared with single posts, alternately, in scores per second."""
    database = Database(settings.database_url, settings.secret)
    start = {"start": int((clock.now() - ENDING + timedelta(days=2)).timestamp())}
    with services.holdfast(settings) as service:

        def load_of(clinic: Clinic, name: str) -> Load:
            return Load(folder, name, service.port, partial(callers, settings, database, [clinic]))

        singly = load_of(clinics.filled(database, PATIENTS, DAYS, SEED, ENDING), "singly")
        for apart, whose in ((50, "of 10 patients, 50 each"), (1, "of 500 patients")):
            clinic = clinics.filled(database, PATIENTS, DAYS, SEED, ENDING)
            together = load_of(clinic, f"batches-{apart}")
            ratios, seen = [], []
            for _ in range(rounds):
                single = singly.run(POST, 64, seconds, **start)
                before = _kept(database, clinic)
                batch = together.run(BATCH, 4, _LONGER * seconds, per=apart, **start)
                if _kept(database, clinic) - before < 500 * batch.requests:
                    raise RuntimeError("items were refused inside a batch, or repeated")
                ratios.append(500 * batch.per_second / single.per_second)
                seen.append(f"{1500 * batch.per_second:.0f} of {3 * single.per_second:.0f} scores/s")
            report.add(
                Row(
                    f"POST batch of 500 {whose}, {engine}",
                    "single posts at 64 connections, per score",
                    5,
                    ratios,
                    seen[sorted(range(rounds), key=ratios.__getitem__)[rounds // 2]],
                )
            )
    database.close()


def _kept(database: Database, clinic: Clinic) -> int:
    query = select(func.count()).select_from(CheckIn).where(col(CheckIn.clinic_id) == clinic.id)
    return database.reading(clinic.id, lambda db: db.exec(query).one())


def _import(report: Report, engine: str, settings: Settings, rounds: int) -> None:
    """Records a million scores through `checkins.record`, divided over the rounds. Each round then inserts the same
    rows of `score_versions` alone, into an empty copy of the table with the same indexes."""
    database = Database(settings.database_url, settings.secret)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # as the service runs
    ratios, speeds = [], []
    share = SCORES // rounds // 3
    for number in range(rounds):
        clinic = clinics.filled(database, share // _PER_PATIENT, 3, SEED + number, timedelta(days=200))
        posts = _posts(clinic, share)
        rows: list[dict[str, Any]] = []
        recording = 0.0
        for first in range(0, len(posts), _AT_ONCE):
            began = time.perf_counter()
            some = posts[first : first + _AT_ONCE]
            kept = database.writing(clinic.id, partial(_record, clinic_id=clinic.id, posts=some))
            recording += time.perf_counter() - began
            rows += [dict(vars(score)) for k in kept for score in k.scores]
        alone = _alone(settings, rows)
        ratios.append(alone / recording)
        speeds.append((len(rows) / recording, len(rows) / alone))
    mine, theirs = statistics.median(s[0] for s in speeds), statistics.median(s[1] for s in speeds)
    report.add(
        Row(
            f"Recording {SCORES:,} scores, {engine}",
            "executemany of the score rows alone",
            0.25,
            ratios,
            f"{mine:.0f} of {theirs:.0f} scores/s",
        )
    )
    database.close()


def _record(db: Session, clinic_id: UUID, posts: Sequence[Post]) -> list[Decision]:
    outcomes = checkins.record(db, clinic_id, posts).outcomes
    recording.record_many(db, clinic_id, [AuditEntry(post.act, (post.patient_id,)) for post in posts])
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if refused:
        raise refused[0]
    return [outcome for outcome in outcomes if isinstance(outcome, Decision)]


def _posts(clinic: Clinic, count: int) -> list[Post]:
    """Check-ins of three instruments, patient by patient, in the order in which they were taken."""
    now = clock.now()
    act = Act(clinic.id, "user", clinic.caller.id, "import", str(new_id()), now)
    start = now - timedelta(days=190)
    return [
        Post(clinic.caller, act, clinic.patient_ids[n // _PER_PATIENT % len(clinic.patient_ids)], _body(start, n))
        for n in range(count)
    ]


def _body(start: datetime, n: int) -> CheckInIn:
    day = n % _PER_PATIENT + _PER_PATIENT * (n // 1_000_000)
    return CheckInIn(
        taken_at=start + timedelta(days=day * 5, seconds=n % 86_000),
        responses=[
            ResponseIn(instrument="phq-9", answers=[n % 4, 1, 1, 2, 1, 1, 0, 2, 0]),
            ResponseIn(instrument="gad-7", answers=[1, n % 4, 1, 1, 0, 1, 1]),
            ResponseIn(instrument="nrs-pain", score=n % 11),
        ],
    )


def _alone(settings: Settings, rows: Sequence[dict[str, Any]]) -> float:
    """Seconds to insert the rows by the bare driver into an empty table like `score_versions`, as durably."""
    names = [column.name for column in inspect(ScoreVersion).local_table.columns]
    if settings.database_url.startswith("sqlite"):
        return _alone_on_sqlite(settings, rows)
    connection = psycopg.connect(str(settings.migration_database_url))
    connection.execute("create table alone (like score_versions including all)")
    connection.commit()
    placed = ", ".join(["%s"] * len(names))
    values = [tuple(_json(row[name]) for name in names) for row in rows]
    began = time.perf_counter()
    for first in range(0, len(values), 3 * _AT_ONCE):
        with connection.cursor() as cursor:
            cursor.executemany(f"insert into alone values ({placed})", values[first : first + 3 * _AT_ONCE])
        connection.commit()
    seconds = time.perf_counter() - began
    connection.execute("drop table alone")
    connection.commit()
    connection.close()
    return seconds


def _json(value: Any) -> Any:
    return psycopg.types.json.Jsonb(value) if isinstance(value, list) else value


def _alone_on_sqlite(settings: Settings, rows: Sequence[dict[str, Any]]) -> float:
    prepared = _on_sqlite(inspect(ScoreVersion).local_table, "insert")
    values = prepared.encoded(rows)
    connection = sqlite3.connect(settings.database_url.removeprefix("sqlite:///"), isolation_level=None)
    for pragma in ("synchronous=FULL", "wal_autocheckpoint=4096", "cache_size=-32768"):
        connection.execute(f"pragma {pragma}")
    schema = "select sql from sqlite_master where tbl_name = 'score_versions' and sql is not null order by type desc"
    for (sql,) in connection.execute(schema).fetchall():
        connection.execute(sql.replace("score_versions", "alone"))
    began = time.perf_counter()
    for first in range(0, len(values), 3 * _AT_ONCE):
        connection.execute("begin immediate")
        connection.executemany(prepared.text.replace("score_versions", "alone"), values[first : first + 3 * _AT_ONCE])
        connection.execute("commit")
    seconds = time.perf_counter() - began
    connection.execute("drop table alone")
    connection.close()
    return seconds
