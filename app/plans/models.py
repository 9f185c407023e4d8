"""Plans, as versions: what a clinic asks of all its patients, and what is asked of a single patient."""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError
from sqlalchemy import ForeignKeyConstraint
from sqlmodel import Field, SQLModel

from app.api.fields import (
    ANY_INSTRUMENT,
    EachOnce,
    Flag,
    Id,
    MomentOut,
    RequestBody,
    ResponseBody,
    grows,
    with_examples,
)
from app.instruments import INSTRUMENTS
from app.plans.schedule import Item
from app.storage import Moment, Uid, document, key

_LONGEST_OFFSET_DAYS = 3_650
LONGEST_WINDOW_DAYS = 60


def _days(value: Any) -> Any:
    if not isinstance(value, str) or not (found := re.fullmatch(r"P(?:(\d{1,3})W|(\d{1,4})D)", value)):
        raise PydanticCustomError("rule", "must be a duration of whole weeks or days, as in P2W or P3D")
    return f"P{7 * int(found[1])}D" if found[1] else f"P{int(found[2])}D"


def days_of(duration: str) -> int:
    """The number of days in a duration in its stored form, such as `P3D`."""
    return int(duration[1:-1])


def _at_most(days: int) -> Any:
    def check(value: str) -> str:
        if days_of(value) > days:
            raise PydanticCustomError("rule", f"must be at most {days} days")
        return value

    return AfterValidator(check)


def _known(codes: list[str]) -> list[str]:
    if any(code not in INSTRUMENTS for code in codes):
        raise PydanticCustomError("rule", "must be codes of /v1/instruments")
    return codes


_DURATION = {"type": "string", "pattern": r"^P(\d{1,3}W|\d{1,4}D)$", "examples": ["P3D"]}

Offset = Annotated[str, BeforeValidator(_days), _at_most(_LONGEST_OFFSET_DAYS), BodyField(json_schema_extra=_DURATION)]
Window = Annotated[str, BeforeValidator(_days), _at_most(LONGEST_WINDOW_DAYS), BodyField(json_schema_extra=_DURATION)]
_Code = Annotated[str, BodyField(max_length=50, json_schema_extra=ANY_INSTRUMENT)]
Codes = Annotated[EachOnce[_Code], BodyField(min_length=1, max_length=20), AfterValidator(_known)]

_EXAMPLE = {"items": [{"after": "session", "offset": "P3D", "window": "P2D", "instruments": ["nrs-pain"]}]}


class ClinicPlanVersion(SQLModel, table=True):
    """A version of what a clinic asks of its patients. It takes effect on the day after it was recorded. Version 1 is
    the default plan and is not stored."""

    __tablename__ = "clinic_plan_versions"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),)

    clinic_id: UUID = key()
    version: int = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_id: UUID = Field(sa_type=Uid)
    items: list[dict[str, Any]] = Field(sa_type=document())
    confirm: bool


class PatientPlanVersion(SQLModel, table=True):
    """A version of what is asked of one patient. It takes effect on the day after it was recorded. `items` None means
    that the clinic's plan applies, `confirm` None that its `confirm` does. Version 1 is that, and is not stored."""

    __tablename__ = "patient_plan_versions"
    __table_args__ = (ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),)

    clinic_id: UUID = key()
    patient_id: UUID = key()
    version: int = Field(primary_key=True)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_id: UUID = Field(sa_type=Uid)
    items: list[dict[str, Any]] | None = Field(sa_type=document())
    confirm: bool | None


class PlanItemIn(RequestBody):
    """One check-in that is asked for: how long after each session, after the last one of each course, or after
    enrolment until there is an infusion; how long it may then be answered, and how long before. Durations are whole
    days or weeks (ISO 8601: P3D, P2W). An early answer never counts on the session's own day, nor while the
    instrument's recall window reaches back to it."""

    after: Literal["session", "course", "enrolment"]
    offset: Offset
    window: Window
    early: Window = "P1D"
    instruments: Codes

    def item(self) -> Item:
        spans = (days_of(self.offset), days_of(self.window))
        return Item(self.after, *spans, tuple(self.instruments), days_of(self.early))


class ClinicPlanIn(RequestBody):
    """What the clinic asks of its patients, from tomorrow on. With `confirm` one more reading is asked six days after
    one near the response line or past it, where the plan asks for none within a week."""

    model_config = with_examples(_EXAMPLE)

    items: Annotated[list[PlanItemIn], BodyField(max_length=200)]
    confirm: Flag = True


class PlanIn(RequestBody):
    """What is asked of this patient, from tomorrow on; null: what the clinic asks of all. With `confirm` one more
    reading is asked six days after one near the response line or past it, where the plan asks for none within a week.
    `confirm` null: true, or as the clinic has it where `items` is null too."""

    model_config = with_examples(_EXAMPLE)

    items: Annotated[list[PlanItemIn], BodyField(max_length=200)] | None
    confirm: Flag | None = None


class PlanItemOut(ResponseBody):
    """One check-in that is asked for."""

    after: str = grows("session", "course", "enrolment")
    offset: str
    window: str
    early: str
    instruments: list[str]


class PlanOut(ResponseBody):
    """The plan as last set. `source` is whose it is; `from_on` the first day it asks on, null where it always did.
    `confirm` is null only in a record, of a version by which the clinic's counted."""

    source: str = grows("default", "clinic", "patient")
    from_on: date | None
    recorded_at: MomentOut | None
    items: list[PlanItemOut]
    confirm: bool | None
    version: int


class DueOut(ResponseBody):
    """One check-in that is asked for, and what became of it: on account of a session (`session_id`), of a course, of
    enrolment, or of a reading near the response line that one more would confirm (`reason`). `missing` are the
    instruments that no check-in answers; `declined`: everything was answered, but not every item."""

    due_on: date
    window_ends_on: date
    instruments: list[str]
    state: str = grows("upcoming", "due", "overdue", "done", "declined", "missed")
    missing: list[str]
    session_id: Id | None
    reason: str | None = grows("confirm")


class DueList(ResponseBody):
    """What is due between two days, in order. Nothing is asked of a patient who is not in active care."""

    items: list[DueOut]
