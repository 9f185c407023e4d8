"""Clinics, and who may log in to them: `holdfast clinics`, `users`, `clients`, `devices`."""

from typing import Annotated
from uuid import UUID

import typer

from app import clock
from app.access import store as access
from app.access.door import operate
from app.access.models import User
from app.audit.service import by_operator
from app.cli.opening import JsonOption, answer, database, fail, password, table
from app.clients import service as integrations
from app.clinic import service as clinic_settings
from app.devices import service as phones
from app.facts import Fact
from app.people import service as people
from app.people.models import UserPatch
from app.storage import NO_CLINIC, Database, Transaction, new_id

clinics = typer.Typer(no_args_is_help=True, help="Clinics.")
users = typer.Typer(no_args_is_help=True, help="People with a login.")
clients = typer.Typer(no_args_is_help=True, help="Integrations.")
devices = typer.Typer(no_args_is_help=True, help="Patients' own devices.")

ClinicOption = Annotated[UUID, typer.Option(help="The clinic's id: see `holdfast clinics list`")]
AsJson = Annotated[bool, JsonOption]
EmailOption = Annotated[str, typer.Option(help="The login")]
PasswordFromStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input")]
# More than a clinic has people or integrations.
_ALL = 100_000


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
    """Add a clinic and its first administrator.

    Example: holdfast clinics add --name North --time-zone America/New_York --admin-email you@example.org
    --admin-password-stdin < password.txt
    """
    if not name.strip() or not name.isprintable():
        fail("name: must be one line of text")
    given = password(admin_password_stdin, "--admin-password-stdin")
    clinic_id, now = new_id(), clock.now()
    contacts = [_contact(text) for text in crisis_contact or []]
    if second_factor not in ("optional", "required"):
        fail("second_factor: must be optional or required")

    def work(db: Transaction) -> Fact[UUID]:
        clinic_settings.add_clinic(db, clinic_id, name, time_zone, contacts, now, second_factor=second_factor)
        return Fact(people.add_user(db, clinic_id, admin_email, "admin", given, now))

    with database() as opened:
        user_id = operate(opened, by_operator(clinic_id, "add_clinic", now), work)
    answer(clinic_id=clinic_id, user_id=user_id)


@clinics.command("list")
def list_clinics(as_json: AsJson = False) -> None:
    """List all clinics."""
    rows = []
    with database() as opened:
        for clinic_id in opened.reading(NO_CLINIC, access.clinic_ids):
            found = opened.reading(clinic_id, lambda db, c=clinic_id: access.clinic(db, c))  # type: ignore[misc]
            if found is not None:
                rows.append({"clinic_id": found.id, "name": found.name, "time_zone": found.time_zone,
                             "synthetic": found.synthetic, "created_at": found.created_at})  # fmt: skip
    table(rows, as_json=as_json)


@users.command("add")
def add_user(
    clinic: ClinicOption,
    email: EmailOption,
    role: Annotated[str, typer.Option(help="admin or clinician")],
    password_stdin: PasswordFromStdin = False,
) -> None:
    """Add a person.

    Example: holdfast users add --clinic ID --email ana@example.org --role clinician --password-stdin < password.txt
    """
    given, act = password(password_stdin, "--password-stdin"), by_operator(clinic, "add_user", clock.now())
    with database() as opened:
        user_id = operate(opened, act, lambda db: Fact(people.add_user(db, clinic, email, role, given, act.at)))
    answer(user_id=user_id)


@users.command("list")
def list_users(clinic: ClinicOption, as_json: AsJson = False) -> None:
    """List the people of a clinic, newest first."""
    act = by_operator(clinic, "list_users", clock.now())
    with database() as opened:
        _check_clinic(opened, clinic)
        found = operate(opened, act, lambda db: Fact(people.listed(db, clinic, None, _ALL)))
    table(
        [
            {"user_id": u.id, "email": u.email, "role": u.role, "disabled": u.disabled,
             "second_factor": u.second_factor, "created_at": u.created_at}
            for u in found
        ],
        as_json=as_json,
    )  # fmt: skip


