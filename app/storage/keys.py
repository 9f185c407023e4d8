"""Derives a separate key for each purpose from the service's one secret."""

from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.storage.types import Transaction


@lru_cache(maxsize=64)
def derived_key(secret_key: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose. Source: RFC 5869 (HKDF with SHA-256)."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret_key.encode())


def key_for(db: Transaction, purpose: str) -> bytes:
    """The key for one purpose, from the database's secret. Raises ValueError if it was opened without one."""
    secret: str = db.info["secret_key"]
    if not secret:
        raise ValueError("this database was opened without the service's secret")
    return derived_key(secret, purpose)
