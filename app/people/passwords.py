"""Passwords: how they are stored and compared. Both are slow on purpose, so requests do neither on the event loop."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from app.access import store
from app.audit.service import Act
from app.errors import Fault, Invalid, InvalidToken
from app.storage import Database

_hasher = PasswordHasher()


@cache
def _nobodys() -> str:
    """What is verified against where there is no such login or no password yet, so that the refusal takes as long."""
    return _hasher.hash(secrets.token_urlsafe(16))


# Argon2 takes 64 MiB a time: two at once.
_slow = ThreadPoolExecutor(2, "holdfast-argon2")


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A password to be set, and the hash that is stored of it."""

    text: str
    hash: str


def hashed_now(password: str) -> str:
    """The hash that is stored for a password (Argon2id, RFC 9106). Slow: for callers without an event loop."""
    return _hasher.hash(password)


def fits_now(stored: str | None, password: str) -> bool:
    """Whether the password is the stored one. Takes as long if none is stored. Slow: not for event loops."""
    try:
        _hasher.verify(stored or _nobodys(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return stored is not None


async def hashed(password: str) -> NewPassword:
    """A new password with its hash, made off the event loop."""
    return NewPassword(password, await asyncio.get_running_loop().run_in_executor(_slow, hashed_now, password))


async def fits(stored: str | None, password: str) -> bool:
    """`fits_now`, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_slow, fits_now, stored, password)


async def checked_hash(database: Database, act: Act, password: str, pointer: str) -> str:
    """The caller's stored hash, once the password is found to fit it. Raises Invalid, naming the place in the body,
    where it does not, and InvalidToken for a caller who is gone."""
    user = await database.read(act.clinic_id, lambda db: store.user(db, act.clinic_id, act.actor_id))
    if user is None:
        raise InvalidToken
    if not await fits(user.password_hash, password) or user.password_hash is None:
        raise Invalid(errors=[Fault("pointer", pointer, "must be your password")])
    return user.password_hash
