"""Why the database could not do something: in one sentence without any value, and whether to try again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError, PendingRollbackError

# serialization_failure, deadlock_detected, lock_not_available and unique_violation. The last is retried because two
# transactions may create the same row at once; on its second attempt the loser sees the row of the winner.
_RETRIED = {"40001", "40P01", "55P03", "23505"}

# connection_failure, too_many_connections, query_canceled (by statement_timeout), admin_shutdown, crash_shutdown,
# cannot_connect_now
_UNREACHABLE = {"08006", "53300", "57014", "57P01", "57P02", "57P03"}

_BY_STATE = {
    "28P01": "PostgreSQL refuses the user or the password of the database URL",
    "28000": "PostgreSQL refuses the user or the password of the database URL",
    "3D000": "PostgreSQL has no database of the name that the database URL gives",
    "42P01": "the database is not migrated: run `holdfast migrate` first",
    "42501": "the database role lacks rights: run `holdfast migrate` with HOLDFAST_MIGRATION_DATABASE_URL",
    "53100": "the disk of the database is full",
    "53300": "PostgreSQL has no connection left",
}
_BY_WORDS = {
    "password authentication failed": _BY_STATE["28P01"],
    "no password supplied": _BY_STATE["28P01"],
    "role": _BY_STATE["28P01"],
    "no such table": _BY_STATE["42P01"],
    "not a database": "the database file is damaged, or is no SQLite database",
    "malformed": "the database file is damaged: restore a backup",
    "disk image": "the database file is damaged: restore a backup",
    "database or disk is full": _BY_STATE["53100"],
    "disk I/O error": "the disk of the database cannot be read or written",
    "readonly": "the database file cannot be written by this user",
    "unable to open": "the database file cannot be opened by this user",
    "database is locked": "the database is in use by another process: try again",
    "does not exist": _BY_STATE["3D000"],
}


@contextmanager
def as_database_error(connection: Connection) -> Iterator[None]:
    """Raises an error of the driver, which is asked directly, as the library would raise it."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        is_closed = getattr(connection.connection.driver_connection, "closed", False)
        if is_closed:
            connection.invalidate(error)
        raise DBAPIError.instance(
            "", None, error, driver.Error, hide_parameters=True, connection_invalidated=is_closed,
            dialect=connection.dialect,
        ) from error  # fmt: skip


def sentence_of(error: DBAPIError) -> str:
    """Why a statement or a connection failed; the driver's own words are left out, because they can quote values."""
    state = getattr(error.orig, "sqlstate", None)
    if state in _BY_STATE:
        return _BY_STATE[state]
    words = str(error.orig)
    for part, sentence in _BY_WORDS.items():
        if part in words:
            return sentence
    if error.connection_invalidated or (state is None and "sqlite" not in type(error.orig).__module__):
        return "PostgreSQL does not answer at the address of the database URL"
    return f"the database could not do it ({type(error.orig).__name__})"


def is_disk_full(error: BaseException) -> bool:
    """Whether the database has no room left."""
    cause = getattr(error, "orig", error)
    return getattr(cause, "sqlstate", None) == "53100" or "disk is full" in str(cause)


def is_lost(error: Exception) -> bool:
    """Whether the transaction cannot go on, and another attempt would not help now: the database is out of reach, has
    no room, or took longer than a statement may."""
    if isinstance(error, PendingRollbackError) or is_disk_full(error):
        return True
    return isinstance(error, DBAPIError) and _is_out_of_reach(error)


def _is_out_of_reach(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", "")  # SQLite's errors have none; psycopg's is None where it never connected
    never_reached = isinstance(error, OperationalError) and state is None
    return never_reached or error.connection_invalidated or state in _UNREACHABLE


def is_passing(error: Exception) -> bool:
    """Whether the error is temporary, so that the same transaction may succeed on another attempt."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    locked = isinstance(error, OperationalError) and "database is locked" in str(error.orig)
    return state in _RETRIED or locked
