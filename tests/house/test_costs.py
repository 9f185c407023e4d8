"""What a post costs, counted without a clock: rows, bytes, journeys to PostgreSQL; and what `--help` loads."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from app.alerts.models import Alert, Notice
from app.audit.models import AuditEvent
from app.checkins.models import CheckIn, CheckInVersion
from app.storage import Database
from app.tracks.models import DomainStatus, EpisodeRow, ScoreVersion
from tests.conftest import Api, days_ago

# A page of SQLite's journal, with its head.
_PAGE = 4_120


def post(api: Api, patient_id: str, days: float) -> None:
    """A check-in of three instruments, later than all before it."""
    body = {
        "taken_at": days_ago(days),
        "responses": [
            {"instrument": "phq-9", "answers": [1, 1, 1, 1, 1, 1, 0, 2, 0]},
            {"instrument": "gad-7", "answers": [1, 1, 1, 1, 0, 1, 1]},
            {"instrument": "nrs-pain", "score": 3},
        ],
    }
    answer = api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert answer.status_code == 201, answer.text


@pytest.fixture
def patient_id(api: Api) -> str:
    """A patient with an infusion, and some check-ins on later days."""
    found = api.patient()
    api.session(found, days_ago(30))
    for days in (31, 20, 13, 9):
        post(api, found, days)
    return found


def test_a_post_of_three_instruments_writes_few_rows_and_bytes(
    api: Api, database: Database, patient_id: str, tmp_path: Any
) -> None:
    if not database.is_sqlite:
        pytest.skip("SQLite counts the rows, and its journal the bytes; the rows are the same on PostgreSQL")
    with database._in_turn() as writer:
        driver: Any = writer.connection.driver_connection
    journal = database.engine.url.database
    assert journal is not None
    costs = []
    # Once a second the process shares its request counts, in the same file. The least of three posts is without them.
    for days in (4, 3, 2):
        database.overwriting_deleted()
        before = driver.total_changes
        post(api, patient_id, days)
        with open(f"{journal}-wal", "rb") as file:
            costs.append((driver.total_changes - before, len(file.read())))
    rows, size = (min(column) for column in zip(*costs, strict=True))
    # Three scores, the check-in, the fold, the patient, the event and its place in the queue; and what the scores
    # change of three episodes and three domains.
    assert rows <= 15
    assert size <= 26 * _PAGE


@contextmanager
def journeys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Each time that a request waits for PostgreSQL: a pipeline, or a statement outside one."""
    found: list[str] = []
    pipeline, execute = psycopg.Connection.pipeline, psycopg.Cursor.execute

    def piped(self: Any) -> Any:
        found.append("pipeline")
        return pipeline(self)

    def executed(self: Any, query: Any, *values: Any, **options: Any) -> Any:
        if not self.connection.pgconn.pipeline_status:
            found.append(str(query))
        return execute(self, query, *values, **options)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "pipeline", piped)
        patched.setattr(psycopg.Cursor, "execute", executed)
        yield found


def test_a_post_takes_two_journeys_to_postgresql(
    api: Api, database: Database, patient_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reads, in a transaction that it begins; one writes and commits. Relief takes two as well."""
    if database.is_sqlite:
        pytest.skip("SQLite is in the process")
    with journeys(monkeypatch) as found:
        post(api, patient_id, 2)
    assert found == ["pipeline", "pipeline"]
    with journeys(monkeypatch) as found:
        assert api.get(f"/v1/patients/{patient_id}/relief").status_code == 200
    assert found == ["pipeline", "pipeline"]


def test_help_loads_neither_the_service_nor_its_libraries() -> None:
    told = (
        "import sys; from app.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert "serve" in ran.stdout
    loaded = ran.stderr.splitlines()[-1]
    for library in ("sqlalchemy", "fastapi", "pydantic", "uvicorn", "alembic", "psycopg", "cryptography"):
        assert f"'{library}'" not in loaded


def test_what_a_post_writes_has_no_default_that_is_made_for_each_row() -> None:
    """SQLModel 0.0.50 looks up the signature of such a function at each row: 0.1 ms, as much as recording a score."""
    for table in (Alert, Notice, AuditEvent, CheckIn, CheckInVersion, ScoreVersion, EpisodeRow, DomainStatus):
        made = [name for name, field in table.model_fields.items() if field.default_factory is not None]
        assert made == [], table
