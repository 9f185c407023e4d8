"""What pictures of one patient need: whose they are, every domain's trend, and what each session did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from app.access.service import Caller
from app.effects.service import effects_of
from app.events.service import happened
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.patients import identifiers
from app.patients import service as patients
from app.pictures.effects import Bar, effects_picture, title_of
from app.pictures.overview import overview_picture
from app.pictures.trend import Heading, trend_picture
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.storage import Transaction
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.answers import readable, relief_on
from app.tracks.days import local_day
from app.tracks.domains import checked_instrument
from app.tracks.events import Calendar
from app.trend import service as trends
from app.trend.models import TrendOut
from app.trend.service import Question
from app.trend.words import described

_DOMAINS = ("mood", "anxiety", "pain")


@dataclass(frozen=True, slots=True)
class Picture:
    """A specification, and the name and the text alternative of what it draws."""

    specification: dict[str, Any]
    name: str

    @property
    def description(self) -> str:
        return str(self.specification["description"])


def trend_of(
    db: Transaction, caller: Caller, patient_id: UUID, question: Question, now: datetime, speech: Speech
) -> Fact[Picture]:
    """The picture of one instrument's trend. Raises NotFound, Merged, Invalid."""
    found = trends.trend_of(db, caller, patient_id, question, now)
    name = speech.translated(INSTRUMENTS[question.instrument].name)
    if speech is not ENGLISH:
        found.value.description = described(found.value, name, speech)
    specification = trend_picture(found.value, _heading(db, caller, patient_id, now, speech))
    return Fact(Picture(specification, name), (patient_id,))


def overview_of(
    db: Transaction,
    caller: Caller,
    patient_id: UUID,
    first: date | None,
    last: date | None,
    now: datetime,
    speech: Speech,
) -> Fact[Picture]:
    """The picture of mood, anxiety and pain, each by the instrument that answers for it now. Raises NotFound, Merged,
    Invalid."""
    subject = patients.subject_of(patients.find(db, caller.clinic_id, patient_id), caller.time_zone)
    today = local_day(now, caller.time_zone)
    known = tracks.gather(db, caller.clinic_id, [patient_id])[patient_id]
    known = readable(db, caller.clinic_id, patient_id, known, caller.time_zone, today)
    chosen = {one.domain: one.instrument for one in relief_on(subject, known, today).domains if one.domain in _DOMAINS}
    shown: dict[str, TrendOut] = {}
    for domain, code in chosen.items():
        found = trends.trend_of(db, caller, patient_id, Question(code, first, last, "none"), now).value
        if found.points:
            found.events = []  # told once, for all domains
            found.description = described(found, speech.translated(INSTRUMENTS[code].name), speech)
            shown[domain] = found
    days = _days(shown, first, min(last or today, today))
    events = happened(db, caller, patient_id, *days) if shown else []
    missing = [domain for domain in chosen if domain not in shown]
    heading, is_whole = _heading(db, caller, patient_id, now, speech), first is None and days[1] == today
    specification = overview_picture(shown, missing, events, days, heading, is_whole=is_whole)
    return Fact(Picture(specification, speech.translated(_("Overview"))), (patient_id,))


def effects(
    db: Transaction, caller: Caller, patient_id: UUID, instrument: str, now: datetime, speech: Speech
) -> Fact[Picture]:
    """The picture of how many days of relief each session of the current episode brought. Raises NotFound, Merged,
    Invalid."""
    checked_instrument(instrument)
    patients.find(db, caller.clinic_id, patient_id)
    calendar = Calendar(tracks_store.infusions(db, caller.clinic_id, patient_id), caller.time_zone)
    today = local_day(now, caller.time_zone)
    found = effects_of(db, caller.clinic_id, patient_id, calendar, today)
    current = max((position.episode for position in calendar.positions.values()), default=0)
    bars = []
    for infusion in calendar.events:
        position = calendar.positions[infusion.id]
        if position.episode == current and infusion.day <= today:
            mine = next((one for one in found.of(UUID(infusion.id)) if one.instrument == instrument), None)
            bars.append(Bar(infusion.day, position.kind, mine))
    change = next((one for one in found.changes() if one.instrument == instrument), None)
    specification = effects_picture(instrument, bars, change, _heading(db, caller, patient_id, now, speech))
    return Fact(Picture(specification, title_of(instrument, speech)), (patient_id,))


def _days(shown: Mapping[str, TrendOut], first: date | None, last: date) -> tuple[date, date]:
    begins = [trend.from_on for trend in shown.values() if trend.from_on is not None]
    return first or min(begins, default=last), last


def _heading(db: Transaction, caller: Caller, patient_id: UUID, now: datetime, speech: Speech) -> Heading:
    """Whose picture it is. The label is the clinic's own: only callers who may see patients are shown it."""
    label = None
    if "patients:read" in caller.scopes:
        label = identifiers.of_patients(db, caller.clinic_id, [patient_id])[patient_id].label
    zone, clinic = caller.time_zone, caller.clinic
    return Heading(label, clinic.name, zone, local_day(now, zone), clinic.synthetic, speech)
