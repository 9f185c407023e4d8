"""An import in the hands of one process: nobody else has it, it is written in parts, and others have their turn between
them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from uuid import UUID

from app import clock
from app.exchange import store
from app.exchange.models import Import
from app.storage import NO_CLINIC, Database, Transaction, leases

T = TypeVar("T")
Say = Callable[[Import], None]

# A process that dies keeps its imports from others for so long.
_LEASE = timedelta(seconds=30)
_RENEWED_SECONDS = 10.0
# A part of the work takes so long, and a post waits for one at most: by how many others wrote within a second of late.
PART_SECONDS = ((5, 0.006), (1, 0.03), (0, 0.15))
# So many records a part has at first, and at most.
_FIRST_PART, _LARGEST_PART = 20, 500
_SAID_EVERY = 1.0
# From so many writes of others a second on, half of the time is theirs.
_BUSY = 40


class LostError(Exception):
    """Another process has the import."""


class TurnedError(Exception):
    """The import is in another state by now: somebody has ended it."""


@dataclass(slots=True)
class Run:
    """One import in the hands of this process."""

    database: Database
    clinic_id: UUID
    import_id: UUID
    holder: str
    say: Say
    said_at: float = 0.0
    size: int = _FIRST_PART

    @property
    def name(self) -> str:
        return f"import {self.import_id}"


def take(db: Transaction, run: Run) -> None:
    """Keeps the import for this process, in the transaction that works on it. Raises LostError where another one has
    it."""
    now = clock.now()
    if not leases.lease(db, run.name, run.holder, now, now + _LEASE):
        raise LostError


async def done_aside(run: Run, step: Callable[[], object]) -> None:
    """Does a step in a thread. While it takes long, says that this process still has the import."""
    doing = asyncio.ensure_future(asyncio.to_thread(step))
    while not (await asyncio.wait((doing,), timeout=_RENEWED_SECONDS))[0]:
        await run.database.write(NO_CLINIC, lambda db: take(db, run))
    doing.result()


async def write(run: Run, state: str, work: Callable[[Transaction, Import], T]) -> T:
    """The result of work on the import, which is locked and still in this state. Raises TurnedError where it is not."""

    def locked(db: Transaction) -> tuple[T, Import]:
        take(db, run)
        mine = store.find(db, run.clinic_id, run.import_id, lock=True)
        if mine is None or mine.state != state:
            raise TurnedError
        result = work(db, mine)
        db.add(mine)
        return result, mine

    result, mine = await run.database.write_part(run.clinic_id, locked)
    run.said_at = time.monotonic()
    run.say(mine)
    return result


async def in_measure(run: Run, state: str, work: Callable[[Transaction, Import], T]) -> T:
    """`write` of a part of the work, after which the next one is made larger or smaller, and others have a turn."""
    seconds = 0.0

    def timed(db: Transaction, mine: Import) -> T:
        nonlocal seconds
        began = time.monotonic()
        result = work(db, mine)
        seconds = time.monotonic() - began
        return result

    result = await write(run, state, timed)
    demand = run.database.demand()
    wanted = next(most for others, most in PART_SECONDS if demand >= others)
    factor = min(2.0, max(0.25, wanted / max(seconds, 1e-4)))
    run.size = min(_LARGEST_PART, max(1, round(run.size * factor)))
    await leave_room(run, seconds)
    return result


def is_time(run: Run) -> bool:
    return time.monotonic() - run.said_at > _SAID_EVERY


async def leave_room(run: Run, seconds: float) -> None:
    """Leaves the processor to others who want to write: the longer, the more often they do."""
    await asyncio.sleep(seconds * min(1.0, run.database.demand() / _BUSY))
