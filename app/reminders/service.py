"""Use cases of reminders: turn them on and off on a phone, and whom they do not reach."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from app.access import store as access
from app.access import tokens
from app.access.service import Caller
from app.access.tokens import digest
from app.audit.service import Act, Origin
from app.errors import Fault, Invalid
from app.facts import Fact
from app.outgoing.addresses import why_not
from app.plans.models import LONGEST_WINDOW_DAYS
from app.reminders import keys, store
from app.reminders.models import PushSubscription, Reminder, SubscriptionIn
from app.storage import Transaction

# How long a reminder is noted: longer than anything may be answered, so that none is sent twice.
_KEPT = timedelta(days=LONGEST_WINDOW_DAYS + 30)
# A push service that has taken none of our messages for so long reaches nobody, whatever its reason.
_FAILED_FOR = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Phone:
    """Whether reminders are `on` for a phone, `off`, or `lost`: its push service takes none any more; and in which
    language they are (None: they were never on)."""

    state: str
    language: str | None


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether reminders reach a patient: `on_since`, on the phone that gets them; else `lost_at`, since when none of
    their phones does though they wished it; both None where nobody wished it."""

    on_since: datetime | None
    lost_at: datetime | None


def phone_of(db: Transaction, caller: Caller) -> Phone:
    """What is known of reminders on the caller's phone."""
    held = store.subscription(db, caller.clinic_id, caller.id)
    return Phone(_state(held), None if held is None else held.language)


def prepare(db: Transaction, caller: Caller, act: Act) -> Fact[str]:
    """The clinic's public key, which browsers want before they make a subscription. It is made for the first one."""
    key = store.key(db, caller.clinic_id)
    if key is None:
        access.locked_clinic(db, caller.clinic_id)  # of two first phones the second finds the key
        key = store.key(db, caller.clinic_id)
    if key is None:
        key = keys.new_key(db, caller.clinic_id, act.at)
        db.add(key)
    return Fact(key.public_key, _whose(caller))


def turn_on(
    db: Transaction, caller: Caller, act: Act, body: SubscriptionIn, language: str, allowed: Collection[str]
) -> Fact[None]:
    """Sends the patient's reminders to this phone too. A browser that was another patient's phone before is theirs no
    more. Raises Invalid for an address to which nothing is sent."""
    _check(body, allowed)
    for other in store.at_endpoint(db, caller.clinic_id, digest(body.endpoint)):
        if other.device_id != caller.id:
            end(db, other, act.at, "off")
    held = store.subscription(db, caller.clinic_id, caller.id, lock=True)
    if held is None:
        held = PushSubscription(
            clinic_id=caller.clinic_id, device_id=caller.id, endpoint_hash=None, sealed=None, key_id="",
            language=language, created_at=act.at, looked_at=act.at, failing_since=None, failed_at=None, ended_at=None,
            ended_because=None,
        )  # fmt: skip
    if held.ended_at is not None:
        held.created_at, held.looked_at = act.at, act.at
    held.language = language
    _keep(db, held, body)
    return Fact(None, _whose(caller))


def renew(db: Transaction, caller: Caller, body: SubscriptionIn, language: str, allowed: Collection[str]) -> Fact[None]:
    """Takes another subscription of the same browser, or another language, in the place of those of one that was
    turned on and not off. Raises Invalid for an address to which nothing is sent."""
    _check(body, allowed)
    held = store.subscription(db, caller.clinic_id, caller.id, lock=True)
    if held is None or held.ended_because == "off":
        return Fact(None, _whose(caller))
    held.language = language
    _keep(db, held, body)
    return Fact(None, _whose(caller))


def turn_off(db: Transaction, caller: Caller, act: Act) -> Fact[None]:
    """Sends no reminders to this phone any more."""
    _off(db, caller.clinic_id, caller.id, act.at)
    return Fact(None, _whose(caller))


