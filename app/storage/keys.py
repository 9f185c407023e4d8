"""The service's secrets, and the keys that are derived from them, one for each purpose.

What is sealed says by which secret: it keeps that secret's key id. While secrets are rotated a process has two of them
and finds what is sealed by either; the database says with which one it seals.
"""

from dataclasses import dataclass
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.storage.types import Transaction

_ID_BYTES = 8


class NoSuchKeyError(ValueError):
    """What is stored was sealed with a secret that this process does not have."""


@lru_cache(maxsize=64)
def derived_key(secret_key: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose. Source: RFC 5869 (HKDF with SHA-256)."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret_key.encode())


def key_id_of(secret_key: str) -> str:
    """The name of a secret: 16 hexadecimal digits from which nobody can tell the secret."""
    return derived_key(secret_key, "key id")[:_ID_BYTES].hex()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The secrets that a process has; the first one seals."""

    secrets: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """The key ids of these secrets, in the same order."""
        return [key_id_of(secret) for secret in self.secrets]

    def sealing_with(self, key_id: str) -> "Keyring":
        """The same secrets; the one with this id seals."""
        return Keyring(tuple(sorted(self.secrets, key=lambda secret: key_id_of(secret) != key_id)))

    def keys(self, purpose: str) -> list[bytes]:
        """The keys for one purpose; the first one seals."""
        return [derived_key(secret, purpose) for secret in self.secrets]

    def key(self, purpose: str, key_id: str) -> bytes:
        """The key for one purpose of the secret with this id. Raises NoSuchKeyError."""
        for secret in self.secrets:
            if key_id_of(secret) == key_id:
                return derived_key(secret, purpose)
        raise NoSuchKeyError("this was sealed with a secret that is not given")


def keyring(db: Transaction) -> Keyring:
    """The secrets of the database that this transaction runs on. Raises ValueError if it was opened without one."""
    found: Keyring = db.info["keyring"]
    if not found.secrets:
        raise ValueError("this database was opened without the service's secret")
    return found


def key_for(db: Transaction, purpose: str, key_id: str | None = None) -> bytes:
    """The key for one purpose that seals now, or that of `key_id`. Raises ValueError without one."""
    ring = keyring(db)
    return ring.keys(purpose)[0] if key_id is None else ring.key(purpose, key_id)


def keys_for(db: Transaction, purpose: str) -> list[bytes]:
    """The keys for one purpose with which something may have been sealed; the first one seals."""
    return keyring(db).keys(purpose)


def key_id(db: Transaction) -> str:
    """The id of the secret that seals now."""
    return keyring(db).ids[0]
