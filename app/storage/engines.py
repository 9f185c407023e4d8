"""Connections to SQLite and PostgreSQL: how each is prepared, and what begins a transaction."""

import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DisconnectionError

from app.storage import rows

# Strings of documents are not kept for longer than the documents.
_from_json = partial(from_json, cache_strings="keys")
BUSY_MILLISECONDS = 2_000
# The size of SQLite's journal, in pages, at which it is copied into the database file. Writers wait while it is copied:
# 4 MiB take some 10 ms, 16 MiB up to 25. A smaller one is copied more often, and a page that is written many times with
# it.
_JOURNAL_PAGES = 1_000
# PostgreSQL ends the wait for a lock and a statement by itself. A connection to a machine that is gone is found out.
_TIME_LIMITS = {
    "connect_timeout": 3,
    "options": "-c lock_timeout=2s -c statement_timeout=15s",
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


_USED_AT, _FRESH_SECONDS = "holdfast_used_at", 1.0
# Statements that a connection to PostgreSQL keeps prepared: those that write rows have a form for each number of rows.
_PREPARED = 500


def open_engine(url: str, *, is_limited: bool = False) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://...`. Values of statements never appear in errors or logs.
    `is_limited`: connecting, waiting for a lock and each statement take a bounded time; migrations may take longer."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    # Transactions are begun by _begin, not implicitly by the driver.
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # patients' data: only this user may read it
        engine = create_engine(
            url,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": 2},
            json_deserializer=_from_json,
            execution_options={"holdfast_begin": ("BEGIN IMMEDIATE",)},
        )
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(
            url,
            hide_parameters=True,
            json_deserializer=_from_json,
            pool_size=16,
            max_overflow=8,
            pool_use_lifo=True,
            connect_args={"autocommit": True, **(_TIME_LIMITS if is_limited else {"connect_timeout": 10})},
            execution_options={"holdfast_begin": ("BEGIN",)},
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _ping)
        event.listen(engine, "connect", _prepare_postgresql)
        event.listen(engine, "before_cursor_execute", rows.before_statement)
        event.listen(engine, "commit", partial(rows.send, commit=True))
        event.listen(engine, "rollback", rows.forget)
        event.listen(engine, "rollback_savepoint", rows.forget)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_MILLISECONDS}",
        "secure_delete=ON",
        f"wal_autocheckpoint={_JOURNAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _prepare_postgresql(connection: Any, _: Any) -> None:
    connection.prepared_max = _PREPARED


def _note_use(_: Any, record: Any) -> None:
    record.info[_USED_AT] = time.monotonic()


def _ping(connection: Any, record: Any, _: Any) -> None:
    """Makes sure that a connection that was idle for a while still stands; otherwise the pool opens another one."""
    if time.monotonic() - record.info.get(_USED_AT, float("inf")) > _FRESH_SECONDS:
        try:
            connection.execute("")
        except Exception as error:  # the driver's, which is not imported where it is not used
            raise DisconnectionError from error


def _begin(connection: Connection) -> None:
    """On PostgreSQL it is sent with the first statement."""
    statements = connection.get_execution_options()["holdfast_begin"]
    if connection.dialect.name != "sqlite":
        connection.info[rows.BEGINNING] = statements
        return
    for statement in statements:
        connection.exec_driver_sql(statement)