@users.command("disable")
def disable_user(
    email: EmailOption, clinic: Annotated[UUID | None, typer.Option(help="Where the e-mail is used in several")] = None
) -> None:
    """Disable a person: they are signed out everywhere and cannot log in. A clinic keeps one administrator."""
    now = clock.now()
    with database() as opened:
        user = _one_user(opened, email, clinic)
        act = by_operator(user.clinic_id, "disable_user", now)
        operate(opened, act, lambda db: people.update(db, act, user.id, None, UserPatch(disabled=True)))
    answer(user_id=user.id)


@users.command("reset-password")
def reset_password(
    email: EmailOption, clinic: Annotated[UUID | None, typer.Option(help="Where the e-mail is used in several")] = None
) -> None:
    """Remove a person's password and print a code with which they set a new one at POST /oauth/password."""
    now = clock.now()
    with database() as opened:
        user = _one_user(opened, email, clinic)
        act = by_operator(user.clinic_id, "reset_password", now)
        reset = operate(opened, act, lambda db: people.reset_password(db, act, user.id))
    answer(code=reset.code, expires_at=reset.expires_at)


@clients.command("add")
def add_client(
    clinic: ClinicOption,
    name: Annotated[str, typer.Option()],
    scope: Annotated[str, typer.Option(help="Scopes, separated by spaces")],
) -> None:
    """Add an integration. Its secret is shown once.

    Example: holdfast clients add --clinic ID --name EHR --scope "patients:read checkins:write"
    """
    act = by_operator(clinic, "add_client", clock.now())
    with database() as opened:
        made = operate(opened, act, lambda db: Fact(integrations.add_client(db, clinic, name, scope, act.at)))
    client_id, secret = made
    answer(client_id=client_id, client_secret=secret)


@clients.command("list")
def list_clients(clinic: ClinicOption, as_json: AsJson = False) -> None:
    """List the integrations of a clinic, newest first."""
    act = by_operator(clinic, "list_clients", clock.now())
    with database() as opened:
        _check_clinic(opened, clinic)
        found = operate(opened, act, lambda db: Fact(integrations.listed(db, clinic, None, _ALL)))
    table(
        [
            {"client_id": c.id, "name": c.name, "scope": c.scope, "disabled": c.disabled,
             "created_at": c.created_at}
            for c in found
        ],
        as_json=as_json,
    )  # fmt: skip


@devices.command("list")
def list_devices(clinic: ClinicOption, as_json: AsJson = False) -> None:
    """List the devices of a clinic's patients, by patient. Their names are not shown: patients gave them."""
    act = by_operator(clinic, "list_devices", clock.now())
    with database() as opened:
        _check_clinic(opened, clinic)
        found = operate(opened, act, lambda db: phones.of_clinic(db, clinic))
    table(
        [
            {"device_id": d.id, "patient_id": d.patient_id, "disabled": d.disabled_at is not None,
             "created_at": d.created_at}
            for d in found
        ],
        as_json=as_json,
    )  # fmt: skip


def _check_clinic(opened: Database, clinic: UUID) -> None:
    if opened.reading(clinic, lambda db: access.clinic(db, clinic)) is None:
        fail("there is no such clinic: see `holdfast clinics list`")


def _one_user(opened: Database, email: str, clinic: UUID | None) -> User:
    found = opened.reading(NO_CLINIC, lambda db: access.users_by_email(db, email.strip().lower()))
    found = [user for user in found if clinic in (None, user.clinic_id)]
    if not found:
        fail("there is no such login")
    if len(found) > 1:
        fail("this e-mail is a login in several clinics: say which with --clinic")
    return found[0]


def _contact(text: str) -> dict[str, str]:
    label, _, contact = text.partition(":")
    return {"label": label.strip(), "contact": contact.strip()}
