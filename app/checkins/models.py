"""Tables of check-ins and their versions, and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import MISSING, SkipValidation
from pydantic import Field as BodyField
from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.access.models import CrisisContact
from app.alerts.models import AlertOut
from app.api.fields import (
    ANY_INSTRUMENT,
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
    response_body,
    with_examples,
)
from app.storage import Moment, Uid, key, rights
from app.tracks.output import TrackOut, Value

_EXAMPLE = {
    "taken_at": "2025-01-10T09:00:00-05:00",
    "responses": [
        {"instrument": "phq-9", "answers": [2, 2, 2, 2, 2, 2, 2, 0, 0]},
        {"instrument": "nrs-pain", "score": 6},
    ],
}


class Versioned(SQLModel):
    """What a check-in says by one version. `stated_before_at`: when it was stated that it was answered before the
    infusion; null where it was not. `clock_offset_seconds`: by how much the device's clock was behind ours when it was
    sent; `clock_suspect`: that was not believed. `moved_from`: the check-in in whose place it goes on; `moved_to`: the
    one that goes on in its place. Such a version is voided too. `source_recorded_at`: when it was recorded where it
    was imported from."""

    version: int
    recorded_at: datetime = Field(sa_type=Moment)
    recorded_by_kind: str
    recorded_by_id: UUID = Field(sa_type=Uid)
    taken_at: datetime = Field(sa_type=Moment)
    session_id: UUID | None = Field(sa_type=Uid)
    stated_before_at: datetime | None = Field(sa_type=Moment)
    clock_offset_seconds: int | None
    clock_suspect: bool
    voided: bool
    moved_from: UUID | None = Field(sa_type=Uid)
    moved_to: UUID | None = Field(sa_type=Uid)
    reason: str | None
    source_recorded_at: datetime | None = Field(sa_type=Moment)


VERSIONED = tuple(Versioned.model_fields)


class CheckIn(Versioned, table=True):
    """A check-in, by its current version. `posted` is a hash of the content of version 1; repeated posts are compared
    with it."""

    __tablename__ = "check_ins"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"], ["sessions.clinic_id", "sessions.patient_id", "sessions.id"]
        ),
        UniqueConstraint("clinic_id", "patient_id", "id"),
        rights(", ".join(VERSIONED)),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    posted: bytes = Field(sa_type=LargeBinary)


def become(check_in: CheckIn, version: Versioned) -> None:
    """Makes a version the current one of a check-in."""
    for name in VERSIONED:
        setattr(check_in, name, getattr(version, name))


class KnownPost(SQLModel, table=True):
    """A post that made no check-in of its own, since all it said was recorded already or completed an earlier check-in:
    `check_in_id`. By its id a repeat is known, whatever became of that check-in since."""

    __tablename__ = "known_posts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"], ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"]
        ),
        rights(),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    check_in_id: UUID = Field(sa_type=Uid)
    posted: bytes = Field(sa_type=LargeBinary)


class CheckInVersion(Versioned, table=True):
    """One version of a check-in that was amended, completed or moved: the first, the current and all between. A
    check-in that has one version only has no row here."""

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
    patient_id: UUID = Field(sa_type=Uid)


Answers = Annotated[list[Whole | None], BodyField(max_length=50)]
Code = Annotated[str, BodyField(max_length=50, json_schema_extra=ANY_INSTRUMENT)]


class ResponseIn(RequestBody):
    """One instrument's answers in item order, or its score alone (users, clients and imports). An answer may be null:
    not answered. Then the score is kept without a value and is no reading, and a `score` beside it is dropped."""

    instrument: Code
    answers: Answers | None = None
    score: Score | None = None


class CheckInIn(RequestBody):
    """A check-in. Only `taken_at` and one response are required. `before_infusion` states that it was answered before
    the infusion, up to 60 minutes after its start; `sent_at` is the device's clock at sending, written anew at every
    try."""

    model_config = with_examples(_EXAMPLE)

    id: Id | None = None
    """Chosen by the client, so that a repeat is known as one."""
    taken_at: MomentIn
    """When it was answered, by the device's clock."""
    sent_at: MomentIn | None = None
    """The device's clock at this sending, written anew at every try: where it is wrong, `taken_at` is corrected by the
    difference. A queued body that is sent again with its old `sent_at` looks like a clock that is slow."""
    session_id: Id | None = None
    """A session of this patient that it belongs to."""
    before_infusion: Flag = False
    """It was answered before the infusion that had started up to 60 minutes earlier, or else before the one of its day
    that is recorded later; it counts at that one's start."""
    responses: Annotated[list[ResponseIn], BodyField(min_length=1, max_length=20)]