def sign_out(db: Transaction, clinic_id: UUID, token: str, origin: Origin) -> tuple[Act | None, Fact[None]]:
    """Ends the session of a patient's phone by its refresh token, and its reminders with it: they must not reach who
    has the browser next. An unknown token is no error (RFC 7009)."""
    device_id = tokens.revoke(db, clinic_id, token, origin.at)
    device = None if device_id is None else access.locked_device(db, clinic_id, device_id)
    if device is None:
        return None, Fact(None)
    _off(db, clinic_id, device.id, origin.at)
    return origin.act(clinic_id, "device", device.id, "sign_out"), Fact(None, (device.patient_id,))


def fail(db: Transaction, held: PushSubscription, now: datetime) -> None:
    """Notes that a push service has not taken a message."""
    held.failing_since, held.failed_at = held.failing_since or now, now
    db.add(held)


def end(db: Transaction, held: PushSubscription, now: datetime, because: str) -> None:
    """Ends a subscription: `off`, as its patient wishes, or `gone`, as its push service says. Where it went is
    forgotten."""
    if held.ended_because != "off":
        held.ended_at, held.ended_because = now, because
    held.sealed, held.endpoint_hash = None, None
    db.add(held)


def reach(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> Mapping[UUID, Reach]:
    """Whether reminders reach each of these patients."""
    on: dict[UUID, datetime] = {}
    lost: dict[UUID, datetime] = {}
    for patient_id, held, revoked_at in store.of_patients(db, clinic_id, patient_ids):
        if revoked_at is not None:
            continue
        state, since = _state(held), held.ended_at or held.failing_since or held.created_at
        if state == "on":
            on[patient_id] = max(held.created_at, on.get(patient_id, held.created_at))
        if state == "lost":
            lost[patient_id] = max(since, lost.get(patient_id, since))
    return {one: Reach(on.get(one), None if one in on else lost.get(one)) for one in patient_ids}


def carry_over(
    db: Transaction,
    clinic_id: UUID,
    patient_id: UUID,
    into: UUID,
    session_ids: Mapping[UUID, UUID],
    enrolled_on: date,
) -> None:
    """Lets what a patient was reminded of count for the record in which theirs goes on. `session_ids`: what each
    session is there; `enrolled_on`: the day on which that record began."""
    found = store.reminders(db, clinic_id, [patient_id, into])
    there = found.get(into, {})
    for one in found.get(patient_id, {}).values():
        what, _, days = one.item.partition(" ")
        session_id = next((new for old, new in session_ids.items() if str(old) == what), what)
        item = f"{session_id} {(one.due_on - enrolled_on).days if what == 'enrolment' else days}"
        if item not in there:
            db.add(Reminder(**{**one.model_dump(), "patient_id": into, "item": item, "next_at": None}))


def forget(db: Transaction, clinic_id: UUID, patient_id: UUID) -> None:
    """Deletes where the reminders of a patient went."""
    for _, held, _ in store.of_patients(db, clinic_id, [patient_id]):
        db.delete(held)


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes the subscriptions of removed phones, and reminders of what nobody can answer any more."""
    store.delete_revoked(db, clinic_id)
    store.delete_before(db, clinic_id, (now - _KEPT).date())


def _check(body: SubscriptionIn, allowed: Collection[str]) -> None:
    why = why_not(body.endpoint, allowed)
    if why is not None:
        raise Invalid(errors=[Fault("pointer", "/endpoint", why)])


def _keep(db: Transaction, held: PushSubscription, body: SubscriptionIn) -> None:
    held.endpoint_hash, held.failing_since, held.failed_at = digest(body.endpoint), None, None
    held.ended_at, held.ended_because = None, None
    keys.keep(db, held, body)
    db.add(held)


def _off(db: Transaction, clinic_id: UUID, device_id: UUID, now: datetime) -> None:
    held = store.subscription(db, clinic_id, device_id, lock=True)
    if held is not None:
        end(db, held, now, "off")


def _state(held: PushSubscription | None) -> str:
    if held is None or held.ended_because == "off":
        return "off"
    # Two failures at least a day apart, with nothing taken in between: one alone may have passed.
    first, last = held.failing_since, held.failed_at
    is_failing = first is not None and last is not None and last - first >= _FAILED_FOR
    return "lost" if held.ended_at is not None or is_failing else "on"


def _whose(caller: Caller) -> tuple[UUID, ...]:
    return () if caller.patient_id is None else (caller.patient_id,)
