"""SQLite's one writer keeps its connection, and nothing that goes wrong stays in it."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.errors import Busy
from app.storage import Database, new_id

CLINIC = new_id()
TABLES = (
    "create table wards (n integer primary key)",
    "create table beds (n integer primary key, ward integer references wards deferrable initially deferred)",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/writer.db")
    for table in TABLES:
        run(found, table)
    yield found
    found.close()


def run(database: Database, sql: str) -> None:
    def work(db: Session) -> None:
        db.connection().exec_driver_sql(sql)

    database.writing(CLINIC, work)


def beds(database: Database) -> int:
    def work(db: Session) -> int:
        return int(db.connection().exec_driver_sql("select count(*) from beds").scalar_one())

    return database.reading(CLINIC, work)


def test_a_commit_that_fails_leaves_nothing_to_the_next_one(database: Database, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError):
        run(database, "insert into beds values (1, 7)")  # found wanting by the commit
    other = sqlite3.connect(tmp_path / "writer.db", timeout=0.1)
    other.execute("insert into beds values (2, null)")
    other.commit()
    other.close()
    run(database, "insert into beds values (3, null)")
    assert beds(database) == 2


def test_another_process_that_writes_is_waited_for_again_after_it_took_too_long(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.database._ATTEMPTS", 1)
    other = sqlite3.connect(tmp_path / "writer.db", check_same_thread=False)
    other.execute("begin immediate")
    with pytest.raises(Busy):
        run(database, "insert into beds values (1, null)")
    database.overwriting_deleted()
    threading.Timer(0.5, other.rollback).start()
    run(database, "insert into beds values (2, null)")
    other.close()
    assert beds(database) == 1


def test_closing_waits_for_who_is_writing(database: Database) -> None:
    begun = threading.Event()

    def slow(db: Session) -> None:
        begun.set()
        time.sleep(0.3)
        db.connection().exec_driver_sql("insert into beds values (1, null)")

    job = threading.Thread(target=database.writing, args=(CLINIC, slow))
    job.start()
    begun.wait()
    database.close()
    job.join()
    assert beds(database) == 1


def test_what_is_written_after_closing_is_kept(database: Database) -> None:
    database.close()
    run(database, "insert into beds values (1, null)")
    assert beds(database) == 1
