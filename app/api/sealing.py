"""Sealing: what leaves as an opaque token and comes back must be ours and unread."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derived_key(secret_key: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose. Source: RFC 5869 (HKDF with SHA-256)."""
    return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(secret_key.encode())


class Sealer:
    """Seals small JSON documents for one purpose; opens only its own."""

    def __init__(self, secret_key: str, purpose: str) -> None:
        self._fernet = Fernet(urlsafe_b64encode(derived_key(secret_key, purpose)))

    def seal(self, content: Any) -> str:
        return self._fernet.encrypt(json.dumps(content, separators=(",", ":")).encode()).decode()

    def open(self, sealed: str) -> Any | None:
        """The content, or None for anything this sealer did not seal."""
        try:
            return json.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, UnicodeEncodeError):
            return None
