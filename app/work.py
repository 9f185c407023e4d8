"""Background jobs, in short transactions per clinic: what has expired is deleted, and tracks that an older release kept
are folded again."""

import asyncio
import contextlib
import logging

from app import clock
from app.access import store as access
from app.api import idempotency
from app.patients import service as patients
from app.storage import NO_CLINIC, Database

logger = logging.getLogger("holdfast")

_EVERY_SECONDS = 3_600.0


def expire(database: Database) -> None:
    """One round: kept answers older than a day, and refresh tokens past their time."""
    now = clock.now()
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        database.writing(clinic_id, lambda db, clinic=clinic_id: idempotency.purge(db, clinic, now))  # type: ignore[misc]
        database.writing(clinic_id, lambda db, clinic=clinic_id: access.purge(db, clinic, now))  # type: ignore[misc]


def refold(database: Database) -> None:
    """One round: every track that was kept by other rules or in another shape, some patients at a time."""
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        zone = database.reading(clinic_id, lambda db, clinic=clinic_id: access.time_zone(db, clinic))  # type: ignore[misc]
        while database.writing(clinic_id, lambda db, c=clinic_id, z=zone: patients.refold_outdated(db, c, z)):  # type: ignore[misc]
            pass


def one_round(database: Database) -> None:
    """Every job once."""
    refold(database)
    expire(database)


async def run(database: Database) -> None:
    """Rounds until cancelled. A failed round is logged by its type and tried again at the next."""
    while True:
        try:
            await asyncio.to_thread(one_round, database)
        except Exception as error:  # the next round may well succeed
            logger.warning("a round of background jobs failed: %s", type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)


def forever(database: Database) -> None:
    """Rounds until interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(database))
