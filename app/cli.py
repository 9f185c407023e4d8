"""The `holdfast` command."""

import gc
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from getpass import getpass
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import UUID

import typer
import uvicorn
from pydantic import ValidationError

from app import backfilling, clock, metrics, migrating
from app import work as background
from app.access import store as access
from app.access.door import operate
from app.audit import sealing
from app.audit.sealing import Witness
from app.audit.service import by_operator
from app.clients import service as integrations
from app.clinic import service as clinic_settings
from app.demo import story
from app.errors import Problem
from app.facts import Fact
from app.logs import configure
from app.main import create_app, mail_of
from app.patients import identifiers
from app.people import service as people
from app.settings import Settings
from app.storage import NO_CLINIC, Database, DatabaseError, Transaction, new_id, role_faults
from app.tables import APPEND_ONLY, CLINIC_TABLES

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
clinics = typer.Typer(no_args_is_help=True, help="Clinics.")
users = typer.Typer(no_args_is_help=True, help="People with a login.")
clients = typer.Typer(no_args_is_help=True, help="Integrations.")
alerts = typer.Typer(no_args_is_help=True, help="Alerts.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")
cli.add_typer(clinics, name="clinics")
cli.add_typer(users, name="users")
cli.add_typer(clients, name="clients")
cli.add_typer(alerts, name="alerts")
cli.add_typer(audit, name="audit")

# How many seconds running requests get when the service is told to stop. A request whose client has sent only half of
# it is dropped then.
_STOPPING_SECONDS = 8

PasswordFromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input")]


@cli.command()
def migrate() -> None:
    """Apply migrations, and grant the service's role what it needs."""
    migrating.upgrade(_settings())
    print(f"the database is at revision {migrating.head()}")


@cli.command()
def serve(
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    no_work: Annotated[bool, typer.Option("--no-work", help="Leave background jobs to `holdfast work`")] = False,
) -> None:
    """Serve the API. SQLite serves with one process."""
    settings = _settings()
    if workers > 1 and settings.database_url.startswith("sqlite"):
        _fail("SQLite serves with one process: use PostgreSQL for more workers")
    configure(settings.log_level)
    _check_role(settings)
    if settings.metrics_port:
        metrics.serve(settings, host, workers)
    # Worker processes read their settings from the environment.
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
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=_STOPPING_SECONDS,
    )


def served() -> object:
    """Makes the application; `serve` calls this in each process."""
    settings = _settings()
    configure(settings.log_level)
    app = create_app(settings)
    # Objects loaded at start live as long as the process, so the garbage collector need not scan them again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    return app


@cli.command()
def work() -> None:
    """Run background jobs until interrupted."""
    settings = _settings()
    configure(settings.log_level)
    _check_role(settings)
    background.forever(Database(settings.database_url, settings.secret), mail_of(settings))


@cli.command()
def demo(
    port: int = 8000,
    patients: Annotated[int, typer.Option(help="How many synthetic patients")] = story.PATIENTS,
    days: Annotated[int, typer.Option(help="Over how many days")] = story.DAYS,
) -> None:
    """Fill a synthetic clinic in ./data/demo.db, print how to use it, and serve it on 127.0.0.1."""
    path = Path("data/demo.db")
    address = f"http://127.0.0.1:{port}"
    with socket.socket() as trial:
        if trial.connect_ex(("127.0.0.1", port)) == 0:
            _fail(f"port {port} is in use: choose another with --port")
    # The database is filled in another file and then moved into place, so that a demo that is still running keeps its
    # own.
    settings = Settings(
        database_url=f"sqlite:///{path}", migration_database_url=None, public_url=address, background_jobs=True
    )
    filling = path.with_name(f"filling-{port}.db")
    database = story.fresh_database(filling, settings.secret)
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
    second_factor: Annotated[
        str, typer.Option(help="optional or required: whether people must have a second factor")
    ] = "optional",
) -> None:
    """Add a clinic and its first administrator."""
    password = _password(admin_password_stdin, "--admin-password-stdin")
    clinic_id, now = new_id(), clock.now()
    contacts = [_contact(text) for text in crisis_contact or []]
    if second_factor not in ("optional", "required"):
        _fail("second_factor: must be optional or required")

    def work(db: Transaction) -> Fact[UUID]:
        clinic_settings.add_clinic(db, clinic_id, name, time_zone, contacts, now, second_factor=second_factor)
        return Fact(people.add_user(db, clinic_id, admin_email, "admin", password, now))

    with _database() as database:
        user_id = operate(database, by_operator(clinic_id, "add_clinic", now), work)
    _answer(clinic_id=clinic_id, user_id=user_id)


@users.command("add")
def add_user(
    clinic: Annotated[UUID, typer.Option()],
    email: Annotated[str, typer.Option()],
    role: Annotated[str, typer.Option(help="admin or clinician")],
    password_stdin: PasswordFromStdin = False,
) -> None:
    """Add a person."""
    password, act = _password(password_stdin, "--password-stdin"), by_operator(clinic, "add_user", clock.now())
    with _database() as database:
        user_id = operate(database, act, lambda db: Fact(people.add_user(db, clinic, email, role, password, act.at)))
    _answer(user_id=user_id)


