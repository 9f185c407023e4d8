"""Applies migrations, from a checkout or from an installed wheel."""

from collections.abc import Callable

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text

from app.revisions import MigrationError, location
from app.settings import Settings
from app.storage import grant, open_engine
from app.tables import metadata


def config(url: str | None = None, secret_key: str = "") -> Config:
    """Alembic's configuration for a database. Migrations of encrypted columns need the service's secret."""
    found = Config()
    found.set_main_option("script_location", str(location()).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["url"] = url
    found.attributes["secret_key"] = secret_key
    return found


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
