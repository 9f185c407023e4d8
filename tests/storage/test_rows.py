"""Rows that are written many at a time, of one table or several."""

import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from app import clock
from app.audit import store
from app.audit.models import AuditEvent, AuditSubject
from app.errors import Busy
from app.storage import Database, insert, new_id, savepoint
from app.storage.rows import Rows
from tests.conftest import Api, new_clinic


def event(clinic_id: UUID, attempted: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "clinic_id": clinic_id, "id": new_id(), "at": clock.now(), "actor_kind": "user", "actor_id": new_id(),
        "operation": "test", "request_id": "1", "outcome": "done", "attempted": attempted, "address": "",
        "patient_id": None, "patient_attempted": False,
    }  # fmt: skip


def subject(clinic_id: UUID, event_id: UUID) -> dict[str, Any]:
    return {"clinic_id": clinic_id, "event_id": event_id, "patient_id": new_id(), "attempted": False}


def test_rows_that_refer_to_each_other_are_kept_together(api: Api, database: Database) -> None:
    clinic, parent = api.clinic_id, event(api.clinic_id)
    rows: Rows = {AuditEvent: [parent], AuditSubject: [subject(clinic, parent["id"]) for _ in range(3)]}
    database.writing(clinic, lambda db: insert(db, rows))
    [found] = database.reading(clinic, lambda db: store.by_ids(db, clinic, [parent["id"]]))
    assert len(database.reading(clinic, lambda db: store.subjects(db, clinic, [found]))[parent["id"]]) == 3


def test_a_table_without_rows_is_left_out(api: Api, database: Database) -> None:
    clinic, parent = api.clinic_id, event(api.clinic_id)
    database.writing(clinic, lambda db: insert(db, {AuditSubject: [], AuditEvent: [parent]}))
    database.writing(clinic, lambda db: insert(db, {AuditEvent: []}))
    assert len(database.reading(clinic, lambda db: store.by_ids(db, clinic, [parent["id"]]))) == 1


def test_where_one_row_is_refused_nothing_of_them_stays(api: Api, database: Database) -> None:
    clinic, parent = api.clinic_id, event(api.clinic_id)
    rows: Rows = {AuditEvent: [parent], AuditSubject: [subject(clinic, new_id())]}
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        database.writing(clinic, lambda db: insert(db, rows))
    assert database.reading(clinic, lambda db: store.by_ids(db, clinic, [parent["id"]])) == []


def test_another_clinics_row_is_refused_in_whatever_table_it_stands(
    server: TestClient, api: Api, database: Database
) -> None:
    if database.is_sqlite:
        pytest.skip("row-level security is PostgreSQL's")
    mine, foreign = event(api.clinic_id), event(new_clinic(server).clinic_id)
    rows: Rows = {AuditEvent: [mine, foreign], AuditSubject: [subject(api.clinic_id, mine["id"])]}
    with pytest.raises(DBAPIError, match="row-level security"):
        database.writing(api.clinic_id, lambda db: insert(db, rows))


def test_what_stands_in_row_after_row_is_kept_in_each(api: Api, database: Database) -> None:
    clinic, a, b = api.clinic_id, {"x": "1"}, {"x": "2"}
    events = [event(clinic, attempted) for attempted in (None, a, a, None, b)]
    database.writing(clinic, lambda db: insert(db, {AuditEvent: events}))
    found = {
        row.id: row for row in database.reading(clinic, lambda db: store.by_ids(db, clinic, [e["id"] for e in events]))
    }
    assert [found[e["id"]].attempted for e in events] == [None, a, a, None, b]
    assert [(found[e["id"]].clinic_id, found[e["id"]].at) for e in events] == [(clinic, e["at"]) for e in events]


def test_who_writes_to_sqlite_waits_for_their_turn_however_long(tmp_path: Path) -> None:
    database, clinic = Database(f"sqlite:///{tmp_path}/turns.db"), new_id()
    database.writing(clinic, lambda db: db.connection().execute(text("create table posts (n integer primary key)")))

    began = Event()

    def add(db: Session, n: int, seconds: float = 0) -> None:
        db.connection().execute(text("insert into posts values (:n)"), {"n": n})
        began.set()
        time.sleep(seconds)

    # Longer than SQLite itself waits for its lock.
    threads = [Thread(target=database.writing, args=(clinic, lambda db: add(db, 0, 2.5)))]
    threads += [Thread(target=database.writing, args=(clinic, lambda db, n=n: add(db, n))) for n in range(1, 4)]
    threads[0].start()
    assert began.wait(10), "the slow one has its turn"
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(DBAPIError, match=r"(?i)unique"):
        database.writing(clinic, lambda db: add(db, 1))
    database.writing(clinic, lambda db: add(db, 4))
    kept = database.reading(
        clinic, lambda db: list(db.connection().execute(text("select n from posts order by n")).scalars())
    )
    assert kept == [0, 1, 2, 3, 4]
    database.close()


def test_what_fails_in_a_savepoint_is_undone_alone_and_raised_within(api: Api, database: Database) -> None:
    """The rows that were requested before it stay, and so does what comes after it."""
    clinic, before, within, after = api.clinic_id, *(event(api.clinic_id) for _ in range(3))
    refused: list[str] = []

    def work(db: Session) -> None:
        insert(db, {AuditEvent: [before]})
        try:
            with savepoint(db):
                insert(db, {AuditEvent: [within], AuditSubject: [subject(clinic, new_id())]})
        except DBAPIError as error:
            refused.append(type(error).__name__)
        insert(db, {AuditEvent: [after]})

    database.writing(clinic, work)
    ids = [row["id"] for row in (before, within, after)]
    found = {row.id for row in database.reading(clinic, lambda db: store.by_ids(db, clinic, ids))}
    assert refused == ["IntegrityError"]
    assert found == {before["id"], after["id"]}


def test_rows_that_are_refused_before_a_savepoint_are_raised_before_it(api: Api, database: Database) -> None:
    clinic = api.clinic_id

    def work(db: Session) -> None:
        insert(db, {AuditSubject: [subject(clinic, new_id())]})
        with pytest.raises(DBAPIError), savepoint(db):
            pytest.fail("it was entered")
        raise ZeroDivisionError

    with pytest.raises((ZeroDivisionError, DBAPIError)):
        database.writing(clinic, work)


def test_a_transaction_in_which_a_statement_failed_is_never_said_to_be_committed(api: Api, database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("a statement that fails on SQLite leaves the others as they are")
    clinic, row = api.clinic_id, event(api.clinic_id)

    def work(db: Session) -> None:
        insert(db, {AuditEvent: [row]})
        with suppress(DBAPIError):
            db.connection().exec_driver_sql("select 1 / 0")

    with pytest.raises(Busy):
        database.writing(clinic, work)
    assert database.reading(clinic, lambda db: store.by_ids(db, clinic, [row["id"]])) == []


def test_a_connection_that_is_lost_before_the_commit_is_busy_and_the_next_write_works(
    api: Api, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite is in the process")
    clinic, row = api.clinic_id, event(api.clinic_id)

    def work(db: Session) -> None:
        insert(db, {AuditEvent: [row]})
        driver: Any = db.connection().connection.driver_connection
        driver.close()

    with pytest.raises(Busy):
        database.writing(clinic, work)
    database.writing(clinic, lambda db: insert(db, {AuditEvent: [row]}))
    assert len(database.reading(clinic, lambda db: store.by_ids(db, clinic, [row["id"]]))) == 1
    assert "Traceback" not in caplog.text
