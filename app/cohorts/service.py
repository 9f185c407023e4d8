"""Use cases of cohorts: collect the counts, compute the answer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access import store as access_store
from app.access.service import Caller
from app.cohorts import snapshots, store
from app.cohorts.curves import WEEK
from app.cohorts.durability import durability
from app.cohorts.kept import kept_record
from app.cohorts.models import CohortDurabilityOut, CohortOutcomesOut
from app.cohorts.policies import Sight, members
from app.cohorts.rates import rates
from app.cohorts.snapshots import Snapshot
from app.cohorts.tallies import BY_EPISODE, MedianRead, Question, Tallies, Trait
from app.cohorts.traits import beginnings
from app.errors import Busy, Fault, InsufficientScope, Invalid
from app.facts import Fact
from app.patients import store as patients
from app.relief import Record, fold, records
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.days import local_day
from app.tracks.domains import checked_instrument, rule
from app.tracks.events import counting, events_of
from app.tracks.models import InfusionVersion, ScoreVersion

T = TypeVar("T")
Version = TypeVar("Version", InfusionVersion, ScoreVersion)

_PATIENTS_AT_ONCE = 500
_FOLDING = Lock()


def durability_of(
    db: Transaction,
    caller: Caller,
    question: Question,
    known_at: datetime | None,
    tau: int | None,
    median_read: MedianRead,
    now: datetime,
) -> Fact[CohortDurabilityOut]:
    """How long first durable responses lasted. Raises Invalid, InsufficientScope for a past date, and NoSnapshot."""
    if tau is not None and tau % WEEK and not sees_patients(caller):
        raise Invalid(errors=[Fault("parameter", "tau", "must be a multiple of 7 without the scope patients:read")])
    seen = _seen(db, caller, question, known_at, now, store.spells)
    return Fact(durability(seen.question, seen.found, seen.known_at, tau, median_read, sight=seen.sight))


def outcomes_of(
    db: Transaction, caller: Caller, question: Question, known_at: datetime | None, now: datetime
) -> Fact[CohortOutcomesOut]:
    """How many had responded 14 to 31 days after their first course. Raises the same as `durability_of`."""
    seen = _seen(db, caller, question, known_at, now, store.early)
    return Fact(rates(seen.question, seen.found, seen.known_at, sight=seen.sight))


class NoSnapshotError(Exception):
    """The clinic has no snapshot yet. The route takes one and asks again."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """The counts behind an answer, the question that they answer, and what the caller may see of them."""

    question: Question
    found: Tallies
    known_at: datetime
    sight: Sight


def _seen(
    db: Transaction,
    caller: Caller,
    question: Question,
    known_at: datetime | None,
    now: datetime,
    stored: Callable[[Transaction, UUID, Question], Tallies],
) -> _Seen:
    smallest = caller.clinic.smallest_group
    _check(db, caller, question, known_at, now)
    if sees_patients(caller):
        return _Seen(
            question, _gathered(db, caller, question, known_at, now, stored), known_at or now, Sight(True, smallest)
        )
    snapshot = snapshots.current(db, caller.clinic_id)
    if snapshot is None:
        raise NoSnapshotError
    taken_at, day = snapshot.moment_of(question.instrument)
    asked = replace(question, as_of=day)
    found = snapshot.tallies(asked)
    groups = members(question.group_by, [*found.people, *found.early_people, *found.early_missing])
    sight = Sight(False, smallest, snapshot.hidden(question, groups))
    return _Seen(asked, found, taken_at, sight)


def next_snapshot(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, smallest: int, now: datetime
) -> tuple[Snapshot | None, Snapshot | None]:
    """The clinic's first snapshot, or the one that is to follow one that is a week old, and the one that it follows.
    None instead of the former where it is not time, or too few patients have changed. `keep_snapshot` keeps it. Raises
    Busy while folds of an earlier release are renewed."""
    last = snapshots.current(db, clinic_id)
    if last is not None and not snapshots.is_due(db, clinic_id, now):
        return None, last
    if store.is_outdated(db, clinic_id):
        raise Busy("the cohort is being counted anew after an upgrade")
    return snapshots.taken(db, clinic_id, local_day(now, zone), now, smallest), last


def take_first_snapshot(db: Transaction, clinic_id: UUID, zone: ZoneInfo, smallest: int, now: datetime) -> None:
    """Takes a clinic's first snapshot, unless it has one by now. Raises Busy as `next_snapshot`."""
    found, last = next_snapshot(db, clinic_id, zone, smallest, now)
    if found is not None and last is None:
        keep_snapshot(db, clinic_id, found, None)


def keep_snapshot(db: Transaction, clinic_id: UUID, found: Snapshot, after: Snapshot | None) -> bool:
    """Keeps a snapshot, unless another one has been kept since the one that it follows."""
    access_store.locked_clinic(db, clinic_id)
    return snapshots.keep(db, clinic_id, found, after)


def sees_patients(caller: Caller) -> bool:
    """Whether small groups are shown to this caller. Callers who may read patients could count them anyway."""
    return "patients:read" in caller.scopes


def _gathered(
    db: Transaction,
    caller: Caller,
    question: Question,
    known_at: datetime | None,
    now: datetime,
    stored: Callable[[Transaction, UUID, Question], Tallies],
) -> Tallies:
    """The counts, from stored episodes where those can answer, otherwise folded anew: the same either way."""
    is_past = known_at is not None or question.as_of != today(caller, now)
    if not is_past and not store.is_outdated(db, caller.clinic_id):
        if question.group_by in BY_EPISODE:
            found = alone(lambda: _one_by_one(db, caller.clinic_id, question))
        else:
            found = stored(db, caller.clinic_id, question)
        if found.last_on is None or found.last_on <= question.as_of:  # may fail in the minutes before midnight
            return found
    return alone(lambda: _folded(db, caller, question, known_at))


