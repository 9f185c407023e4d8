"""`holdfast migrate` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from app import clock, migrating, revisions
from app.api.connections import Bounded
from app.cli.opening import settings, told
from app.cli.serving import Port, check_port
from app.demo import story
from app.logs import configure
from app.main import create_app
from app.settings import Settings
from app.storage import Database


def migrate() -> None:
    """Apply migrations, and grant the service's role what it needs.

    Reads HOLDFAST_DATABASE_URL, HOLDFAST_MIGRATION_DATABASE_URL (the owner's, PostgreSQL) and HOLDFAST_SECRET_KEY.
    """
    found = settings()
    migrating.upgrade(found, say=told("migrated to"))
    opened = Database(found.database_url, *found.secrets)
    opened.unlock(clock.now())
    opened.close()
    print(f"the database is at revision {revisions.head()}")


def demo(
    port: Port = 8000,
    patients: Annotated[int, typer.Option(min=1, help="How many synthetic patients")] = story.PATIENTS,
    days: Annotated[int, typer.Option(min=1, help="Over how many days")] = story.DAYS,
) -> None:
    """Fill a synthetic clinic in ./data/demo.db, print how to use it, and serve it on 127.0.0.1."""
    path = Path("data/demo.db")
    address = f"http://127.0.0.1:{port}"
    check_port("127.0.0.1", port)
    # The database is filled in another file and then moved into place, so that a demo that is still running keeps its
    # own. Its key is made anew with it.
    story.forget_key(path)
    found = Settings(
        database_url=f"sqlite:///{path}", migration_database_url=None, public_url=address, background_jobs=True
    )
    filling = path.with_name(f"filling-{port}.db")
    opened = story.fresh_database(filling, found.secret)
    migrating.upgrade(found.model_copy(update={"database_url": f"sqlite:///{filling}"}))
    opened.unlock(clock.now())
    print(f"Filling a synthetic clinic of {patients} patients over {days} days, half a minute...", flush=True)
    words = story.told(story.build(opened, patients, days), address)
    opened.close()
    story.put_in_place(filling, path)
    configure(found.log_level, found.log_format)
    server = uvicorn.Server(
        uvicorn.Config(create_app(found), host="127.0.0.1", port=port, http=Bounded, log_config=None, access_log=False)
    )
    print(words, flush=True)
    server.run()
