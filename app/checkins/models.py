"""Tables of check-ins and their versions, and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import MISSING, SkipValidation
from pydantic import Field as BodyField
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, Uuid
from sqlmodel import Field, SQLModel

from app.access.models import CrisisContact
from app.alerts.models import AlertOut
from app.api.fields import (
    Flag,
    Id,
    MomentIn,
    MomentOut,
    Name,
    ProblemOut,
    RequestBody,
    ResponseBody,
    Score,
    Whole,
    grows,
    with_examples,
)
from app.storage import Moment, key, rights
from app.tracks.output import TrackOut, Value

_EXAMPLE = {
    "taken_at": "2025-01-10T09:00:00-05:00",
    "responses": [
        {"instrument": "phq-9", "answers": [2, 2, 2, 2, 2, 2, 2, 0, 0]},
        {"instrument": "nrs-pain", "score": 6},
    ],
}


class CheckIn(SQLModel, table=True):
    """A check-in. `taken_at` and `voided` are those of its current version. `posted` is a hash of the content of
    version 1; repeated posts are compared with it."""

    __tablename__ = "check_ins"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("clinic_id", "patient_id", "id"),
        Index(None, "clinic_id", "patient_id", "taken_at", "id"),
        rights("version, taken_at, voided"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    version: int
    taken_at: datetime = Field(sa_type=Moment)
    voided: bool
    posted: str


class CheckInVersion(SQLModel, table=True):
    """One version of a check-in. Its scores are in `score_versions`."""

    __tablename__ = "check_in_versions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"], ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"]
        ),
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"], ["sessions.clinic_id", "sessions.patient_id", "sessions.id"]
        ),
        Index(None, "clinic_id", "patient_id", "recorded_at"),
    )

    clinic_id: UUID = key()
    check_in_id: UUID = key()
    version: int = Field(primary_key=True)
    patient_id: UUID = Field(sa_type=Uuid)
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_kind: str
    recorded_by_id: UUID = Field(sa_type=Uuid)
    taken_at: datetime = Field(sa_type=Moment)
    session_id: UUID | None = Field(sa_type=Uuid)
    before_infusion: bool
    clock_corrected_by_seconds: int | None
    voided: bool
    reason: str | None


Answers = Annotated[list[Whole | None], BodyField(max_length=50)]
Code = Annotated[str, BodyField(max_length=50)]


class ResponseIn(RequestBody):
    """One instrument's answers in item order, or its score alone (users, clients and imports)."""

    instrument: Code
    answers: Answers | None = None
    score: Score | None = None


class CheckInIn(RequestBody):
    """A check-in. Only `taken_at` and one response are required. `before_infusion` states that it was answered before
    the infusion, up to 60 minutes after its start; `sent_at` is the device's clock at sending."""

    model_config = with_examples(_EXAMPLE)

    id: Id | None = None
    """Chosen by the client, so that a repeat is known as one."""
    taken_at: MomentIn
    """When it was answered, by the device's clock."""
    sent_at: MomentIn | None = None
    """The device's clock at sending: where it is wrong, `taken_at` is corrected by the difference."""
    session_id: Id | None = None
    """A session of this patient that it belongs to."""
    before_infusion: Flag = False
    """It was answered before the infusion that started up to 60 minutes earlier, and counts at its start."""
    responses: Annotated[list[ResponseIn], BodyField(min_length=1, max_length=20)]


class BatchItemIn(CheckInIn):
    """A check-in and whose it is."""

    model_config = with_examples({"patient_id": "0198e0c4-0000-7000-8000-000000000000", **_EXAMPLE})

    patient_id: Id


class BatchIn(RequestBody):
    """Up to 500 check-ins. Each is validated by itself, and stands or falls alone."""

    model_config = with_examples({"items": [{"patient_id": "0198e0c4-0000-7000-8000-000000000000", **_EXAMPLE}]})

    items: Annotated[list[SkipValidation[BatchItemIn]], BodyField(min_length=1, max_length=500)]


class ResponseAmendment(ResponseIn):
    """A response that replaces the one of its instrument, or `remove: true`."""

    remove: Flag = False


class AmendmentIn(RequestBody):
    """What changes, and why. What is not given stays. `void` takes the whole check-in back, or back again."""

    model_config = with_examples(
        {"reason": "keying error", "responses": [{"instrument": "nrs-pain", "score": 4}]},
        {"reason": "another patient's", "void": True},
    )

    reason: Name
    taken_at: MomentIn | MISSING = MISSING
    responses: Annotated[list[ResponseAmendment], BodyField(min_length=1, max_length=20)] | MISSING = MISSING
    void: Flag | MISSING = MISSING


class CallerOut(ResponseBody):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class ScoreOut(ResponseBody):
    """One score. `items_known` is false for a total alone; `self_harm_item` is null where it is unknown (which is never
    to be read as zero) or the instrument has none."""

    id: Id
    instrument: str
    domain: str
    value: Value
    severity: str | None
    answers: list[int | None] | None
    items_known: bool
    self_harm_item: int | None


class NoticeOut(ResponseBody):
    """Nobody watches answers in real time; whom to call now."""

    text: str
    crisis_contacts: list[CrisisContact]


class AlreadyRecordedOut(ResponseBody):
    """A response that was recorded before, in this check-in."""

    instrument: str
    check_in_id: Id


class CheckInOut(ResponseBody):
    """A check-in as it stands, or one version of it."""

    id: Id
    patient_id: Id
    taken_at: MomentOut
    recorded_at: MomentOut
    phase: str = grows("baseline", "pre_infusion", "post_infusion", "follow_up")
    session_id: Id | None
    before_infusion: bool
    clock_corrected_by_seconds: int | None
    version: int
    status: str = grows("recorded", "voided")
    reason: str | None
    recorded_by: CallerOut
    scores: list[ScoreOut]
    alerts: list[AlertOut]
    notice: NoticeOut | None


class CheckInReceipt(CheckInOut):
    """What recording answers: the check-in, and what relief says today for the instruments posted."""

    relief: list[TrackOut]
    already_recorded: list[AlreadyRecordedOut]


class CheckInList(ResponseBody):
    """A page of check-ins, newest first."""

    items: list[CheckInOut]
    next_cursor: str | None


class BatchResult(ResponseBody):
    """What became of one item: its receipt, or why it was refused."""

    index: int
    http_status: int
    check_in: CheckInReceipt | None = None
    problem: ProblemOut | None = None


class BatchOut(ResponseBody):
    """One result per item, in the order posted."""

    results: list[BatchResult]
