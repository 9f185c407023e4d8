"""Tables of sessions and their versions, and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import MISSING
from pydantic import Field as BodyField
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.api.fields import (
    Flag,
    Id,
    MomentIn,
    MomentOut,
    Name,
    Note,
    Number,
    RequestBody,
    ResponseBody,
    Text,
    Whole,
    grows,
    with_examples,
)
from app.effects.models import ChangePerBoosterOut, InstrumentEffectOut
from app.storage import Moment, Uid, document, key, rights

Status = Literal["completed", "stopped_early", "not_done", "entered_in_error"]
Route = Literal["iv", "im", "sc", "in", "sl", "po"]
Effect = Literal[
    "dizziness",
    "confusion",
    "nausea",
    "vomiting",
    "hallucination",
    "dissociation",
    "headache",
    "anxiety",
    "sedation",
    "respiratory_depression",
    "hypertension",
    "other",
]
Severity = Literal["mild", "moderate", "severe"]
COUNTED = ("completed", "stopped_early")

Kilograms = Annotated[Number, BodyField(gt=0, le=500)]
Milligrams = Annotated[Number, BodyField(ge=0, le=10_000)]
MilligramsPerKilogram = Annotated[Number, BodyField(ge=0, le=100)]
Drug = Annotated[Text, BodyField(min_length=1, max_length=100)]

_EXAMPLE = {
    "started_at": "2025-01-06T10:00:00-05:00",
    "ended_at": "2025-01-06T10:45:00-05:00",
    "status": "completed",
    "drug": "ketamine",
    "route": "iv",
    "weight_kg": 77,
    "dose_mg": 38.5,
    "dose_mg_per_kg": 0.5,
    "vitals": [{"at": "2025-01-06T10:40:00-05:00", "systolic": 142, "diastolic": 88, "heart_rate": 84, "spo2": 98}],
    "side_effects": [{"effect": "dizziness", "severity": "mild", "minutes_after_start": 20}],
    "notes": "Tolerated well.",
}


class InfusionSession(SQLModel, table=True):
    """One infusion session. Its content is in its versions. `started_at` here is that of the current version, for
    paging."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("clinic_id", "patient_id", "id"),
        Index(None, "clinic_id", "patient_id", "started_at", "id"),
        rights("version, started_at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    version: int
    started_at: datetime = Field(sa_type=Moment)
    created_at: datetime = Field(sa_type=Moment)


class SessionVersion(SQLModel, table=True):
    """One version of a session. A repeated create is compared with the `content` of version 1. `moved_from`: the
    session in whose place it goes on; `moved_to`: the one that goes on in its place. Such a version does not count.
    `source_recorded_at`: when it was recorded where an import brought it from."""

    __tablename__ = "session_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"], ["sessions.clinic_id", "sessions.patient_id", "sessions.id"]
        ),
        Index(None, "clinic_id", "patient_id", "session_id"),
    )

    clinic_id: UUID = key()
    session_id: UUID = key()
    version: int = Field(primary_key=True)
    patient_id: UUID = Field(sa_type=Uid)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_kind: str
    recorded_by_id: UUID = Field(sa_type=Uid)
    reason: str | None
    content: dict[str, Any] = Field(sa_type=document())
    moved_from: UUID | None = Field(default=None, sa_type=Uid)
    moved_to: UUID | None = Field(default=None, sa_type=Uid)
    source_recorded_at: datetime | None = Field(default=None, sa_type=Moment)


class Vitals(RequestBody):
    """One set of measurements. Pressures in mmHg, heart rate per minute, oxygen saturation in percent."""

    at: MomentIn
    systolic: Annotated[Whole, BodyField(ge=20, le=350)] | None = None
    diastolic: Annotated[Whole, BodyField(ge=10, le=250)] | None = None
    heart_rate: Annotated[Whole, BodyField(ge=10, le=350)] | None = None
    spo2: Annotated[Whole, BodyField(ge=0, le=100)] | None = None


class SideEffect(RequestBody):
    """One effect, how strong, and in minutes how long after the start it was seen and how long after it was gone."""

    effect: Effect
    severity: Severity
    minutes_after_start: Annotated[Whole, BodyField(ge=0, le=10_080)] | None = None
    minutes_until_gone: Annotated[Whole, BodyField(ge=0, le=10_080)] | None = None
    note: Note | None = None


