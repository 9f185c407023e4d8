"""Tables: versions of infusions and scores (which the fold reads), the stored folds, and domain statuses.

Versions are append-only. A version is visible at an instant if it was recorded by then and not yet superseded.
`superseded_at` is the only column that is ever updated, and only once.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKeyConstraint, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from app.storage import Moment, Uid, document, key, rights

_CURRENT = text("superseded_at IS NULL")
_SUPERSEDED = text("superseded_at IS NOT NULL")
# Current scores on instruments that have a self-harm item, whose answer is not known: a total, or it was left out.
SELF_HARM_UNKNOWN = text(
    "superseded_at IS NULL AND self_harm_item IS NULL AND instrument IN ('madrs', 'phq-9', 'qids-sr16')"
)


class InfusionVersion(SQLModel, table=True):
    """The part of a session's version that the fold reads. `counts` is false for `not_done` and `entered_in_error`."""

    __tablename__ = "infusion_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"], ["sessions.clinic_id", "sessions.patient_id", "sessions.id"]
        ),
        Index(None, "clinic_id", "patient_id", "started_at"),
        Index(None, "clinic_id", "session_id", "version", unique=True),
        rights("superseded_at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    session_id: UUID = Field(sa_type=Uid)
    version: int
    recorded_at: datetime = Field(sa_type=Moment)
    superseded_at: datetime | None = Field(sa_type=Moment)
    started_at: datetime = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)
    counts: bool


class ScoreVersion(SQLModel, table=True):
    """One score of one version of a check-in, in points; `points` is null where items are unanswered: then it is no
    reading. A voided version has no scores. `stated_before_at`: when it was stated that it was answered before the
    infusion; null where it was not. `late`: recorded so long after it was taken that it is no news.
    `prompt`: first recorded within two days of being taken, in the clinic's days."""

    __tablename__ = "score_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"], ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"]
        ),
        Index(None, "clinic_id", "check_in_id", "version"),
        # Current and superseded scores have an index each, so that a new score is written to only one of the two.
        Index(
            "ix_score_versions_superseded",
            "clinic_id",
            "patient_id",
            postgresql_where=_SUPERSEDED,
            sqlite_where=_SUPERSEDED,
        ),
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
        Index(
            "ix_score_versions_self_harm_unknown",
            "clinic_id",
            "patient_id",
            "taken_at",
            postgresql_where=SELF_HARM_UNKNOWN,
            sqlite_where=SELF_HARM_UNKNOWN,
        ),
        rights("superseded_at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    check_in_id: UUID = Field(sa_type=Uid)
    version: int
    recorded_at: datetime = Field(sa_type=Moment)
    superseded_at: datetime | None = Field(sa_type=Moment)
    taken_at: datetime = Field(sa_type=Moment)
    stated_before_at: datetime | None = Field(sa_type=Moment)
    late: bool
    prompt: bool
    instrument: str
    points: int | None
    # As text: as jsonb nine small numbers take a hundred bytes.
    answers: list[int | None] | None = Field(sa_type=JSON(none_as_null=True))
    self_harm_item: int | None


class FoldRow(SQLModel, table=True):
    """The folded state of one patient, in one row, so that recording a check-in reads one row and writes one. `rule` is
    the fold version that it was stored by. `state` is `patient_tracks.Folded` as MessagePack."""

    __tablename__ = "folds"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "rule"),
        rights("*"),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    rule: str
    state: bytes = Field(sa_type=LargeBinary)


class EpisodeRow(SQLModel, table=True):
    """One episode by one instrument, for answers over many patients. `baseline` and `early` are severities in points,
    durations are in days: see `relief.Record` and `relief.Spell`. `first_session_id` began the episode. `last_on` is
    the day of the track's last event; the values of the row stay the same on any later day."""

    __tablename__ = "episodes"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        rights("*", deletes=True, is_clustered=True),
    )

    clinic_id: UUID = key()
    instrument: str = Field(primary_key=True)
    patient_id: UUID = key()
    episode: int = Field(primary_key=True)
    last_on: date
    first_session_id: UUID = Field(sa_type=Uid)
    first_session_on: date
    induction_sessions: int
    induction_ended_on: date
    baseline: int | None
    evaluable: bool
    followed: bool
    early: int | None
    early_days: int | None
    median_gap_days: float | None
    days: int | None
    event: str | None
    days_before_course: int | None
    days_before_rescue: int | None
    last_response: int | None
    diary: str | None


class DomainStatus(SQLModel, table=True):
    """A domain's answer on the day it was written, and what it becomes on later days if nothing arrives: `stages`, each
    with the values that change and the day `from_on` which it holds, and `next_on`, the first of these days. So a page
    of rows is right on any day without a write. `since_on` is 9999-12-31 where the status dates from no day: rows are
    ranked by it. `confirm_on`: the day from which one more reading would be asked for, if the plan asks for none."""

    __tablename__ = "domain_statuses"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(
            "ix_domain_statuses_standing",
            *("clinic_id", "care_status", "domain", "priority", "since_on", "patient_id"),
        ),
        Index("ix_domain_statuses_next_on", "clinic_id", "care_status", "next_on"),
        rights("*", deletes=True, is_clustered=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    domain: str = Field(primary_key=True)
    care_status: str
    instrument: str
    priority: int
    status: str
    state: str | None
    flags: list[str] = Field(sa_type=document())
    since_on: date
    next_on: date | None
    stages: list[dict[str, Any]] = Field(sa_type=document())
    improvement_percent: float | None
    latest_value: float | None
    latest_on: date | None
    near_line: bool | None
    confirm_on: date | None
    last_session_on: date | None
