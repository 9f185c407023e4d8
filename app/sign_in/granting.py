"""Granting tokens, in each way of RFC 6749: attempts are counted before they are looked at, and recorded with their
result. Speaks no HTTP, so that a page can sign somebody in as well."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.access import attempts, store, tokens
from app.access.door import DoorParts, prove
from app.access.models import Client, User
from app.access.outside import VerifiedPerson
from app.access.tokens import Tokens
from app.audit.service import Origin
from app.clients.service import secret_fits
from app.errors import InvalidToken
from app.people import passwords
from app.people import service as people
from app.sign_in import service
from app.sign_in.service import NOT_RIGHT, Attempt, Refusal
from app.storage import NO_CLINIC, Database

_NO_TOKEN = Refusal("invalid_grant", "the refresh token is unknown, expired, used or revoked")
_NO_CLIENT = Refusal("invalid_client", "the client or its secret is not right")
_NO_SCOPE = Refusal("invalid_scope", "the client may not have that scope")

# Each costs a slow comparison.
_MOST_CLINICS, _FEWEST_COMPARED = 8, 2

Granted = Tokens | Refusal


async def by_password(parts: DoorParts, attempt: Attempt, password: str) -> Granted:
    """Tokens for a person. The password of somebody who does not exist takes as long to refuse."""
    database = parts.database
    wait = await attempts.seconds_to_wait(database, attempt.email, attempt.origin.address)
    if wait is not None:
        return Refusal("rate_limited", "too many attempts", wait)
    logins = await database.read(NO_CLINIC, lambda db: store.users_by_email(db, attempt.email))
    user, fits = await _fitting(logins, password)
    if user is None:
        return NOT_RIGHT
    is_only = len(logins) == 1
    return await prove(parts, user.clinic_id, lambda db: service.sign_in(db, user, fits, attempt, is_only=is_only))


async def _fitting(logins: Sequence[User], password: str) -> tuple[User | None, bool]:
    """The login that the password belongs to, of those that several clinics have under one e-mail: an active one where
    there is one. Without one the first, since that is where the attempt is recorded. At least two comparisons are made,
    so that their time does not tell in how many clinics somebody is."""
    tried = sorted(logins, key=lambda user: user.disabled_at is not None)[:_MOST_CLINICS]
    hashes = [user.password_hash for user in tried]
    found = [await passwords.fits(stored, password) for stored in [*hashes, *[None] * (_FEWEST_COMPARED - len(hashes))]]
    for user, fits in zip(tried, found, strict=False):
        if fits:
            return user, True
    return (tried[0] if tried else None), False


async def by_outside_issuer(parts: DoorParts, person: VerifiedPerson, origin: Origin) -> Granted:
    """Tokens of a session in a browser for a person for whom an outside issuer vouches; with a second factor where
    they showed one there."""
    logins = await parts.database.read(NO_CLINIC, lambda db: store.users_by_email(db, person.email))
    user = next((login for login in logins if login.disabled_at is None), None)
    if user is None:
        return NOT_RIGHT
    return await prove(parts, user.clinic_id, lambda db: service.outside_sign_in(db, user, person.has_factor, origin))


async def by_refresh_token(parts: DoorParts, token: str, origin: Origin) -> Granted:
    """The next tokens of a person's or a device's family."""
    database = parts.database
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    if clinic_id is None:
        return _NO_TOKEN
    return await database.write(clinic_id, lambda db: tokens.refresh(db, clinic_id, token, origin.at)) or _NO_TOKEN


async def ended(database: Database, token: str, now: datetime) -> None:
    """Ends the session of a refresh token: its whole family. An unknown one is no error (RFC 7009)."""
    clinic_id = await database.read(NO_CLINIC, lambda db: store.refresh_token_clinic(db, tokens.digest(token)))
    if clinic_id is not None:
        await database.write(clinic_id, lambda db: tokens.revoke(db, clinic_id, token, now))


async def password_set(parts: DoorParts, code: str, password: str, origin: Origin) -> None:
    """Sets a password by a code that works once. Raises InvalidToken, Invalid, RateLimited."""
    database = parts.database
    await attempts.count(database, "", origin.address)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.password_code_clinic(db, tokens.digest(code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    password_hash = await passwords.hashed(password)
    await prove(parts, clinic_id, lambda db: people.set_password(db, clinic_id, code, password_hash, origin))
    await attempts.forgive(database, "", origin.address)


async def by_secret(parts: DoorParts, client_id: str, secret: str, scope: str, origin: Origin) -> Granted:
    """A token for an integration, with `scope` or, if empty, all its scopes."""
    database, name = parts.database, client_id[:100]
    wait = await attempts.seconds_to_wait(database, name, origin.address)
    if wait is not None:
        return Refusal("rate_limited", "too many attempts", wait)
    client = await _client_named(database, client_id)
    fits = secret_fits(client, secret, origin.at)
    if client is None:
        return _NO_CLIENT
    if fits:
        await attempts.forgive(database, name, origin.address)
    granted = (
        (tokens.client_token(database.keyring, client, scope or None, origin.at) or _NO_SCOPE) if fits else _NO_CLIENT
    )
    return await prove(parts, client.clinic_id, lambda _: service.client_sign_in(client, granted, origin))


async def _client_named(database: Database, client_id: str) -> Client | None:
    try:
        identifier = UUID(client_id)
    except ValueError:
        return None
    return await database.read(NO_CLINIC, lambda db: store.client_by_id(db, identifier))