class SessionIn(RequestBody):
    """A session. Only `started_at` is required. `not_done` and `entered_in_error` never count. `ready_to_leave_at`,
    `lot` (of the drug) and `sedating_medication` (taken the same day) are what a monitoring programme's form asks."""

    model_config = with_examples(_EXAMPLE)

    id: Id | None = None
    started_at: MomentIn
    ended_at: MomentIn | None = None
    status: Status = "completed"
    drug: Drug = "ketamine"
    route: Route = "iv"
    weight_kg: Kilograms | None = None
    dose_mg: Milligrams | None = None
    dose_mg_per_kg: MilligramsPerKilogram | None = None
    vitals: list[Vitals] = BodyField(default_factory=list, max_length=200)
    side_effects: list[SideEffect] = BodyField(default_factory=list, max_length=100)
    ready_to_leave_at: MomentIn | None = None
    lot: Name | None = None
    sedating_medication: Flag | None = None
    notes: Note | None = None


class SessionPatch(RequestBody):
    """A merge patch: what is absent stays, null clears what may be null. A change of times or status needs `reason`."""

    model_config = with_examples({"status": "entered_in_error", "reason": "recorded twice"})

    started_at: MomentIn | MISSING = MISSING
    ended_at: MomentIn | MISSING | None = MISSING
    status: Status | MISSING = MISSING
    drug: Drug | MISSING = MISSING
    route: Route | MISSING = MISSING
    weight_kg: Kilograms | MISSING | None = MISSING
    dose_mg: Milligrams | MISSING | None = MISSING
    dose_mg_per_kg: MilligramsPerKilogram | MISSING | None = MISSING
    vitals: Annotated[list[Vitals], BodyField(max_length=200)] | MISSING = MISSING
    side_effects: Annotated[list[SideEffect], BodyField(max_length=100)] | MISSING = MISSING
    ready_to_leave_at: MomentIn | MISSING | None = MISSING
    lot: Name | MISSING | None = MISSING
    sedating_medication: Flag | MISSING | None = MISSING
    notes: Note | MISSING | None = MISSING
    reason: Name | None = None


class VitalsOut(ResponseBody):
    """One set of measurements."""

    at: MomentOut
    systolic: int | None
    diastolic: int | None
    heart_rate: int | None
    spo2: int | None


class SideEffectOut(ResponseBody):
    """One effect."""

    effect: str
    severity: str
    minutes_after_start: int | None
    minutes_until_gone: int | None
    note: str | None


class RecorderOut(ResponseBody):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class SessionFields(ResponseBody):
    """What every version of a session shows. `dose_mg_per_kg` follows from dose and weight where only those are
    known."""

    id: Id
    patient_id: Id
    version: int
    recorded_at: MomentOut
    recorded_by: RecorderOut
    reason: str | None
    source_recorded_at: MomentOut | None
    started_at: MomentOut
    ended_at: MomentOut | None
    status: str = grows("completed", "stopped_early", "not_done", "entered_in_error", "moved")
    moved_from: Id | None
    moved_to: Id | None
    drug: str
    route: str = grows("iv", "im", "sc", "in", "sl", "po")
    weight_kg: float | None
    dose_mg: float | None
    dose_mg_per_kg: float | None
    vitals: list[VitalsOut]
    side_effects: list[SideEffectOut]
    ready_to_leave_at: MomentOut | None
    lot: str | None
    sedating_medication: bool | None
    notes: str | None


class SessionOut(SessionFields):
    """A session as it stands, and its place among the sessions that count: its number in its episode, the episode, the
    course in the episode and the course's kind. A session that does not count has no place."""

    number: int | None
    episode_number: int | None
    course_number: int | None
    kind: str | None = grows("induction", "maintenance", "booster")


class SessionVersionOut(SessionFields):
    """One version of a session."""


class SessionListed(SessionOut):
    """A session in a list; `effect`, what it did, is there with `include=effect`."""

    effect: list[InstrumentEffectOut] | None = None


class SessionList(ResponseBody):
    """A page of sessions, newest first. `change_per_booster` is there with `include=effect`, over all pages."""

    items: list[SessionListed]
    next_cursor: str | None
    change_per_booster: list[ChangePerBoosterOut] | None = None


class SessionVersionList(ResponseBody):
    """Every version of a session, oldest first."""

    items: list[SessionVersionOut]
    next_cursor: str | None
