"""What a patient's page shows, gathered on one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from app.access import store as access
from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts.models import AlertOut
from app.audit.service import Act
from app.checkins import reading
from app.checkins.models import CheckInOut
from app.devices import service as devices
from app.devices.models import DeviceOut
from app.effects.models import ChangePerBoosterOut
from app.errors import Fault, Invalid
from app.events import service as events
from app.events.models import EventOut
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.outlook import service as outlook
from app.outlook.models import OutlookOut
from app.patients import service as patients
from app.patients.models import PatientOut
from app.plans import service as plans
from app.plans.models import DueOut
from app.relief_answers import service as relief_answers
from app.relief_answers.models import ReliefOut
from app.relief_answers.service import Question
from app.reminders import service as reminders
from app.reminders.service import Reach
from app.sessions import service as sessions
from app.sessions.models import SessionListed
from app.storage import Transaction
from app.tracks.days import local_day
from app.tracks.output import DomainOut, TrackOut

# All sessions and events that anybody has: pages for paper count them.
MOST_SESSIONS, MOST_CHECK_INS, MOST_EVENTS = 2_000, 20, 500
_AHEAD, _BEHIND = timedelta(days=14), timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Asked:
    """For which day (None: today), and by what was known at the end of which day (None: everything)."""

    as_of: date | None = None
    known_on: date | None = None

    def known_at(self, caller: Caller, now: datetime) -> datetime | None:
        """The end of the day on which it was known, in the clinic's zone."""
        today = local_day(now, caller.time_zone)
        if self.known_on is not None and self.known_on > today:
            raise Invalid(errors=[Fault("parameter", "known_on", "must not be after today in the clinic")])
        if self.known_on is None or self.known_on == today:
            return None
        return datetime.combine(self.known_on + timedelta(days=1), time(), caller.time_zone) - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A domain's answer with the track that it rests on, and what became of others who held as long."""

    domain: DomainOut
    track: TrackOut | None
    outlook: OutlookOut | None


@dataclass(frozen=True, slots=True)
class PatientPage:
    """Everything that a patient's page shows. `people`: the e-mails of colleagues, by id."""

    patient: PatientOut
    relief: ReliefOut
    answers: Sequence[Answer]
    sessions: Sequence[SessionListed]
    boosters: Sequence[ChangePerBoosterOut]
    check_ins: Sequence[CheckInOut]
    alerts: Sequence[AlertOut]
    due: Sequence[DueOut]
    events: Sequence[EventOut]
    devices: Sequence[DeviceOut]
    reach: Reach
    people: dict[str, str]
    today: date


def patient_page(db: Transaction, caller: Caller, act: Act, patient_id: UUID, asked: Asked) -> Fact[PatientPage]:
    """The page of one patient. Raises NotFound, Merged, and Invalid for a day after today."""
    today = local_day(act.at, caller.time_zone)
    known_at = asked.known_at(caller, act.at)
    patient = patients.one(db, caller.clinic_id, patient_id).value
    relief = relief_answers.relief_of(db, Question(caller, act, patient_id, asked.as_of, known_at)).value
    tracks = {track.instrument: track for track in relief.tracks}
    answers = [
        Answer(
            domain,
            tracks.get(domain.instrument),
            _outlook(db, caller, patient_id, domain, asked.as_of, known_at, act.at),
        )
        for domain in relief.domains
    ]
    clinic_id = caller.clinic_id
    shown, boosters = sessions.listed(db, caller, patient_id, None, MOST_SESSIONS, asked.as_of or today)
    raised = alerts.of_patient(db, clinic_id, patient_id)
    check_ins = reading.listed(db, caller, patient_id, None, None, None, None, MOST_CHECK_INS)
    due = plans.due_of(db, caller, patient_id, today - _BEHIND, today + _AHEAD, act.at).value.items
    value = PatientPage(
        patient,
        relief,
        answers,
        shown[:MOST_SESSIONS],
        boosters or (),
        check_ins[:MOST_CHECK_INS],
        sorted(raised, key=lambda alert: (alert.state != "open", -alert.raised_at.timestamp())),
        [one for one in due if one.state != "done"],
        events.listed(db, caller, patient_id, None, MOST_EVENTS)[:MOST_EVENTS],
        devices.listed(db, clinic_id, patient_id),
        reminders.reach(db, clinic_id, [patient_id])[patient_id],
        colleagues(db, caller),
        today,
    )
    return Fact(value, (patient_id,))


def colleagues(db: Transaction, caller: Caller) -> dict[str, str]:
    """The e-mails of the clinic's people, by id, for administrators; others know their own, as over the API."""
    if caller.role != "admin":
        mine = access.user(db, caller.clinic_id, caller.id)
        return {} if mine is None else {str(mine.id): mine.email}
    return {str(user.id): user.email for user in access.users(db, caller.clinic_id, None, 500)}


def _outlook(
    db: Transaction, caller: Caller, patient_id: UUID, domain: DomainOut, as_of: date | None,
    known_at: datetime | None, now: datetime,
) -> OutlookOut | None:  # fmt: skip
    """What became of others, while relief is holding."""
    if domain.status != "holding" or INSTRUMENTS[domain.instrument].rule is None:
        return None
    return outlook.outlook_of(db, caller, outlook.Question(patient_id, domain.instrument, as_of, known_at), now).value
