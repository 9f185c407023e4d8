"""Queries on events."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import exists
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from app.events.models import EventVersion
from app.storage import Transaction, below


def versions(db: Transaction, clinic_id: UUID, event_id: UUID) -> Sequence[EventVersion]:
    """Every version of an event, oldest first; none where there is no such event."""
    query = select(EventVersion).where(col(EventVersion.clinic_id) == clinic_id, col(EventVersion.id) == event_id)
    return db.exec(query.order_by(col(EventVersion.version))).all()


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[EventVersion]:
    """Every version of a patient's events, event by event, oldest first."""
    query = select(EventVersion).where(
        col(EventVersion.clinic_id) == clinic_id, col(EventVersion.patient_id) == patient_id
    )
    return db.exec(query.order_by(col(EventVersion.id), col(EventVersion.version))).all()


def page(
    db: Transaction, clinic_id: UUID, patient_id: UUID, after: Sequence[str] | None, limit: int
) -> Sequence[EventVersion]:
    """The version of each event that stands, the latest day first. Returns one more than `limit` if there are more."""
    query = _standing(clinic_id, patient_id)
    if after is not None:
        place = (date.fromisoformat(after[0]), UUID(after[1]))
        query = query.where(below((col(EventVersion.on_day), col(EventVersion.id)), place))
    order = (col(EventVersion.on_day).desc(), col(EventVersion.id).desc())
    found: Sequence[EventVersion] = db.exec(query.order_by(*order).limit(limit + 1)).all()
    return found


def between(db: Transaction, clinic_id: UUID, patient_id: UUID, first: date, last: date) -> Sequence[EventVersion]:
    """The events that stand and are not taken back, of some days, in order."""
    standing = {version.id: version for version in every_version(db, clinic_id, patient_id)}
    shown = [one for one in standing.values() if not one.voided and one.on_day <= last]
    return sorted((one for one in shown if one.on_day >= first), key=lambda one: (one.on_day, one.id))


def _standing(clinic_id: UUID, patient_id: UUID) -> Any:
    newer = aliased(EventVersion)
    return select(EventVersion).where(
        col(EventVersion.clinic_id) == clinic_id,
        col(EventVersion.patient_id) == patient_id,
        ~exists().where(
            col(newer.clinic_id) == clinic_id,
            col(newer.id) == col(EventVersion.id),
            col(newer.version) > col(EventVersion.version),
        ),
    )
