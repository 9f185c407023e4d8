"""Proving something over HTTP: attempts are counted, and what is slow on purpose runs off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from app import clock
from app.access import passwords, people, throttling
from app.audit import service as audit
from app.audit.service import Act
from app.errors import Fault, Invalid, RateLimited
from app.storage import NO_CLINIC, Database

# Argon2 is slow on purpose and takes 64 MiB a time: two at once, and never on the event loop.
_slow = ThreadPoolExecutor(2, "holdfast-argon2")


async def fits(stored: str | None, password: str) -> bool:
    """Whether the password is the one stored; as slow where none is."""
    return await asyncio.get_running_loop().run_in_executor(_slow, passwords.fits, stored, password)


async def hashed(password: str) -> str:
    """How a password is stored."""
    return await asyncio.get_running_loop().run_in_executor(_slow, passwords.hashed, password)


async def seconds_to_wait(database: Database, account: str, address: str) -> int | None:
    """Counts an attempt: how long to wait where there were too many, else None."""
    return await database.write(NO_CLINIC, lambda db: throttling.take(db, account, address, clock.now()))


async def admit(database: Database, account: str, address: str) -> None:
    """Counts an attempt to prove something. Raises RateLimited."""
    wait = await seconds_to_wait(database, account, address)
    if wait is not None:
        raise RateLimited(headers={"Retry-After": str(wait)})


async def forgive(database: Database, account: str, address: str) -> None:
    """Takes back an attempt that succeeded."""
    await database.write(NO_CLINIC, lambda db: throttling.forgive(db, account, address))


@asynccontextmanager
async def attempt(database: Database, act: Act) -> AsyncIterator[None]:
    """An attempt of a known person to prove something more: counted, audited where it is refused, and forgiven where it
    is not. Raises RateLimited."""
    await admit(database, str(act.actor_id), act.address)
    try:
        yield
    except Invalid:
        await database.write(act.clinic_id, lambda db: audit.record(db, act, [], outcome="denied"))
        raise
    await forgive(database, str(act.actor_id), act.address)


async def checked_hash(database: Database, act: Act, password: str, pointer: str) -> str:
    """The stored hash that the caller's password fits. Raises Invalid naming the place where it fits none."""
    user = await database.read(act.clinic_id, lambda db: people.one(db, act.clinic_id, act.actor_id))
    if not await fits(user.password_hash, password) or user.password_hash is None:
        raise Invalid(errors=[Fault("pointer", pointer, "must be your password")])
    return user.password_hash
