"""What the people room takes and gives. The table of people is in `access`."""

from typing import Annotated, Literal

from pydantic import MISSING
from pydantic import Field as BodyField

from app.access.models import CrisisContact, Password, TokenOut
from app.api.fields import Email, Flag, Id, MomentOut, RequestBody, ResponseBody, Text, grows, with_examples

Role = Literal["admin", "clinician"]
OneTimeCode = Annotated[Text, BodyField(min_length=6, max_length=40)]


class MyClinicOut(ResponseBody):
    """The caller's clinic. `notice` says that answers are not watched in real time."""

    id: Id
    name: str
    time_zone: str
    synthetic: bool
    notice: str
    crisis_contacts: list[CrisisContact]


class MeOut(ResponseBody):
    """Who is calling. `second_factor` is `on`, `off`, or `required`: then nothing else is permitted until it is set
    up."""

    kind: str = grows("user", "client", "device")
    id: Id
    role: str = grows("admin", "clinician", "integration", "patient")
    scopes: list[str]
    patient_id: Id | None = BodyField(default=None)
    second_factor: str | None = BodyField(default=None, json_schema_extra={"x-known-values": ["off", "on", "required"]})
    clinic: MyClinicOut


class UserIn(RequestBody):
    """A new person. They set their own password with the code that comes back."""

    model_config = with_examples({"email": "ana@example.org", "role": "clinician"})

    email: Email
    role: Role


class UserPatch(RequestBody):
    """What is absent stays. A disabled person is refused everywhere within 30 seconds."""

    model_config = with_examples({"role": "admin"})

    role: Role | MISSING = MISSING
    disabled: Flag | MISSING = MISSING


class UserOut(ResponseBody):
    """A person with a login. `has_password` is false until they have set one."""

    id: Id
    email: str
    role: str = grows("admin", "clinician")
    disabled: bool
    has_password: bool
    second_factor: bool
    created_at: MomentOut
    version: int


class UserList(ResponseBody):
    """A page of people, newest first."""

    items: list[UserOut]
    next_cursor: str | None


class PasswordCodeOut(ResponseBody):
    """A single-use code with which to set a password at `POST /oauth/password`, shown once."""

    code: str
    expires_at: MomentOut


class UserCreated(UserOut):
    """A new person, and the code with which they set their password."""

    password_code: PasswordCodeOut


class PasswordChange(RequestBody):
    """The password as it is, and as it is to be: 8 to 1,000 characters."""

    model_config = with_examples({"current_password": "the one until now", "password": "a long sentence of your own"})

    current_password: Password
    password: Password


class SecondFactorStart(RequestBody):
    """The password once more; where a second factor is on, also a code of it (or a recovery code)."""

    model_config = with_examples({"password": "your password"})

    password: Password
    otp: OneTimeCode | None = None


class SecondFactorOut(ResponseBody):
    """A secret for an authenticator (RFC 6238: SHA-1, 6 digits, 30 seconds), as such and as an `otpauth` address.
    Shown once; it counts when confirmed with a code."""

    secret: str
    uri: str


class SecondFactorConfirm(RequestBody):
    """A code of the authenticator."""

    model_config = with_examples({"otp": "123456"})

    otp: OneTimeCode


class SecondFactorConfirmed(TokenOut):
    """Recovery codes, each of which works once in place of a code (older ones no longer work), and the tokens of a
    session that has shown the factor: use them from now on. Shown once."""

    recovery_codes: list[str]
