"""Background jobs: mail about urgent alerts, webhooks, reminders, seals of the audit log, rows that turned at midnight,
what has become due, and, once an hour, deleting expired rows and computing folds of older releases again.

Several processes may run them. Each job is done by one process at a time, in short transactions of one clinic each. No
job has to run at a clinic's midnight: what changes then is stored with its day, so every page is right without a write.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.access import throttling
from app.alerts import mailing
from app.alerts.mailing import Mail
from app.api import idempotency, limits
from app.audit import sealing
from app.cohorts import service as cohorts
from app.cohorts import snapshots
from app.exchange import running
from app.exchange import service as exchange
from app.outbox import service as outbox
from app.outgoing.sending import Sender
from app.patients import identifiers
from app.patients import service as patients
from app.plans import telling
from app.reminders import service as reminding
from app.reminders.reminding import Reminders
from app.speech.languages import translations
from app.storage import NO_CLINIC, Database, Transaction, leases
from app.storage.watching import watched
from app.tracks import store as tracks
from app.tracks.days import local_day
from app.webhooks import delivering
from app.webhooks.delivering import Courier

logger = logging.getLogger("holdfast")

_BREATH_SECONDS = 0.05
_IDENTIFIERS_A_ROUND = 200
_HOUR_SECONDS = 3_600.0
_TURN_SECONDS = 600.0
_DUE_SECONDS = 600.0
_TURNED_AFTER = _LOOKED_AGAIN_AFTER = timedelta(hours=1)
_REMINDER_SECONDS = 60.0
_MAIL_SECONDS = 5.0
_IMPORT_SECONDS = 1.0
_WEBHOOK_SECONDS = 2.0
_SEAL_SECONDS = 5.0
# A seal costs as much as some posts, so that each waits for its clinic's events of half a minute.
_UNSEALED_FOR = timedelta(seconds=30)
# A lease lasts this much longer than the job's interval. If a process dies, its jobs wait until their leases run out:
# half a minute for mail, so an urgent alert is still mailed within a minute, but an hour for hourly jobs.
_LEASE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Job:
    """A job and how often it runs, in seconds."""

    name: str
    every_seconds: float
    work: Callable[[], Awaitable[object]]


def jobs(database: Database, mail: Mail | None, public_url: str, hosts: Collection[str] = ()) -> list[Job]:
    """All background jobs. `public_url`: where patients reach the check-in; `hosts`: those to which webhooks
    may go though they are not public."""
    courier = Courier(database, Sender(hosts), mail)
    # To public addresses alone: where a reminder goes a patient says, and not an administrator.
    reminders = Reminders(database, Sender(()), public_url, lambda language: translations(language).gettext("Check-in"))
    return [
        Job("mail", _MAIL_SECONDS, lambda: asyncio.to_thread(mailing.send_due, database, mail)),
        Job("webhooks", _WEBHOOK_SECONDS, courier.round),
        Job("seal", _SEAL_SECONDS, lambda: asyncio.to_thread(seal, database, clock.now() - _UNSEALED_FOR)),
        Job("expire", _HOUR_SECONDS, lambda: asyncio.to_thread(expire, database)),
        Job("refold", _HOUR_SECONDS, lambda: refold(database)),
        Job("turn", _TURN_SECONDS, partial(turn, database, {})),
        Job("due", _DUE_SECONDS, lambda: tell_due(database)),
        Job("reminders", _REMINDER_SECONDS, reminders.round),
        Job("renew", _HOUR_SECONDS, lambda: asyncio.to_thread(renew_identifiers, database)),
        Job("imports", _IMPORT_SECONDS, lambda: running.carry_on(database)),
        Job("snapshot", _HOUR_SECONDS, lambda: asyncio.to_thread(renew_snapshots, database)),
    ]


def seal(database: Database, before: datetime | None = None) -> None:
    """Seals the unsealed audit events of every clinic; or of those alone that have one from before an instant, or as
    many as a seal covers. One query finds them."""
    waiting = database.reading(NO_CLINIC, lambda db: sealing.clinics_waiting(db, before))
    _each_clinic(database, "sealed", lambda clinic_id: _seal_clinic(database, clinic_id), waiting)


def _seal_clinic(database: Database, clinic_id: UUID) -> None:
    last = None
    while last is None or sealing.is_full(last):  # newer events wait for the next round, or this might never end
        seal = database.reading(clinic_id, lambda db: sealing.next_seal(db, clinic_id, clock.now()))
        if seal is None:
            break
        database.writing(clinic_id, partial(sealing.store_seal, seal=seal))
        last = seal
    if last is not None:
        sealing.announce(last)


def expire(database: Database) -> None:
    """One round: deletes stored responses older than a day, expired tokens and codes, and counts of past windows."""
    now = clock.now()
    _each_clinic(database, "cleared", lambda clinic_id: _expire_clinic(database, clinic_id, now))
    database.writing(NO_CLINIC, lambda db: throttling.purge(db, now))
    database.writing(NO_CLINIC, limits.purge)
    database.overwriting_deleted()


def _expire_clinic(database: Database, clinic_id: UUID, now: datetime) -> None:
    database.writing(clinic_id, lambda db: idempotency.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: access.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: outbox.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: delivering.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: exchange.purge(db, clinic_id, now))
    database.writing(clinic_id, lambda db: reminding.purge(db, clinic_id, now))


def _each_clinic(
    database: Database, done: str, work: Callable[[UUID], None], clinic_ids: Sequence[UUID] | None = None
) -> None:
    for clinic_id in database.reading(NO_CLINIC, access.clinic_ids) if clinic_ids is None else clinic_ids:
        try:
            work(clinic_id)
        except Exception as error:  # an error in one clinic must not stop the others
            logger.warning("a clinic could not be %s: %s", done, type(error).__name__)


def renew_identifiers(database: Database) -> None:
    """Brings the keyed hashes of external ids to today's form, a few patients in each transaction."""
    _each_clinic(database, "renewed", lambda clinic_id: _renew_clinic(database, clinic_id))


