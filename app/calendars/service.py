"""Use cases of calendars: make a link, end it, and what is due as an iCalendar file (RFC 5545, RFC 7986)."""

import secrets
from datetime import timedelta
from uuid import UUID, uuid5

from icalendar import Alarm, Calendar, Event

from app.access.service import Caller, caller_of_token
from app.access.tokens import Claims, digest
from app.audit.service import Act, Origin
from app.calendars import store
from app.calendars.models import CalendarLink
from app.errors import NotFound
from app.facts import Fact
from app.plans import service as plans
from app.plans.models import DueOut
from app.storage import Transaction, new_id

_OPEN = ("upcoming", "due", "overdue")
_RENEWED = timedelta(hours=12)
# On the morning of the day, in the reader's own zone.
_TOLD_AFTER = timedelta(hours=9)


def make(db: Transaction, caller: Caller, act: Act, language: str) -> Fact[str]:
    """A code for the device's patient, in the place of those before."""
    store.revoke(db, caller.clinic_id, caller.id, act.at)
    code = secrets.token_urlsafe(32)
    db.add(
        CalendarLink(
            clinic_id=caller.clinic_id,
            id=new_id(),
            device_id=caller.id,
            code_hash=digest(code),
            language=language,
            created_at=act.at,
            revoked_at=None,
        )
    )
    return Fact(code, _whose(caller), is_new=True, is_secret=True)


def end(db: Transaction, caller: Caller, act: Act) -> Fact[None]:
    """Ends the device's links."""
    store.revoke(db, caller.clinic_id, caller.id, act.at)
    return Fact(None, _whose(caller))


def read(
    db: Transaction, clinic_id: UUID, code: str, origin: Origin
) -> tuple[Act, Fact[tuple[str, list[DueOut], UUID]]]:
    """The language of the titles, what is due in the next 60 days, and the link's id. Raises NotFound for a code that
    is unknown or revoked, and InvalidToken where the device is disabled."""
    found = store.by_hash(db, digest(code))
    if found is None or found.revoked_at is not None:
        raise NotFound
    caller = caller_of_token(db, Claims("device", found.device_id, clinic_id, "", 0))
    assert caller.patient_id is not None  # a device has one
    due = plans.due_of(db, caller, caller.patient_id, None, None, origin.at).value.items
    act = origin.act(clinic_id, "device", found.device_id, "read_calendar")
    return act, Fact((found.language, [one for one in due if one.state in _OPEN], found.id), (caller.patient_id,))


def calendar(title: str, due: list[DueOut], link_id: UUID, origin: Origin, address: str) -> bytes:
    """The file. Its titles say nothing of what is asked, nor by whom: calendars are shared, and shown on locked
    phones."""
    made = Calendar()
    made.add("prodid", "-//Holdfast//Check-ins//EN")
    made.add("version", "2.0")
    made.add("x-wr-calname", title)
    made.add("refresh-interval", _RENEWED, parameters={"VALUE": "DURATION"})
    made.add("x-published-ttl", "PT12H")
    for one in due:
        event, alarm = Event(), Alarm()
        event.add("uid", str(uuid5(link_id, f"{one.due_on} {' '.join(one.instruments)}")))
        event.add("dtstamp", origin.at)
        event.add("summary", title)
        event.add("dtstart", one.due_on)
        event.add("dtend", one.due_on + timedelta(days=1))
        event.add("url", address)
        event.add("transp", "TRANSPARENT")
        alarm.add("action", "DISPLAY")
        alarm.add("description", title)
        alarm.add("trigger", _TOLD_AFTER)
        event.add_component(alarm)
        made.add_component(event)
    content: bytes = made.to_ical()
    return content


def _whose(caller: Caller) -> tuple[UUID, ...]:
    return () if caller.patient_id is None else (caller.patient_id,)
