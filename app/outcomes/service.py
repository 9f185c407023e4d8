"""Use cases of outcomes: gather, decide, answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from app.access.service import Caller
from app.audit import service as audit
from app.audit.service import Act, Shown
from app.checkins import store as checkins_store
from app.errors import Fault, Invalid, NotFound, Problem
from app.outcomes.models import ReliefOut
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.store import Brief
from app.relief import VERSION
from app.tracks import service as tracks
from app.tracks.events import local_day
from app.tracks.known import Known, Subject


@dataclass(frozen=True, slots=True)
class Asked:
    """Whether relief is holding on `as_of` (None: today in the clinic), by what was recorded up to `known_at` (None:
    everything), by the rules of a version (None: the newest); who asks, and when."""

    caller: Caller
    patient_id: UUID
    now: datetime
    as_of: date | None = None
    known_at: datetime | None = None
    rule: str | None = None


def relief_of(db: Session, asked: Asked) -> ReliefOut:
    """One answer, whatever it takes. Raises its refusal: NotFound, and Invalid for a day after today or a rule that is
    not known."""
    briefs, known = _gathered(db, asked.caller.clinic_id, [asked])
    return _stored(asked, briefs, known) or _afresh(db, asked, briefs[asked.patient_id])


def show_many(db: Session, clinic_id: UUID, requests: Sequence[tuple[Asked, Act]]) -> list[ReliefOut | Problem | None]:
    """The answers to questions of one clinic, or their refusals, from stored tracks, in two queries for all of them,
    and the audit of what was answered. None where stored tracks hold something later than the day asked for or are
    not up to date: folding afresh gives the same answer, and nobody else is to wait for it."""
    briefs, known = _gathered(db, clinic_id, [asked for asked, _ in requests])
    found: list[ReliefOut | Problem | None] = []
    shown: list[Shown] = []
    for asked, act in requests:
        try:
            found.append(_stored(asked, briefs, known))
        except Problem as problem:
            found.append(problem)
        if isinstance(found[-1], ReliefOut):
            shown.append(Shown(act, (asked.patient_id,)))
    audit.record_many(db, clinic_id, shown)
    return found


def _gathered(db: Session, clinic_id: UUID, questions: Sequence[Asked]) -> tuple[dict[UUID, Brief], dict[UUID, Known]]:
    briefs = patients_store.briefs(db, clinic_id, list({asked.patient_id for asked in questions}))
    return briefs, tracks.gather(db, clinic_id, list(briefs))


def _stored(asked: Asked, briefs: Mapping[UUID, Brief], known: Mapping[UUID, Known]) -> ReliefOut | None:
    caller, known_at, now = asked.caller, asked.known_at, asked.now
    today = local_day(now, caller.time_zone)
    if asked.as_of is not None and asked.as_of > today:
        raise Invalid(errors=[Fault("parameter", "as_of", "must not be after today in the clinic")])
    if known_at is not None and known_at > now + timedelta(minutes=5):
        raise Invalid(errors=[Fault("parameter", "known_at", "must not be more than 5 minutes in the future")])
    if asked.rule is not None and asked.rule != VERSION:
        raise Invalid(errors=[Fault("parameter", "rule", f"must be one of: {VERSION}")])
    patient = briefs.get(asked.patient_id)
    if patient is None:
        raise NotFound
    day = asked.as_of or today
    if known_at is not None or not tracks.is_readable_on(known[patient.id], day):
        return None
    subject = patients.subject_of(patient, caller.time_zone)
    return _answer(caller, subject, known[patient.id], day, patient.last_recorded_at)


def _afresh(db: Session, asked: Asked, patient: Brief) -> ReliefOut:
    caller, known_at, zone = asked.caller, asked.known_at, asked.caller.time_zone
    day = asked.as_of or local_day(asked.now, zone)
    subject = _subject_known(db, caller, patient, known_at)
    known, newest = tracks.known_on(db, caller.clinic_id, patient.id, zone, day, known_at)
    return _answer(caller, subject, known, day, _newest(db, caller.clinic_id, patient, known_at, newest))


def _answer(caller: Caller, subject: Subject, known: Known, as_of: date, known_at: datetime | None) -> ReliefOut:
    found = tracks.answers(subject, known, as_of)
    if caller.patient_id is not None:
        found = tracks.for_patient(found)
    return ReliefOut(
        patient_id=subject.patient_id,
        as_of=as_of,
        known_at=known_at,
        rule=VERSION,
        domains=found.domains,
        tracks=found.tracks,
        previous_spells=list(found.previous_spells),
    )


def _subject_known(db: Session, caller: Caller, patient: Brief, known_at: datetime | None) -> Subject:
    """The patient as they were known at `known_at`."""
    if known_at is None:
        return patients.subject_of(patient, caller.time_zone)
    version = patients_store.version_known(db, caller.clinic_id, patient.id, known_at)
    return Subject(patient.id, caller.time_zone, version.primary_instruments, version.indications, patient.care_status)


def _newest(
    db: Session, clinic_id: UUID, patient: Brief, known_at: datetime | None, newest_infusion: datetime | None
) -> datetime | None:
    """When the newest version known at `known_at` was recorded: of check-ins, sessions or the patient."""
    if known_at is None:
        return patient.last_recorded_at
    version = patients_store.version_known(db, clinic_id, patient.id, known_at)
    found = [
        checkins_store.newest_known(db, clinic_id, patient.id, known_at),
        newest_infusion,
        version.recorded_at if version.version > 1 else None,
    ]
    return max((moment for moment in found if moment is not None), default=None)
