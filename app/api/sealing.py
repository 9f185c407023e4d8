"""Sealing: what leaves as an opaque token and comes back must be ours and unread."""

import json
from base64 import urlsafe_b64encode
from typing import Any

from cryptography.fernet import Fernet, InvalidToken


class Sealer:
    """Seals small JSON documents for one purpose; opens only its own."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(urlsafe_b64encode(key))

    def seal(self, content: Any) -> str:
        return self._fernet.encrypt(json.dumps(content, separators=(",", ":")).encode()).decode()

    def open(self, sealed: str) -> Any | None:
        """The content, or None for anything this sealer did not seal."""
        try:
            return json.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, UnicodeEncodeError):
            return None