def _renew_clinic(database: Database, clinic_id: UUID) -> None:
    after: UUID | None = None
    while True:
        renewed = partial(identifiers.renew, clinic_id=clinic_id, after=after, limit=_IDENTIFIERS_A_ROUND)
        after = database.writing(clinic_id, renewed)
        if after is None:
            return


def renew_snapshots(database: Database) -> None:
    """Renews the snapshots that answer callers who may not see patients, each at most once a week."""
    _each_clinic(database, "counted anew", lambda clinic_id: _renew_snapshot(database, clinic_id))


def _renew_snapshot(database: Database, clinic_id: UUID) -> None:
    now = clock.now()
    if not database.reading(clinic_id, lambda db: snapshots.is_due(db, clinic_id, now)):
        return
    clinic = database.reading(clinic_id, lambda db: access.clinic(db, clinic_id))
    if clinic is not None:
        whose = (clinic_id, ZoneInfo(clinic.time_zone), clinic.smallest_group)
        # Worked out in a reading transaction, so that nobody waits for it.
        found, last = database.reading(clinic_id, lambda db: cohorts.next_snapshot(db, *whose, now))
        if found is not None:
            database.writing(clinic_id, lambda db: cohorts.keep_snapshot(db, clinic_id, found, last))


async def _in_each_clinic(database: Database, undone: str, work: Callable[[UUID], Awaitable[object]]) -> None:
    for clinic_id in await database.read(NO_CLINIC, access.clinic_ids):
        try:
            await work(clinic_id)
        except Exception as error:  # an error in one clinic must not stop the others
            logger.warning("%s: %s", undone, type(error).__name__)


async def refold(database: Database) -> None:
    """Folds again, a few patients in each transaction, every track stored under another fold version."""
    await _in_each_clinic(database, "tracks could not be folded again", partial(_refold_clinic, database))


async def _refold_clinic(database: Database, clinic_id: UUID) -> None:
    zone = await database.read(clinic_id, lambda db: access.time_zone(db, clinic_id))
    before: Sequence[UUID] = ()
    while True:
        folded = await database.write(clinic_id, lambda db: patients.refold_outdated(db, clinic_id, zone))
        if not folded or folded == before:  # none are left, or these cannot be folded
            return
        before = folded
        await asyncio.sleep(_BREATH_SECONDS)


