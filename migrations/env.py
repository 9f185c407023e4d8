"""Alembic's environment. Online only: a migration runs on the database it changes."""

from typing import Any

from alembic import context
from sqlalchemy import inspect, text

from app.settings import Settings
from app.storage import open_engine, secure
from app.tables import metadata


def _renders(kind: str, item: Any, autogen: Any) -> str | bool:
    """A migration imports nothing from `app`: our column types are written as what they are on each engine."""
    if kind == "type" and type(item).__name__ in ("Moment", "Uid"):
        return f"{type(item).__name__}()"
    return False


def run() -> None:
    url = context.config.attributes.get("url")
    if url is None:
        settings = Settings()
        context.config.attributes["secret_key"] = settings.secret
        url = settings.migration_database_url or settings.database_url
    say = context.config.attributes.get("say", lambda _: None)
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            sqlite = connection.dialect.name == "sqlite"
            if sqlite:
                # A batch migration copies tables; with foreign keys on, dropping the old one could delete its children.
                # Said to the driver itself, because inside a transaction SQLite ignores it.
                connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
            context.configure(
                connection=connection,
                target_metadata=metadata,
                render_as_batch=sqlite,
                compare_server_default=False,
                render_item=_renders,
                on_version_apply=lambda step, **_: say(str(step.up_revision_id)),
            )
            with connection.begin():
                context.run_migrations()
                # A migration makes a table; whether row-level security holds it is declared on the table's model.
                for name in set(inspect(connection).get_table_names()) & set(metadata.tables):
                    secure(connection, metadata.tables[name])
                if sqlite and connection.execute(text("PRAGMA foreign_key_check")).first() is not None:
                    raise RuntimeError("a foreign key points nowhere after the migration; nothing was changed")
    finally:
        engine.dispose()


run()
