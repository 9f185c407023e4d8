"""Queries of reminders."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, update
from sqlmodel import col, select

from app.access.models import Device
from app.patients.models import Patient
from app.reminders.models import PushKey, PushSubscription, Reminder
from app.storage import Transaction

_LIVE = (col(PushSubscription.ended_at).is_(None), col(Device.disabled_at).is_(None))
_DEVICES = and_(
    col(Device.clinic_id) == col(PushSubscription.clinic_id), col(Device.id) == col(PushSubscription.device_id)
)
_PATIENTS = and_(col(Patient.clinic_id) == col(Device.clinic_id), col(Patient.id) == col(Device.patient_id))
_ASKED = (
    col(Patient.care_status) == "active", col(Patient.merged_into).is_(None), col(Patient.erased_at).is_(None),
)  # fmt: skip


class ToRemind(NamedTuple):
    """A patient for whom it is to be looked what has become due, and when something was last recorded of them."""

    id: UUID
    enrolled_at: datetime
    last_recorded_at: datetime | None


def key(db: Transaction, clinic_id: UUID) -> PushKey | None:
    return db.get(PushKey, clinic_id)


def subscription(db: Transaction, clinic_id: UUID, device_id: UUID, *, lock: bool = False) -> PushSubscription | None:
    return db.get(PushSubscription, (clinic_id, device_id), with_for_update=lock, populate_existing=lock)


def at_endpoint(db: Transaction, clinic_id: UUID, endpoint_hash: str) -> Sequence[PushSubscription]:
    """The subscriptions of a browser: of each device that it was."""
    query = select(PushSubscription).where(
        col(PushSubscription.clinic_id) == clinic_id, col(PushSubscription.endpoint_hash) == endpoint_hash
    )
    return db.exec(query.with_for_update()).all()


def to_remind(
    db: Transaction,
    clinic_id: UUID,
    since: datetime,
    recorded_by: datetime,
    now: datetime,
    after: UUID | None,
    limit: int,
) -> list[ToRemind]:
    """At most `limit` patients, in the order of their ids after one of them: who have a phone that takes reminders, and
    for whom it was not looked since a moment, or not since something was recorded (by another moment), or a reminder is
    to be tried again."""
    again = select(Reminder.patient_id).where(col(Reminder.clinic_id) == clinic_id, col(Reminder.next_at) <= now)
    looked_at = func.max(PushSubscription.looked_at)
    recorded_at = col(Patient.last_recorded_at)
    columns = (col(Patient.id), col(Patient.created_at), recorded_at)
    query = select(*columns).join(Device, _PATIENTS).join(PushSubscription, _DEVICES)
    query = query.where(col(PushSubscription.clinic_id) == clinic_id, *_ASKED, *_LIVE).group_by(*columns)
    news = and_(looked_at < recorded_at, recorded_at <= recorded_by)
    query = query.having(or_(looked_at < since, news, col(Patient.id).in_(again)))
    if after is not None:
        query = query.where(col(Patient.id) > after)
    return [ToRemind(*row) for row in db.exec(query.order_by(col(Patient.id)).limit(limit))]


def live(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[PushSubscription]:
    """The subscriptions of a patient's phones to which reminders go: those that do not fail before those that do, the
    newest first in each."""
    query = select(PushSubscription).join(Device, _DEVICES)
    query = query.where(col(Device.clinic_id) == clinic_id, col(Device.patient_id) == patient_id, *_LIVE)
    fails = col(PushSubscription.failing_since).is_not(None)
    newest = (fails, col(PushSubscription.created_at).desc(), col(PushSubscription.device_id).desc())
    return db.exec(query.order_by(*newest).with_for_update(of=PushSubscription)).all()


def mark_looked(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID], now: datetime) -> None:
    """Stores that it was looked what has become due of these patients."""
    theirs = select(Device.id).where(col(Device.clinic_id) == clinic_id, col(Device.patient_id).in_(patient_ids))
    mine = (col(PushSubscription.clinic_id) == clinic_id, col(PushSubscription.device_id).in_(theirs))
    db.execute(update(PushSubscription).where(*mine).values(looked_at=now))


def of_patients(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]
) -> list[tuple[UUID, PushSubscription, datetime | None]]:
    """(patient, subscription, when the device was revoked) of all that these patients' phones ever had."""
    query = select(Device.patient_id, PushSubscription, Device.disabled_at).join(Device, _DEVICES)
    query = query.where(col(Device.clinic_id) == clinic_id, col(Device.patient_id).in_(patient_ids))
    return [(*row,) for row in db.exec(query)]


def reminders(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> dict[UUID, dict[str, Reminder]]:
    """What these patients were reminded of, or are to be, by item."""
    found: dict[UUID, dict[str, Reminder]] = {}
    query = select(Reminder).where(col(Reminder.clinic_id) == clinic_id, col(Reminder.patient_id).in_(patient_ids))
    for one in db.exec(query):
        found.setdefault(one.patient_id, {})[one.item] = one
    return found


def sealed_otherwise(db: Transaction, clinic_id: UUID, key_id: str) -> list[PushKey | PushSubscription]:
    keys = select(PushKey).where(col(PushKey.clinic_id) == clinic_id, col(PushKey.key_id) != key_id)
    phones = select(PushSubscription).where(
        col(PushSubscription.clinic_id) == clinic_id,
        col(PushSubscription.key_id) != key_id,
        col(PushSubscription.sealed).is_not(None),
    )
    return [*db.exec(keys.with_for_update()), *db.exec(phones.with_for_update())]


def delete_before(db: Transaction, clinic_id: UUID, day: date) -> None:
    """Deletes the reminders of what was due before a day."""
    db.execute(delete(Reminder).where(col(Reminder.clinic_id) == clinic_id, col(Reminder.due_on) < day))


def delete_revoked(db: Transaction, clinic_id: UUID) -> None:
    """Deletes the subscriptions of phones that were removed."""
    revoked = select(Device.id).where(col(Device.clinic_id) == clinic_id, col(Device.disabled_at).is_not(None))
    mine = (col(PushSubscription.clinic_id) == clinic_id, col(PushSubscription.device_id).in_(revoked))
    db.execute(delete(PushSubscription).where(*mine))
