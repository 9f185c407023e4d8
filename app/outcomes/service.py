"""Use cases of outcomes: gather, decide, answer."""

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from app.access.service import Caller
from app.checkins import store as checkins_store
from app.errors import Fault, Invalid
from app.outcomes.models import ReliefOut
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import Patient
from app.relief import VERSION
from app.tracks import service as tracks
from app.tracks.events import local_day
from app.tracks.known import Known, Subject


def relief_of(
    db: Session,
    caller: Caller,
    patient_id: UUID,
    as_of: date | None,
    known_at: datetime | None,
    rule: str | None,
    now: datetime,
) -> ReliefOut:
    """Whether relief is holding on `as_of` (None: today in the clinic), by what was recorded up to `known_at` (None:
    everything). From stored tracks where they hold nothing later than that day, else folded afresh: the answer is the
    same. Raises NotFound, and Invalid for a day after today or a rule that is not known."""
    zone, clinic_id = caller.time_zone, caller.clinic_id
    today = local_day(now, zone)
    if as_of is not None and as_of > today:
        raise Invalid(errors=[Fault("parameter", "as_of", "must not be after today in the clinic")])
    if known_at is not None and known_at > now + timedelta(minutes=5):
        raise Invalid(errors=[Fault("parameter", "known_at", "must not be more than 5 minutes in the future")])
    if rule is not None and rule != VERSION:
        raise Invalid(errors=[Fault("parameter", "rule", f"must be one of: {VERSION}")])
    patient = patients.one(db, clinic_id, patient_id)
    day = as_of or today
    if known_at is None:
        known = tracks.gather(db, clinic_id, [patient_id])[patient_id]
        if tracks.is_readable_on(known, day):
            return _answer(caller, patients.subject_of(patient, zone), known, day, patient.last_recorded_at)
    subject = _subject_known(db, caller, patient, known_at)
    known, newest = tracks.known_on(db, clinic_id, patient_id, zone, day, known_at)
    return _answer(caller, subject, known, day, _newest(db, patient, known_at, newest))


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


def _subject_known(db: Session, caller: Caller, patient: Patient, known_at: datetime | None) -> Subject:
    """The patient as they were known at `known_at`."""
    if known_at is None:
        return patients.subject_of(patient, caller.time_zone)
    version = patients_store.version_known(db, caller.clinic_id, patient.id, known_at)
    return Subject(patient.id, caller.time_zone, version.primary_instruments, version.indications, patient.care_status)


def _newest(
    db: Session, patient: Patient, known_at: datetime | None, newest_infusion: datetime | None
) -> datetime | None:
    """When the newest version known at `known_at` was recorded: of check-ins, sessions or the patient."""
    if known_at is None:
        return patient.last_recorded_at
    version = patients_store.version_known(db, patient.clinic_id, patient.id, known_at)
    found = [
        checkins_store.newest_known(db, patient.clinic_id, patient.id, known_at),
        newest_infusion,
        version.recorded_at if version.version > 1 else None,
    ]
    return max((moment for moment in found if moment is not None), default=None)