class BatchItemIn(CheckInIn):
    """A check-in and whose it is."""

    model_config = with_examples({"patient_id": "0198e0c4-0000-7000-8000-000000000000", **_EXAMPLE})

    patient_id: Id


# An item that is malformed must not refuse the others, so the schema of each is not applied to the whole.
_EACH_ITEM: dict[str, Any] = {"items": {"$ref": "#/components/schemas/BatchItemIn"}}


class BatchIn(RequestBody):
    """Up to 500 check-ins. Each is validated by itself, and stands or falls alone."""

    model_config = with_examples({"items": [{"patient_id": "0198e0c4-0000-7000-8000-000000000000", **_EXAMPLE}]})

    items: Annotated[
        list[SkipValidation[BatchItemIn]], BodyField(min_length=1, max_length=500, json_schema_extra=_EACH_ITEM)
    ]


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


@response_body
class CallerOut:
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


@response_body
class ScoreOut:
    """One score. `items_known` is false for a total alone; `self_harm_item` is null where it is unknown (which is never
    to be read as zero) or the instrument has none. `complete` is false where items are unanswered: such a score has no
    value and is no reading."""

    id: Id
    instrument: str
    domain: str
    value: Value | None
    complete: bool
    severity: str | None
    answers: list[int | None] | None
    items_known: bool
    self_harm_item: int | None


class NoticeOut(ResponseBody):
    """Nobody watches answers in real time; whom to call now."""

    text: str
    crisis_contacts: list[CrisisContact]


@response_body
class RecordedIn:
    """An instrument and the check-in that holds its response."""

    instrument: str
    check_in_id: Id


def _said(text: str) -> Any:
    """A field's description, where it is inherited: docstrings are not."""
    return BodyField(description=text)


@response_body
class CheckInOut:
    """A check-in as it stands, or one version of it."""

    id: Id
    patient_id: Id
    taken_at: MomentOut
    recorded_at: MomentOut
    phase: str = grows("baseline", "pre_infusion", "post_infusion", "follow_up")
    session_id: Id | None
    before_infusion: bool
    clock_corrected_by_seconds: int | None
    clock_suspect: bool = _said(
        "The device's clock seems to be behind by more than an hour, soon after it was right: `taken_at` is as sent."
    )
    version: int
    status: str = grows("recorded", "voided", "moved")
    moved_from: Id | None = _said("The check-in in whose place this one goes on.")
    moved_to: Id | None = _said("The check-in that goes on in this one's place.")
    reason: str | None
    source_recorded_at: MomentOut | None
    recorded_by: CallerOut
    scores: list[ScoreOut]
    alerts: list[AlertOut]
    notice: NoticeOut | None


@response_body
class CheckInReceipt(CheckInOut):
    """What recording answers: the check-in, and what relief says today for the instruments posted."""

    relief: list[TrackOut]
    already_recorded: list[RecordedIn]
    """Responses that were recorded before, and where."""
    completed: list[RecordedIn]
    """Responses that made an earlier score of the same moment whole, and where: that check-in has a new version."""
    scores_dropped: list[str]
    """Instruments whose `score` was dropped, since items are unanswered."""


class CheckInList(ResponseBody):
    """A page of check-ins, newest first."""

    items: list[CheckInOut]
    next_cursor: str | None


class RefusalOut(ProblemOut):
    """A refusal. The `notice` is there where an answer of the refused form says that somebody may be in danger."""

    notice: NoticeOut | None = None


class BatchResult(ResponseBody):
    """What became of one item: its receipt, or why it was refused."""

    index: int
    http_status: int
    check_in: CheckInReceipt | None = None
    problem: RefusalOut | None = None


class BatchOut(ResponseBody):
    """One result per item, in the order posted."""

    results: list[BatchResult]
