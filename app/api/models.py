"""Tables of the HTTP plumbing: responses stored under an Idempotency-Key, and counted requests."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.storage import Moment, document, key, rights


class StoredResponse(SQLModel, table=True):
    """A response given under an Idempotency-Key. `body` is encrypted, and None where the response carried a secret.
    `fingerprint` is a keyed hash of the request. Both could tell of a patient, or of a password. `subjects`
    are the patients whom the response shows, `refused_subjects` those whom its refused items asked for."""

    __tablename__ = "kept_answers"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index(None, "clinic_id", "created_at"),
        rights(deletes=True),
    )

    clinic_id: UUID = key()
    caller: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    fingerprint: str
    status: int
    headers: dict[str, str] = Field(sa_type=document())
    body: str | None
    outcome: str
    subjects: list[str] = Field(sa_type=document())
    refused_subjects: list[str] = Field(sa_type=document())
    created_at: datetime = Field(sa_type=Moment)


class RateCount(SQLModel, table=True):
    """How many requests a caller made in a minute of the clock."""

    __tablename__ = "rate_counts"
    __table_args__ = rights("*", deletes=True, is_open=True)

    caller: str = Field(primary_key=True)
    minute: int = Field(primary_key=True)
    count: int
