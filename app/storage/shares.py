"""Turns in a pool of threads: each clinic has a share of it, and nobody waits for ever.

Without shares, the requests of one clinic whose rows are locked would take every thread, and all other clinics would
wait with it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from uuid import UUID

from app.errors import Busy

T = TypeVar("T")

# How long a request waits for its clinic's turn, and then for the database. The second is longer than every limit that
# the database keeps by itself, and ends the wait for one that does not answer at all.
_TURN_SECONDS = 10.0
_ANSWER_SECONDS = 20.0


class _Share(asyncio.Semaphore):
    """The turns that one clinic may have at once, and how many requests have or want one."""

    users = 0


class Pool:
    """Threads, of which one clinic gets at most `share` at once."""

    def __init__(self, threads: int, share: int, name: str) -> None:
        self._threads = ThreadPoolExecutor(threads, name)
        self._most = share
        self._shares: dict[UUID, _Share] = {}

    async def run(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        """The result of `work`, done in a thread. Raises Busy if the clinic's turn does not come in time, or if the
        work takes too long; then it goes on, and keeps its turn until it ends."""
        share = self._shares.get(clinic_id)
        if share is None:
            share = self._shares[clinic_id] = _Share(self._most)
        share.users += 1
        try:
            if share.locked():
                await asyncio.wait_for(share.acquire(), _TURN_SECONDS)
            else:
                await share.acquire()
        except BaseException as error:
            self._leave(clinic_id, share)
            if isinstance(error, TimeoutError):
                raise Busy from None
            raise

        def ended(_: object) -> None:
            share.release()
            self._leave(clinic_id, share)

        answer = asyncio.get_running_loop().run_in_executor(self._threads, work)
        answer.add_done_callback(ended)
        done, _ = await asyncio.wait((answer,), timeout=_ANSWER_SECONDS)
        if not done:
            answer.add_done_callback(_look_away)
            raise Busy("the database did not answer in time: whether it was written is not known; send it again")
        return answer.result()

    def _leave(self, clinic_id: UUID, share: _Share) -> None:
        share.users -= 1
        if not share.users:
            self._shares.pop(clinic_id, None)

    def shutdown(self) -> None:
        self._threads.shutdown()


def _look_away(answer: "asyncio.Future[T]") -> None:
    """Takes note of an error that nobody waits for any more."""
    if not answer.cancelled():
        answer.exception()