def _check(db: Transaction, caller: Caller, question: Question, known_at: datetime | None, now: datetime) -> None:
    """Raises Invalid for what cannot be asked, InsufficientScope for what this caller may not ask."""
    checked_instrument(question.instrument)
    check_moment(db, caller, question.as_of, known_at, now)
    if question.group_by in BY_EPISODE and not sees_patients(caller):
        raise InsufficientScope(f"group_by={question.group_by} needs the scope patients:read")
    is_past = known_at is not None or question.as_of != today(caller, now)
    if is_past and not sees_patients(caller):
        # The difference between two answers could reveal a single patient.
        raise InsufficientScope("a past as_of or known_at needs the scope patients:read")


def check_moment(db: Transaction, caller: Caller, as_of: date, known_at: datetime | None, now: datetime) -> None:
    """Raises Invalid for a day or a moment in the future."""
    if as_of > today(caller, now):
        raise Invalid(errors=[Fault("parameter", "as_of", "must not be after today in the clinic")])
    if known_at is not None and known_at > now + timedelta(minutes=5) and known_at > _newest(db, caller):
        raise Invalid(errors=[Fault("parameter", "known_at", "must not be more than 5 minutes in the future")])


def alone(work: Callable[[], T]) -> T:
    """Runs `work` unless another thread is running such work; then raises Busy. Going through a whole clinic patient by
    patient takes long, so one question at a time does it, and the other reader threads stay free."""
    if not _FOLDING.acquire(blocking=False):
        raise Busy("another question that goes through the whole clinic is being answered")
    try:
        return work()
    finally:
        _FOLDING.release()


def _one_by_one(db: Transaction, clinic_id: UUID, question: Question) -> Tallies:
    """The counts of stored episodes for groupings that the database cannot make."""
    found = Tallies()
    people = store.started(db, clinic_id)
    for first in range(0, len(people), _PATIENTS_AT_ONCE):
        some = people[first : first + _PATIENTS_AT_ONCE]
        kept: dict[UUID, list[Record]] = {patient_id: [] for patient_id, _, _ in some}
        for patient_id, last_on, session_id, session_on, *values in store.episodes_of(
            db, clinic_id, question.instrument, kept
        ):
            kept[patient_id].append(kept_record(values, str(session_id), session_on))
            found.last_on = max(found.last_on or last_on, last_on)
        _add(db, clinic_id, question, found, some, kept)
    return found


def _folded(db: Transaction, caller: Caller, question: Question, known_at: datetime | None) -> Tallies:
    found = Tallies()
    for some, known in records_known(db, caller, question, known_at):
        _add(db, caller.clinic_id, question, found, some, known)
    return found


def _add(
    db: Transaction,
    clinic_id: UUID,
    question: Question,
    found: Tallies,
    people: Sequence[Any],
    known: Mapping[UUID, Sequence[Record]],
) -> None:
    """Adds these people, who have had a session, to the counts: id, indications as stored, failed trials."""
    every = [record for records in known.values() for record in records]
    begun = beginnings(db, clinic_id, question.group_by, known.keys(), every)
    for patient_id, indications, trials in people:
        trait: Trait = question.instrument
        if question.group_by == "indication":
            trait = indications
        elif question.group_by == "treatment_resistant":
            trait = trials
        found.add(question, partial(begun.trait, question, patient_id, trait), known[patient_id], trials)


def records_known(
    db: Transaction, caller: Caller, question: Question, known_at: datetime | None
) -> Iterator[tuple[list[Any], dict[UUID, Sequence[Record]]]]:
    """Every patient with a session by `as_of`, and their episodes, as known at `known_at`, in batches."""
    zone, after = caller.time_zone, None
    while True:
        page = store.cohort(db, caller.clinic_id, known_at, after, _PATIENTS_AT_ONCE)
        if not page:
            return
        ids: list[UUID] = [row[0] for row in page]
        infusions = _by_patient(tracks_store.infusions_known(db, caller.clinic_id, ids, known_at))
        scores = _by_patient(tracks_store.scores_known(db, caller.clinic_id, ids, known_at, question.instrument))
        known: dict[UUID, Sequence[Record]] = {}
        for patient_id, _, _ in page:
            mine = counting(infusions.get(patient_id, []))
            seen = events_of(scores.get(patient_id, []), mine, zone)
            track = fold((event for event in seen if event.day <= question.as_of), rule(question.instrument))
            if track.episode is not None:
                known[patient_id] = records(track)
        yield [row for row in page if row[0] in known], known
        db.expunge_all()
        after = ids[-1]


def _by_patient(rows: Iterable[Version]) -> dict[UUID, list[Version]]:
    found: dict[UUID, list[Version]] = {}
    for row in rows:
        found.setdefault(row.patient_id, []).append(row)
    return found


def today(caller: Caller, now: datetime) -> date:
    """Today's date in the clinic's time zone."""
    return local_day(now, caller.time_zone)


def _newest(db: Transaction, caller: Caller) -> datetime:
    """When the newest version in the clinic was recorded; that is in the future where a clock was ahead then."""
    return patients.newest_recorded_at(db, caller.clinic_id) or datetime.min.replace(tzinfo=UTC)