@clients.command("add")
def add_client(
    clinic: Annotated[UUID, typer.Option()],
    name: Annotated[str, typer.Option()],
    scope: Annotated[str, typer.Option(help="Scopes, separated by spaces")],
) -> None:
    """Add an integration. Its secret is shown once."""
    act = by_operator(clinic, "add_client", clock.now())
    with _database() as database:
        made = operate(database, act, lambda db: Fact(integrations.add_client(db, clinic, name, scope, act.at)))
    client_id, secret = made
    _answer(client_id=client_id, client_secret=secret)


@users.command("reset-password")
def reset_password(email: Annotated[str, typer.Option()]) -> None:
    """Remove a person's password and print a code with which they set a new one at POST /oauth/password."""
    now = clock.now()
    with _database() as database:
        user = database.reading(NO_CLINIC, lambda db: access.user_by_email(db, email.strip().lower()))
        if user is None:
            _fail("there is no such login")
        act = by_operator(user.clinic_id, "reset_password", now)
        reset = operate(database, act, lambda db: people.reset_password(db, act, user.id))
    _answer(code=reset.code, expires_at=reset.expires_at.isoformat())


@cli.command()
def check() -> None:
    """Say what is wrong with what is stored, a line each, and fail if anything is: patients with one external id."""
    wrong = 0
    with _database() as database:
        for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
            found = database.reading(clinic_id, partial(identifiers.clashes, clinic_id=clinic_id))
            for patient_id, other in found:
                print(f"{clinic_id} patients {patient_id} and {other} have one external id but for its case or form")
            wrong += len(found)
    if wrong:
        raise typer.Exit(2)
    print("nothing is wrong")


@alerts.command("backfill")
def backfill_alerts(clinic: Annotated[UUID, typer.Option()]) -> None:
    """Raise the alerts that are missing for existing data, for example after an upgrade."""
    with _database() as database:
        if database.reading(clinic, lambda db: access.clinic(db, clinic)) is None:
            _fail("there is no such clinic")
        raised = backfilling.backfill(database, clinic)
    print(json.dumps({"raised": raised}))


@audit.command("verify")
def verify_audit(
    clinic: Annotated[UUID | None, typer.Option(help="Only this clinic")] = None,
    seal: Annotated[
        list[str] | None,
        typer.Option(help="clinic:number:mac of a seal in the service's log; may be repeated. Shows a cut tail"),
    ] = None,
) -> None:
    """Check every event and seal of the audit log. Prints what is wrong, and fails if anything is."""
    witnesses = [_witness(text) for text in seal or []]
    wrong = 0
    with _database() as database:
        named = [witness.clinic_id for witness in witnesses]
        known = [clinic] if clinic else database.reading(NO_CLINIC, access.clinic_ids)
        for clinic_id in dict.fromkeys([*known, *named]):
            verified = partial(_verified, clinic_id=clinic_id, witnesses=witnesses)
            found, last, waiting = database.reading(clinic_id, verified)
            for problem in found:
                print(f"{clinic_id} {problem.kind}: {problem.what}")
            wrong += len(found)
            print(f"{clinic_id} last seal: {last or 'none'}; not sealed yet: {waiting} events")
    if wrong:
        _fail(f"the audit log is not as it was sealed: {wrong} found")
    print("the audit log is as it was sealed")


def _verified(
    db: Transaction, clinic_id: UUID, witnesses: list[Witness]
) -> tuple[list[sealing.Found], str | None, int]:
    """What is wrong with a clinic's log, its last seal, and how many events wait for one."""
    clinic = access.clinic(db, clinic_id)
    is_synthetic = clinic is not None and clinic.synthetic
    found = sealing.verify(db, clinic_id, witnesses, is_synthetic=is_synthetic)
    return found, sealing.last_witness(db, clinic_id), sealing.waiting(db, clinic_id)


@contextmanager
def _database() -> Iterator[Database]:
    """The configured database for one command. Errors end the command with a one-line message."""
    settings = _settings()
    database = Database(settings.database_url, settings.secret)
    try:
        yield database
    except DatabaseError:
        _fail("the database is not ready: run `holdfast migrate` first")
    except Problem as error:
        _fail("; ".join(f"{fault.name}: {fault.detail}" for fault in error.errors) or error.detail)
    finally:
        database.close()


def _settings() -> Settings:
    """The settings from the environment. An error names the variable but not its value."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [(f"HOLDFAST_{e['loc'][0]}: ".upper() if e["loc"] else "") + e["msg"] for e in error.errors()]
        _fail("; ".join(wrong))


def _password(from_stdin: bool, option: str) -> str:
    """Reads a password from standard input, to keep it out of histories; typed at a terminal, not echoed."""
    if not from_stdin:
        _fail(f"give the password on standard input with {option}")
    if sys.stdin.isatty():
        return getpass("Password: ")
    return sys.stdin.readline().rstrip("\r\n")


def _witness(text: str) -> Witness:
    try:
        clinic, number, mac = text.split(":")
        return Witness(UUID(clinic), int(number), mac)
    except ValueError:
        _fail("seal: must be clinic:number:mac, as the service's log has it")


def _check_role(settings: Settings) -> None:
    """Ends the command if the service's database role could get around row-level security or append-only tables."""
    faults = role_faults(settings.database_url, CLINIC_TABLES, APPEND_ONLY)
    if faults:
        _fail("the service's database role is not safe: it " + "; it ".join(faults))


def _contact(text: str) -> dict[str, str]:
    label, _, contact = text.partition(":")
    return {"label": label.strip(), "contact": contact.strip()}


def _answer(**values: object) -> None:
    print(json.dumps({name: str(value) for name, value in values.items()}))


def _fail(sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    raise typer.Exit(1)
