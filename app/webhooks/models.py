"""Tables of webhooks, of what is sent to them and of each try; and the bodies of requests and responses."""

from datetime import datetime
from typing import Annotated, Any, get_args
from uuid import UUID

from pydantic import MISSING, AfterValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError
from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlmodel import Field, SQLModel

from app.api.fields import EachOnce, Flag, Id, MomentOut, RequestBody, ResponseBody, Text, Whole, grows, with_examples
from app.outbox.kinds import Kind
from app.storage import Moment, Uid, document, key, rights

KINDS: tuple[str, ...] = get_args(Kind)
TEST = "test"


class Webhook(SQLModel, table=True):
    """A receiver, and the kinds of change that it is told of. `position`: up to where in the clinic's feed it has been
    told. Secrets are encrypted, under `key_id`. It may know what its owner may read, whoever that is by then. On
    PostgreSQL every clinic's rows may be read, so that one query finds those with something to send."""

    __tablename__ = "webhooks"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), rights("*", deletes=True, seen_by_all=True))

    clinic_id: UUID = key()
    id: UUID = key()
    url: str
    events: list[str] = Field(sa_type=document())
    secret: str
    previous_secret: str | None
    previous_until: datetime | None = Field(sa_type=Moment)
    key_id: str
    owner_kind: str
    owner_id: UUID = Field(sa_type=Uid)
    position: int = Field(sa_type=BigInteger)
    version: int
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)
    disabled_because: str | None


class Delivery(SQLModel, table=True):
    """A change that is sent to a webhook, until it is received. `change_id`: what receivers know a repeat by.
    `next_at`: when it is tried next; null once that is over."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "webhook_id"], ["webhooks.clinic_id", "webhooks.id"], ondelete="CASCADE"),
        Index(None, "clinic_id", "webhook_id", "state", "position", "id"),
        Index("ix_webhook_deliveries_created", "clinic_id", "created_at"),
        rights("*", deletes=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    webhook_id: UUID = Field(sa_type=Uid)
    change_id: UUID = Field(sa_type=Uid)
    kind: str
    patient_id: UUID | None = Field(sa_type=Uid)
    about_id: UUID | None = Field(sa_type=Uid)
    happened_at: datetime = Field(sa_type=Moment)
    position: int = Field(sa_type=BigInteger)
    state: str
    tries: int
    next_at: datetime | None = Field(sa_type=Moment)
    created_at: datetime = Field(sa_type=Moment)


class Try(SQLModel, table=True):
    """One try to deliver: the receiver's status, or why there is none."""

    __tablename__ = "webhook_tries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["clinic_id", "delivery_id"], ["webhook_deliveries.clinic_id", "webhook_deliveries.id"], ondelete="CASCADE"
        ),
        Index(None, "clinic_id", "delivery_id", "at"),
        rights(deletes=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    delivery_id: UUID = Field(sa_type=Uid)
    at: datetime = Field(sa_type=Moment)
    status: int | None
    error: str | None
    milliseconds: int


def _known(events: list[str]) -> list[str]:
    if any(event not in KINDS for event in events):
        raise PydanticCustomError("rule", "must be kinds of change: " + ", ".join(KINDS))
    return events


_EVENT = Annotated[str, BodyField(max_length=50, json_schema_extra={"enum": list(KINDS)})]
Events = Annotated[EachOnce[_EVENT], BodyField(min_length=1, max_length=len(KINDS)), AfterValidator(_known)]
Url = Annotated[Text, BodyField(min_length=1, max_length=2_000, json_schema_extra={"format": "uri"})]


class WebhookIn(RequestBody):
    """A receiver, and what it is told of. The address is https, and public unless the operator has allowed its host."""

    model_config = with_examples({"url": "https://ehr.example.org/holdfast", "events": ["alert.raised"]})

    url: Url
    events: Events


class WebhookPatch(RequestBody):
    """What is absent stays. Switched on again, it is told what it has missed."""

    model_config = with_examples({"events": ["alert.raised", "relief.changed"]})

    url: Url | MISSING = MISSING
    events: Events | MISSING = MISSING
    disabled: Flag | MISSING = MISSING


class WebhookRotation(RequestBody):
    """For how many hours deliveries are signed with the secret before as well: 0 to 720."""

    model_config = with_examples({"overlap_hours": 24})

    overlap_hours: Annotated[Whole, BodyField(ge=0, le=720)] = 24


class WebhookOut(ResponseBody):
    """A receiver. It is switched off after a day of failed tries, or where it answers 410; its owner is told."""

    id: Id
    url: str
    events: list[str]
    disabled: bool
    disabled_because: str | None = grows("asked_for", "failing", "gone")
    waiting: int
    previous_secret_expires_at: MomentOut | None
    created_at: MomentOut
    version: int


class WebhookList(ResponseBody):
    """A page of receivers, newest first."""

    items: list[WebhookOut]
    next_cursor: str | None


class WebhookCreated(WebhookOut):
    """A receiver with the secret of its signatures, shown once."""

    secret: str


class TryOut(ResponseBody):
    """One try to deliver."""

    at: MomentOut
    status: int | None
    error: str | None = grows("refused_address", "unreachable", "timed_out", "bad_answer")
    milliseconds: int


class DeliveryOut(ResponseBody):
    """What was sent to a receiver, or is to be, with each try."""

    id: Id
    change_id: Id
    kind: str = grows(*KINDS, TEST)
    patient_id: Id | None
    happened_at: MomentOut
    state: str = grows("waiting", "delivered", "failed", "not_allowed")
    next_at: MomentOut | None
    tries: list[TryOut]


class DeliveryList(ResponseBody):
    """A page of deliveries, newest first."""

    items: list[DeliveryOut]
    next_cursor: str | None


class WebhookData(ResponseBody):
    """Whom and what a change is about; ids alone."""

    patient_id: Id | None
    check_in_id: Id | None
    session_id: Id | None
    alert_id: Id | None


class WebhookEvent(ResponseBody):
    """What a receiver is sent. `webhook-id`, `webhook-timestamp` and `webhook-signature` go with it (Standard Webhooks
    1.0); the first stays the same when it is sent again."""

    type: str = grows(*KINDS, TEST)
    timestamp: MomentOut
    """When it happened."""
    data: WebhookData


def event_of(delivery: Delivery) -> dict[str, Any]:
    """The body of a delivery."""
    what = delivery.kind.split(".")[0]
    data = {f"{name}_id": delivery.about_id if what == name else None for name in ("check_in", "session", "alert")}
    body = {
        "type": delivery.kind,
        "timestamp": delivery.happened_at,
        "data": {"patient_id": delivery.patient_id, **data},
    }
    return WebhookEvent.model_validate(body).model_dump(mode="json")
