"""Alerts, the audit log and mail: `holdfast alerts`, `audit`, `mail`."""

from functools import partial
from smtplib import SMTPException
from typing import Annotated
from uuid import UUID

import typer

from app import backfilling, clock
from app.access import store as access
from app.access.door import operate
from app.audit import sealing
from app.audit.sealing import Witness
from app.audit.service import by_operator
from app.cli.clinics import ClinicOption
from app.cli.opening import answer, database, fail, settings, told
from app.facts import Fact
from app.main import mail_of
from app.storage import NO_CLINIC, Transaction, new_id

alerts = typer.Typer(no_args_is_help=True, help="Alerts.")
audit = typer.Typer(no_args_is_help=True, help="The audit log.")
mail = typer.Typer(no_args_is_help=True, help="Mail about urgent alerts.")

_FOUND = 1


@alerts.command("backfill")
def backfill_alerts(clinic: ClinicOption) -> None:
    """Raise the alerts that are missing for existing data, for example after an upgrade."""
    with database() as opened:
        if opened.reading(clinic, lambda db: access.clinic(db, clinic)) is None:
            fail("there is no such clinic")
        raised = backfilling.backfill(opened, clinic, told("patients looked at"))
    answer(raised=raised)


@audit.command("verify")
def verify_audit(
    clinic: Annotated[UUID | None, typer.Option(help="Only this clinic")] = None,
    seal: Annotated[
        list[str] | None,
        typer.Option(help="clinic:number:mac of a seal in the service's log; may be repeated. Shows a cut tail"),
    ] = None,
) -> None:
    """Check every event and seal of the audit log. Prints what is wrong, and exits with 1 if anything is.

    Seals that a former secret made are checked with HOLDFAST_PREVIOUS_SECRET_KEY.
    """
    witnesses = [_witness(text) for text in seal or []]
    wrong, unchecked, say = 0, 0, told("seals checked")
    with database() as opened:
        named = [witness.clinic_id for witness in witnesses]
        if clinic is not None and opened.reading(clinic, lambda db: access.clinic(db, clinic)) is None:
            fail("there is no such clinic")
        known = [clinic] if clinic else opened.reading(NO_CLINIC, access.clinic_ids)
        for clinic_id in dict.fromkeys([*known, *named]):
            verified = partial(_verified, clinic_id=clinic_id, witnesses=witnesses, say=say)
            found, last, waiting = opened.reading(clinic_id, verified)
            for problem in found:
                print(f"{clinic_id} {problem.kind}: {problem.what}")
            wrong += sum(problem.kind not in ("acknowledged", "not_checked") for problem in found)
            unchecked += sum(problem.kind == "not_checked" for problem in found)
            print(f"{clinic_id} last seal: {last or 'none'}; not sealed yet: {waiting} events")
    if wrong:
        fail(f"the audit log is not as it was sealed: {wrong} found", _FOUND)
    if unchecked:
        fail("a part of the audit log could not be checked without the former secret", _FOUND)
    print("the audit log is as it was sealed")


@audit.command("acknowledge")
def acknowledge(
    clinic: ClinicOption,
    event: Annotated[list[UUID], typer.Option(help="The event that is out of time; may be repeated")],
    reason: Annotated[str, typer.Option(help="Why its time is wrong: it is kept in the audit log itself")],
) -> None:
    """Say why events are out of time, for example after a clock was wrong. `audit verify` then names the reason.

    Example: holdfast audit acknowledge --clinic ID --event ID --reason "clock of db2 was a day ahead"
    """
    if not reason.strip():
        fail("reason: must not be empty")
    now = clock.now()
    with database() as opened:
        for event_id in event:
            act = by_operator(clinic, sealing.ACKNOWLEDGED, now)
            named = (("event_id", str(event_id)), ("reason", reason.strip()))
            operate(opened, act, partial(_known, clinic_id=clinic, event_id=event_id), attempted=named)
    answer(acknowledged=len(event))


def _known(db: Transaction, clinic_id: UUID, event_id: UUID) -> Fact[None]:
    sealing.check_event(db, clinic_id, event_id)
    return Fact(None)


@mail.command("test")
def test_mail(to: Annotated[str, typer.Option(help="An address that you read")]) -> None:
    """Send one test mail through the server of HOLDFAST_SMTP_URL."""
    server = mail_of(settings())
    if server is None:
        fail("HOLDFAST_SMTP_URL is not set, so urgent alerts reach nobody by mail")
    try:
        server.send(to, "Holdfast test mail", "Mail from Holdfast reaches this address.\n", f"test.{new_id()}")
    except (OSError, SMTPException) as error:
        fail(f"the mail server did not take the message: {type(error).__name__}")
    answer(sent=1)


def _verified(
    db: Transaction, clinic_id: UUID, witnesses: list[Witness], say: sealing.Say
) -> tuple[list[sealing.Found], str | None, int]:
    """What is wrong with a clinic's log, its last seal, and how many events wait for one."""
    clinic = access.clinic(db, clinic_id)
    is_synthetic = clinic is not None and clinic.synthetic
    found = sealing.verify(db, clinic_id, witnesses, is_synthetic=is_synthetic, say=say)
    return found, sealing.last_witness(db, clinic_id), sealing.waiting(db, clinic_id)


def _witness(text: str) -> Witness:
    try:
        clinic, number, mac = text.split(":")
        return Witness(UUID(clinic), int(number), mac)
    except ValueError:
        fail("seal: must be clinic:number:mac, as the service's log has it")
