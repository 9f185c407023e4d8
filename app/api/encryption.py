"""Encryption of what is stored or handed out and must come back unread and unchanged."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class Cipher:
    """Encrypts JSON documents and bytes under the first of some keys of 32 bytes, made for one purpose; decrypts what
    was encrypted under any of them."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys])

    def encrypt(self, content: Any) -> str:
        return self._fernet.encrypt(json.dumps(content, separators=(",", ":")).encode()).decode()

    def decrypt(self, encrypted: str) -> Any | None:
        """The content; None for anything that this cipher did not encrypt."""
        try:
            return json.loads(self._fernet.decrypt(encrypted.encode()))
        except (InvalidToken, UnicodeEncodeError):
            return None

    def seal(self, content: bytes) -> bytes:
        """Bytes, encrypted."""
        return self._fernet.encrypt(content)

    def open(self, encrypted: bytes) -> bytes | None:
        """The bytes; None for anything that this cipher did not seal."""
        try:
            return self._fernet.decrypt(encrypted)
        except InvalidToken:
            return None
