"""Fills a clinic with synthetic patients, through the same function that records real check-ins."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from uuid import UUID

from app.access.door import audited, record_act
from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts import store as alerts_store
from app.alerts.models import AcknowledgementIn, Disposition
from app.alerts.store import Wanted
from app.audit.service import Act
from app.checkins import service as checkins
from app.checkins.deciding import Post
from app.checkins.models import CheckInIn, ResponseIn
from app.demo.law import Person, answers, check_in_days, people
from app.facts import Fact
from app.instruments import INSTRUMENTS
from app.patients import service as patients
from app.patients.models import Indication, PatientIn
from app.sessions import service as sessions
from app.sessions.models import SessionIn
from app.storage import Database, Transaction, new_id

_recorded = audited(checkins.record_many)
_CHECK_IN_AT = time(8, 30)
_INFUSION_AT = time(10, 0)
_ACKNOWLEDGED_WITHIN = timedelta(days=3)
_DISPOSITIONS: tuple[Disposition, ...] = ("contacted", "contacted", "already_known", "escalated")
_PAIN: tuple[Indication] = ("chronic_pain",)
_INDICATIONS: tuple[Indication, ...] = ("major_depressive_disorder", "anxiety_disorder", "bipolar_depression")


@dataclass(frozen=True, slots=True)
class Filled:
    """How many check-ins, repeated check-ins and sessions were recorded, and the patients' ids in the law's order."""

    check_ins: int
    repeated: int
    sessions: int
    patient_ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An infusion or a check-in that reaches the service at a moment."""

    at: datetime
    number: int
    body: SessionIn | CheckInIn


def fill(
    database: Database, caller: Caller, count: int, days: int, now: datetime, seed: int, stop_before: date | None = None
) -> Filled:
    """Records `count` synthetic patients over `days` days. Events are recorded in the order in which they would have
    arrived, with one transaction per day. The same seed gives the same clinic."""
    last_day = (stop_before or now.astimezone(caller.time_zone).date()) - timedelta(days=1)
    everyone = list(people(count, days, last_day, seed))
    arrivals = sorted((a for p in everyone for a in _arrivals(p, last_day, caller, seed)), key=lambda a: a.at)
    arrivals = [a for a in arrivals if a.at <= now]
    first = min(a.at for a in arrivals) if arrivals else now
    ids = [new_id() for _ in everyone]
    database.writing(caller.clinic_id, lambda db: _add_patients(db, caller, everyone, ids, first))
    kept = repeated = given = 0
    for batch in _by_day(arrivals):
        counts = database.writing(caller.clinic_id, partial(_record, caller=caller, batch=batch, ids=ids))
        kept, repeated, given = kept + counts[0], repeated + counts[1], given + counts[2]
    database.writing(caller.clinic_id, lambda db: _acknowledge(db, caller, now - _ACKNOWLEDGED_WITHIN, seed))
    return Filled(kept, repeated, given, tuple(ids))


def _arrivals(person: Person, last_day: date, caller: Caller, seed: int) -> Iterator[_Arrival]:
    rng = random.Random(f"{seed} {person.number} arrivals")  # noqa: S311 - a simulation
    zone = caller.time_zone
    for day in person.infusion_days:
        start = datetime.combine(day, _INFUSION_AT, zone)
        end = start + timedelta(minutes=45)
        weight = 60 + person.number % 45
        session = SessionIn(
            id=new_id(), started_at=start, ended_at=end, weight_kg=weight, dose_mg_per_kg=0.5, dose_mg=weight / 2
        )
        yield _Arrival(end + timedelta(minutes=5), person.number, session)
    for day in check_in_days(person, last_day):
        infused = day in person.infusion_days
        if rng.random() < person.misses * (0.3 if infused else 1.0) and day != person.first_day:
            continue
        taken = datetime.combine(day, _CHECK_IN_AT, zone) + timedelta(minutes=rng.randrange(0, 60))
        late = timedelta(days=rng.randrange(1, 9)) if rng.random() < 0.08 else timedelta(minutes=1)
        body = CheckInIn(id=new_id(), taken_at=taken, responses=_responses(person, day, rng))
        yield _Arrival(taken + late, person.number, body)
        if rng.random() < 0.05:
            yield _Arrival(taken + late + timedelta(seconds=30), person.number, body)


def _responses(person: Person, day: date, rng: random.Random) -> list[ResponseIn]:
    found = []
    for code in person.baselines:
        instrument, points = INSTRUMENTS[code], person.measured(code, day, rng)
        if instrument.items:
            found.append(ResponseIn(instrument=code, answers=list(answers(instrument, points, rng))))
        else:
            found.append(ResponseIn(instrument=code, score=points))
    return found


def _by_day(arrivals: Iterable[_Arrival]) -> Iterator[list[_Arrival]]:
    batch: list[_Arrival] = []
    for arrival in arrivals:
        if batch and arrival.at.date() != batch[-1].at.date():
            yield batch
            batch = []
        batch.append(arrival)
    if batch:
        yield batch


def _add_patients(db: Transaction, caller: Caller, everyone: list[Person], ids: list[UUID], at: datetime) -> None:
    for person, patient_id in zip(everyone, ids, strict=True):
        pain = "peg" in person.baselines
        body = PatientIn(
            id=patient_id,
            external_id=f"SYNTHETIC-{person.number:04}",
            label=f"Synthetic {person.number:04}",
            birth_year=1950 + person.number % 55,
            indications=[_INDICATIONS[person.number % 3], *_PAIN[:pain]],
            failed_antidepressant_trials=person.number % 5 or None,
        )
        act = _act(caller, at, "create_patient")
        record_act(db, act, patients.create(db, caller, act, body))


def _record(db: Transaction, caller: Caller, batch: list[_Arrival], ids: list[UUID]) -> tuple[int, int, int]:
    """Records a day: sessions one by one, check-ins as a batch. Returns how many check-ins, repeats, sessions."""
    given = 0
    for arrival in batch:
        if isinstance(arrival.body, SessionIn):
            act = _act(caller, arrival.at, "record_session")
            record_act(db, act, sessions.record(db, caller, act, ids[arrival.number], arrival.body))
            given += 1
    posts = [
        Post(caller, _act(caller, a.at, "record_check_in"), ids[a.number], a.body)
        for a in batch
        if isinstance(a.body, CheckInIn)
    ]
    outcomes = _recorded(db, caller.clinic_id, posts) if posts else []
    refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    if refused:
        raise refused[0]
    kept = sum(isinstance(outcome, Fact) and outcome.is_new for outcome in outcomes)
    return kept, len(outcomes) - kept, given


def _acknowledge(db: Transaction, caller: Caller, until: datetime, seed: int) -> None:
    """Acknowledges every open alert raised before `until`, each dated up to eight hours after it was raised."""
    rng = random.Random(f"{seed} alerts")  # noqa: S311 - a simulation
    for alert in alerts_store.page(db, caller.clinic_id, Wanted(state="open"), None, 1_000_000):
        if alert.raised_at < until:
            at = alert.raised_at + timedelta(minutes=rng.randrange(5, 480))
            body = AcknowledgementIn(disposition=rng.choice(_DISPOSITIONS))
            act = _act(caller, at, "acknowledge_alert")
            record_act(db, act, alerts.acknowledge(db, act, alert.id, body))


def _act(caller: Caller, at: datetime, operation: str) -> Act:
    return Act(caller.clinic_id, caller.kind, caller.id, operation, str(new_id()), at)
