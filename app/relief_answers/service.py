"""Use cases of the relief answer: gather, decide, answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import store as checkins_store
from app.errors import Fault, Invalid, Merged, NotFound, Problem
from app.facts import Fact
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.store import PatientSummary
from app.plans.confirming import Confirming
from app.relief import EARLIER_VERSIONS, VERSION
from app.relief_answers.models import ReliefOut
from app.storage import Transaction, look_up
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.days import local_day
from app.tracks.patient_tracks import PatientTracks, Subject

_VERSIONS = (VERSION, *EARLIER_VERSIONS)


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a patient's relief is holding on `as_of` (None: today in the clinic), by what was recorded up to
    `known_at` (None: everything), by a version of the rules (None: the newest). `act` says when it was asked."""

    caller: Caller
    act: Act
    patient_id: UUID
    as_of: date | None = None
    known_at: datetime | None = None
    rule: str | None = None


def relief_of(db: Transaction, question: Question) -> Fact[ReliefOut]:
    """The answer to one question. Folds anew if stored tracks cannot give it. Raises NotFound, and Invalid for an
    `as_of` or a `known_at` in the future, or for an unknown rule."""
    patients_found, known = _gathered(db, question.caller.clinic_id, [question])
    plans = Confirming(db, question.caller.clinic_id, question.caller.time_zone, list(patients_found))
    stored = _stored(question, patients_found, known, plans)
    return stored or _folded_afresh(db, question, patients_found[question.patient_id], plans)


def relief_of_many(
    db: Transaction, clinic_id: UUID, questions: Sequence[Question]
) -> list[Fact[ReliefOut] | Problem | None]:
    """The answers to questions of one clinic, or their refusals, from stored tracks, in two queries for all of them, or
    three where a reading may call for one more. An answer is None if `known_at` is given, or if the stored tracks are
    outdated or hold a later event. The caller then asks `relief_of`, in a transaction of its own, so that the other
    questions need not wait."""
    patients_found, known = _gathered(db, clinic_id, questions)
    plans = {
        zone: Confirming(db, clinic_id, zone, list(patients_found)) for zone in {q.caller.time_zone for q in questions}
    }
    answers: list[Fact[ReliefOut] | Problem | None] = []
    for question in questions:
        try:
            answers.append(_stored(question, patients_found, known, plans[question.caller.time_zone]))
        except Problem as problem:
            answers.append(problem)
    return answers


def _gathered(
    db: Transaction, clinic_id: UUID, questions: Sequence[Question]
) -> tuple[dict[UUID, PatientSummary], dict[UUID, PatientTracks]]:
    ids = {question.patient_id for question in questions}
    rows, folds = look_up(db, clinic_id, ids, patients_store.SUMMARIES, tracks_store.FOLDS)
    summaries = patients_store.summarized(rows)
    for patient in summaries.values():
        if patient.merged_into is not None:
            patient.merged_into = patients.goes_on_in(db, clinic_id, patient.id)
    return summaries, tracks.gather(db, clinic_id, list(summaries), folds)


def _stored(
    question: Question,
    summaries: Mapping[UUID, PatientSummary],
    known: Mapping[UUID, PatientTracks],
    plans: Confirming,
) -> Fact[ReliefOut] | None:
    caller, known_at, now = question.caller, question.known_at, question.act.at
    today = local_day(now, caller.time_zone)
    if question.as_of is not None and question.as_of > today:
        raise Invalid(errors=[Fault("parameter", "as_of", "must not be after today in the clinic")])
    if question.rule is not None and question.rule not in _VERSIONS:
        raise Invalid(errors=[Fault("parameter", "rule", f"must be one of: {', '.join(_VERSIONS)}")])
    patient = summaries.get(question.patient_id)
    if patient is None:
        raise NotFound
    # What was recorded while a clock was ahead is in the future: the `known_at` that came back answers all the same.
    latest = max(now + timedelta(minutes=5), patient.last_recorded_at or now)
    if known_at is not None and known_at > latest:
        raise Invalid(errors=[Fault("parameter", "known_at", "must not be more than 5 minutes in the future")])
    is_before = known_at is not None and patient.merged_at is not None and known_at < patient.merged_at
    if patient.merged_into is not None and not is_before:
        raise Merged(patient.merged_into)
    day = question.as_of or today
    is_stored = known_at is None and question.rule in (None, VERSION)
    if not is_stored or not answers.is_readable_on(known[patient.id], day):
        return None
    subject = patients.subject_of(patient, caller.time_zone)
    return _relief_out(caller, subject, known[patient.id], day, patient.last_recorded_at, plans)


def _folded_afresh(db: Transaction, question: Question, patient: PatientSummary, plans: Confirming) -> Fact[ReliefOut]:
    caller, known_at, zone = question.caller, question.known_at, question.caller.time_zone
    day = question.as_of or local_day(question.act.at, zone)
    subject = _subject_known(db, caller, patient, known_at)
    version = question.rule or VERSION
    known, newest = answers.known_on(db, caller.clinic_id, patient.id, zone, day, known_at, version)
    newest_at = _newest(db, caller.clinic_id, patient, known_at, newest)
    return _relief_out(caller, subject, known, day, newest_at, plans)


def _relief_out(
    caller: Caller,
    subject: Subject,
    known: PatientTracks,
    as_of: date,
    known_at: datetime | None,
    plans: Confirming,
) -> Fact[ReliefOut]:
    found = answers.relief_on(subject, known, as_of)
    tracks_told = plans.told(subject.patient_id, subject.care_status, known, found.tracks, as_of)
    found = replace(found, tracks=tracks_told)
    if caller.patient_id is not None:
        found = answers.for_patient(found)
    value = ReliefOut(
        patient_id=subject.patient_id,
        as_of=as_of,
        known_at=known_at,
        rule=known.version,
        domains=found.domains,
        tracks=found.tracks,
        previous_spells=list(found.previous_spells),
    )
    return Fact(value, (subject.patient_id,))


def _subject_known(db: Transaction, caller: Caller, patient: PatientSummary, known_at: datetime | None) -> Subject:
    """The patient with the fields as recorded at `known_at`."""
    if known_at is None:
        return patients.subject_of(patient, caller.time_zone)
    version = patients_store.version_known(db, caller.clinic_id, patient.id, known_at)
    return Subject(patient.id, caller.time_zone, version.primary_instruments, version.indications, patient.care_status)


def _newest(
    db: Transaction,
    clinic_id: UUID,
    patient: PatientSummary,
    known_at: datetime | None,
    newest_infusion: datetime | None,
) -> datetime | None:
    """When the newest version that was recorded by `known_at` was recorded: of a check-in, a session or the patient."""
    if known_at is None:
        return patient.last_recorded_at
    changes = [
        version.recorded_at
        for version in patients_store.versions(db, clinic_id, patient.id)
        if version.version > 1 and version.recorded_at <= known_at
        if not version.changed or patients.VERDICTS_REST_ON & set(version.changed)
    ]
    found = [checkins_store.newest_known(db, clinic_id, patient.id, known_at), newest_infusion, *changes]
    return max((moment for moment in found if moment is not None), default=None)
