"""Group commit: posts that arrive while a clinic's previous commit is under way share the next one.

Invisible to callers: each gets its own receipt or its own refusal, and gets it after the commit. Nothing waits when
the queue is empty.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from sqlmodel import Session

from app.errors import Busy, Problem
from app.storage.database import Database

Post = TypeVar("Post")
Receipt = TypeVar("Receipt")
Record = Callable[[Session, UUID, Sequence[Post]], Sequence[Receipt | Problem]]

_BATCH = 256
_QUEUE = 4_096


class GroupCommit(Generic[Post, Receipt]):
    """Joins concurrent posts of one clinic into one call of `record` and one commit. Clinics commit in parallel."""

    def __init__(self, database: Database, record: Record[Post, Receipt]) -> None:
        self._database = database
        self._record = record
        self._waiting: dict[UUID, deque[tuple[Post, asyncio.Future[Receipt]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, clinic_id: UUID, post: Post) -> Receipt:
        """The receipt of `post`, once committed. Raises its refusal, or Busy when the clinic's queue is full."""
        queue = self._waiting.get(clinic_id)
        idle = queue is None
        if queue is None:
            queue = self._waiting[clinic_id] = deque()
        if len(queue) >= _QUEUE:
            raise Busy
        answer: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        queue.append((post, answer))
        if idle:
            task = asyncio.create_task(self._drain(clinic_id, queue))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _drain(self, clinic_id: UUID, queue: deque[tuple[Post, asyncio.Future[Receipt]]]) -> None:
        while queue:
            batch = [queue.popleft() for _ in range(min(_BATCH, len(queue)))]
            await self._commit(clinic_id, batch)
        del self._waiting[clinic_id]

    async def _commit(self, clinic_id: UUID, batch: list[tuple[Post, asyncio.Future[Receipt]]]) -> None:
        posts = [post for post, _ in batch]
        try:
            receipts = await self._database.write(clinic_id, lambda db: self._record(db, clinic_id, posts))
        except Busy as busy:  # trying again one by one would only queue longer behind what is in the way
            for _, answer in batch:
                _settle(answer, busy)
            return
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][1], error)
                return
            for pair in batch:  # one post that breaks a transaction breaks only its own
                await self._commit(clinic_id, [pair])
            return
        for (_, answer), receipt in zip(batch, receipts, strict=True):
            _settle(answer, receipt)


def _settle(answer: "asyncio.Future[Receipt]", outcome: Receipt | Exception) -> None:
    if answer.done():  # the caller hung up; what was committed stays committed
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
