"""Alerts and their acknowledgements. Neither is ever deleted."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.api.fields import Flag, Id, MomentOut, Note, RequestBody, ResponseBody, grows, with_examples
from app.storage import Moment, Uid, document, key, rights

Disposition = Literal["contacted", "escalated", "already_known", "could_not_reach", "entered_in_error", "other"]


class Alert(SQLModel, table=True):
    """Something that a person must review. Amending the answer marks its alert and never deletes it. `domain` and
    `rank` are where it stands in the worklist: the instrument's domain, and its priority as a number. `onset_on` is the
    day from which relief is lost or the patient worse. `score_refused`: its answer was in a form that was refused, so
    far `repeats` times again. `moved_at`: when what it is about was moved to this patient from one whom it is not of.
    `former`: what it was before each merge of its patient's record, the last one last; `refused`: what the refused form
    said, once a recorded score has taken the alert over."""

    __tablename__ = "alerts"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"], ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"]
        ),
        Index(None, "clinic_id", "state", "rank", "late", "raised_at", "id"),
        Index(None, "clinic_id", "patient_id", "state"),
        Index(None, "clinic_id", "check_in_id"),
        rights(
            "state, amended_at, late, taken_at, priority, rank, patient_id, check_in_id, session_id, onset_on, "
            "withdrawn_at, withdrawn_because, score_refused, repeats, moved_at, former, refused"
        ),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    check_in_id: UUID | None = Field(sa_type=Uid)
    session_id: UUID | None = Field(sa_type=Uid)
    instrument: str | None
    domain: str
    kind: str
    priority: str
    rank: int
    late: bool
    state: str
    onset_on: date | None = None
    withdrawn_at: datetime | None = Field(default=None, sa_type=Moment)
    withdrawn_because: str | None = None
    score_refused: bool = False
    repeats: int = 0
    moved_at: datetime | None = Field(default=None, sa_type=Moment)
    former: list[dict[str, Any]] = Field(sa_type=document())
    refused: dict[str, Any] | None = Field(default=None, sa_type=document())
    taken_at: datetime = Field(sa_type=Moment)
    raised_at: datetime = Field(sa_type=Moment)
    amended_at: datetime | None = Field(sa_type=Moment)


class Acknowledgement(SQLModel, table=True):
    """What a caller did about an alert."""

    __tablename__ = "alert_acknowledgements"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "alert_id"], ["alerts.clinic_id", "alerts.id"]),
        Index(None, "clinic_id", "alert_id", "at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    alert_id: UUID = Field(sa_type=Uid)
    by_kind: str
    by_id: UUID = Field(sa_type=Uid)
    at: datetime = Field(sa_type=Moment)
    note: str
    disposition: str


class Notice(SQLModel, table=True):
    """When the next mail about an urgent alert is due. It is read before the clinic is known, so it holds no patient
    data. `told` counts the mails sent, the first of them at `first_told_at`. `attempts` counts the failed tries since
    the last mail sent. `turn` is the position in the clinic's list of recipients. `set_at`: when `due_at` was set; if
    that is later than now, a clock was ahead, and the mail is due."""

    __tablename__ = "alert_notices"
    __table_args__ = (Index(None, "due_at"), rights("*", deletes=True, is_open=True))

    clinic_id: UUID = key()
    alert_id: UUID = key()
    told: int
    turn: int
    attempts: int
    first_told_at: datetime | None = Field(sa_type=Moment)
    due_at: datetime = Field(sa_type=Moment)
    set_at: datetime | None = Field(default=None, sa_type=Moment)


class Notification(SQLModel, table=True):
    """A mail about an alert: the recipient, and whether it was sent or failed."""

    __tablename__ = "alert_notifications"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "alert_id"], ["alerts.clinic_id", "alerts.id"]),
        Index(None, "clinic_id", "alert_id", "at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    alert_id: UUID = Field(sa_type=Uid)
    recipient: str
    at: datetime = Field(sa_type=Moment)
    outcome: str


class AcknowledgementIn(RequestBody):
    """What was done. `could_not_reach` leaves the alert open."""

    model_config = with_examples({"disposition": "contacted", "note": "Spoke by phone."})

    disposition: Disposition
    note: Note = ""


class CallerOut(ResponseBody):
    """Who: `user`, `client`, `device` or `operator`."""

    kind: str
    id: Id


class AcknowledgementOut(ResponseBody):
    """What someone did about an alert, and when."""

    by: CallerOut
    at: MomentOut
    note: str
    disposition: str


class NotificationOut(ResponseBody):
    """Who was told, when, and with what outcome."""

    to: str
    at: MomentOut
    outcome: str = grows("sent", "failed")


class AlertOut(ResponseBody):
    """Something to be reviewed by a person. `late`: taken more than 72 hours before it was recorded. `amended_at`: when
    the answer that raised it was first amended or voided; the alert stands all the same. `onset_on`: the day from which
    relief is lost, or the patient worse; each onset has one alert. `score_refused`: the form that the answer was in was
    refused, and `repeats` counts how often it came again. `withdrawn_at`: when what it rests on was found to be
    wrong."""

    id: Id
    kind: str = grows("self_harm_item", "reliable_deterioration", "relief_lost", "severe_side_effect")
    priority: str = grows("urgent", "high", "routine")
    late: Flag
    patient_id: Id
    check_in_id: Id | None
    session_id: Id | None
    instrument: str | None
    onset_on: date | None
    taken_at: MomentOut
    raised_at: MomentOut
    amended_at: MomentOut | None
    score_refused: bool
    repeats: int
    state: str = grows("open", "acknowledged", "withdrawn", "historic")
    withdrawn_at: MomentOut | None
    withdrawn_because: str | None = grows(
        "amended", "voided", "session_changed", "baseline_changed", "score_added", "moved", "merged"
    )
    acknowledgements: list[AcknowledgementOut]
    notifications: list[NotificationOut]
