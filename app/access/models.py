"""Clinics and their callers, the tokens that callers hold, and the bodies that several rooms share."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field as BodyField
from sqlalchemy import ForeignKeyConstraint, Index, LargeBinary, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.api.fields import ResponseBody, Text
from app.storage import Moment, Uid, document, key, rights


class Clinic(SQLModel, table=True):
    """A clinic, which is the tenant. Its IANA time zone decides what a day is. `patient_view` is what patients see of
    their own outcomes. `second_factor` says whether people must have one. `smallest_group` is the smallest group of
    patients that is shown to callers who may not see patients."""

    __tablename__ = "clinics"
    __table_args__ = rights(
        "name, time_zone, crisis_contacts, alert_recipients, patient_view, second_factor, smallest_group, version"
    )

    id: UUID = key()
    name: str
    time_zone: str
    synthetic: bool
    crisis_contacts: list[dict[str, str]] = Field(sa_type=document())
    created_at: datetime = Field(sa_type=Moment)
    version: int = 1
    alert_recipients: list[str] = Field(default_factory=list, sa_type=document())
    patient_view: str = "all"
    second_factor: str = "optional"
    smallest_group: int = 11


class User(SQLModel, table=True):
    """A person with a login: `admin` or `clinician`. One e-mail is one login in one clinic, and another in another.
    Until there is a
    password hash, nobody can log in. `otp_secret` and `otp_pending` are encrypted under the secret that `key_id` names;
    the second is not confirmed yet. `otp_last_step` is the time step of the last code that was accepted, so that none
    is accepted twice. Access tokens issued before `signed_out_at` are refused."""

    __tablename__ = "users"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        UniqueConstraint("clinic_id", "email"),
        Index(None, "email"),
        rights(
            "role, password_hash, disabled_at, signed_out_at, version, otp_secret, otp_pending, otp_confirmed_at, "
            "otp_last_step, recovery_hashes, key_id",
            is_open=True,
        ),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    email: str
    role: str
    password_hash: str | None
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)
    version: int = 1
    signed_out_at: datetime | None = Field(default=None, sa_type=Moment)
    otp_secret: str | None = None
    otp_pending: str | None = None
    key_id: str | None = None
    otp_confirmed_at: datetime | None = Field(default=None, sa_type=Moment)
    otp_last_step: int | None = None
    recovery_hashes: list[str] = Field(default_factory=list, sa_type=document())


class CareTeamMember(SQLModel, table=True):
    """A person on the care team of a patient."""

    __tablename__ = "care_team_members"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
        Index(None, "clinic_id", "user_id", "patient_id"),
        rights(deletes=True),
    )

    clinic_id: UUID = key()
    patient_id: UUID = key()
    user_id: UUID = key()


class PasswordCode(SQLModel, table=True):
    """A single-use code with which a person sets a password. Only its hash is stored."""

    __tablename__ = "password_codes"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "user_id"], ["users.clinic_id", "users.id"]),
        UniqueConstraint("code_hash"),
        Index(None, "clinic_id", "expires_at"),
        rights("used_at", deletes=True, is_open=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    user_id: UUID = Field(sa_type=Uid)
    code_hash: str
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(sa_type=Moment)


class Client(SQLModel, table=True):
    """An integration with its scopes. After a rotation the previous secrets work until they expire. Each entry of
    `previous_secrets` is a hash and its expiry in seconds since 1970."""

    __tablename__ = "clients"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        UniqueConstraint("id"),
        rights("name, scope, secret_hash, previous_secrets, disabled_at, version", is_open=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    name: str
    scope: str
    secret_hash: str
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)
    version: int = 1
    previous_secrets: list[tuple[str, float]] = Field(default_factory=list, sa_type=document())


class Device(SQLModel, table=True):
    """A patient's own device. `sealed_name` is what the patient calls it, encrypted under the patient's own key.
    `former_patient_ids`: the records that were merged into this patient's since the device was enrolled; it may still
    post to their addresses."""

    __tablename__ = "devices"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        Index(None, "clinic_id", "patient_id"),
        rights("sealed_name, disabled_at, patient_id, former_patient_ids"),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    sealed_name: bytes | None = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=Moment)
    disabled_at: datetime | None = Field(sa_type=Moment)
    former_patient_ids: list[str] = Field(default_factory=list, sa_type=document())


class Enrolment(SQLModel, table=True):
    """A single-use code with which a device is enrolled as a patient's own. Only its hash is stored."""

    __tablename__ = "enrolments"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "patient_id"], ["patients.clinic_id", "patients.id"]),
        UniqueConstraint("code_hash"),
        rights("redeemed_at, expires_at", deletes=True, is_open=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    patient_id: UUID = Field(sa_type=Uid)
    code_hash: str
    expires_at: datetime = Field(sa_type=Moment)
    redeemed_at: datetime | None = Field(sa_type=Moment)


class RefreshToken(SQLModel, table=True):
    """A refresh token, stored as a hash. `parent_id` is the token that it replaced. All tokens of one session share
    `family_id`. `has_factor` says that the person showed a second factor when the session began. `ends_at`: of a
    session in a browser, after which it cannot be renewed; such a session also ends when it rests for an hour."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        UniqueConstraint("token_hash"),
        Index(None, "clinic_id", "family_id"),
        Index(None, "clinic_id", "parent_id"),
        Index(None, "clinic_id", "expires_at"),
        rights("used_at, revoked_at", deletes=True, is_open=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    family_id: UUID = Field(sa_type=Uid)
    parent_id: UUID | None = Field(sa_type=Uid)
    token_hash: str
    caller_kind: str
    caller_id: UUID = Field(sa_type=Uid)
    expires_at: datetime = Field(sa_type=Moment)
    used_at: datetime | None = Field(sa_type=Moment)
    revoked_at: datetime | None = Field(sa_type=Moment)
    has_factor: bool = False
    ends_at: datetime | None = Field(default=None, sa_type=Moment)


class Throttle(SQLModel, table=True):
    """A count of attempts to log in or to prove something, under a keyed hash of the account or address. Neither the
    name nor the address is stored."""

    __tablename__ = "throttles"
    __table_args__ = (Index(None, "started_at"), rights("*", deletes=True, is_open=True))

    key: str = Field(primary_key=True)
    started_at: datetime = Field(sa_type=Moment)
    count: int


SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1_000
Password = Annotated[Text, BodyField(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class CrisisContact(ResponseBody):
    """Whom to call now, in the clinic's own words."""

    label: str
    contact: str


class TokenOut(ResponseBody):
    """A token answer (RFC 6749, 5.1). `expires_in` is in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    refresh_token: str | None = None
    scope: str
