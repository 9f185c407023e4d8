"""Tables of what reminders are sent to and of those that were sent; and the body with which a phone asks for them."""

import base64
import binascii
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import AfterValidator
from pydantic import Field as BodyField
from pydantic_core import PydanticCustomError
from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from app.api.fields import RequestBody, Text
from app.storage import Moment, key, rights

_SECRET_BYTES = 16
_LIVE, _AGAIN = text("ended_at IS NULL"), text("next_at IS NOT NULL")


class PushKey(SQLModel, table=True):
    """The key pair with which a clinic's messages say who sends them (VAPID, RFC 8292). Browsers hold a subscription to
    it, so it stays. `sealed`: the private key, encrypted under `key_id`."""

    __tablename__ = "push_keys"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), rights("sealed, key_id"))

    clinic_id: UUID = key()
    public_key: str
    sealed: str
    key_id: str
    created_at: datetime = Field(sa_type=Moment)


class PushSubscription(SQLModel, table=True):
    """Where reminders for one device are sent. `sealed`: the address and its keys, encrypted under `key_id`; whoever
    has them can write to the phone, so they go when it ends: because the patient wishes it (`off`), or because its push
    service says that it is `gone`. `looked_at`: when it was last looked for what has become due; at first when
    reminders were turned on, by somebody who then saw what is due. `failing_since`: since when its push service has
    taken none of our messages, and `failed_at`: when it last did not; null after one that it took."""

    __tablename__ = "push_subscriptions"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "device_id"], ["devices.clinic_id", "devices.id"]),
        Index(None, "clinic_id", "endpoint_hash"),
        Index("ix_push_subscriptions_live", "clinic_id", postgresql_where=_LIVE, sqlite_where=_LIVE),
        rights("*", deletes=True),
    )

    clinic_id: UUID = key()
    device_id: UUID = key()
    endpoint_hash: str | None
    sealed: str | None
    key_id: str
    language: str
    created_at: datetime = Field(sa_type=Moment)
    looked_at: datetime = Field(sa_type=Moment)
    failing_since: datetime | None = Field(sa_type=Moment)
    failed_at: datetime | None = Field(sa_type=Moment)
    ended_at: datetime | None = Field(sa_type=Moment)
    ended_because: str | None


class Reminder(SQLModel, table=True):
    """The one reminder of a check-in that a plan asks for. `item` names that whatever becomes of its day: the session
    and how many days after it, or the same of enrolment. `taken_at`: since when the reminder is with a push service, or
    on its way there; it is not sent again, whatever becomes of it. It is null again where the push service has not
    taken it. `next_at`: not before then."""

    __tablename__ = "reminders"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index("ix_reminders_again", "clinic_id", "next_at", postgresql_where=_AGAIN, sqlite_where=_AGAIN),
        rights("*", deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    item: str = Field(primary_key=True)
    due_on: date
    tries: int
    taken_at: datetime | None = Field(sa_type=Moment)
    next_at: datetime | None = Field(sa_type=Moment)
    sent_at: datetime | None = Field(sa_type=Moment)


def decoded(text: str) -> bytes:
    """The bytes of base64url, with or without padding. ValueError for other text."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("no base64url") from None


def _point(text: str) -> str:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(text))
    except ValueError:
        raise PydanticCustomError("rule", "must be a public key of P-256 as base64url") from None
    return text


def _secret(text: str) -> str:
    try:
        is_whole = len(decoded(text)) == _SECRET_BYTES
    except ValueError:
        is_whole = False
    if not is_whole:
        raise PydanticCustomError("rule", "must be 16 bytes as base64url")
    return text


class SubscriptionIn(RequestBody):
    """Where a browser is reached, as its `PushSubscription` says (Push API), and what messages to it are encrypted with
    (RFC 8291): its public key (`p256dh`), and a secret of its own (`auth`)."""

    endpoint: Annotated[Text, BodyField(max_length=2_000)]
    public_key: Annotated[Text, BodyField(max_length=200), AfterValidator(_point)]
    secret: Annotated[Text, BodyField(max_length=100), AfterValidator(_secret)]
