"""Background jobs: mail about urgent alerts, seals of the audit log, and, once an hour, deleting what has expired and
folding again what an older release kept.

Several processes may run them: each job is done by one at a time, in short transactions of one clinic each. What
changes at a clinic's midnight needs no job: it is stored as days, so that every page is right without a write.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from app import clock
from app.access import store as access
from app.access import throttling
from app.alerts import mailing
from app.alerts.mailing import Mail
from app.api import idempotency, limits
from app.audit import sealing
from app.patients import service as patients
from app.storage import NO_CLINIC, Database, leases

logger = logging.getLogger("holdfast")

_BREATH_SECONDS = 0.05
_HOUR_SECONDS = 3_600.0
_MAIL_SECONDS = 5.0
_SEAL_SECONDS = 5.0
# A process that dies in the middle of a job keeps the others, and itself once started again, from it for this long: an
# urgent alert is mailed within a minute.
_LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Job:
    """What is done, every so many seconds."""

    name: str
    every_seconds: float
    work: Callable[[], Awaitable[object]]


def jobs(database: Database, mail: Mail | None) -> list[Job]:
    """Every job there is."""
    return [
        Job("mail", _MAIL_SECONDS, lambda: asyncio.to_thread(mailing.send_due, database, mail)),
        Job("seal", _SEAL_SECONDS, lambda: asyncio.to_thread(seal, database)),
        Job("expire", _HOUR_SECONDS, lambda: asyncio.to_thread(expire, database)),
        Job("refold", _HOUR_SECONDS, lambda: refold(database)),
    ]


def seal(database: Database) -> None:
    """Seals what every clinic's log holds unsealed."""
    _each_clinic(database, "sealed", lambda clinic_id: _seal_clinic(database, clinic_id))


def _seal_clinic(database: Database, clinic_id: UUID) -> None:
    last = None
    while last is None or sealing.is_full(last):  # what comes meanwhile waits for the next round, or none would end
        seal = database.reading(clinic_id, lambda db: sealing.next_seal(db, clinic_id, clock.now()))
        if seal is None:
            break
        database.writing(clinic_id, partial(sealing.keep, seal=seal))
        last = seal
    if last is not None:
        database.reading(clinic_id, lambda db: sealing.announce(db, clinic_id))


def expire(database: Database) -> None:
    """One round: kept answers older than a day, tokens and codes past their time, and counts that are over."""
    now = clock.now()
    _each_clinic(database, "cleared", lambda clinic_id: _expire_clinic(database, clinic_id, now))
    database.writing(NO_CLINIC, lambda db: throttling.purge(db, now))
    database.writing(NO_CLINIC, limits.purge)
    database.overwriting_deleted()


def _expire_clinic(database: Database, clinic_id: UUID, now: datetime) -> None:
    database.writing(clinic_id, lambda db: idempotency.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: access.purge(db, clinic_id, now))


def _each_clinic(database: Database, done: str, work: Callable[[UUID], None]) -> None:
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids):
        try:
            work(clinic_id)
        except Exception as error:  # one clinic's fault is not the next one's
            logger.warning("a clinic could not be %s: %s", done, type(error).__name__)


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


async def run(database: Database, mail: Mail | None) -> None:
    """Every job in its turn until cancelled."""
    holder = str(uuid4())
    async with asyncio.TaskGroup() as group:
        for job in jobs(database, mail):
            group.create_task(_repeat(database, job, holder))


def forever(database: Database, mail: Mail | None) -> None:
    """Every job in its turn until interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(database, mail))


async def _repeat(database: Database, job: Job, holder: str) -> None:
    """Rounds of a job, while its lease is ours. A failed round is logged by its type and tried again at the next."""
    until = clock.now()
    try:
        while True:
            try:
                until = await _held(database, job, holder, until)
                if until > clock.now():
                    await job.work()
            except Exception as error:  # the next round may well succeed
                logger.warning("the job %s failed: %s", job.name, type(error).__name__)
            await asyncio.sleep(job.every_seconds)
    finally:
        with contextlib.suppress(Exception):  # it runs out by itself
            await asyncio.shield(
                database.write(NO_CLINIC, lambda db: leases.give_up(db, job.name, holder, clock.now()))
            )


async def _held(database: Database, job: Job, holder: str, until: datetime) -> datetime:
    """Until when the job is ours; it is leased anew once less than half of the time is left. A round that outlasts its
    lease may meet another process's: each write of a job is safe to do twice."""
    now = clock.now()
    if until - now > _LEASE / 2:
        return until
    wanted = now + _LEASE + timedelta(seconds=job.every_seconds)
    ours = await database.write(NO_CLINIC, lambda db: leases.lease(db, job.name, holder, now, wanted))
    return wanted if ours else now
