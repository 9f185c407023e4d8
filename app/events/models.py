"""The table of events, as versions, and the bodies of requests and responses."""

from datetime import date, datetime
from typing import Literal, get_args
from uuid import UUID

from pydantic import MISSING
from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.api.fields import DayIn, Flag, Id, MomentOut, Name, RequestBody, ResponseBody, grows, with_examples
from app.storage import Moment, Uid, key

Kind = Literal[
    "medication_started",
    "medication_changed",
    "medication_stopped",
    "tms",
    "ect",
    "psychotherapy",
    "admission",
    "missed_session",
    "life_event",
    "other",
]


class EventVersion(SQLModel, table=True):
    """One version of an event. The latest one stands. `moved_to`: it ended here, because the record goes on in another
    one, and goes on there under that id."""

    __tablename__ = "events"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "patient_id", "id", "version"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    version: int = Field(primary_key=True)
    patient_id: UUID = Field(sa_type=Uid)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_kind: str
    recorded_by_id: UUID = Field(sa_type=Uid)
    kind: str
    on_day: date
    label: str | None
    voided: bool
    reason: str | None
    moved_from: UUID | None = Field(sa_type=Uid)
    moved_to: UUID | None = Field(sa_type=Uid)


class EventIn(RequestBody):
    """Something that happened on a day in the clinic, other than an infusion or a score. `label` says what, in a few
    words."""

    model_config = with_examples({"kind": "medication_changed", "on": "2025-02-03", "label": "sertraline 50 to 100 mg"})

    id: Id | None = None
    kind: Kind
    on: DayIn
    label: Name | None = None


class EventAmendmentIn(RequestBody):
    """What changes, and why. What is not given stays. `void` takes the event back, or back again."""

    model_config = with_examples(
        {"reason": "keying error", "on": "2025-02-04"}, {"reason": "another patient's", "void": True}
    )

    reason: Name
    kind: Kind | MISSING = MISSING
    on: DayIn | MISSING = MISSING
    label: Name | MISSING | None = MISSING
    void: Flag | MISSING = MISSING


class EventRecorderOut(ResponseBody):
    """Who recorded it: `user`, `client` or `operator`."""

    kind: str
    id: Id


class EventOut(ResponseBody):
    """What else happened to a patient. It is drawn on the pictures and is part of the record; no verdict rests on
    it."""

    id: Id
    patient_id: Id
    kind: str = grows(*get_args(Kind))
    on: date
    label: str | None
    status: str = grows("recorded", "voided", "moved")
    version: int
    recorded_at: MomentOut
    recorded_by: EventRecorderOut
    reason: str | None
    """Why this version was made; null for the first."""
    moved_from: Id | None
    moved_to: Id | None


class EventList(ResponseBody):
    """A page of events, the latest day first."""

    items: list[EventOut]
    next_cursor: str | None


class EventVersionList(ResponseBody):
    """Every version of an event, oldest first."""

    items: list[EventOut]
    next_cursor: str | None


class HappenedOut(ResponseBody):
    """An event as a mark on a picture."""

    id: Id
    kind: str = grows(*get_args(Kind))
    on: date
    label: str | None