async def turn(database: Database, turned: dict[UUID, tuple[datetime, ZoneInfo, date]] | None = None) -> None:
    """Writes the domain rows whose day has come, in every clinic, a few patients in each transaction. Rows turn at
    midnight and are written from an hour later on: whoever pages through a list as of yesterday still finds them.
    `turned`: when a clinic's rows were turned, its zone, and its day then; it is not looked at again within the hour,
    unless its day has changed."""
    known = {} if turned is None else turned

    async def turn_one(clinic_id: UUID) -> None:
        last, now = known.get(clinic_id), clock.now()
        if last and now - last[0] < _LOOKED_AGAIN_AFTER and last[2] == local_day(now - _TURNED_AFTER, last[1]):
            return
        known[clinic_id] = await _turn_clinic(database, clinic_id, now)

    await _in_each_clinic(database, "rows could not be turned", turn_one)


async def _turn_clinic(database: Database, clinic_id: UUID, now: datetime) -> tuple[datetime, ZoneInfo, date]:
    def found(db: Transaction) -> tuple[ZoneInfo, date, bool]:
        zone = access.time_zone(db, clinic_id)
        day = local_day(now - _TURNED_AFTER, zone)
        return zone, day, tracks.has_turned(db, clinic_id, day)

    while True:
        zone, day, is_due = await database.read(clinic_id, found)
        if not is_due:
            return now, zone, day
        await database.write(clinic_id, lambda db, day=day: patients.advance_domains(db, clinic_id, day))  # type: ignore[misc]
        await asyncio.sleep(_BREATH_SECONDS)


async def tell_due(database: Database) -> None:
    """Tells in every clinic what has become due on its day, a few patients in each transaction."""
    await _in_each_clinic(database, "what is due could not be told", partial(_tell_due_in, database))


async def _tell_due_in(database: Database, clinic_id: UUID) -> None:
    after: UUID | None = None
    while True:
        now = clock.now()
        # Found in a reading transaction, so that nobody waits for it.
        found = await database.read(clinic_id, partial(telling.look, clinic_id=clinic_id, now=now, after=after))
        if found is None:
            return
        await database.write(clinic_id, partial(telling.tell, clinic_id=clinic_id, found=found, now=now))
        after = list(found.recorded_at)[-1]
        await asyncio.sleep(_BREATH_SECONDS)


async def run(database: Database, mail: Mail | None, public_url: str, hosts: Collection[str] = ()) -> None:
    """Runs every job repeatedly until cancelled."""
    every = jobs(database, mail, public_url, hosts)
    told = ", ".join(f"{job.name} every {job.every_seconds:.0f} s" for job in every)
    logger.info("background jobs: %s%s", told, "" if mail else "; no mail server is set, so mail reaches nobody")
    holder = str(uuid4())
    async with asyncio.TaskGroup() as group:
        for job in every:
            group.create_task(_repeat(database, job, holder))


def forever(database: Database, mail: Mail | None, public_url: str, hosts: Collection[str] = ()) -> None:
    """Runs every job repeatedly until interrupted, in a process of its own."""

    async def watching() -> None:
        async with watched(database):
            await run(database, mail, public_url, hosts)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(watching())


async def _repeat(database: Database, job: Job, holder: str) -> None:
    """Repeats a job while this process holds its lease. A failed round is logged by type, and tried again."""
    until = clock.now()
    try:
        while True:
            try:
                until = await _held(database, job, holder, until)
                if until > clock.now():
                    await job.work()
            except Exception as error:  # the next round may succeed
                logger.warning("the job %s failed: %s", job.name, type(error).__name__)
            await asyncio.sleep(job.every_seconds)
    finally:
        with contextlib.suppress(Exception):  # the lease runs out by itself
            await asyncio.shield(
                database.write(NO_CLINIC, lambda db: leases.give_up(db, job.name, holder, clock.now()))
            )


async def _held(database: Database, job: Job, holder: str, until: datetime) -> datetime:
    """Renews the lease once less than half of its time is left. Returns until when the job is ours; now or earlier
    means that it is not. A round may outlast its lease, so every write of a job is safe to repeat."""
    now = clock.now()
    wanted = now + _LEASE + timedelta(seconds=job.every_seconds)
    if now + _LEASE / 2 < until <= wanted:
        return until
    ours = await database.write(NO_CLINIC, lambda db: leases.lease(db, job.name, holder, now, wanted))
    return wanted if ours else now
