"""Use cases of reminders: turn them on and off on a phone, and whom they do not reach."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.access import store as access
from app.access.service import Caller
from app.access.tokens import digest
from app.audit.service import Act
from app.errors import Fault, Invalid
from app.facts import Fact
from app.outgoing.addresses import why_not
from app.plans.models import LONGEST_WINDOW_DAYS
from app.reminders import keys, store
from app.reminders.models import PushSubscription, SubscriptionIn
from app.storage import Transaction

# Longer than anything may be answered, so that none is sent twice.
_KEPT = timedelta(days=LONGEST_WINDOW_DAYS + 30)
# How a subscription ended that its patient has not ended.
_LOST = ("gone", "refused")


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether reminders reach a patient: `on_since`, on the phone that gets them; else `lost_at`, since when none of
    their phones does though they wished it; both None where nobody wished it."""

    on_since: datetime | None
    lost_at: datetime | None


def state_of(db: Transaction, caller: Caller) -> str:
    """Whether reminders are `on` for the caller's phone, `off`, or `lost`: its push service takes none any more."""
    return _state(store.subscription(db, caller.clinic_id, caller.id))


def prepare(db: Transaction, caller: Caller, act: Act) -> Fact[str]:
    """The clinic's public key, which browsers want before they make a subscription. It is made for the first one."""
    access.locked_clinic(db, caller.clinic_id)
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
    why = why_not(body.endpoint, allowed)
    if why is not None:
        raise Invalid(errors=[Fault("pointer", "/endpoint", why)])
    endpoint_hash = digest(body.endpoint)
    for other in store.at_endpoint(db, caller.clinic_id, endpoint_hash):
        if other.device_id != caller.id:
            _end(db, other, act.at, "off")
    held = store.subscription(db, caller.clinic_id, caller.id)
    if held is None:
        held = PushSubscription(
            clinic_id=caller.clinic_id,
            device_id=caller.id,
            endpoint_hash="",
            sealed="",
            key_id="",
            language=language,
            created_at=act.at,
            looked_at=act.at,
            ended_at=None,
            ended_because=None,
        )
    held.endpoint_hash, held.language = endpoint_hash, language
    if held.ended_at is not None:
        held.created_at, held.looked_at, held.ended_at, held.ended_because = act.at, act.at, None, None
    keys.keep(db, held, body)
    db.add(held)
    return Fact(None, _whose(caller))


def turn_off(db: Transaction, caller: Caller, act: Act) -> Fact[None]:
    """Sends no reminders to this phone any more."""
    ended(db, caller.clinic_id, caller.id, act.at)
    return Fact(None, _whose(caller))


def ended(db: Transaction, clinic_id: UUID, device_id: UUID, now: datetime) -> None:
    """Ends the reminders of a phone, which its patient gives up."""
    held = store.subscription(db, clinic_id, device_id)
    if held is not None:
        _end(db, held, now, "off")


def lose(db: Transaction, subscription: PushSubscription, now: datetime, because: str) -> None:
    """Ends a subscription that its push service takes nothing for."""
    _end(db, subscription, now, because)


def _end(db: Transaction, held: PushSubscription, now: datetime, because: str) -> None:
    if held.ended_at is None or held.ended_because in _LOST:
        held.ended_at, held.ended_because = now, because
        db.add(held)


def reach(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> Mapping[UUID, Reach]:
    """Whether reminders reach each of these patients."""
    on: dict[UUID, datetime] = {}
    lost: dict[UUID, datetime] = {}
    for patient_id, held, revoked_at in store.of_patients(db, clinic_id, patient_ids):
        state = _state(held)
        if state == "on" and revoked_at is None:
            on[patient_id] = max(held.created_at, on.get(patient_id, held.created_at))
        if state == "lost" and revoked_at is None and held.ended_at is not None:
            lost[patient_id] = max(held.ended_at, lost.get(patient_id, held.ended_at))
    return {one: Reach(on.get(one), None if one in on else lost.get(one)) for one in patient_ids}


def forget(db: Transaction, clinic_id: UUID, patient_id: UUID) -> None:
    """Deletes where the reminders of a patient went."""
    for _, held, _ in store.of_patients(db, clinic_id, [patient_id]):
        db.delete(held)


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes the subscriptions of removed phones, and reminders of what nobody can answer any more."""
    store.delete_revoked(db, clinic_id)
    store.delete_before(db, clinic_id, (now - _KEPT).date())


def _state(held: PushSubscription | None) -> str:
    if held is None or held.ended_because == "off":
        return "off"
    return "on" if held.ended_at is None else "lost"


def _whose(caller: Caller) -> tuple[UUID, ...]:
    return () if caller.patient_id is None else (caller.patient_id,)
