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
    """One answer. Raises its refusal."""
    [found] = relief_many(db, asked.caller.clinic_id, [asked])
    if isinstance(found, Problem):
        raise found
    return found


def relief_many(db: Session, clinic_id: UUID, questions: Sequence[Asked]) -> list[ReliefOut | Problem]:
    """The answers to questions of one clinic, or their refusals: NotFound, and Invalid for a day after today or a rule
    that is not known. From stored tracks where they hold nothing later than the day asked for, in two queries for all
    of them; else folded afresh: the answer is the same."""
    ids = list({asked.patient_id for asked in questions})
    briefs = patients_store.briefs(db, clinic_id, ids)
    known = tracks.gather(db, clinic_id, list(briefs))
    found: list[ReliefOut | Problem] = []
    for asked in questions:
        try:
            found.append(_relief(db, asked, briefs, known))
        except Problem as problem:
            found.append(problem)
    return found


def show_many(db: Session, clinic_id: UUID, requests: Sequence[tuple[Asked, Act]]) -> list[ReliefOut | Problem]:
    """`relief_many`, and the audit of what was answered, in one transaction."""
    found = relief_many(db, clinic_id, [asked for asked, _ in requests])
    audit.record_many(
        db,
        clinic_id,
        [
            Shown(act, (asked.patient_id,))
            for (asked, act), answer in zip(requests, found, strict=True)
            if not isinstance(answer, Problem)
        ],
    )
    return found


def _relief(db: Session, asked: Asked, briefs: Mapping[UUID, Brief], stored: Mapping[UUID, Known]) -> ReliefOut:
    caller, known_at, now = asked.caller, asked.known_at, asked.now
    zone, clinic_id = caller.time_zone, caller.clinic_id
    today = local_day(now, zone)
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
    if known_at is None and tracks.is_readable_on(stored[patient.id], day):
        return _answer(caller, patients.subject_of(patient, zone), stored[patient.id], day, patient.last_recorded_at)
    subject = _subject_known(db, caller, patient, known_at)
    known, newest = tracks.known_on(db, clinic_id, patient.id, zone, day, known_at)
    return _answer(caller, subject, known, day, _newest(db, clinic_id, patient, known_at, newest))


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
