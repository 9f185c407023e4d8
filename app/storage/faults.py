"""Says in one sentence, without any value, why the database could not do something."""

from sqlalchemy.exc import DBAPIError

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
