"""Sessions and their versions."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import MISSING
from pydantic import Field as WireField
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, Uuid
from sqlmodel import Field, SQLModel

from app.api.fields import Answer, Id, MomentIn, MomentOut, Name, Note, Number, Text, Whole, Wire, grows, with_examples
from app.storage import Moment, document, key
from app.tracks.effects import ChangePerBoosterOut, InstrumentEffectOut

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
    "hypertension",
    "other",
]
Severity = Literal["mild", "moderate", "severe"]
COUNTED = ("completed", "stopped_early")

Kilograms = Annotated[Number, WireField(gt=0, le=500)]
Milligrams = Annotated[Number, WireField(ge=0, le=10_000)]
MilligramsPerKilogram = Annotated[Number, WireField(ge=0, le=100)]
Drug = Annotated[Text, WireField(min_length=1, max_length=100)]

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
    """One infusion session. Its content stands in its versions; `started_at` here is the current one, for paging."""

    __tablename__ = "sessions"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("clinic_id", "patient_id", "id"),
        Index(None, "clinic_id", "patient_id", "started_at", "id"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    version: int
    started_at: datetime = Field(sa_type=Moment)
    created_at: datetime = Field(sa_type=Moment)


class SessionVersion(SQLModel, table=True):
    """One version of a session. `posted` (of version 1) is what a repeated create is compared with."""

    __tablename__ = "session_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"],
            ["sessions.clinic_id", "sessions.patient_id", "sessions.id"],
        ),
        Index(None, "clinic_id", "patient_id", "session_id"),
    )

    clinic_id: UUID = key()
    session_id: UUID = key()
    version: int = Field(primary_key=True)
    patient_id: UUID = Field(sa_type=Uuid)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_kind: str
    recorded_by_id: UUID = Field(sa_type=Uuid)
    reason: str | None
    content: dict[str, Any] = Field(sa_type=document())


class Vitals(Wire):
    """One set of measurements. Pressures in mmHg, heart rate per minute, oxygen saturation in percent."""

    at: MomentIn
    systolic: Annotated[Whole, WireField(ge=20, le=350)] | None = None
    diastolic: Annotated[Whole, WireField(ge=10, le=250)] | None = None
    heart_rate: Annotated[Whole, WireField(ge=10, le=350)] | None = None
    spo2: Annotated[Whole, WireField(ge=0, le=100)] | None = None


class SideEffect(Wire):
    """One effect, how strong, and when after the start it was seen, in minutes."""

    effect: Effect
    severity: Severity
    minutes_after_start: Annotated[Whole, WireField(ge=0, le=10_080)] | None = None
    note: Note | None = None


class SessionIn(Wire):
    """A session. Only `started_at` is required. `not_done` and `entered_in_error` never count."""

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
    vitals: list[Vitals] = WireField(default_factory=list, max_length=200)
    side_effects: list[SideEffect] = WireField(default_factory=list, max_length=100)
    notes: Note | None = None


class SessionPatch(Wire):
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
    vitals: Annotated[list[Vitals], WireField(max_length=200)] | MISSING = MISSING
    side_effects: Annotated[list[SideEffect], WireField(max_length=100)] | MISSING = MISSING
    notes: Note | MISSING | None = MISSING
    reason: Name | None = None


class VitalsOut(Answer):
    """One set of measurements."""

    at: MomentOut
    systolic: int | None
    diastolic: int | None
    heart_rate: int | None
    spo2: int | None


class SideEffectOut(Answer):
    """One effect."""

    effect: str
    severity: str
    minutes_after_start: int | None
    note: str | None


class RecorderOut(Answer):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class SessionFields(Answer):
    """What every version of a session shows."""

    id: Id
    patient_id: Id
    version: int
    recorded_at: MomentOut
    recorded_by: RecorderOut
    reason: str | None
    started_at: MomentOut
    ended_at: MomentOut | None
    status: str = grows("completed", "stopped_early", "not_done", "entered_in_error")
    drug: str
    route: str = grows("iv", "im", "sc", "in", "sl", "po")
    weight_kg: float | None
    dose_mg: float | None
    dose_mg_per_kg: float | None
    vitals: list[VitalsOut]
    side_effects: list[SideEffectOut]
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


class SessionList(Answer):
    """A page of sessions, newest first. `change_per_booster` is there with `include=effect`, over all pages."""

    items: list[SessionListed]
    next_cursor: str | None
    change_per_booster: list[ChangePerBoosterOut] | None = None


class SessionVersionList(Answer):
    """Every version of a session, oldest first."""

    items: list[SessionVersionOut]
    next_cursor: str | None
