"""The `holdfast` command."""

import json
import os
import socket
import sys
from getpass import getpass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
import uvicorn
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from app import clock, migrating
from app import work as background
from app.access import service as access
from app.demo import story
from app.errors import Problem
from app.logs import configure
from app.main import create_app
from app.settings import Settings
from app.storage import Database, new_id

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
clinics = typer.Typer(no_args_is_help=True, help="Clinics.")
users = typer.Typer(no_args_is_help=True, help="People with a login.")
clients = typer.Typer(no_args_is_help=True, help="Integrations.")
cli.add_typer(clinics, name="clinics")
cli.add_typer(users, name="users")
cli.add_typer(clients, name="clients")

PasswordFromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input")]


@cli.command()
def migrate() -> None:
    """Apply migrations, and grant the service's role what it needs."""
    migrating.upgrade(Settings())
    print(f"the database is at revision {migrating.head()}")


@cli.command()
def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    no_work: Annotated[bool, typer.Option("--no-work", help="Leave background jobs to `holdfast work`")] = False,
) -> None:
    """Serve the API. SQLite serves with one process."""
    settings = Settings()
    if workers > 1 and settings.database_url.startswith("sqlite"):
        _fail("SQLite serves with one process: use PostgreSQL for more workers")
    configure(settings.log_level)
    # The processes that serve read their settings from the environment.
    os.environ["HOLDFAST_BACKGROUND_JOBS"] = "false" if no_work else "true"
    uvicorn.run(
        "app.cli:served",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
    )


def served() -> object:
    """The application that `serve` runs in each process."""
    settings = Settings()
    configure(settings.log_level)
    return create_app(settings)


@cli.command()
def work() -> None:
    """Run background jobs until interrupted."""
    settings = Settings()
    configure(settings.log_level)
    background.forever(Database(settings.database_url))


@cli.command()
def demo(
    port: int = 8000,
    patients: Annotated[int, typer.Option(help="How many synthetic patients")] = story.PATIENTS,
    days: Annotated[int, typer.Option(help="Over how many days")] = story.DAYS,
) -> None:
    """Fill a synthetic clinic in ./data/demo.db, say how to look at it, and serve it on 127.0.0.1."""
    path = Path("data/demo.db")
    address = f"http://127.0.0.1:{port}"
    with socket.socket() as trial:
        if trial.connect_ex(("127.0.0.1", port)) == 0:
            _fail(f"port {port} is in use: choose another with --port")
    # Filled beside the old one and then put in its place, so that a demo that is still running keeps its own.
    settings = Settings(
        database_url=f"sqlite:///{path}", migration_database_url=None, public_url=address, background_jobs=True
    )
    filling = path.with_name(f"filling-{port}.db")
    database = story.fresh_database(filling)
    migrating.upgrade(settings.model_copy(update={"database_url": f"sqlite:///{filling}"}))
    print(f"Filling a synthetic clinic of {patients} patients over {days} days, half a minute...", flush=True)
    told = story.told(story.build(database, patients, days), address)
    database.close()
    story.put_in_place(filling, path)
    configure(settings.log_level)
    server = uvicorn.Server(
        uvicorn.Config(create_app(settings), host="127.0.0.1", port=port, log_config=None, access_log=False)
    )
    print(told, flush=True)
    server.run()


@clinics.command("add")
def add_clinic(
    name: Annotated[str, typer.Option()],
    time_zone: Annotated[str, typer.Option(help="IANA zone, as in America/New_York")],
    admin_email: Annotated[str, typer.Option()],
    admin_password_stdin: Annotated[bool, typer.Option("--admin-password-stdin")] = False,
    crisis_contact: Annotated[
        list[str] | None, typer.Option(help="'Label: contact', shown to patients; may be repeated")
    ] = None,
) -> None:
    """Add a clinic and its first administrator."""
    password = _password(admin_password_stdin, "--admin-password-stdin")
    clinic_id, now = new_id(), clock.now()
    contacts = [_contact(text) for text in crisis_contact or []]

    with _database() as database:

        def work(db: Session) -> UUID:
            access.add_clinic(db, clinic_id, name, time_zone, contacts, now)
            return access.add_user(db, clinic_id, admin_email, "admin", password, now)

        user_id = database.writing(clinic_id, work)
    _answer(clinic_id=clinic_id, user_id=user_id)


@users.command("add")
def add_user(
    clinic: Annotated[UUID, typer.Option()],
    email: Annotated[str, typer.Option()],
    role: Annotated[str, typer.Option(help="admin or clinician")],
    password_stdin: PasswordFromStdin = False,
) -> None:
    """Add a person."""
    password, now = _password(password_stdin, "--password-stdin"), clock.now()
    with _database() as database:
        user_id = database.writing(clinic, lambda db: access.add_user(db, clinic, email, role, password, now))
    _answer(user_id=user_id)


@clients.command("add")
def add_client(
    clinic: Annotated[UUID, typer.Option()],
    name: Annotated[str, typer.Option()],
    scope: Annotated[str, typer.Option(help="Scopes, separated by spaces")],
) -> None:
    """Add an integration. Its secret is shown once."""
    now = clock.now()
    with _database() as database:
        client_id, secret = database.writing(clinic, lambda db: access.add_client(db, clinic, name, scope, now))
    _answer(client_id=client_id, client_secret=secret)


class _database:  # noqa: N801 - used as a function
    """The configured database for one command; a refusal is said in one line."""

    def __enter__(self) -> Database:
        self._database = Database(Settings().database_url)
        return self._database

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._database.close()
        if isinstance(error, DBAPIError):
            _fail("the database is not ready: run `holdfast migrate` first")
        if isinstance(error, Problem):
            rules = [f"{fault.name}: {fault.detail}" for fault in error.errors]
            _fail("; ".join(rules) or error.detail)


def _password(from_stdin: bool, option: str) -> str:
    """From standard input, so that it stands in no shell history or process list; typed, it is not shown."""
    if not from_stdin:
        _fail(f"give the password on standard input with {option}")
    if sys.stdin.isatty():
        return getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def _contact(text: str) -> dict[str, str]:
    label, _, contact = text.partition(":")
    return {"label": label.strip(), "contact": contact.strip()}


def _answer(**values: object) -> None:
    print(json.dumps({name: str(value) for name, value in values.items()}))


def _fail(sentence: str) -> None:
    print(sentence, file=sys.stderr)
    raise typer.Exit(1)
