"""Use cases of access: adding clinics, people and clients; tokens; enrolment of patients' devices."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from app.access import store
from app.access.models import Client, Clinic, Device, Enrolment, RefreshToken, User
from app.access.policies import ROLE_SCOPES, SCOPES
from app.audit import service as audit
from app.audit.service import Act
from app.errors import Fault, Invalid, InvalidToken, NotFound
from app.storage import new_id

ACCESS_TOKEN_SECONDS = 900
_REFRESH = {"user": timedelta(days=14), "device": timedelta(days=400)}
_SUPERSEDED_FOR = timedelta(days=7)
_ENROLMENT = timedelta(hours=72)
_ALGORITHM = "HS256"
_ISSUER = "holdfast"
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


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token, and a refresh token where the caller gets one."""

    access_token: str
    refresh_token: str | None
    scope: str
    patient_id: UUID | None = None


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


def open_session(db: Session, key: str, user: User, now: datetime) -> Tokens:
    """Tokens for a person who has proved who they are."""
    return _issue(db, key, "user", user.id, user.clinic_id, now)


def client_token(key: str, client: Client, scope: str | None, now: datetime) -> Tokens | None:
    """An access token for a client, for `scope` or all its scopes; None when it may not have that scope."""
    wanted = scope.split() if scope else client.scope.split()
    if not wanted or not set(wanted) <= set(client.scope.split()):
        return None
    words = " ".join(wanted)
    return Tokens(_access_token(key, "client", client.id, client.clinic_id, words, now), None, words)


def refresh(db: Session, key: str, clinic_id: UUID, token: str, now: datetime) -> Tokens | None:
    """New tokens for a refresh token, or None. The old token goes on working until its successor has been used (a lost
    answer must not lock a phone out), 7 days at most; a use after that revokes the whole family."""
    family = store.relatives(db, clinic_id, digest(token))
    mine = next((t for t in family if t.token_hash == digest(token)), None)
    if mine is None or mine.revoked_at is not None or mine.expires_at <= now:
        return None
    successor_used = any(t.parent_id == mine.id and t.used_at is not None for t in family)
    sibling_used = any(
        t.parent_id == mine.parent_id and t.parent_id is not None and t.id != mine.id and t.used_at is not None
        for t in family
    )
    outlived = mine.used_at is not None and now - mine.used_at > _SUPERSEDED_FOR
    if successor_used or outlived:
        store.revoke_family(db, clinic_id, mine.family_id, now)
        return None
    if sibling_used:  # two refreshes at once: one of the two new tokens is in use, the other is no use any more
        return None
    caller = store.caller(db, clinic_id, mine.caller_kind, mine.caller_id)
    if caller is None or caller.disabled_at is not None:
        return None
    mine.used_at = mine.used_at or now
    db.add(mine)
    return _issue(db, key, mine.caller_kind, mine.caller_id, clinic_id, now, mine)


def revoke(db: Session, clinic_id: UUID, token: str, now: datetime) -> None:
    """Revokes a refresh token with its family. An unknown token is no error (RFC 7009)."""
    for held in store.relatives(db, clinic_id, digest(token))[:1]:
        store.revoke_family(db, clinic_id, held.family_id, now)


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
    return _issue(db, key, "device", device.id, device.clinic_id, now)


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says, once its signature and times are found right."""

    kind: str
    id: UUID
    clinic_id: UUID
    scope: str
    expires_at: int


def read_token(key: str, token: str) -> Claims:
    """The claims of an access token. Raises InvalidToken for anything not signed by us, for us and current."""
    try:
        found = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_ISSUER,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return Claims(found["kind"], UUID(found["sub"]), UUID(found["clinic"]), found["scope"], found["exp"])
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise InvalidToken from None


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


def _issue(
    db: Session,
    key: str,
    kind: str,
    caller_id: UUID,
    clinic_id: UUID,
    now: datetime,
    parent: RefreshToken | None = None,
) -> Tokens:
    token = secrets.token_urlsafe(32)
    held = store.caller(db, clinic_id, kind, caller_id)
    role = held.role if isinstance(held, User) else "patient"
    scope = " ".join(word for word in SCOPES if word in ROLE_SCOPES[role])
    identifier = new_id()
    db.add(
        RefreshToken(
            clinic_id=clinic_id,
            id=identifier,
            family_id=parent.family_id if parent else identifier,
            parent_id=parent.id if parent else None,
            token_hash=digest(token),
            caller_kind=kind,
            caller_id=caller_id,
            expires_at=now + _REFRESH[kind],
            used_at=None,
            revoked_at=None,
        )
    )
    access = _access_token(key, kind, caller_id, clinic_id, scope, now)
    return Tokens(access, token, scope, held.patient_id if isinstance(held, Device) else None)


def _access_token(key: str, kind: str, caller_id: UUID, clinic_id: UUID, scope: str, now: datetime) -> str:
    claims = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": str(caller_id),
        "kind": kind,
        "clinic": str(clinic_id),
        "scope": scope,
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + ACCESS_TOKEN_SECONDS,
    }
    return jwt.encode(claims, key, _ALGORITHM)


def digest(secret: str) -> str:
    """How a random secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()
