"""Signed access tokens, and refresh tokens that are replaced at each use."""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt

from app.access import store
from app.access.models import Client, Device, RefreshToken, TokenOut, User
from app.access.policies import ROLE_SCOPES, SCOPES, why_scopes_clash
from app.errors import InvalidToken
from app.storage import Keyring, Transaction, key_for, new_id

ACCESS_TOKEN_SECONDS = 900
_REFRESH = {"user": timedelta(days=14), "device": timedelta(days=400)}
_SUPERSEDED_FOR = timedelta(days=7)
# Of a person's session in a browser, whose machine others may come to: NIST SP 800-63B-4, 2.2.3 (AAL2: an hour at rest,
# a day in all); half a day is a shift.
BROWSER_RESTS, BROWSER_LASTS = timedelta(hours=1), timedelta(hours=12)
_ALGORITHM = "HS256"
_ISSUER = "holdfast"
_PURPOSE = "access tokens"
_CLOCKS_DIFFER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token, and a refresh token if this kind of caller gets one."""

    access_token: str
    refresh_token: str | None
    scope: str
    patient_id: UUID | None = None


def sign_in(
    db: Transaction, user: User, now: datetime, *, has_factor: bool = False, in_browser: bool = False
) -> Tokens:
    """Tokens for a person who has logged in; `has_factor` says whether with a second factor. A session in a browser
    ends when it rests for an hour, and after 12 hours."""
    ends_at = now + BROWSER_LASTS if in_browser else None
    return issue(db, "user", user.id, user.clinic_id, now, has_factor=has_factor, ends_at=ends_at)


def client_token(ring: Keyring, client: Client, scope: str | None, now: datetime) -> Tokens | None:
    """An access token for a client with `scope` or, if empty, all its scopes. None if it may not have that."""
    wanted = scope.split() if scope else client.scope.split()
    if not wanted or not set(wanted) <= set(client.scope.split()):
        return None
    if "cohorts:read" in wanted and why_scopes_clash(client.scope.split()) is not None:  # held since before the rule
        return None
    words = " ".join(wanted)
    return Tokens(_access_token(ring.keys(_PURPOSE)[0], "client", client.id, client.clinic_id, words, now), None, words)


def refresh(db: Transaction, clinic_id: UUID, token: str, now: datetime) -> Tokens | None:
    """New tokens for a refresh token, or None. The old token keeps working until its successor has been used, so that a
    lost response does not lock a phone out, but for 7 days at most. Using it after that revokes the whole family."""
    held = store.refresh_token(db, clinic_id, digest(token))
    if held is None:
        return None
    # The caller's row is locked first. A transaction that ends their sessions then waits for this one, or has already
    # ended them.
    caller = store.caller(db, clinic_id, held.caller_kind, held.caller_id, locked=True)
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
    if sibling_used:  # two concurrent refreshes: one new token is in use, the other is refused
        return None
    if caller is None or caller.disabled_at is not None:
        return None
    mine.used_at = mine.used_at or now
    db.add(mine)
    return issue(
        db, mine.caller_kind, mine.caller_id, clinic_id, now, mine, has_factor=mine.has_factor, ends_at=mine.ends_at
    )


def revoke(db: Transaction, clinic_id: UUID, token: str, now: datetime) -> UUID | None:
    """Revokes a refresh token and its family. Returns the id of whom it was given to; an unknown token is not an error
    (RFC 7009)."""
    held = store.refresh_token(db, clinic_id, digest(token))
    if held is not None:
        store.caller(db, clinic_id, held.caller_kind, held.caller_id, locked=True)  # a concurrent refresh waits
        store.revoke_family(db, clinic_id, held.family_id, now)
    return None if held is None else held.caller_id


def token_out(granted: Tokens) -> TokenOut:
    """The token response (RFC 6749, 5.1); a refresh token is in it only where there is one."""
    value = TokenOut(
        access_token=granted.access_token, token_type="bearer", expires_in=ACCESS_TOKEN_SECONDS, scope=granted.scope
    )
    if granted.refresh_token is not None:
        value.refresh_token = granted.refresh_token
    return value


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of an access token whose signature and times are valid."""

    kind: str
    id: UUID
    clinic_id: UUID
    scope: str
    expires_at: int
    issued_at: float = float("inf")
    has_factor: bool = False


def read_token(ring: Keyring, token: str) -> Claims:
    """The claims of an access token. Raises InvalidToken unless the token is signed by us, meant for us and current.
    The clocks of processes may differ by 30 seconds."""
    first, *others = ring.keys(_PURPOSE)
    try:
        return _claims(first, token)
    except jwt.InvalidSignatureError:
        for key in others:
            with suppress(jwt.InvalidSignatureError):
                return _claims(key, token)
        raise InvalidToken from None


def _claims(key: bytes, token: str) -> Claims:
    """Raises jwt.InvalidSignatureError for what another key signed, InvalidToken for everything else that is wrong."""
    try:
        found = jwt.decode(
            token,
            key.hex(),
            leeway=_CLOCKS_DIFFER_SECONDS,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_ISSUER,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
        return Claims(
            found["kind"],
            UUID(found["sub"]),
            UUID(found["clinic"]),
            found["scope"],
            found["exp"],
            found["iat"],
            found.get("factor") is True,
        )
    except jwt.InvalidSignatureError:
        raise
    except (jwt.InvalidTokenError, KeyError, ValueError, TypeError):
        raise InvalidToken from None


def issue(
    db: Transaction,
    kind: str,
    caller_id: UUID,
    clinic_id: UUID,
    now: datetime,
    parent: RefreshToken | None = None,
    *,
    has_factor: bool = False,
    ends_at: datetime | None = None,
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
            expires_at=now + _REFRESH[kind] if ends_at is None else min(now + BROWSER_RESTS, ends_at),
            used_at=None,
            revoked_at=None,
            has_factor=has_factor,
            ends_at=ends_at,
        )
    )
    access = _access_token(key_for(db, _PURPOSE), kind, caller_id, clinic_id, scope, now, has_factor=has_factor)
    return Tokens(access, token, scope, held.patient_id if isinstance(held, Device) else None)


def _access_token(
    key: bytes, kind: str, caller_id: UUID, clinic_id: UUID, scope: str, now: datetime, *, has_factor: bool = False
) -> str:
    claims = {
        "iss": _ISSUER,
        "aud": _ISSUER,
        "sub": str(caller_id),
        "kind": kind,
        "clinic": str(clinic_id),
        "scope": scope,
        "factor": has_factor,
        "iat": now.timestamp(),  # to the microsecond, to compare with the end of sessions
        "exp": int(now.timestamp()) + ACCESS_TOKEN_SECONDS,
    }
    return jwt.encode(claims, key.hex(), _ALGORITHM)


def digest(secret: str) -> str:
    """The hash under which a random secret is stored and looked up."""
    return hashlib.sha256(secret.encode()).hexdigest()
