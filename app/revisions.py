"""Which migration is this release's newest, and whether a database has it."""

from pathlib import Path

from app.api import store
from app.errors import Busy
from app.storage import NO_CLINIC, Database, DatabaseError, sentence_of

_HERE = Path(__file__).parent


def location() -> Path:
    """The folder of the migrations, of a checkout or of an installed wheel."""
    packaged = _HERE / "_migrations"
    return packaged if packaged.is_dir() else _HERE.parent / "migrations"


def head() -> str:
    """The newest migration in this build. A migration's file begins with its revision, which is its time."""
    return max("_".join(path.name.split("_")[:2]) for path in (location() / "versions").glob("[0-9]*.py"))


class MigrationError(Exception):
    """A migration was refused, and nothing was changed. The message is one sentence."""


def why_not_current(database: Database) -> str | None:
    """What to do before this release can serve the database; None if its schema is this release's or a later one."""
    try:
        revision = database.reading(NO_CLINIC, store.schema_revision)
    except Busy:
        return "the database does not answer: is it running, and is HOLDFAST_DATABASE_URL right?"
    except DatabaseError as error:
        return sentence_of(error)
    if revision is None or revision < head():
        return "the database's schema is behind this release: run `holdfast migrate` first"
    return None
