"""Queries on sessions."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.sessions.models import InfusionSession, SessionVersion
from app.storage import Transaction, below

Row = tuple[InfusionSession, SessionVersion]


def find(db: Transaction, clinic_id: UUID, session_id: UUID) -> Row | None:
    """A session with its current version."""
    return db.exec(_current(clinic_id).where(col(InfusionSession.id) == session_id)).first()


def by_ids(db: Transaction, clinic_id: UUID, session_ids: Collection[UUID]) -> dict[UUID, Row]:
    """Sessions with their current versions."""
    if not session_ids:
        return {}
    found = db.exec(_current(clinic_id).where(col(InfusionSession.id).in_(session_ids)))
    return {session.id: (session, version) for session, version in found}


def first_version(db: Transaction, clinic_id: UUID, session_id: UUID) -> SessionVersion:
    return db.get_one(SessionVersion, (clinic_id, session_id, 1))


def page(db: Transaction, clinic_id: UUID, patient_id: UUID, after: Sequence[str] | None, limit: int) -> Sequence[Row]:
    """Sessions with their current versions, newest first. Returns one row more than `limit` if there are more."""
    query = _current(clinic_id).where(col(InfusionSession.patient_id) == patient_id)
    if after is not None:
        position = (datetime.fromisoformat(after[0]), UUID(after[1]))
        query = query.where(below((col(InfusionSession.started_at), col(InfusionSession.id)), position))
    order = (col(InfusionSession.started_at).desc(), col(InfusionSession.id).desc())
    return db.exec(query.order_by(*order).limit(limit + 1)).all()


def versions(db: Transaction, clinic_id: UUID, session_id: UUID) -> Sequence[SessionVersion]:
    query = select(SessionVersion).where(
        col(SessionVersion.clinic_id) == clinic_id, col(SessionVersion.session_id) == session_id
    )
    return db.exec(query.order_by(col(SessionVersion.version))).all()


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[Row]:
    """Every version of a patient's sessions, oldest first."""
    query: Any = select(InfusionSession, SessionVersion).join(
        SessionVersion,
        and_(
            col(SessionVersion.clinic_id) == col(InfusionSession.clinic_id),
            col(SessionVersion.session_id) == col(InfusionSession.id),
        ),
    )
    query = query.where(col(InfusionSession.clinic_id) == clinic_id, col(InfusionSession.patient_id) == patient_id)
    rows: Sequence[Row] = db.exec(query.order_by(col(SessionVersion.recorded_at))).all()
    return rows


def _current(clinic_id: UUID) -> SelectOfScalar[Row]:
    query: Any = select(InfusionSession, SessionVersion).join(
        SessionVersion,
        and_(
            col(SessionVersion.clinic_id) == col(InfusionSession.clinic_id),
            col(SessionVersion.session_id) == col(InfusionSession.id),
            col(SessionVersion.version) == col(InfusionSession.version),
        ),
    )
    return query.where(col(InfusionSession.clinic_id) == clinic_id)  # type: ignore[no-any-return]


def first_recorded_since(db: Transaction, clinic_id: UUID, patient_id: UUID, since: datetime) -> Sequence[UUID]:
    """The sessions that were first recorded for a patient after `since`, and did not come by a move."""
    query = select(SessionVersion.session_id).where(
        col(SessionVersion.clinic_id) == clinic_id,
        col(SessionVersion.patient_id) == patient_id,
        col(SessionVersion.recorded_at) > since,
        col(SessionVersion.version) == 1,
        col(SessionVersion.moved_from).is_(None),
    )
    return db.exec(query.order_by(col(SessionVersion.recorded_at))).all()


def of_patients(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> Sequence[Row]:
    """The sessions of these patients with their current versions."""
    rows: Sequence[Row] = db.exec(_current(clinic_id).where(col(InfusionSession.patient_id).in_(patient_ids))).all()
    return rows
