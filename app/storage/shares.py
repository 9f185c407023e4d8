"""Turns in a pool of threads: each clinic has a share of it, and nobody waits for ever.

Without shares, the requests of one clinic whose rows are locked would take every thread, and all other clinics would
wait with it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import TypeVar
from uuid import UUID

from app.errors import Busy

T = TypeVar("T")

# How long a request waits for its clinic's turn, and then for the database. The second is longer than every limit that
# the database keeps by itself, and ends the wait for one that does not answer at all.
_TURN_SECONDS = 10.0
_ANSWER_SECONDS = 20.0
_OF_LATE_SECONDS = 1.0


class _Share(asyncio.Semaphore):
    """The turns that one clinic may have at once, and how many requests have or want one."""

    users = 0

    def __init__(self, turns: int) -> None:
        super().__init__(turns)
        self.alone = asyncio.Lock()


class Pool:
    """Threads, of which one clinic gets at most `share` at once."""

    def __init__(self, threads: int, share: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._computing = ThreadPoolExecutor(1, f"{name}-compute")
        self._most = share
        self._shares: dict[UUID, _Share] = {}
        self._demanded_at = float("-inf")
        self._second, self._asked, self._asked_before = 0, 0, 0

    def is_in_demand(self) -> bool:
        """Whether somebody asked for a turn within the last second, other than for a part of a long work."""
        return time.monotonic() - self._demanded_at < _OF_LATE_SECONDS

    def asked_of_late(self) -> int:
        """How often somebody asked for a turn, other than for a part of a long work: in this second or the last one,
        whichever was more."""
        passed = int(time.monotonic()) - self._second
        return max(self._asked, self._asked_before) if passed == 0 else self._asked if passed == 1 else 0

    def _note_demand(self) -> None:
        self._demanded_at = time.monotonic()
        second = int(self._demanded_at)
        if second != self._second:
            self._asked_before = self._asked if second == self._second + 1 else 0
            self._second, self._asked = second, 0
        self._asked += 1

    async def run(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread. Raises Busy if the clinic's turn does not come in time, or if the
        work takes too long; then it goes on, and keeps its turn until it ends."""
        if clinic_id.int:  # jobs write for no clinic, and nobody waits for them
            self._note_demand()
        return await self._run(clinic_id, work)

    async def run_part(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        """`run` for a part of a long work."""
        async with self._alone(clinic_id):
            return await self._run(clinic_id, work)

    async def compute(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        """The result of what a long work computes before and after its parts, in a thread of its own."""
        async with self._alone(clinic_id):
            return await asyncio.get_running_loop().run_in_executor(self._computing, copy_context().run, work)

    @asynccontextmanager
    async def _alone(self, clinic_id: UUID) -> AsyncIterator[None]:
        """Long work takes the processor from others, so while there are others, a clinic does one piece at a time."""
        if not self.is_in_demand():
            yield
            return
        share = self._enter(clinic_id)
        try:
            await _in_time(share.alone.acquire())
            try:
                yield
            finally:
                share.alone.release()
        finally:
            self._leave(clinic_id, share)

    async def _run(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        share = self._enter(clinic_id)
        try:
            await (_in_time(share.acquire()) if share.locked() else share.acquire())
        except BaseException:
            self._leave(clinic_id, share)
            raise

        def ended(_: object) -> None:
            share.release()
            self._leave(clinic_id, share)

        # With the request's context, so that the log of what happens in the thread bears its id.
        answer = asyncio.get_running_loop().run_in_executor(self._threads, copy_context().run, work)
        answer.add_done_callback(ended)
        done, _ = await asyncio.wait((answer,), timeout=_ANSWER_SECONDS)
        if not done:
            answer.add_done_callback(_look_away)
            raise Busy("the database did not answer in time: whether it was written is not known; send it again")
        return answer.result()

    def _enter(self, clinic_id: UUID) -> _Share:
        share = self._shares.get(clinic_id)
        if share is None:
            share = self._shares[clinic_id] = _Share(self._most)
        share.users += 1
        return share

    def _leave(self, clinic_id: UUID, share: _Share) -> None:
        share.users -= 1
        if not share.users:
            self._shares.pop(clinic_id, None)

    def shutdown(self) -> None:
        self._threads.shutdown()
        self._computing.shutdown()


async def _in_time(turn: Awaitable[bool]) -> None:
    try:
        await asyncio.wait_for(turn, _TURN_SECONDS)
    except TimeoutError:
        raise Busy from None


def _look_away(answer: "asyncio.Future[T]") -> None:
    """Takes note of an error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()
