"""Background jobs: what has expired is deleted. One round takes one short transaction per clinic."""

import asyncio
import contextlib
import logging

from app import clock
from app.access import store as access
from app.api import idempotency
from app.storage import NO_CLINIC, Database

logger = logging.getLogger("holdfast")

_EVERY_SECONDS = 3_600.0


def expire(database: Database) -> None:
    """One round: kept answers older than a day, and refresh tokens past their time."""
    now = clock.now()
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        database.writing(clinic_id, lambda db, clinic=clinic_id: idempotency.purge(db, clinic, now))  # type: ignore[misc]
        database.writing(clinic_id, lambda db, clinic=clinic_id: access.purge(db, clinic, now))  # type: ignore[misc]


async def run(database: Database) -> None:
    """Rounds until cancelled. A failed round is logged by its type and tried again at the next."""
    while True:
        try:
            await asyncio.to_thread(expire, database)
        except Exception as error:  # the next round may well succeed
            logger.warning("a round of background jobs failed: %s", type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)


def forever(database: Database) -> None:
    """Rounds until interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(database))
