"""The job that reminds patients of what has become due: in the daytime of their clinic, once for what is due on a day,
on one of their phones.

A reminder is taken down before it leaves. Where a process dies in between, or an answer never comes, it is not sent
again: nobody can know whether it arrived, and a patient is better asked once too little than twice. Where the push
service has certainly not taken it, it is tried again, on another phone of theirs if the first is gone.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from app.reminders import keys, messages, service, store
from app.reminders.models import Reminder
from app.reminders.store import ToRemind
from app.storage import NO_CLINIC, Database, Transaction
from app.tracks.days import local_day

logger = logging.getLogger("holdfast")

# By the clinic's clock.
_FROM, _UNTIL = time(9), time(20)
_PATIENTS_AT_ONCE = 50
_OPEN = ("due", "overdue")
_LONGEST_KEPT = timedelta(days=1)
_GONE = (404, 410)
_TOO_MANY = 429
# How long after each failed try the next one comes; the last wait goes on until the reminder is of use no more.
_WAITS = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2))


@dataclass(frozen=True, slots=True)
class _Message:
    """A reminder as it leaves, of these days, for one phone."""

    device_id: UUID
    days: Sequence[date]
    endpoint: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Reminders:
    """Reminds the patients of all clinics. `title_in`: the title of a reminder in a language; `public_url`: where the
    check-in is."""

    database: Database
    sender: Sender
    public_url: str
    title_in: Callable[[str], str]

    async def round(self) -> None:
        """Reminds every patient of whom something has become due."""
        for clinic_id in await self.database.read(NO_CLINIC, store.clinics_with_some):
            try:
                await self._clinic(clinic_id)
            except Exception as error:  # an error in one clinic must not stop the others
                logger.warning("reminders of a clinic could not be sent: %s", type(error).__name__)

    async def _clinic(self, clinic_id: UUID) -> None:
        zone, after = await self.database.read(clinic_id, lambda db: access.time_zone(db, clinic_id)), None
        while True:
            now = clock.now()
            local = now.astimezone(zone)
            if not _FROM <= local.time() < _UNTIL:
                return
            since = datetime.combine(local.date(), _FROM, zone)
            some = partial(_look, clinic_id=clinic_id, zone=zone, since=since, now=now, after=after)
            found = await self.database.read(clinic_id, some)
            if not found:
                return
            for patient, days in found:
                await self._patient(clinic_id, zone, patient, days)
            after = found[-1][0].id

    async def _patient(self, clinic_id: UUID, zone: ZoneInfo, patient: ToRemind, days: dict[date, date]) -> None:
        """Reminds one patient, on the first of their phones that is there."""
        taken = partial(self._taken, clinic_id=clinic_id, zone=zone, patient=patient, days=days)
        while (message := await self.database.write(clinic_id, taken)) is not None:
            sent = await self.sender.send(message.endpoint, message.body, message.headers)
            noted = partial(_note, clinic_id=clinic_id, patient_id=patient.id, message=message, sent=sent)
            if not await self.database.write(clinic_id, noted):
                return

    def _taken(
        self, db: Transaction, clinic_id: UUID, zone: ZoneInfo, patient: ToRemind, days: dict[date, date]
    ) -> _Message | None:
        """Takes down that a patient is reminded now. None where nothing is left to remind of, or no phone, or where
        something was recorded since it was looked: then the next round looks again."""
        now = clock.now()
        stands = patients.locked(db, clinic_id, [patient.id])[patient.id]
        if stands.last_recorded_at != patient.last_recorded_at or stands.care_status != "active":
            return None
        phones = store.live(db, clinic_id, patient.id)
        for phone in phones:
            phone.looked_at = now
            db.add(phone)
        before = store.reminders(db, clinic_id, patient.id)
        for day, one in before.items():
            # It was answered meanwhile, or nobody can any more; or there is no phone, and another day one may be.
            if one.next_at is not None and (day not in days or not phones):
                one.next_at = None
                db.add(one)
        mine = [day for day in days if _may_leave(before.get(day), now)]
        key = store.key(db, clinic_id)
        if not mine or not phones or key is None:
            return None
        for day in mine:
            one = before.get(day) or Reminder(
                clinic_id=clinic_id, patient_id=patient.id, due_on=day, tries=0, taken_at=None, next_at=None,
                sent_at=None,
            )  # fmt: skip
            one.tries, one.taken_at, one.next_at = one.tries + 1, now, None
            db.add(one)
        to, language = keys.destination(db, phones[0]), phones[0].language
        ends = datetime.combine(max(days[day] for day in mine) + timedelta(days=1), time(), zone)
        address = f"{self.public_url.rstrip('/')}/check-in"
        ttl = min(ends - now, _LONGEST_KEPT)
        signed = messages.headers(to.endpoint, keys.private_key(db, key), key.public_key, self.public_url, ttl, now)
        body = messages.encrypted(messages.content(self.title_in(language), language, address), to)
        return _Message(phones[0].device_id, mine, to.endpoint, body, signed)


def _may_leave(one: Reminder | None, now: datetime) -> bool:
    return one is None or (one.taken_at is None and (one.next_at is None or one.next_at <= now))


def _look(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, since: datetime, now: datetime, after: UUID | None
) -> list[tuple[ToRemind, dict[date, date]]]:
    """A few patients, each with the days on which something became due that they can still answer and have not; and
    until which day they can."""
    today = local_day(now, zone)
    return [
        (patient, _open_days(db, clinic_id, zone, patient, today))
        for patient in store.to_remind(db, clinic_id, since, now, after, _PATIENTS_AT_ONCE)
    ]


def _open_days(db: Transaction, clinic_id: UUID, zone: ZoneInfo, patient: ToRemind, today: date) -> dict[date, date]:
    first = today - timedelta(days=LONGEST_WINDOW_DAYS)
    try:
        every = plans.asked_of(db, clinic_id, zone, patient.id, patient.enrolled_at, first, today, today)
    except Exception as error:  # of one patient must not keep the others from being reminded
        logger.warning("what is due of a patient could not be worked out: %s", type(error).__name__)
        return {}
    shown = [plans.due_out(one, today, own=True, tells_why=False) for one in every]
    found: dict[date, date] = {}
    for one in shown:
        if one is not None and one.state in _OPEN:
            found[one.due_on] = max(one.window_ends_on, found.get(one.due_on, one.window_ends_on))
    return found


def _note(db: Transaction, clinic_id: UUID, patient_id: UUID, message: _Message, sent: Sent) -> bool:
    """Notes what became of a reminder. Whether it is to be tried at once, on another phone."""
    now = clock.now()
    patients.locked(db, clinic_id, [patient_id])
    before = store.reminders(db, clinic_id, patient_id)
    mine = [before[day] for day in message.days if day in before]
    if sent.is_received:
        for one in mine:
            one.sent_at = now
            db.add(one)
        return False
    if _is_unknown(sent):
        return False
    is_over = sent.status is not None and not _may_come_later(sent.status)
    for one in mine:
        one.taken_at = None
        one.next_at = now if is_over else now + _WAITS[min(one.tries, len(_WAITS)) - 1]
        db.add(one)
    held = store.subscription(db, clinic_id, message.device_id)
    if is_over and held is not None:
        service.lose(db, held, now, "gone" if sent.status in _GONE else "refused")
    return is_over


def _is_unknown(sent: Sent) -> bool:
    """Whether the push service may have taken it though it did not say so."""
    return sent.status is None and sent.error in ("timed_out", "bad_answer")


def _may_come_later(status: int) -> bool:
    return status == _TOO_MANY or status >= 500
