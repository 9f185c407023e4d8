"""Group commit: requests that arrive while a clinic's transaction is running share the next transaction.

Callers do not notice: each gets its own answer or its own error, after the commit. A batch starts once no request has
arrived for a few turns of the event loop, or after two milliseconds. So requests that are being parsed at that moment
join the batch instead of competing with it for the processor, and a single request hardly waits. A clinic has one
transaction at a time, so one clinic keeps the others waiting for one batch at most. Reads are joined in the same way:
many answers share the cost of one transaction.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence, Sized
from typing import Any, Generic, TypeVar
from uuid import UUID

from app.errors import Busy, Problem
from app.storage.types import Transaction

Request = TypeVar("Request")
Result = TypeVar("Result")
# Either `Database.write` or `Database.write_on_snapshot`.
Transact = Callable[[UUID, Callable[[Transaction], Any]], Awaitable[Any]]
Work = Callable[[Transaction, UUID, Sequence[Request]], Sequence[Result | Problem]]

_BATCH = 256
_QUEUE = 4_096
_MOST_WAITING = 16_384
# A batch starts once its queue has not grown for this many turns of the event loop, or after this many seconds. A
# request takes a few turns from its first byte to the queue; the seconds bound the wait where turns are long.
_TURNS = 4
_GATHERING_SECONDS = 0.002


class Joined(Generic[Request, Result]):
    """Joins concurrent requests of one clinic into one call of `work` in one transaction. Clinics run in parallel."""

    def __init__(self, transact: Transact, work: Work[Request, Result]) -> None:
        self._transact = transact
        self._work = work
        self._queues: dict[UUID, deque[tuple[Request, asyncio.Future[Result]]]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, clinic_id: UUID, asked: Request) -> Result:
        """The answer, after the commit. Raises the request's own error, or Busy when the clinic's queue is full. A
        queue holds 4,096 requests, but only 256 while 16,384 or more wait over all clinics, so that a flood from some
        clinics does not shut out the others."""
        queue = self._queues.get(clinic_id)
        idle = queue is None
        most = _BATCH if self._waiting >= _MOST_WAITING else _QUEUE
        if queue is not None and len(queue) >= most:
            raise Busy
        if queue is None:
            queue = self._queues[clinic_id] = deque()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue.append((asked, answer))
        self._waiting += 1
        if idle:
            task = asyncio.create_task(self._drain(clinic_id, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _drain(self, clinic_id: UUID, queue: deque[tuple[Request, asyncio.Future[Result]]]) -> None:
        batch: list[tuple[Request, asyncio.Future[Result]]] = []
        try:
            while queue:
                await _gathered(queue)
                batch = [queue.popleft() for _ in range(min(_BATCH, len(queue)))]
                self._waiting -= len(batch)
                await self._answer(clinic_id, batch)
        finally:  # whatever ends this, no caller waits for ever and the next request starts a new task
            del self._queues[clinic_id]
            self._waiting -= len(queue)
            for _, answer in (*batch, *queue):
                if not answer.done():
                    _settle(answer, Busy())

    async def _answer(self, clinic_id: UUID, batch: list[tuple[Request, asyncio.Future[Result]]]) -> None:
        asked = [one for one, _ in batch]
        try:
            answers = await self._transact(clinic_id, lambda db: self._work(db, clinic_id, asked))
        except Busy as busy:  # no retry one by one: each would wait for the same lock
            for _, answer in batch:
                _settle(answer, busy)
            return
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for pair in batch:  # run each alone, so that only the faulty request fails
                await self._answer(clinic_id, [pair])
            return
        for (_, answer), outcome in zip(batch, answers, strict=True):
            _settle(answer, outcome)


async def _gathered(queue: Sized) -> None:
    """Returns when `queue` has stopped growing or holds a full batch, or when the time for gathering is over."""
    time = asyncio.get_running_loop().time
    seen, turns, until = 0, 0, time() + _GATHERING_SECONDS
    while len(queue) < _BATCH and turns < _TURNS and time() < until:
        turns = turns + 1 if seen == len(queue) else 0
        seen = len(queue)
        await asyncio.sleep(0)


def _settle(answer: "asyncio.Future[Result]", outcome: Result | Exception) -> None:
    if answer.done():  # the caller has disconnected; what was committed stays committed
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
