"""Use cases of access: adding clinics, people and clients; tokens; enrolment of patients' devices."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.access import store
from app.access.models import Client, Clinic, Device, Enrolment, User
from app.access.policies import ROLE_SCOPES, SCOPES
from app.access.tokens import Claims, Tokens, digest, issue
from app.audit import service as audit
from app.audit.service import Act
from app.errors import Fault, Invalid, InvalidToken, NotFound
from app.storage import new_id

_ENROLMENT = timedelta(hours=72)
_SHORTEST_PASSWORD = 8

_hasher = PasswordHasher()
# Verified against when there is no such login, so that the answer takes as long.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))

NOTICE = "Answers are not watched in real time. If you or someone else is in danger, use the contacts given here now."
DEFAULT_CONTACTS = [{"label": "Emergency", "contact": "your local emergency number"}]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling. `patient_id` is set for a patient's device alone."""

    kind: str
    id: UUID
    clinic_id: UUID
    role: str
    scopes: frozenset[str]
    patient_id: UUID | None
    time_zone: ZoneInfo
    clinic: Clinic

    @property
    def name(self) -> str:
        """What the caller is called in keys and cursors."""
        return f"{self.kind}:{self.id}"


def add_clinic(
    db: Session,
    clinic_id: UUID,
    name: str,
    time_zone: str,
    contacts: list[dict[str, str]],
    now: datetime,
    *,
    synthetic: bool = False,
) -> None:
    """A new clinic. Raises Invalid for an unknown IANA zone."""
    if time_zone not in available_timezones():
        raise Invalid(errors=[Fault("parameter", "time_zone", "must be an IANA time zone")])
    db.add(
        Clinic(
            id=clinic_id,
            name=name,
            time_zone=time_zone,
            synthetic=synthetic,
            crisis_contacts=contacts or DEFAULT_CONTACTS,
            created_at=now,
        )
    )
    db.flush()


def add_user(db: Session, clinic_id: UUID, email: str, role: str, password: str, now: datetime) -> UUID:
    """A person's login. Raises Invalid for a role, an e-mail or a password that will not do, or an e-mail in use."""
    if role not in ("admin", "clinician"):
        raise Invalid(errors=[Fault("parameter", "role", "must be admin or clinician")])
    if "@" not in email or len(email) > 254:
        raise Invalid(errors=[Fault("parameter", "email", "must be an e-mail address")])
    if len(password) < _SHORTEST_PASSWORD:
        rule = f"must have at least {_SHORTEST_PASSWORD} characters"
        raise Invalid(errors=[Fault("parameter", "password", rule)])
    if store.clinic(db, clinic_id) is None:
        raise NotFound("there is no such clinic")
    user_id = new_id()
    db.add(
        User(
            clinic_id=clinic_id,
            id=user_id,
            email=email.strip().lower(),
            role=role,
            password_hash=_hasher.hash(password),
            created_at=now,
            disabled_at=None,
        )
    )
    try:
        db.flush()
    except IntegrityError:
        raise Invalid(errors=[Fault("parameter", "email", "is in use")]) from None
    return user_id


def add_client(db: Session, clinic_id: UUID, name: str, scope: str, now: datetime) -> tuple[UUID, str]:
    """An integration and its secret, which is shown once. Raises Invalid for an unknown scope."""
    unknown = [word for word in scope.split() if word not in SCOPES]
    if unknown or not scope.split():
        raise Invalid(errors=[Fault("parameter", "scope", "must be scopes from: " + " ".join(SCOPES))])
    if store.clinic(db, clinic_id) is None:
        raise NotFound("there is no such clinic")
    client_id, secret = new_id(), secrets.token_urlsafe(32)
    db.add(
        Client(
            clinic_id=clinic_id,
            id=client_id,
            name=name,
            scope=" ".join(dict.fromkeys(scope.split())),
            secret_hash=digest(secret),
            created_at=now,
            disabled_at=None,
        )
    )
    return client_id, secret


def password_fits(user: User | None, password: str) -> bool:
    """Whether the password is the user's. Takes as long for a login that does not exist. Slow by design: call it off
    the event loop."""
    try:
        _hasher.verify(user.password_hash if user else _NOBODY, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return user is not None and user.disabled_at is None


def secret_fits(client: Client | None, secret: str) -> bool:
    """Whether the secret is the client's. Client secrets are random, so a plain digest is enough."""
    stored = client.secret_hash if client else digest("")
    same = secrets.compare_digest(stored, digest(secret))
    return same and client is not None and client.disabled_at is None


def open_enrolment(db: Session, clinic_id: UUID, patient_id: UUID, now: datetime) -> tuple[str, datetime]:
    """A single-use code for a patient's device, and when it expires."""
    code, expires_at = secrets.token_urlsafe(16), now + _ENROLMENT
    db.add(
        Enrolment(
            clinic_id=clinic_id,
            id=new_id(),
            patient_id=patient_id,
            code_hash=digest(code),
            expires_at=expires_at,
            redeemed_at=None,
        )
    )
    return code, expires_at


def redeem(db: Session, key: str, code: str, device_name: str, request_id: str, now: datetime) -> Tokens:
    """Tokens for the device that brings the code. Raises InvalidToken for a code that is unknown, used or expired."""
    enrolment = store.enrolment_by_hash(db, digest(code))
    if enrolment is None or enrolment.redeemed_at is not None or enrolment.expires_at <= now:
        raise InvalidToken("the code is unknown, used or expired")
    enrolment.redeemed_at = now
    device = Device(
        clinic_id=enrolment.clinic_id,
        id=new_id(),
        patient_id=enrolment.patient_id,
        name=device_name,
        created_at=now,
        disabled_at=None,
    )
    db.add(enrolment)
    db.add(device)
    db.flush()
    act = Act(device.clinic_id, "device", device.id, "redeem_enrolment", request_id, now)
    audit.record(db, act, [device.patient_id])
    return issue(db, key, "device", device.id, device.clinic_id, now)


def honour(db: Session, claims: Claims) -> Caller:
    """The caller a token speaks for, as they stand now. Raises InvalidToken for one who is disabled or gone."""
    clinic = store.clinic(db, claims.clinic_id)
    found = store.caller(db, claims.clinic_id, claims.kind, claims.id) if claims.kind in store.CALLERS else None
    if clinic is None or found is None or found.disabled_at is not None:
        raise InvalidToken
    role, patient_id = "integration", None
    scopes = frozenset(claims.scope.split())
    if isinstance(found, User):
        role = found.role
        scopes = ROLE_SCOPES[role]
    elif isinstance(found, Device):
        role, patient_id = "patient", found.patient_id
        scopes = ROLE_SCOPES[role]
    else:
        scopes &= frozenset(found.scope.split())
    zone = ZoneInfo(clinic.time_zone)
    return Caller(claims.kind, found.id, clinic.id, role, scopes, patient_id, zone, clinic)
