"""Versions of infusions and scores (what the fold reads), tracks (the fold so far) and domain statuses.

Versions are append-only. A version is visible at an instant when it was recorded by then and not yet superseded;
`superseded_at` is the only column that is ever set later, once.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Uuid, text
from sqlmodel import Field, SQLModel

from app.storage import Moment, document, key

_CURRENT = text("superseded_at IS NULL")


class InfusionVersion(SQLModel, table=True):
    """What the fold reads of one version of a session. `counts` is false for `not_done` and `entered_in_error`."""

    __tablename__ = "infusion_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"],
            ["sessions.clinic_id", "sessions.patient_id", "sessions.id"],
        ),
        Index(None, "clinic_id", "patient_id", "started_at"),
        Index(None, "clinic_id", "session_id", "version", unique=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    session_id: UUID = Field(sa_type=Uuid)
    version: int
    recorded_at: datetime = Field(sa_type=Moment)
    superseded_at: datetime | None = Field(sa_type=Moment)
    started_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)
    counts: bool


class ScoreVersion(SQLModel, table=True):
    """One score of one version of a check-in, in points. A voided version has none."""

    __tablename__ = "score_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"],
        ),
        Index(None, "clinic_id", "patient_id", "instrument", "taken_at"),
        Index(None, "clinic_id", "check_in_id", "version"),
        Index(
            "uq_score_versions_place",
            "clinic_id",
            "patient_id",
            "instrument",
            "taken_at",
            unique=True,
            postgresql_where=_CURRENT,
            sqlite_where=_CURRENT,
        ),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    check_in_id: UUID = Field(sa_type=Uuid)
    version: int
    recorded_at: datetime = Field(sa_type=Moment)
    superseded_at: datetime | None = Field(sa_type=Moment)
    taken_at: datetime = Field(sa_type=Moment)
    before_infusion: bool
    instrument: str
    points: int
    answers: list[int | None] | None = Field(sa_type=document())
    self_harm_item: int | None


class TrackRow(SQLModel, table=True):
    """The fold so far of one patient's scores on one instrument, under the rule version it was folded by."""

    __tablename__ = "tracks"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),)

    clinic_id: UUID = key()
    patient_id: UUID = key()
    instrument: str = Field(primary_key=True)
    rule: str
    state: dict[str, Any] = Field(sa_type=document())


class DomainStatus(SQLModel, table=True):
    """A domain's answer as of the last event, with the day from which silence alone makes it stale. Reading a page of
    them is right on any day without a write."""

    __tablename__ = "domain_statuses"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "domain", "status", "stale_on", "since_on"),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    domain: str = Field(primary_key=True)
    instrument: str
    status: str
    state: str | None
    flags: list[str] = Field(sa_type=document())
    since_on: date | None
    stale_on: date | None
    improvement_percent: float | None
    latest_value: float | None
    latest_on: date | None
    last_session_on: date | None
