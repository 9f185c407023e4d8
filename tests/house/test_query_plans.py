"""How the hot queries find their rows, on both engines: by an index for everything they look for, never by reading a
table from end to end."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, event

from app.api.parts import DATABASE
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database
from tests.conftest import Api, app_of, days_ago, fresh_settings, new_clinic

PATIENTS = 300

# A scan (unless of a list or of rows found before), or an index search by the clinic alone.
_WHOLE_ON_SQLITE = r"SCAN (?!\(subquery|r\d|alerted|CONSTANT)|SEARCH \w+ .*\(clinic_id=\?\)"
# PostgreSQL plans carry the clinic of row-level security: an index that is searched for it alone finds all of a clinic.
_THE_CLINIC = r"\(?clinic_id = (\(NULLIF\(.*?\)\)::uuid|'[0-9a-f-]+'::uuid|\$\d+)\)?"
# A clinic has few alerts next to its scores, so PostgreSQL may read all of them to find the open ones; and a plan has
# few versions, all of which are read.
_FEW = r" on (alerts|ix_alerts_\w+|pk_alerts|clinic_plan_versions|pk_clinic_plan_versions)\b"
_NOT_EXPLAINED = ("BEGIN",)


@pytest.fixture(scope="module")
def filled(request: pytest.FixtureRequest, settings: Settings, server: TestClient) -> tuple[Api, str]:
    """A clinic large enough that the planner chooses as it does for a real one, and a patient of it."""
    api = new_clinic(server)
    ids = [api.patient() for _ in range(PATIENTS)]
    for patient_id in ids:
        api.session(patient_id, days_ago(30))
    for patient_id in ids[::3]:
        api.post(f"/v1/patients/{patient_id}/events", {"kind": "tms", "on": days_ago(20)[:10]})
    items = [
        {"patient_id": patient_id, "taken_at": days_ago(day + n / 10_000),
         "responses": [{"instrument": "phq-9", "score": 20 - day % 7}, {"instrument": "nrs-pain", "score": 5}]}
        for day in (40, 20, 10, 5) for n, patient_id in enumerate(ids)
    ]  # fmt: skip
    items += [
        {
            "patient_id": patient_id,
            "taken_at": days_ago(0.1),
            "responses": [{"instrument": "phq-9", "answers": [1] * 9}],
        }
        for patient_id in ids[::20]
    ]
    for first in range(0, len(items), 500):
        assert api.post("/v1/check-ins/batch", {"items": items[first : first + 500]}).status_code == 200
    owner = create_engine(settings.migration_database_url or settings.database_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        if connection.dialect.name == "postgresql":  # SQLite plans without statistics, as it does in production
            connection.exec_driver_sql("analyze")
    owner.dispose()
    return api, ids[PATIENTS // 2]


def test_the_worklist_reads_no_clinic_for_each_alert_before_there_are_statistics(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """A new database, in the minute before PostgreSQL first looks at it; the plan is kept as long as the connection."""
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        api = new_clinic(server)
        for _ in range(60):
            patient_id = api.patient()
            api.session(patient_id, days_ago(30))
            body = {"taken_at": days_ago(0.1), "responses": [{"instrument": "phq-9", "answers": [1] * 9}]}
            api.post(f"/v1/patients/{patient_id}/check-ins", body)
        database = DATABASE.in_app(app_of(server))
        with asked(database) as found:
            api.get("/v1/worklist")
        plans = [plan(database, api.clinic_id, *one) for one in found if "domain_statuses" in one[0]]
        assert len(plans) >= 3
        of_the_clinic = rf"Index Cond: \({_THE_CLINIC} AND \(\(care_status\)\S* = \S+\)\)"
        assert not any(re.search(of_the_clinic, text) or "Anti Join" in text for text in plans)


@contextmanager
def asked(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The statements of a request, as the driver got them."""
    found: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        if not statement.startswith(_NOT_EXPLAINED):
            values = parameters[0] if many else parameters
            # Rows go to PostgreSQL with numbered places.
            found.append((re.sub(r"\$\d+", "%s", statement), tuple(values) if isinstance(values, list) else values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield found
    event.remove(database.engine, "before_cursor_execute", note)


def plan(database: Database, clinic_id: Any, statement: str, parameters: Any) -> str:
    """The query plan. PostgreSQL may not scan whole tables here; for a small test clinic it would prefer to."""

    def explain(db: Any) -> str:
        connection = db.connection()
        if database.is_sqlite:
            rows = connection.exec_driver_sql(f"explain query plan {statement}", parameters)
            return "\n".join(row[3] for row in rows)
        for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "material", "sort"):
            connection.exec_driver_sql(f"set local enable_{way} = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"explain {statement}", parameters))

    return database.writing(clinic_id, explain)


def scanned(database: Database, text: str) -> list[str]:
    """The tables of which a plan reads every row, or every row of a clinic."""
    lines = [line.strip() for line in text.splitlines()]
    if database.is_sqlite:
        return [line for line in lines if re.match(_WHOLE_ON_SQLITE, line) and "clinic_plan_versions" not in line]
    looks = [line.startswith("Index Cond:") and "=" in re.sub(_THE_CLINIC, "", line) for line in lines]
    walks = [
        line
        for line, below in zip(lines, [*looks[1:], False], strict=True)
        if re.search(r"(Index|Index Only|Bitmap Index) Scan", line) and not below and not re.search(_FEW, line)
    ]
    return walks + [line for line in lines if "Seq Scan on" in line]


def test_the_guard_sees_a_table_read_from_end_to_end(filled: tuple[Api, str], database: Database) -> None:
    api, _ = filled
    mark = "?" if database.is_sqlite else "%s"
    for statement in (
        f"select points from score_versions where late = {mark}",
        f"select id from check_ins where posted = {mark}",
        f"select id from clients where name = {mark}",
    ):
        value: Any = False if "score_versions" in statement else "x"
        assert scanned(database, plan(database, api.clinic_id, statement, (value,))), statement


@pytest.mark.parametrize(
    "work", ["post", "repeat", "relief", "trend", "worklist", "check-ins", "past", "export", "audit"]
)
def test_every_row_is_found_by_an_index(filled: tuple[Api, str], database: Database, work: str) -> None:
    api, patient = filled
    path = f"/v1/patients/{patient}"
    body = {
        "taken_at": days_ago(1),
        "responses": [{"instrument": code, "score": 5} for code in ("phq-9", "gad-7", "nrs-pain")],
    }
    if work == "repeat":
        api.post(f"{path}/check-ins", body)
    with asked(database) as statements:
        answer = {
            "post": lambda: api.post(f"{path}/check-ins", body),
            "repeat": lambda: api.post(f"{path}/check-ins", body),
            "relief": lambda: api.get(f"{path}/relief"),
            "trend": lambda: api.get(f"{path}/trend", params={"instrument": "phq-9"}),
            "worklist": lambda: api.get("/v1/worklist"),
            "check-ins": lambda: api.get(f"{path}/check-ins"),
            "past": lambda: api.get(f"{path}/relief", params={"known_at": days_ago(0.001)}),
            "export": lambda: api.get("/v1/exports/scores.ndjson"),
            "audit": lambda: api.get("/v1/audit-events", params={"patient_id": patient}),
        }[work]()
    assert answer.status_code in (200, 201), answer.text
    read = [(s, p) for s, p in statements if s.lower().startswith(("select", "update", "with"))]
    assert read
    for statement, parameters in read:
        text = plan(database, api.clinic_id, statement, parameters)
        if work == "export" and ("score_versions" in statement or "patient_keys" in statement):
            # All of a clinic's rows are what it asks for, in the order of an index: none of them is sorted.
            assert "TEMP B-TREE" not in text, text
            assert not re.search(r"^\s*(->\s+)?(Incremental )?Sort", text, re.MULTILINE), text
            continue
        assert scanned(database, text) == [], f"{statement}\n\n{text}"
