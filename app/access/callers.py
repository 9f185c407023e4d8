"""Callers by their tokens, remembered for a short while."""

import time

from app import clock
from app.access import service, store, tokens
from app.access.outside import OutsideIssuer
from app.access.service import Caller
from app.errors import InvalidToken
from app.storage import NO_CLINIC, Database

_REMEMBERED_SECONDS = 25.0
_MOST_REMEMBERED = 10_000


class CallerCache:
    """Caches callers by token for 25 seconds after the token was verified. So a disabled caller is refused within that
    time, and a busy caller costs no query per request. Tokens are ours, or those of an outside issuer."""

    def __init__(self, database: Database, key: str, outside: OutsideIssuer | None) -> None:
        self._database = database
        self._key = key
        self._outside = outside
        self._known: dict[str, tuple[float, Caller]] = {}

    async def caller(self, token: str) -> Caller:
        """The caller that a token belongs to. Raises InvalidToken."""
        now = time.monotonic()
        known = self._known.get(token)
        if known is not None and known[0] > now:
            return known[1]
        if self._outside is not None and self._outside.issued(token):
            caller, expires_at = await self._verified(self._outside, token)
        else:
            claims = tokens.read_token(self._key, token)
            caller = await self._database.read(claims.clinic_id, lambda db: service.caller_of_token(db, claims))
            expires_at = claims.expires_at
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        left = expires_at - clock.now().timestamp()
        self._known[token] = (now + min(_REMEMBERED_SECONDS, left), caller)
        return caller

    def clear(self) -> None:
        """Forgets every caller, so that what has changed for one counts at once in this process."""
        self._known.clear()

    async def _verified(self, outside: OutsideIssuer, token: str) -> tuple[Caller, float]:
        person = await outside.verified(token)
        user = await self._database.read(NO_CLINIC, lambda db: store.user_by_email(db, person.email))
        if user is None:
            raise InvalidToken
        caller = await self._database.read(
            user.clinic_id,
            lambda db: service.caller_of_person(db, user.clinic_id, user.id, has_factor=person.has_factor),
        )
        return caller, person.expires_at
