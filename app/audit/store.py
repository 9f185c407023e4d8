"""Queries on audit events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert as _insert
from sqlmodel import Session, col, select

from app.audit.models import AuditEvent, AuditSubject
from app.storage import below


def insert(db: Session, events: list[dict[str, Any]], subjects: list[dict[str, Any]]) -> None:
    db.execute(_insert(AuditEvent), events)
    if subjects:
        db.execute(_insert(AuditSubject), subjects)


def page(
    db: Session,
    clinic_id: UUID,
    patient_id: UUID | None,
    actor_id: UUID | None,
    after: Sequence[str] | None,
    limit: int,
) -> Sequence[AuditEvent]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(AuditEvent).where(col(AuditEvent.clinic_id) == clinic_id)
    if actor_id is not None:
        query = query.where(col(AuditEvent.actor_id) == actor_id)
    if patient_id is not None:
        showed = select(AuditSubject.event_id).where(
            col(AuditSubject.clinic_id) == clinic_id, col(AuditSubject.patient_id) == patient_id
        )
        query = query.where(col(AuditEvent.id).in_(showed))
    if after is not None:
        place = (datetime.fromisoformat(after[0]), UUID(after[1]))
        query = query.where(below((col(AuditEvent.at), col(AuditEvent.id)), place))
    return db.exec(query.order_by(col(AuditEvent.at).desc(), col(AuditEvent.id).desc()).limit(limit + 1)).all()


def subjects(db: Session, clinic_id: UUID, event_ids: Sequence[UUID]) -> dict[UUID, list[UUID]]:
    found: dict[UUID, list[UUID]] = {}
    query = select(AuditSubject).where(
        col(AuditSubject.clinic_id) == clinic_id, col(AuditSubject.event_id).in_(event_ids)
    )
    for subject in db.exec(query.order_by(col(AuditSubject.patient_id))):
        found.setdefault(subject.event_id, []).append(subject.patient_id)
    return found
