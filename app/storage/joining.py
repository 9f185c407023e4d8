"""Group commit: requests that arrive while a clinic's previous transaction is under way share the next one.

Invisible to callers: each gets its own answer or its own refusal, and gets it after the commit. A batch begins once
none has come for a few turns of the event loop, two milliseconds later at most: those being read just then come along
instead of contending with it for the processor, and one that is alone hardly waits. A clinic has one transaction under
way at a time, so that none keeps the others waiting for longer than one batch. Reads are joined alike: the cost of a
transaction is then that of many answers.
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
# `Database.write` or `Database.write_on_snapshot`.
Transact = Callable[[UUID, Callable[[Transaction], Any]], Awaitable[Any]]
Work = Callable[[Transaction, UUID, Sequence[Request]], Sequence[Result | Problem]]

_BATCH = 256
_QUEUE = 4_096
_MOST_WAITING = 16_384
# A request takes a few turns of the event loop from its first byte to the queue. Where turns are long, no more than:
_TURNS = 4
_GATHERING_SECONDS = 0.002


class Joined(Generic[Request, Result]):
    """Joins concurrent requests of one clinic into one call of `work` and one transaction. Clinics go in parallel."""

    def __init__(self, transact: Transact, work: Work[Request, Result]) -> None:
        self._transact = transact
        self._work = work
        self._queues: dict[UUID, deque[tuple[Request, asyncio.Future[Result]]]] = {}
        self._waiting = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, clinic_id: UUID, asked: Request) -> Result:
        """The answer, once committed. Raises its refusal, or Busy when the clinic's queue is full; or longer than one
        batch, while all together are too many: a flood of some clinics is not to shut out the others."""
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
        finally:  # whatever ends this, nobody waits for ever and the next one begins anew
            del self._queues[clinic_id]
            self._waiting -= len(queue)
            for _, answer in (*batch, *queue):
                _settle(answer, Busy())

    async def _answer(self, clinic_id: UUID, batch: list[tuple[Request, asyncio.Future[Result]]]) -> None:
        asked = [one for one, _ in batch]
        try:
            answers = await self._transact(clinic_id, lambda db: self._work(db, clinic_id, asked))
        except Busy as busy:  # trying again one by one would only queue longer behind what is in the way
            for _, answer in batch:
                _settle(answer, busy)
            return
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for pair in batch:  # one that breaks a transaction breaks only its own
                await self._answer(clinic_id, [pair])
            return
        for (_, answer), outcome in zip(batch, answers, strict=True):
            _settle(answer, outcome)


async def _gathered(queue: Sized) -> None:
    """Returns when `queue` has stopped growing, is a batch, or others have waited long enough."""
    time = asyncio.get_running_loop().time
    seen, turns, until = 0, 0, time() + _GATHERING_SECONDS
    while len(queue) < _BATCH and turns < _TURNS and time() < until:
        turns = turns + 1 if seen == len(queue) else 0
        seen = len(queue)
        await asyncio.sleep(0)


def _settle(answer: "asyncio.Future[Result]", outcome: Result | Exception) -> None:
    if answer.done():  # the caller hung up; what was committed stays committed
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
