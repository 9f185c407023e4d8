"""`holdfast check`: all that can be wrong before serving, a line each."""

import os
import shutil
import smtplib
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app import clock, keeping, revisions
from app.access import store as access
from app.cli.opening import WRONG_USE, settings, told
from app.main import mail_of
from app.patients import identifiers
from app.settings import Settings, key_file
from app.storage import NO_CLINIC, Database, WrongSecretError, role_faults
from app.tables import APPEND_ONLY, CLINIC_TABLES

_LEAST_FREE_BYTES = 256 * 1024 * 1024
_CLOCKS_DIFFER_SECONDS = 5


def check(
    deep: Annotated[bool, typer.Option("--deep", help="Fold every patient's scores again and compare: slow")] = False,
) -> None:
    """Say all that can be wrong before serving, a line each; exit with 2 if anything is.

    Looks at the variables, the database and its schema, the role, the secret, mail, clock, disk, file permissions,
    integrity, and patients who have one external id.
    """
    found = settings()
    wrong = 0
    if mail_of(found) is None:
        print("note: HOLDFAST_SMTP_URL is not set, so urgent alerts reach nobody by mail")
    for line in _wrong(found, deep=deep):
        print(line)
        wrong += 1
    if wrong:
        raise typer.Exit(WRONG_USE)
    print("nothing is wrong")


def _wrong(found: Settings, *, deep: bool) -> Iterator[str]:
    yield from _files(found)
    yield from _mail(found)
    opened = Database(found.database_url, *found.secrets)
    try:
        behind = revisions.why_not_current(opened)
        if behind is not None:
            yield f"database: {behind}"
            return
        yield from _secret(opened)
        faults = role_faults(found.database_url, CLINIC_TABLES, APPEND_ONLY)
        yield from (f"database role: it {fault}" for fault in faults)
        yield from _clock(opened)
        yield from (f"integrity: {fault}" for fault in opened.faults())
        for clinic_id in opened.reading(NO_CLINIC, access.clinic_ids):
            clashes = opened.reading(clinic_id, partial(identifiers.clashes, clinic_id=clinic_id))
            for patient_id, other in clashes:
                yield f"{clinic_id} patients {patient_id} and {other} have one external id but for its case or form"
            if deep:
                yield from keeping.folded_otherwise(opened, clinic_id, told("patients folded again"))
    finally:
        opened.close()


def _files(found: Settings) -> Iterator[str]:
    if not found.is_sqlite:
        return
    database, key = Path(found.database_url.removeprefix("sqlite:///")), key_file(found.database_url)
    for path in (database, key):
        if path.exists() and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield f"file permissions: {path.name} can be read by other users: chmod 600"
    if not os.access(database.parent, os.W_OK):
        yield f"file permissions: the folder of {database.name} cannot be written"
    elif shutil.disk_usage(database.parent).free < _LEAST_FREE_BYTES:
        yield "disk: less than 256 MiB are free"


def _mail(found: Settings) -> Iterator[str]:
    server = mail_of(found)
    if server is None:
        return
    try:
        server.reach()
    except (OSError, smtplib.SMTPException) as error:
        yield f"mail: the server cannot be reached: {type(error).__name__}"


def _secret(opened: Database) -> Iterator[str]:
    try:
        opened.unlock(clock.now())
    except WrongSecretError as error:
        yield f"secret: {error}"


def _clock(opened: Database) -> Iterator[str]:
    apart = abs((opened.now() - clock.now()).total_seconds())
    if apart > _CLOCKS_DIFFER_SECONDS:
        yield f"clock: it differs from the database's by {apart:.0f} s"
