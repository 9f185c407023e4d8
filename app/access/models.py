"""Clinics and their callers, and the tokens callers hold."""

from datetime import datetime
from uuid import UUID

from pydantic import Field as WireField
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, Uuid
from sqlmodel import Field, SQLModel

from app.api.fields import Answer, Id, MomentOut, Name, Wire, grows, with_examples
from app.storage import Moment, document, key


class CrisisContact(Answer):
    """Whom to call now, in the clinic's own words."""

    label: str
    contact: str


class Clinic(SQLModel, table=True):
    """The tenant. Its IANA zone decides what a day is."""

    __tablename__ = "clinics"

    id: UUID = key()
    name: str
    time_zone: str
    synthetic: bool
    crisis_contacts: list[dict[str, str]] = Field(sa_type=document())
    created_at: datetime = Field(sa_type=Moment)


class User(SQLModel, table=True):
    """A person with a login: `admin` or `clinician`. One e-mail is one login in one clinic."""

    __tablename__ = "users"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), UniqueConstraint("email"))

    clinic_id: UUID = key()
    id: UUID = key()
    email: str
    role: str
    password_hash: str
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)


class Client(SQLModel, table=True):
    """An integration with its scopes."""

    __tablename__ = "clients"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), UniqueConstraint("id"))

    clinic_id: UUID = key()
    id: UUID = key()
    name: str
    scope: str
    secret_hash: str
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)


class Device(SQLModel, table=True):
    """A patient's own device."""

    __tablename__ = "devices"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "patient_id"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    name: str
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)


class Enrolment(SQLModel, table=True):
    """A single-use code that makes a device a patient's own. Only its hash is stored."""

    __tablename__ = "enrolments"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("code_hash"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uuid)
    code_hash: str
    expires_at: datetime = Field(sa_type=Moment)
    redeemed_at: datetime | None = Field(sa_type=Moment)


class RefreshToken(SQLModel, table=True):
    """A refresh token by its hash. `parent_id` is the token it succeeded; a family shares `family_id`."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        UniqueConstraint("token_hash"),
        Index(None, "clinic_id", "family_id"),
        Index(None, "clinic_id", "parent_id"),
        Index(None, "clinic_id", "expires_at"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    family_id: UUID = Field(sa_type=Uuid)
    parent_id: UUID | None = Field(sa_type=Uuid)
    token_hash: str
    caller_kind: str
    caller_id: UUID = Field(sa_type=Uuid)
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(sa_type=Moment)
    revoked_at: datetime | None = Field(sa_type=Moment)


# Read before a clinic is known; none holds patient data. Everything else is under row-level security.
OPEN_TABLES = frozenset({"users", "clients", "enrolments", "refresh_tokens"})


class TokenOut(Answer):
    """A token answer (RFC 6749, 5.1). `expires_in` is in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str | None = None
    scope: str


class DeviceTokenOut(TokenOut):
    """What a device gets for its enrolment code."""

    patient_id: Id


class RedeemIn(Wire):
    """An enrolment code and what to call the device."""

    model_config = with_examples({"code": "the code of the link", "device_name": "phone"})

    code: Name
    device_name: Name


class EnrolmentOut(Answer):
    """A code for a patient's device, shown once; the link carries it in its fragment, which no server sees."""

    code: str
    expires_at: MomentOut
    link: str


class ClinicOut(Answer):
    """The caller's clinic. `notice` says that answers are not watched in real time."""

    id: Id
    name: str
    time_zone: str
    synthetic: bool
    notice: str
    crisis_contacts: list[CrisisContact]


class MeOut(Answer):
    """Who is calling."""

    kind: str = grows("user", "client", "device")
    id: Id
    role: str = grows("admin", "clinician", "integration", "patient")
    scopes: list[str]
    patient_id: Id | None = WireField(default=None)
    clinic: ClinicOut
