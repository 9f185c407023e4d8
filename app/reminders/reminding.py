"""The job that reminds patients of what has become due: in the daytime of their clinic, once of each check-in that is
asked for, on one of their phones.

A reminder is taken down before it leaves. Where a process dies in between, or an answer never comes to what has left,
it is not sent again: nobody can know whether it arrived, and a patient is better asked once too little than twice.
Where the push service has certainly not taken it, it is tried again, on another phone of theirs if the first is gone.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from uuid import UUID
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.outgoing.sending import Sender, Sent
from app.patients import store as patients
from app.plans import service as plans
from app.plans.models import LONGEST_WINDOW_DAYS
from app.plans.schedule import Due
from app.reminders import keys, messages, service, store
from app.reminders.models import Reminder
from app.reminders.store import ToRemind
from app.storage import NO_CLINIC, Database, Transaction
from app.tracks.days import local_day

logger = logging.getLogger("holdfast")

# By the clinic's clock.
_FROM, _UNTIL = time(9), time(20)
# What was recorded may be one part of what is asked for: the rest may follow within this time.
_QUIET = timedelta(hours=1)
_PATIENTS_AT_ONCE, _SENT_AT_ONCE = 50, 16
_BREATH_SECONDS = 0.05
_OPEN = ("due", "overdue")
_GONE = (404, 410)
# How long after each failed try the next one comes; the last wait goes on until the reminder is of use no more.
_WAITS = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))


@dataclass(frozen=True, slots=True)
class _Message:
    """A reminder of these items as it leaves, for one phone."""

    device_id: UUID
    endpoint_hash: str | None
    items: Sequence[str]
    endpoint: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Found:
    """A patient, and what they can still answer and have not: by item the day on which it became due."""

    patient: ToRemind
    items: Mapping[str, date]


@dataclass(frozen=True, slots=True)
class Reminders:
    """Reminds the patients of all clinics. `title_in`: the title of a reminder in a language; `public_url`: where the
    check-in is."""

    database: Database
    sender: Sender
    public_url: str
    title_in: Callable[[str], str]
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_SENT_AT_ONCE))

    async def round(self) -> None:
        """Reminds every patient of whom something has become due, 16 at a time: where a push service hangs, the others
        wait 15 seconds for each 16 of its phones."""
        clinic_ids = await self.database.read(NO_CLINIC, access.clinic_ids)
        await asyncio.gather(*map(self._clinic, clinic_ids))

    async def _clinic(self, clinic_id: UUID) -> None:
        try:
            zone = await self.database.read(clinic_id, lambda db: access.time_zone(db, clinic_id))
            after: UUID | None = None
            while _is_daytime(zone):
                now = clock.now()
                looked = partial(_look, clinic_id=clinic_id, zone=zone, now=now, after=after)
                found, nothing, last = await self.database.read(clinic_id, looked)
                if nothing:  # as of the look: what was recorded since is looked at once more
                    marked = partial(store.mark_looked, clinic_id=clinic_id, patient_ids=nothing, now=now)
                    await self.database.write(clinic_id, marked)
                await asyncio.gather(*(self._patient(clinic_id, zone, one) for one in found))
                if last is None:
                    return
                after = last
                await asyncio.sleep(_BREATH_SECONDS)
        except Exception as error:  # an error in one clinic must not stop the others
            logger.warning("reminders of a clinic could not be sent: %s", type(error).__name__)

    async def _patient(self, clinic_id: UUID, zone: ZoneInfo, found: _Found) -> None:
        """Reminds one patient, on the first of their phones that is there."""
        taken = partial(self._taken, clinic_id=clinic_id, zone=zone, found=found)
        try:
            async with self._turns:
                while _is_daytime(zone) and (message := await self.database.write(clinic_id, taken)) is not None:
                    sent = await self.sender.send(message.endpoint, message.body, message.headers)
                    noted = partial(_note, clinic_id=clinic_id, patient_id=found.patient.id, message=message, sent=sent)
                    if not await self.database.write(clinic_id, noted):
                        return
        except Exception as error:  # of one patient must not keep the others from being reminded
            logger.warning("a patient could not be reminded: %s", type(error).__name__)

    def _taken(self, db: Transaction, clinic_id: UUID, zone: ZoneInfo, found: _Found) -> _Message | None:
        """Takes down that a patient is reminded now. None where nothing is left to remind of, or no phone, or where
        something was recorded since it was looked: then a later round looks again."""
        now, patient = clock.now(), found.patient
        stands = patients.locked(db, clinic_id, [patient.id])[patient.id]
        if stands.last_recorded_at != patient.last_recorded_at or stands.care_status != "active":
            return None
        phones = store.live(db, clinic_id, patient.id)
        for held in phones:
            held.looked_at = now
            db.add(held)
        before = store.reminders(db, clinic_id, [patient.id]).get(patient.id, {})
        for item, one in before.items():
            # It was answered meanwhile, or nobody can any more; or there is no phone, and another day one may be.
            if one.next_at is not None and (item not in found.items or not phones):
                one.next_at = None
                db.add(one)
        mine = [item for item in found.items if _may_leave(before.get(item), now)]
        key = store.key(db, clinic_id)
        if not mine or not phones or key is None:
            return None
        private_key = keys.private_key(db, key)
        places = {held.device_id: keys.destination(db, held) for held in phones}
        if private_key is None or None in places.values():
            logger.warning("where a reminder goes, or the clinic's key for it, cannot be read: is the secret the same?")
        readable = [held for held in phones if private_key is not None and places[held.device_id] is not None]
        for held in phones:
            if held not in readable:
                service.fail(db, held, now)
        if not readable or private_key is None:
            for waiting in before.values():
                waiting.next_at = None  # looked at again the next morning
                db.add(waiting)
            return None
        phone = readable[0]
        to = places[phone.device_id]
        assert to is not None  # it can be read
        for item in mine:
            one = before.get(item) or Reminder(
                clinic_id=clinic_id, patient_id=patient.id, item=item, due_on=found.items[item], tries=0,
                taken_at=None, next_at=None, sent_at=None,
            )  # fmt: skip
            one.tries, one.taken_at, one.next_at = one.tries + 1, now, None
            db.add(one)
        evening = datetime.combine(now.astimezone(zone).date(), _UNTIL, zone)
        signed = messages.headers(to.endpoint, private_key, key.public_key, self.public_url, evening - now, now)
        address = f"{self.public_url.rstrip('/')}/check-in"
        content = messages.content(self.title_in(phone.language), phone.language, address)
        return _Message(
            phone.device_id, phone.endpoint_hash, mine, to.endpoint, messages.encrypted(content, to), signed
        )


def _is_daytime(zone: ZoneInfo) -> bool:
    return _FROM <= clock.now().astimezone(zone).time() < _UNTIL


def _may_leave(one: Reminder | None, now: datetime) -> bool:
    return one is None or (one.taken_at is None and (one.next_at is None or one.next_at <= now))


def _look(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, now: datetime, after: UUID | None
) -> tuple[list[_Found], list[UUID], UUID | None]:
    """A few patients: those who may be reminded of something now; those of whom nothing is to be told; and the last
    one, None where there is none."""
    today = local_day(now, zone)
    since = datetime.combine(today, _FROM, zone)
    some = store.to_remind(db, clinic_id, since, now - _QUIET, now, after, _PATIENTS_AT_ONCE)
    before = store.reminders(db, clinic_id, [one.id for one in some])
    found, nothing = [], []
    for patient in some:
        items = _open_items(db, clinic_id, zone, patient, today)
        if items is None:
            continue
        known = before.get(patient.id, {})
        waits = any(one.next_at is not None for one in known.values())
        if waits or any(_may_leave(known.get(item), now) for item in items):
            found.append(_Found(patient, items))
        else:
            nothing.append(patient.id)
    return found, nothing, some[-1].id if some else None


def _open_items(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, patient: ToRemind, today: date
) -> dict[str, date] | None:
    """What a patient can still answer and has not; None where that could not be worked out, so that it is looked
    again."""
    first = today - timedelta(days=LONGEST_WINDOW_DAYS)
    try:
        every = plans.asked_of(db, clinic_id, zone, patient.id, patient.enrolled_at, first, today, today)
    except Exception as error:  # of one patient must not keep the others from being reminded
        logger.warning("what is due of a patient could not be worked out: %s", type(error).__name__)
        return None
    found: dict[str, date] = {}
    for one in every:
        shown = plans.due_out(one, today, own=True, tells_why=False)
        if shown is not None and shown.state in _OPEN:
            found[_item(one)] = one.due_on
    return found


def _item(one: Due) -> str:
    """What an item is called, whatever becomes of its day: a session that is found to have been on another day still
    asks for the same."""
    if one.confirms:
        return f"confirm {one.anchor_on}"
    return f"{one.session_id or 'enrolment'} {(one.due_on - one.anchor_on).days}"


def _note(db: Transaction, clinic_id: UUID, patient_id: UUID, message: _Message, sent: Sent) -> bool:
    """Notes what became of a reminder. Whether it is to be tried at once, on another phone."""
    now = clock.now()
    patients.locked(db, clinic_id, [patient_id])
    before = store.reminders(db, clinic_id, [patient_id]).get(patient_id, {})
    mine = [before[item] for item in message.items if item in before]
    held = store.subscription(db, clinic_id, message.device_id, lock=True)
    if held is not None and held.endpoint_hash != message.endpoint_hash:  # it was renewed or ended meanwhile
        held = None
    if sent.is_received:
        for one in mine:
            one.sent_at = now
            db.add(one)
        if held is not None and held.failing_since is not None:
            held.failing_since, held.failed_at = None, None
            db.add(held)
        return False
    logger.warning("a push service has not taken a reminder: %s", sent.status or sent.error)
    is_gone = sent.status in _GONE
    if held is not None and is_gone:
        service.end(db, held, now, "gone")
    elif held is not None:
        service.fail(db, held, now)
    if sent.status is None and sent.has_left:  # the push service may have taken it, though it did not say so
        return False
    for one in mine:
        wait = max(_WAITS[min(one.tries, len(_WAITS)) - 1], timedelta(seconds=sent.retry_after or 0))
        one.taken_at, one.next_at = None, now if is_gone else now + wait
        db.add(one)
    return is_gone
