"""Tells the database that this process is running, and learns from it with which secret to seal."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from app import clock
from app.errors import Busy
from app.storage import keyring
from app.storage.database import NO_CLINIC, Database, DatabaseError
from app.storage.keyring import WrongSecretError
from app.storage.types import new_id

logger = logging.getLogger("holdfast")

# How soon a running process takes up a new secret.
_LOOK_SECONDS = 2.0
_REPORTED_EVERY = timedelta(seconds=20)


@asynccontextmanager
async def watched(database: Database) -> AsyncIterator[None]:
    """Reports the process, and follows a rotation of secrets, as long as the block runs. Raises WrongSecretError."""
    process_id = new_id()
    with contextlib.suppress(DatabaseError, Busy):  # not ready yet; asked again soon
        await asyncio.to_thread(database.unlock, clock.now())
    await _report(database, process_id)
    task = asyncio.create_task(_watch(database, process_id))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        with contextlib.suppress(Exception):  # the row is forgotten by itself
            await database.write(NO_CLINIC, lambda db: keyring.leave(db, process_id))


async def _report(database: Database, process_id: UUID) -> None:
    ring, now = database.keyring, clock.now()
    try:
        await database.write(NO_CLINIC, lambda db: keyring.report(db, process_id, ring, now))
    except Exception as error:  # the next report may succeed
        logger.warning("this process could not be reported: %s", type(error).__name__)


async def _watch(database: Database, process_id: UUID) -> None:
    reported_at, reported = clock.now(), database.keyring
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            await asyncio.to_thread(database.unlock, clock.now())
        except WrongSecretError as error:  # it was replaced while this process could not be asked: it must not go on
            logger.critical("%s: this process ends", error)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        except Exception as error:  # asked again soon
            logger.debug("the secret could not be looked up: %s", type(error).__name__)
        due = abs(clock.now() - reported_at) > _REPORTED_EVERY
        if due or database.keyring != reported:
            await _report(database, process_id)
            reported_at, reported = clock.now(), database.keyring
