"""Versions of infusions and scores (what the fold reads), the folds so far, and domain statuses.

Versions are append-only. A version is visible at an instant when it was recorded by then and not yet superseded;
`superseded_at` is the only column that is ever set later, once.
"""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Uuid, text
from sqlmodel import Field, SQLModel

from app.storage import Moment, document, key, rights

_CURRENT = text("superseded_at IS NULL")
_SUPERSEDED = text("superseded_at IS NOT NULL")
# Current totals without items, where an item would have asked about self-harm.
SELF_HARM_UNKNOWN = text(
    "superseded_at IS NULL AND self_harm_item IS NULL AND instrument IN ('madrs', 'phq-9', 'qids-sr16')"
)


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
        rights("superseded_at"),
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
        Index(None, "clinic_id", "check_in_id", "version"),
        # What stands and what was replaced are found apart, so that a new score is in one of the two.
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


class FoldRow(SQLModel, table=True):
    """The fold so far of everything one patient's verdicts rest on, under the rules it was folded by: in one row, so
    that recording reads one and writes one. `state` is `known.Folded` as JSON."""

    __tablename__ = "folds"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "rule"),
        rights("*"),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    rule: str
    state: str


class EpisodeRow(SQLModel, table=True):
    """What one episode says by one instrument, for answers over many patients. `baseline` and `early` are severities
    in points, durations are in days: see `relief.Record` and `relief.Spell`. `last_on` is the day of the track's last
    event: on any later day the row says the same."""

    __tablename__ = "episodes"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        rights("*", deletes=True),
    )

    clinic_id: UUID = key()
    instrument: str = Field(primary_key=True)
    patient_id: UUID = key()
    episode: int = Field(primary_key=True)
    last_on: date
    induction_sessions: int
    induction_ended_on: date
    baseline: int | None
    evaluable: bool
    followed: bool
    early: int | None
    median_gap_days: float | None
    days: int | None
    event: str | None
    days_before_course: int | None
    days_before_rescue: int | None


class DomainStatus(SQLModel, table=True):
    """A domain's answer as of the last event, with the day from which silence alone makes it stale. Reading a page of
    them is right on any day without a write: until `stale_on` a row stands at `priority` since `since_on`, from then
    on at `stale_priority` since `stale_on`."""

    __tablename__ = "domain_statuses"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(
            "ix_domain_statuses_live",
            *("clinic_id", "care_status", "priority", "stale_on", "since_on", "patient_id", "domain"),
        ),
        Index(
            "ix_domain_statuses_stale",
            *("clinic_id", "care_status", "stale_priority", "stale_on", "patient_id", "domain"),
        ),
        rights("*", deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    domain: str = Field(primary_key=True)
    care_status: str
    instrument: str
    priority: int
    stale_priority: int | None
    status: str
    state: str | None
    flags: list[str] = Field(sa_type=document())
    since_on: date | None
    stale_on: date | None
    improvement_percent: float | None
    latest_value: float | None
    latest_on: date | None
    last_session_on: date | None
