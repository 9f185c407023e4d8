"""Rate limits: how many requests a caller may make in a minute, over all processes of the service.

Each process counts by itself, so no request waits for the database. Once a second it adds its counts to a shared table
and reads the totals. So the limit holds for the whole service, except for what arrives within a second. With one
process nothing is shared.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, floor
from typing import Any

from http_sf import ser
from starlette.requests import HTTPConnection

from app.api import store
from app.api.parts import Part
from app.errors import RateLimited
from app.storage import NO_CLINIC, Database, Transaction

logger = logging.getLogger("holdfast")

_WINDOW_SECONDS = 60
_SHARE_SECONDS = 1.0
_MOST_COUNTED = 50_000
_ROUNDING = 1e-6
_OTHERS = "others"


@dataclass(slots=True)
class _Counts:
    """A caller's counts: this minute (`now`), the one before, and what is not yet shared (`untold`)."""

    minute: int
    now: int = 0
    before: int = 0
    untold: int = 0

    def turn(self, minute: int) -> None:
        if minute != self.minute:
            self.before = self.now if minute == self.minute + 1 else 0
            self.minute, self.now, self.untold = minute, 0, 0


@dataclass(slots=True)
class RateLimiter:
    """Allows each caller at most `most` requests in any 60 seconds; 0 is no limit. They are estimated from the minutes
    of the clock: the previous minute counts by the part of it that lies within the last 60 seconds."""

    most: int
    _counts: dict[str, _Counts] = field(default_factory=dict)
    _swept: int = 0

    def take(self, caller: str) -> dict[str, str]:
        """Counts a request and returns the rate limit headers for its response. Raises RateLimited."""
        if not self.most:
            return {}
        minute, passed = divmod(time.time(), _WINDOW_SECONDS)
        mine = self._mine(caller, int(minute))
        left_share = 1 - passed / _WINDOW_SECONDS
        used = mine.now + mine.before * left_share
        policy = {"RateLimit-Policy": _policy(self.most)}
        if used >= self.most:
            seconds = self._wait(mine, passed)
            told = {**policy, "RateLimit": _left(0, seconds), "Retry-After": str(seconds)}
            raise RateLimited(headers=told)
        mine.now += 1
        mine.untold += 1
        left = int(self.most - used) - 1
        return {**policy, "RateLimit": _left(max(0, left), ceil(_WINDOW_SECONDS - passed))}

    def _wait(self, mine: _Counts, passed: float) -> int:
        """Whole seconds until the next request is allowed, because by then less of the earlier minute counts."""
        if mine.now < self.most:
            wait = _WINDOW_SECONDS * (1 - (self.most - mine.now) / mine.before) - passed
        else:
            wait = _WINDOW_SECONDS - passed + _WINDOW_SECONDS * (1 - self.most / mine.now)
        return floor(wait + _ROUNDING) + 1

    async def share(self, database: Database) -> None:
        """Exchanges counts with the other processes once a second, until cancelled."""
        while self.most:
            await asyncio.sleep(_SHARE_SECONDS)
            try:
                await self.shared_once(database)
            except Exception as error:  # the next exchange may succeed; until then each process counts alone
                logger.warning("request counts could not be shared: %s", type(error).__name__)

    async def shared_once(self, database: Database) -> None:
        """Adds the counts that are not yet shared to the shared table and reads the totals."""
        told = {caller: (counts.minute, counts.untold) for caller, counts in self._counts.items() if counts.untold}
        if not told:
            return
        totals = await database.write(NO_CLINIC, lambda db: store.add_counts(db, told))
        for caller, minute, total in totals:
            counts = self._counts.get(caller)
            if counts is not None and counts.minute == minute:
                counts.untold -= told[caller][1]
                counts.now = total + counts.untold

    def _mine(self, caller: str, minute: int) -> _Counts:
        mine = self._counts.get(caller)
        if mine is None:
            if len(self._counts) >= _MOST_COUNTED and self._swept != minute:
                self._counts = {name: c for name, c in self._counts.items() if c.minute >= minute - 1}
                self._swept = minute
            if len(self._counts) >= _MOST_COUNTED:  # a flood of addresses: all further callers share one count
                caller = _OTHERS
            mine = self._counts.setdefault(caller, _Counts(minute))
        mine.turn(minute)
        return mine


# The fields are those of draft-ietf-httpapi-ratelimit-headers-11: lists of structured fields (RFC 9651), of strings.
@lru_cache
def _policy(most: int) -> str:
    return _field(q=most, w=_WINDOW_SECONDS)


def _left(requests: int, seconds: int) -> str:
    return _field(r=requests, t=seconds)


def _field(**parameters: int) -> str:
    listed: Any = [("caller", parameters)]
    return ser(listed)


LIMITER: Part[RateLimiter] = Part("limiter")


def count(request: HTTPConnection, caller: str) -> None:
    """Counts a request of a caller, once. Its response tells where they stand. Raises RateLimited."""
    if "holdfast_headers" not in request.scope:
        request.scope["holdfast_headers"] = LIMITER.of(request).take(caller)


def purge(db: Transaction) -> None:
    """Deletes shared counts that are more than two minutes old."""
    store.delete_counts(db, int(time.time()) // _WINDOW_SECONDS - 2)
