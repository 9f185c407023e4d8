"""Migrations go up and down on a filled database of both engines and lose nothing."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from fastapi.testclient import TestClient
from sqlalchemy import inspect, text
from sqlmodel import Session, select

from app import clock, work
from app.access import service as access
from app.access import store as access_store
from app.access.models import User
from app.access.tokens import Claims
from app.audit.service import Act
from app.clinic import service as clinics
from app.demo.clinic import fill
from app.events import service as events
from app.events.models import EventIn
from app.main import create_app
from app.migrating import config, upgrade
from app.patients import identifiers
from app.patients.models import Patient
from app.people import service as people
from app.settings import Settings
from app.storage import NO_CLINIC, Database, new_id, open_engine
from app.tracks.domains import advanced
from app.tracks.models import DomainStatus, EpisodeRow, FoldRow
from app.tracks.patient_tracks import from_bytes
from tests.conftest import ENGINES, fresh_settings


@pytest.fixture(params=ENGINES)
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    settings = fresh_settings(request.param, request, tmp_path)
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    clinic_id, now = new_id(), clock.now()
    database.unlock(now)
    database.writing(
        clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Filled", "Europe/Paris", [], now, synthetic=True)
    )
    user_id = database.writing(
        clinic_id, lambda db: people.add_user(db, clinic_id, "a@example.org", "admin", "password one", now)
    )
    caller = database.reading(
        clinic_id, lambda db: access.caller_of_token(db, Claims("user", user_id, clinic_id, "", 0))
    )
    fill(database, caller, 12, 90, now - timedelta(days=1), seed=5)
    database.close()
    return settings


def owner_url(settings: Settings) -> str:
    return settings.migration_database_url or settings.database_url


def counts(settings: Settings) -> dict[str, int]:
    """Rows per table, as someone who sees every clinic: the owner, with row security switched off for the count."""
    engine = open_engine(owner_url(settings))
    found = {}
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            if engine.dialect.name == "postgresql" and table != "alembic_version":
                connection.execute(text(f"alter table {table} no force row level security"))
            found[table] = int(connection.execute(text(f"select count(*) from {table}")).scalar() or 0)
        connection.rollback()
    engine.dispose()
    return found


def contents(settings: Settings) -> dict[str, Any]:
    """What is kept of the folds, row by row."""
    database = Database(settings.database_url, settings.secret)
    [clinic_id] = database.reading(NO_CLINIC, access_store.clinic_ids)

    today = clock.now().date()

    def read(db: Session) -> dict[str, Any]:
        return {
            "folds": {row.patient_id: from_bytes(row.state).stored for row in db.exec(select(FoldRow))},
            "domain_statuses": sorted(str(advanced(row.model_dump(), today)) for row in db.exec(select(DomainStatus))),
            "episodes": sorted(row.model_dump_json() for row in db.exec(select(EpisodeRow))),
            "identities": identifiers.of_patients(db, clinic_id, list(db.exec(select(Patient.id)))),
        }

    found = database.reading(clinic_id, read)
    database.close()
    return found


def test_upgrading_again_changes_nothing_and_the_models_match(filled: Settings) -> None:
    before = counts(filled)
    assert before["score_versions"] > 500
    assert before["domain_statuses"] >= 36
    upgrade(filled)
    assert counts(filled) == before
    command.check(config(owner_url(filled), filled.secret))


def test_down_to_nothing_and_up_again(filled: Settings) -> None:
    command.downgrade(config(owner_url(filled), filled.secret), "base")
    engine = open_engine(owner_url(filled))
    with engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
    engine.dispose()
    upgrade(filled)
    assert set(counts(filled).values()) <= {0, 1}


@pytest.mark.parametrize("steps", ["-1", "-2", "-3", "-4", "-5"])
def test_each_step_down_and_up_keeps_every_row(filled: Settings, steps: str) -> None:
    """From the second migration on, steps back and forward must keep what was there."""
    before, derived = counts(filled), contents(filled)
    command.downgrade(config(owner_url(filled), filled.secret), steps)
    upgrade(filled)
    database = Database(filled.database_url, filled.secret)
    asyncio.run(work.refold(database))
    database.close()
    after = counts(filled)
    assert {name: after[name] for name in after if name not in _TOLD_ONCE} == {
        name: before[name] for name in before if name not in _TOLD_ONCE
    }
    assert contents(filled) == derived


# What happened is told from the step on that made the outbox.
_TOLD_ONCE = ("changes", "feeds")


def test_a_schema_that_is_behind_is_not_ready(filled: Settings) -> None:
    engine = open_engine(owner_url(filled))
    with engine.begin() as connection:
        connection.execute(text("update alembic_version set version_num = '20200101_0000'"))
    engine.dispose()
    with TestClient(create_app(filled)) as server:
        answer = server.get("/readyz")
        assert answer.status_code == 503
        assert "migrate" in answer.json()["reason"]


def as_owner(settings: Settings, statement: str, *tables: str) -> list[Any]:
    """Runs a statement as the owner, whom the row-level security of these tables does not hold meanwhile. Returns the
    rows, where there are any."""
    engine = open_engine(owner_url(settings))
    held = tables if engine.dialect.name == "postgresql" else ()
    with engine.begin() as connection:
        for table in held:
            connection.execute(text(f"alter table {table} no force row level security"))
        done = connection.execute(text(statement))
        rows = [tuple(row) for row in done] if done.returns_rows else []
        for table in held:
            connection.execute(text(f"alter table {table} force row level security"))
    engine.dispose()
    return rows


def test_a_row_whose_silence_changes_no_priority_steps_down_and_up(filled: Settings) -> None:
    """Silence after a loss is as pressing as awaiting after one: the stage then holds no priority."""
    stage = '[{"from_on": "2099-01-01", "status": "stale", "since_on": "2099-01-01"}]'
    as_owner(
        filled,
        "update domain_statuses set status = 'awaiting_follow_up', state = 'lost', priority = 2, "
        f"next_on = '2099-01-01', stages = '{stage}' where domain = 'mood'",
        "domain_statuses",
    )
    command.downgrade(config(owner_url(filled), filled.secret), "20261129_1900")
    unchanged = "update domain_statuses set flags = flags where stale_priority = 2 and stale_on = '2099-01-01'"
    as_owner(filled, unchanged, "domain_statuses")
    upgrade(filled)


def test_a_score_that_was_amended_later_is_as_prompt_as_its_check_in_was(filled: Settings) -> None:
    """The release before kept only when each version was recorded."""
    command.downgrade(config(owner_url(filled), filled.secret), "20261129_1900")
    is_sqlite = owner_url(filled).startswith("sqlite")
    days = "{} * 86400000000" if is_sqlite else "{} * interval '1 day'"
    as_owner(filled, f"update score_versions set recorded_at = recorded_at + {days.format(10)}", "score_versions")
    upgrade(filled)
    late = f"first.recorded_at - s.taken_at > {days.format(2)}"
    found = as_owner(
        filled,
        f"select s.prompt, {late}, count(*) from score_versions as s join check_ins as first on "
        "first.clinic_id = s.clinic_id and first.id = s.check_in_id and first.version = 1 group by 1, 2",
        "score_versions",
        "check_ins",
    )
    assert {(bool(prompt), bool(is_late)) for prompt, is_late, _ in found} == {(True, False), (False, True)}


def test_a_patients_own_plan_asks_once_more_after_the_upgrade(filled: Settings) -> None:
    """As the default is; one that returned to the clinic's plan does as the clinic's does."""
    command.downgrade(config(owner_url(filled), filled.secret), "20261129_1900")
    [[clinic_id, patient_id, user_id]] = as_owner(
        filled, "select p.clinic_id, p.id, u.id from patients as p, users as u limit 1", "patients", "users"
    )
    at = "0" if owner_url(filled).startswith("sqlite") else "now()"
    for version, items in ((2, "'[]'"), (3, "null")):
        whose = f"'{clinic_id}', '{patient_id}', {version}, {at}, '{user_id}', {items}"
        columns = "clinic_id, patient_id, version, recorded_at, recorded_by_id, items"
        as_owner(filled, f"insert into patient_plan_versions ({columns}) values ({whose})", "patient_plan_versions")
    upgrade(filled)
    found = as_owner(
        filled, "select version, confirm from patient_plan_versions order by version", "patient_plan_versions"
    )
    assert found == [(2, True), (3, None)]


def test_after_the_upgrade_that_tells_what_is_due_only_that_of_today_is_told(filled: Settings) -> None:
    command.downgrade(config(owner_url(filled), filled.secret), "20261130_0600")
    upgrade(filled)
    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    found = as_owner(filled, "select distinct due_told_on from patients", "patients")
    assert [str(row[0]) for row in found] == [yesterday]


def test_a_step_down_refuses_to_lose_an_event(filled: Settings) -> None:
    database = Database(filled.database_url, filled.secret)
    database.unlock(clock.now())
    [clinic_id] = database.reading(NO_CLINIC, access_store.clinic_ids)
    [patient_id, *_] = database.reading(clinic_id, lambda db: list(db.exec(select(Patient.id))))
    [user_id] = database.reading(clinic_id, lambda db: list(db.exec(select(User.id))))
    caller = database.reading(
        clinic_id, lambda db: access.caller_of_token(db, Claims("user", user_id, clinic_id, "", 0))
    )
    act = Act(clinic_id, "user", user_id, "record_event", "x", clock.now())
    body = EventIn(kind="tms", on="2025-02-03")  # type: ignore[arg-type]
    database.writing(clinic_id, lambda db: events.record(db, caller, act, patient_id, body))
    database.close()
    command.downgrade(config(owner_url(filled), filled.secret), "20261129_2200")
    before = counts(filled)
    with pytest.raises(RuntimeError, match="events holds what the release before cannot keep"):
        command.downgrade(config(owner_url(filled), filled.secret), "20261129_1900")
    assert counts(filled) == before
