"""Replaces the service's secret by another one while the service runs."""

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from app import clock
from app.access import store as access
from app.access.door import record_act
from app.audit.service import by_operator
from app.errors import Problem
from app.facts import Fact
from app.patients import identifiers
from app.people import factors
from app.reminders import keys as reminder_keys
from app.reminders import store as reminders
from app.settings import Settings, key_file, next_key_file, write_key
from app.storage import NO_CLINIC, Database, Keyring, Transaction, key_id_of, keyring
from app.webhooks import secrets as webhook_secrets
from app.webhooks import store as webhooks

_PATIENTS_A_ROUND = 200
_WAIT_SECONDS = 60
_LOOK_SECONDS = 0.5


class RotationRefused(Problem):
    """The secret cannot be replaced now. Nothing was changed, or what was begun goes on when it is asked for again."""

    code, status, title = "rotation_refused", 409, "The secret cannot be replaced now"


def rotate(database: Database, ring: Keyring, say: Callable[[str], None]) -> tuple[int, int]:
    """Seals everything that the second secret of the ring sealed with the first one. Goes on where it was stopped.
    Returns how many patients were sealed anew, and how many could not be read. Raises RotationRefused while a running
    process lacks one of the two secrets, or if there are not two."""
    if len(ring.secrets) < 2:
        raise RotationRefused("give the new secret as HOLDFAST_SECRET_KEY, the old one as HOLDFAST_PREVIOUS_SECRET_KEY")
    new, old = ring.ids
    if new == old:
        raise RotationRefused("the new secret is the old one")
    known = database.reading(NO_CLINIC, keyring.states)
    if known.get(new) == "retired":
        raise RotationRefused("the new secret was retired before: make another one")
    if old not in known:
        raise RotationRefused("HOLDFAST_PREVIOUS_SECRET_KEY is not the secret of this database")
    is_done = known.get(new) == "current" and known[old] == "retired"
    lacking = database.reading(NO_CLINIC, lambda db: keyring.lacking(db, (new, old), clock.now()))
    if lacking and not is_done:
        raise RotationRefused(
            f"{lacking} running process(es) lack one of the two secrets: restart each with both, then ask again; one "
            "that ended without saying so is forgotten after a minute"
        )
    database.writing(NO_CLINIC, lambda db: keyring.exchange(db, new, clock.now()))
    database.unlock(clock.now())
    _wait_for_all(database, new)
    _wait_out(database)
    done = failed = 0
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        mine, unread = _clinic(database, clinic_id, lambda count, before=done: say(f"{before + count} patients"))  # type: ignore[misc]
        done, failed = done + mine, failed + unread
    database.writing(NO_CLINIC, lambda db: keyring.retire(db, clock.now()))
    return done, failed


def _wait_for_all(database: Database, new: str) -> None:
    """Waits until every running process seals with the new secret, so that nothing of the old one is added."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while database.reading(NO_CLINIC, lambda db: keyring.sealing_otherwise(db, new, clock.now())):
        if time.monotonic() > deadline:
            raise RotationRefused("a running process has not taken up the new secret within a minute: ask again")
        time.sleep(_LOOK_SECONDS)


def _wait_out(database: Database) -> None:
    """Waits until no transaction runs that began before: it may still seal with the old secret. An export, which seals
    nothing, is waited for a minute at most."""
    deadline, before = time.monotonic() + _WAIT_SECONDS, database.transactions()
    while before & database.transactions() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)


def _clinic(database: Database, clinic_id: UUID, say: Callable[[int], None]) -> tuple[int, int]:
    act = by_operator(clinic_id, "rotate_secret", clock.now())
    done, failed, after = 0, 0, None

    def people(db: Transaction) -> None:
        for user in access.users_sealed_otherwise(db, clinic_id, database.keyring.ids[0]):
            factors.reseal(db, user)
        for webhook in webhooks.sealed_otherwise(db, clinic_id, database.keyring.ids[0]):
            webhook_secrets.reseal(db, webhook)
        for held in reminders.sealed_otherwise(db, clinic_id, database.keyring.ids[0]):
            reminder_keys.reseal(db, held)

    database.writing(clinic_id, people)
    while True:
        some = partial(identifiers.reseal, clinic_id=clinic_id, after=after, limit=_PATIENTS_A_ROUND)
        after, sealed, unread = database.writing(clinic_id, some)
        done, failed = done + sealed, failed + unread
        say(done)
        if after is None:
            break
    database.writing(clinic_id, lambda db: record_act(db, act, Fact(None)))
    return done, failed


def put_key_in_place(settings: Settings) -> Path | None:
    """Once nothing is sealed with the old secret any more: makes the new one that of the file beside an SQLite
    database, if the old one is kept there. That one is kept in a file with its key id. Returns the file of the old
    one."""
    if not settings.is_sqlite:
        return None
    held, coming = key_file(settings.database_url), next_key_file(settings.database_url)
    if not held.exists() or held.read_text(encoding="ascii").strip() == settings.secret:
        coming.unlink(missing_ok=True)
        return None
    coming.unlink(missing_ok=True)  # one that was made before, and that the operator has replaced by his own
    write_key(coming, settings.secret)
    former = held.with_name(f"{held.name}.{key_id_of(held.read_text(encoding='ascii').strip())}")
    if not former.exists():
        os.link(held, former)
    coming.replace(held)
    return former
