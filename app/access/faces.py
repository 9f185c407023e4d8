"""What access takes and gives."""

import re
from typing import Annotated, Literal

from pydantic import MISSING, AfterValidator
from pydantic import Field as WireField
from pydantic_core import PydanticCustomError

from app.access.policies import SCOPES
from app.api.fields import Answer, Flag, Id, MomentOut, Name, Text, Whole, Wire, grows, with_examples

Role = Literal["admin", "clinician"]
SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1_000
Password = Annotated[Text, WireField(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
_LONGEST_ADDRESS = 254
OneTimeCode = Annotated[Text, WireField(min_length=6, max_length=40)]


# Source: the e-mail input of the HTML standard, with at least one dot in the domain.
_EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)+"
)


def is_address(value: str) -> bool:
    """Whether a text is an e-mail address that mail can go to."""
    return len(value) <= _LONGEST_ADDRESS and _EMAIL.fullmatch(value) is not None


def _address(value: str) -> str:
    if not is_address(value.strip()):
        raise PydanticCustomError("rule", "must be an e-mail address")
    return value.strip().lower()


def _known_scopes(value: str) -> str:
    words = value.split()
    if not words or any(word not in SCOPES for word in words):
        raise PydanticCustomError("rule", "must be scopes, separated by spaces, from: " + " ".join(SCOPES))
    return " ".join(dict.fromkeys(words))


Email = Annotated[Text, WireField(max_length=_LONGEST_ADDRESS), AfterValidator(_address)]
Scope = Annotated[Text, WireField(max_length=1_000), AfterValidator(_known_scopes)]


class CrisisContact(Answer):
    """Whom to call now, in the clinic's own words."""

    label: str
    contact: str


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


class MyClinicOut(Answer):
    """The caller's clinic. `notice` says that answers are not watched in real time."""

    id: Id
    name: str
    time_zone: str
    synthetic: bool
    notice: str
    crisis_contacts: list[CrisisContact]


class MeOut(Answer):
    """Who is calling. `second_factor` is `on`, `off`, or `required`: then nothing else is permitted until it is set
    up."""

    kind: str = grows("user", "client", "device")
    id: Id
    role: str = grows("admin", "clinician", "integration", "patient")
    scopes: list[str]
    patient_id: Id | None = WireField(default=None)
    second_factor: str | None = WireField(default=None, json_schema_extra={"x-known-values": ["off", "on", "required"]})
    clinic: MyClinicOut


class UserIn(Wire):
    """A new person. They set their own password with the code that comes back."""

    model_config = with_examples({"email": "ana@example.org", "role": "clinician"})

    email: Email
    role: Role


class UserPatch(Wire):
    """What is absent stays. A disabled person is refused everywhere within 30 seconds."""

    model_config = with_examples({"role": "admin"})

    role: Role | MISSING = MISSING
    disabled: Flag | MISSING = MISSING


class UserOut(Answer):
    """A person with a login. `has_password` is false until they have set one."""

    id: Id
    email: str
    role: str = grows("admin", "clinician")
    disabled: bool
    has_password: bool
    second_factor: bool
    created_at: MomentOut
    version: int


class UserList(Answer):
    """A page of people, newest first."""

    items: list[UserOut]
    next_cursor: str | None


class PasswordCodeOut(Answer):
    """A single-use code with which to set a password at `POST /oauth/password`, shown once."""

    code: str
    expires_at: MomentOut


class UserCreated(UserOut):
    """A new person, and the code with which they set their password."""

    password_code: PasswordCodeOut


class PasswordIn(Wire):
    """A code, and the password it sets: 8 to 1,000 characters."""

    model_config = with_examples({"code": "the code that came", "password": "a long sentence of your own"})

    code: Name
    password: Password


class PasswordChange(Wire):
    """The password as it is, and as it is to be: 8 to 1,000 characters."""

    model_config = with_examples({"current_password": "the one until now", "password": "a long sentence of your own"})

    current_password: Password
    password: Password


class SecondFactorStart(Wire):
    """The password once more; where a second factor is on, also a code of it (or a recovery code)."""

    model_config = with_examples({"password": "your password"})

    password: Password
    otp: OneTimeCode | None = None


class SecondFactorOut(Answer):
    """A secret for an authenticator (RFC 6238: SHA-1, 6 digits, 30 seconds), as such and as an `otpauth` address.
    Shown once; it counts when confirmed with a code."""

    secret: str
    uri: str


class SecondFactorConfirm(Wire):
    """A code of the authenticator."""

    model_config = with_examples({"otp": "123456"})

    otp: OneTimeCode


class SecondFactorConfirmed(TokenOut):
    """Recovery codes, each of which works once in place of a code (older ones no longer work), and the tokens of a
    session that has shown the factor: use them from now on. Shown once."""

    recovery_codes: list[str]


class ClientIn(Wire):
    """A new integration and its scopes, separated by spaces."""

    model_config = with_examples({"name": "EHR", "scope": "patients:read outcomes:read"})

    name: Name
    scope: Scope


class ClientPatch(Wire):
    """What is absent stays. Scopes that are taken away end within 30 seconds."""

    model_config = with_examples({"scope": "patients:read"})

    name: Name | MISSING = MISSING
    scope: Scope | MISSING = MISSING
    disabled: Flag | MISSING = MISSING


class ClientOut(Answer):
    """An integration. While a secret rotates, the one before works until `previous_secret_expires_at`."""

    id: Id
    name: str
    scope: str
    disabled: bool
    previous_secret_expires_at: MomentOut | None
    created_at: MomentOut
    version: int


class ClientList(Answer):
    """A page of integrations, newest first."""

    items: list[ClientOut]
    next_cursor: str | None


class ClientCreated(ClientOut):
    """A new integration with its secret, shown once."""

    client_secret: str


class SecretRotation(Wire):
    """For how many hours the secret before goes on working: 0 (none before works any more) to 720."""

    model_config = with_examples({"overlap_hours": 24})

    overlap_hours: Annotated[Whole, WireField(ge=0, le=720)] = 24


class DeviceOut(Answer):
    """A patient's own device."""

    id: Id
    name: str
    created_at: MomentOut
    disabled_at: MomentOut | None


class DeviceList(Answer):
    """A patient's devices, newest first: all of them."""

    items: list[DeviceOut]
    next_cursor: str | None
