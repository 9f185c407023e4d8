"""Attempts to prove who one is: each is counted before it is looked at, and taken back when it succeeds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app import clock
from app.access import throttling
from app.access.door import Door
from app.errors import RateLimited
from app.storage import NO_CLINIC, Database


async def seconds_to_wait(database: Database, account: str, address: str) -> int | None:
    """Counts an attempt. Returns how many seconds to wait if there were too many, otherwise None."""
    return await database.write(NO_CLINIC, lambda db: throttling.take(db, account, address, clock.now()))


async def count(database: Database, account: str, address: str) -> None:
    """Counts an attempt. Raises RateLimited where there were too many."""
    wait = await seconds_to_wait(database, account, address)
    if wait is not None:
        raise RateLimited(headers={"Retry-After": str(wait)})


async def forgive(database: Database, account: str, address: str) -> None:
    """Removes the count of attempts after one has succeeded."""
    await database.write(NO_CLINIC, lambda db: throttling.forgive(db, account, address))


@asynccontextmanager
async def counted(database: Database, door: Door) -> AsyncIterator[None]:
    """An attempt of a known caller to prove something more: counted, recorded as denied where it is refused, and taken
    back where it succeeds. Raises RateLimited."""
    account, address = str(door.act.actor_id), door.act.address
    await count(database, account, address)
    door.is_proof = True
    yield
    await forgive(database, account, address)
