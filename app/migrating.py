"""Applies migrations, from a checkout or from an installed wheel."""

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text

from app.api import store
from app.errors import Busy
from app.settings import Settings
from app.storage import NO_CLINIC, Database, DatabaseError, grant, open_engine, sentence_of
from app.tables import metadata

_HERE = Path(__file__).parent


def config(url: str | None = None, secret_key: str = "") -> Config:
    """Alembic's configuration for a database. Migrations of encrypted columns need the service's secret."""
    packaged = _HERE / "_migrations"
    found = Config()
    location = packaged if packaged.is_dir() else _HERE.parent / "migrations"
    found.set_main_option("script_location", str(location).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["url"] = url
    found.attributes["secret_key"] = secret_key
    return found


def head() -> str:
    """The newest migration in this build."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision is not None  # there is always a first migration
    return revision


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


def upgrade(settings: Settings, revision: str = "head", say: Callable[[str], None] = lambda _: None) -> None:
    """Migrates the database to a revision, as its owner; on PostgreSQL grants the service's role its rights. Says each
    revision that is done."""
    owner_url = settings.migration_database_url or settings.database_url
    found = config(owner_url, settings.secret)
    found.attributes["say"] = say
    try:
        command.upgrade(found, revision)
    except RuntimeError as error:
        raise MigrationError(str(error)) from error
    role = make_url(settings.database_url).username
    if owner_url.startswith("postgresql") and settings.migration_database_url and role:
        engine = open_engine(owner_url)
        with engine.begin() as connection:
            _grant(connection, role)
        engine.dispose()


def _grant(connection: Connection, role: str) -> None:
    """Grants the service's role what every table declares, and nothing on Alembic's own but to read it."""
    quoted = connection.dialect.identifier_preparer.quote(role)
    schema = connection.dialect.identifier_preparer.quote(
        str(connection.execute(text("select current_schema")).scalar())
    )
    for statement in (
        f"grant usage on schema {schema} to {quoted}",
        f"grant select, insert on all tables in schema {schema} to {quoted}",
        f"revoke insert on alembic_version from {quoted}",
    ):
        connection.exec_driver_sql(statement)
    for table in metadata.tables.values():
        grant(connection, table, quoted)
