"""Moving events to another record and back: each ends in a version that says where it goes on, and begins there
anew."""

from datetime import datetime
from uuid import UUID

from app.audit.service import Act
from app.events import store
from app.events.models import EventVersion
from app.events.service import next_version
from app.storage import Transaction, new_id


def move_all(db: Transaction, act: Act, patient_id: UUID, to: UUID, at: datetime, reason: str) -> None:
    """Ends a patient's events here and begins them for the patient `to`, at the moment `at`."""
    for last in _standing(db, act.clinic_id, patient_id):
        if not last.voided:
            ended, begun = next_version(last, act, at, reason), next_version(last, act, at, reason)
            begun.id, begun.version, begun.patient_id, begun.moved_from = new_id(), 1, to, last.id
            _end(ended, begun.id)
            db.add_all([ended, begun])


def move_back(
    db: Transaction, act: Act, other: UUID, patient_id: UUID, merged_at: datetime, at: datetime, reason: str
) -> None:
    """Takes back what a merge moved at `merged_at` to the patient `other`, as it now stands there."""
    there = {version.id: version for version in _standing(db, act.clinic_id, other)}
    for last in _standing(db, act.clinic_id, patient_id):
        now = there.get(last.moved_to) if last.moved_to is not None and last.recorded_at == merged_at else None
        if now is not None and now.moved_to is None:
            ended, back = next_version(now, act, at, reason), next_version(last, act, at, reason)
            back.kind, back.on_day, back.label, back.voided = now.kind, now.on_day, now.label, now.voided
            _end(ended, last.id)
            db.add_all([ended, back])


def _end(version: EventVersion, goes_on_as: UUID) -> None:
    version.moved_to, version.voided = goes_on_as, True


def _standing(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[EventVersion]:
    last = {version.id: version for version in store.every_version(db, clinic_id, patient_id)}
    return list(last.values())
