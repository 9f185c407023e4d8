"""Long reads, piece by piece: each on one snapshot, in a thread of its own."""

import asyncio
import weakref
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, Self, TypeVar
from uuid import UUID

from app.errors import Busy

T = TypeVar("T")

_SECONDS = 3_600


class Stream(Generic[T]):
    """The pieces of a long read. The stream ends when all are read, when reading fails, when nothing refers to it any
    more, and after an hour, so a client that disconnects or stops reading does not keep its place."""

    def __init__(self, pieces: Generator[T, None, None], clinic_id: UUID, streaming: set[UUID]) -> None:
        self._pieces, self._clinic_id, self._streaming = pieces, clinic_id, streaming
        # One thread for each stream. Its tasks run in order, so closing waits for the piece that is being read.
        self._thread = ThreadPoolExecutor(1, "holdfast-stream")
        self._first: T | None = None
        self._is_over = self._is_late = False
        streaming.add(clinic_id)

    async def begin(self) -> None:
        """Reads the first piece."""
        asyncio.get_running_loop().call_later(_SECONDS, _expire, weakref.ref(self))
        self._first = await self._next()

    def expire(self) -> None:
        """Ends the stream before all pieces are read. The next read then raises Busy."""
        self._is_late = not self._is_over
        self.end()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        piece, self._first = self._first, None
        if self._is_late:
            raise Busy
        if piece is None and not self._is_over:
            piece = await self._next()
        if piece is None:
            raise StopAsyncIteration
        return piece

    async def _next(self) -> T | None:
        try:
            piece = await asyncio.get_running_loop().run_in_executor(self._thread, next, self._pieces, None)
        except BaseException:
            self.end()
            raise
        if piece is None:
            self.end()
        return piece

    def end(self) -> None:
        """Releases the place, the transaction and the thread."""
        if not self._is_over:
            self._is_over = True
            self._streaming.discard(self._clinic_id)
            self._thread.submit(self._pieces.close)
            self._thread.shutdown(wait=False)

    def __del__(self) -> None:
        self.end()


def _expire(stream: "weakref.ref[Stream[Any]]") -> None:
    found = stream()
    if found is not None:
        found.expire()
