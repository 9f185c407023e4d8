"""Passwords: how they are kept and compared."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

_hasher = PasswordHasher()
# Verified against where there is no such login or no password yet, so that the answer takes as long.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


def hashed(password: str) -> str:
    """How a password is stored (Argon2id, RFC 9106)."""
    return _hasher.hash(password)


def fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one stored. Takes as long where none is. Slow by design: call it off the event
    loop."""
    try:
        _hasher.verify(stored or _NOBODY, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
    return stored is not None
