"""Audit events, whom they are about, and their seals. All tables only grow, but for the queue of unsealed events."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from app.api.fields import Id, MomentOut, ResponseBody, grows
from app.storage import Moment, Uid, document, key, rights


class AuditEvent(SQLModel, table=True):
    """One request that read or wrote patients' data, or tried to. `attempted` are the ids in the path of a request that
    was refused. `address` is the network address that the request came from. `patient_id`: the one patient whom it is
    about, as in an AuditSubject, if it is about one; `patient_attempted`: that patient was only asked for."""

    __tablename__ = "audit_events"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index(None, "clinic_id", "actor_id", "id"),
        Index(None, "clinic_id", "patient_id", "id"),
        rights(is_clustered=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    at: datetime = Field(sa_type=Moment)
    actor_kind: str
    actor_id: UUID = Field(sa_type=Uid)
    operation: str
    request_id: str
    outcome: str
    attempted: dict[str, str] | None = Field(sa_type=document())
    address: str
    patient_id: UUID | None = Field(sa_type=Uid)
    patient_attempted: bool


# The patient id that stands for every patient of the clinic in the subjects of an event.
EVERYONE = UUID(int=0)


class AuditSubject(SQLModel, table=True):
    """One of several patients whose data the request of an audit event showed or changed. If `attempted`, the patient
    was asked for, but nothing was shown or changed."""

    __tablename__ = "audit_subjects"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "event_id"], ["audit_events.clinic_id", "audit_events.id"]),
        Index(None, "clinic_id", "patient_id", "event_id"),
        rights(is_clustered=True),
    )

    clinic_id: UUID = key()
    event_id: UUID = key()
    patient_id: UUID = key()
    attempted: bool = False


class Unsealed(SQLModel, table=True):
    """An event that no seal covers yet. The foreign key of this row keeps the event from being deleted in the meantime.
    On PostgreSQL every clinic's rows may be read, so that one query finds those with something to seal; written and
    removed are those of one's own alone."""

    __tablename__ = "audit_unsealed"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "event_id"], ["audit_events.clinic_id", "audit_events.id"]),
        rights(deletes=True, seen_by_all=True, is_clustered=True),
    )

    clinic_id: UUID = key()
    event_id: UUID = key()


class Seal(SQLModel, table=True):
    """A keyed hash over some events in order and over the previous seal. `entries` holds, for each event, its id (16
    bytes) and the keyed hash of its content (32 bytes). `key_id`: the secret of the keyed hashes."""

    __tablename__ = "audit_seals"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),)

    clinic_id: UUID = key()
    number: int = Field(primary_key=True)
    sealed_at: datetime = Field(sa_type=Moment)
    entries: bytes = Field(sa_type=LargeBinary)
    mac: bytes = Field(sa_type=LargeBinary)
    key_id: str


class ActorOut(ResponseBody):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class AuditEventOut(ResponseBody):
    """One request that read or wrote patients' data, and whose; or that tried to: then `attempted` holds the ids of its
    address, and `attempted_patient_ids` whom it asked for. An export shows everyone: it names nobody, and is found with
    every patient. `address` is the network address it came from."""

    id: Id
    at: MomentOut
    actor: ActorOut
    operation: str
    outcome: str = grows("done", "partly_refused", "refused", "denied", "not_found")
    request_id: str
    address: str
    patient_ids: list[Id]
    attempted_patient_ids: list[Id]
    attempted: dict[str, str] | None


class AuditEventList(ResponseBody):
    """A page of audit events, newest first."""

    items: list[AuditEventOut]
    next_cursor: str | None
