"""Background jobs, in short transactions per clinic: what has expired is deleted, and tracks that an older release kept
are folded again."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from uuid import UUID

from app import clock
from app.access import store as access
from app.api import idempotency
from app.patients import service as patients
from app.storage import NO_CLINIC, Database

logger = logging.getLogger("holdfast")

_EVERY_SECONDS = 3_600.0
_BREATH_SECONDS = 0.05


def expire(database: Database) -> None:
    """One round: kept answers older than a day, and refresh tokens past their time."""
    now = clock.now()
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        database.writing(clinic_id, lambda db, clinic=clinic_id: idempotency.purge(db, clinic, now))  # type: ignore[misc]
        database.writing(clinic_id, lambda db, clinic=clinic_id: access.purge(db, clinic, now))  # type: ignore[misc]


async def refold(database: Database) -> None:
    """Every track that was kept by other rules or in another shape: a few patients at a time, in turn with what clients
    post."""
    for clinic_id in await database.read(NO_CLINIC, access.clinic_ids):
        try:
            await _refold_clinic(database, clinic_id)
        except Exception as error:  # one clinic's fault is not the next one's
            logger.warning("tracks could not be folded again: %s", type(error).__name__)


async def _refold_clinic(database: Database, clinic_id: UUID) -> None:
    zone = await database.read(clinic_id, lambda db: access.time_zone(db, clinic_id))
    before: Sequence[UUID] = ()
    while True:
        folded = await database.write(clinic_id, lambda db: patients.refold_outdated(db, clinic_id, zone))
        if not folded or folded == before:  # nothing is left, or nothing that can be folded
            return
        before = folded
        await asyncio.sleep(_BREATH_SECONDS)


async def run(database: Database) -> None:
    """Rounds until cancelled. A failed round is logged by its type and tried again at the next."""
    while True:
        try:
            await asyncio.to_thread(expire, database)
            await refold(database)
        except Exception as error:  # the next round may well succeed
            logger.warning("a round of background jobs failed: %s", type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)


def forever(database: Database) -> None:
    """Rounds until interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(database))
