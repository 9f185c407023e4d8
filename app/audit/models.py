"""Audit events and the patients they showed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Uuid
from sqlmodel import Field, SQLModel

from app.api.fields import Answer, Id, MomentOut
from app.storage import Moment, key


class AuditEvent(SQLModel, table=True):
    """One request that read or wrote patients' data."""

    __tablename__ = "audit_events"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index(None, "clinic_id", "at", "id"),
        Index(None, "clinic_id", "actor_id", "at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    at: datetime = Field(sa_type=Moment)
    actor_kind: str
    actor_id: UUID = Field(sa_type=Uuid)
    operation: str
    request_id: str


class AuditSubject(SQLModel, table=True):
    """A patient whose data an audit event's request showed or changed."""

    __tablename__ = "audit_subjects"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "event_id"], ["audit_events.clinic_id", "audit_events.id"]),
        Index(None, "clinic_id", "patient_id", "event_id"),
    )

    clinic_id: UUID = key()
    event_id: UUID = key()
    patient_id: UUID = key()


class ActorOut(Answer):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class AuditEventOut(Answer):
    """One request that read or wrote patients' data, and whose."""

    id: Id
    at: MomentOut
    actor: ActorOut
    operation: str
    request_id: str
    patient_ids: list[Id]


class AuditEventList(Answer):
    """A page of audit events, newest first."""

    items: list[AuditEventOut]
    next_cursor: str | None
