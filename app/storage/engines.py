"""Connections to SQLite and PostgreSQL: how each is prepared, and what begins a transaction."""

import sqlite3
from pathlib import Path
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, Engine, create_engine, event

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
            json_deserializer=from_json,
            execution_options={"holdfast_begin": "BEGIN IMMEDIATE"},
        )
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        engine = create_engine(
            url,
            hide_parameters=True,
            pool_size=16,
            max_overflow=8,
            pool_pre_ping=True,
            connect_args={"autocommit": True, **(_TIME_LIMITS if is_limited else {"connect_timeout": 10})},
            execution_options={"holdfast_begin": "BEGIN"},
        )
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


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options()["holdfast_begin"])
