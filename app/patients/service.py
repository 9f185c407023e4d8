"""Use cases of patients: creating, changing, finding."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import MISSING
from sqlmodel import Session

from app.access import service as access
from app.access import store as access_store
from app.access.models import EnrolmentOut
from app.access.service import Caller
from app.api.idempotency import Reply
from app.api.versions import require_version
from app.audit import service as audit
from app.audit.service import Act
from app.errors import AlreadyRecorded, Fault, Invalid, NotFound, Problem
from app.patients import store
from app.patients.models import Patient, PatientIn, PatientOut, PatientPatch, PatientSearch, PatientVersion
from app.storage import new_id
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.known import Known, Subject
from app.tracks.service import Change

_ENDED = ("discharged", "deceased", "entered_in_error")
_PATIENTS_A_ROUND = 10
_RECORDED = frozenset({"primary_instruments", "indications"})
_KEPT_WITH_TRACKS = _RECORDED | {"care_status"}


class ExternalIdTaken(Problem):
    """Another patient of this clinic has this external id."""

    code, status, title = "external_id_taken", 409, "The external id is taken"


def create(db: Session, caller: Caller, act: Act, body: PatientIn) -> Reply[PatientOut]:
    """A new patient, or the one that stands when the same id is posted again with the same content."""
    clinic_id, patient_id = act.clinic_id, body.id or new_id()
    posted = _normalised(body)
    _check_birth_year(body.birth_year, act)
    existing = store.locked(db, clinic_id, [patient_id]).get(patient_id)
    holder = store.by_external_id(db, clinic_id, body.external_id)
    if holder is not None and holder.id == patient_id:
        existing = holder  # committed by an equal post between the two looks
    if existing is not None:
        if existing.posted != posted:
            raise AlreadyRecorded(errors=[Fault("pointer", "/id", "names a patient with other content")])
        audit.record(db, act, [patient_id])
        return Reply(answer(existing), 200, {"Replayed": "true", **_headers(existing)}, subjects=(patient_id,))
    if holder is not None:
        raise ExternalIdTaken(errors=[Fault("pointer", "/external_id", "must be unique in the clinic")])
    patient = Patient(
        **body.model_dump(exclude={"id"}),
        clinic_id=clinic_id,
        id=patient_id,
        created_at=act.at,
        updated_at=act.at,
        version=1,
        posted=posted,
        last_recorded_at=None,
    )
    db.add(patient)
    db.flush()
    _add_version(db, patient, act.at)
    tracks.apply(db, clinic_id, [Change(subject_of(patient, caller.time_zone))], {patient_id: Known()})
    audit.record(db, act, [patient_id])
    return Reply(answer(patient), 201, _headers(patient), subjects=(patient_id,))


def update(
    db: Session, caller: Caller, act: Act, patient_id: UUID, expected: int | None, patch: PatientPatch
) -> PatientOut:
    """A changed patient; an empty patch makes no version. Raises NotFound, PreconditionFailed, Invalid,
    ExternalIdTaken."""
    patient = lock_one(db, act.clinic_id, patient_id)
    require_version(expected, patient.version)
    changed = {name: value for name, value in _merged(patient, patch).items() if getattr(patient, name) != value}
    audit.record(db, act, [patient_id])
    if not changed:
        return answer(patient)
    _check_birth_year(changed.get("birth_year"), act)
    if "external_id" in changed and store.by_external_id(db, act.clinic_id, str(changed["external_id"])):
        raise ExternalIdTaken(errors=[Fault("pointer", "/external_id", "must be unique in the clinic")])
    for name, value in changed.items():
        setattr(patient, name, value)
    patient.version += 1
    patient.updated_at = act.at
    if patient.care_status in _ENDED:
        access_store.revoke_devices(db, act.clinic_id, patient_id, act.at)
    if changed.keys() & _RECORDED:
        recorded_at = next_moment(patient, act.at)
        _add_version(db, patient, recorded_at)
    if changed.keys() & _KEPT_WITH_TRACKS:
        known = tracks.gather(db, act.clinic_id, [patient_id])
        tracks.apply(db, act.clinic_id, [Change(subject_of(patient, caller.time_zone))], known)
    db.add(patient)
    db.flush()
    return answer(patient)


def one(db: Session, clinic_id: UUID, patient_id: UUID) -> Patient:
    """A patient. Raises NotFound."""
    patient = store.find(db, clinic_id, patient_id)
    if patient is None:
        raise NotFound
    return patient


def lock_one(db: Session, clinic_id: UUID, patient_id: UUID) -> Patient:
    """A patient, locked until the transaction ends. Raises NotFound."""
    patient = store.locked(db, clinic_id, [patient_id]).get(patient_id)
    if patient is None:
        raise NotFound
    return patient


def refold_outdated(db: Session, clinic_id: UUID, zone: ZoneInfo) -> Sequence[UUID]:
    """Folds again the tracks that were kept by other rules or in another shape, of a few patients at a time: these."""
    patient_ids = tracks_store.outdated(db, clinic_id, tracks.FOLD, _PATIENTS_A_ROUND)
    patients = store.locked(db, clinic_id, patient_ids).values()
    changes = [Change(subject_of(patient, zone)) for patient in patients]
    tracks.apply(db, clinic_id, changes, tracks.gather(db, clinic_id, patient_ids))
    return patient_ids


def search(
    db: Session, clinic_id: UUID, body: PatientSearch, after: Sequence[str] | None, limit: int
) -> Sequence[PatientOut]:
    """A page, one more than `limit` where there is more."""
    return [answer(p) for p in store.search(db, clinic_id, body.external_id, body.q, after, limit)]


def enrol(db: Session, act: Act, patient_id: UUID, public_url: str) -> Reply[EnrolmentOut]:
    """A single-use code for a patient's device. Raises NotFound, and Invalid where care has ended."""
    patient = lock_one(db, act.clinic_id, patient_id)
    if patient.care_status in _ENDED:
        raise Invalid("a device cannot be enrolled for a patient whose care has ended")
    code, expires_at = access.open_enrolment(db, act.clinic_id, patient_id, act.at)
    audit.record(db, act, [patient_id])
    link = f"{public_url.rstrip('/')}/enrol#{code}"
    return Reply(EnrolmentOut(code=code, expires_at=expires_at, link=link), 201, secret=True)


def next_moment(patient: Patient, now: datetime) -> datetime:
    """The `recorded_at` of the patient's next version: now, and always later than the one before. Only under the
    patient's lock."""
    last = patient.last_recorded_at
    moment = now if last is None or now > last else last + timedelta(microseconds=1)
    patient.last_recorded_at = moment
    return moment


def subject_of(patient: Patient, zone: ZoneInfo) -> Subject:
    """The patient as the tracks see them."""
    return Subject(patient.id, zone, patient.primary_instruments, patient.indications, patient.care_status)


def answer(patient: Patient) -> PatientOut:
    """A patient as the service shows them."""
    return PatientOut.model_validate(patient.model_dump(include=set(PatientOut.model_fields)))


def _check_birth_year(year: object, act: Act) -> None:
    if isinstance(year, int) and year > act.at.year:
        raise Invalid(errors=[Fault("pointer", "/birth_year", "must not be in the future")])


def _normalised(body: PatientIn) -> str:
    """What a repeat is compared with: the content without the id and without the order of its lists."""
    lists = {"indications": sorted(body.indications), "failed_treatments": sorted(body.failed_treatments)}
    return body.model_copy(update={"id": None, **lists}).model_dump_json()


def _merged(patient: Patient, patch: PatientPatch) -> dict[str, object]:
    sent = {name: value for name in PatientPatch.model_fields if (value := getattr(patch, name)) is not MISSING}
    if "primary_instruments" in sent:
        merged = patient.primary_instruments | sent["primary_instruments"]
        sent["primary_instruments"] = {domain: code for domain, code in merged.items() if code is not None}
    return sent


def _add_version(db: Session, patient: Patient, recorded_at: datetime) -> None:
    db.add(
        PatientVersion(
            clinic_id=patient.clinic_id,
            patient_id=patient.id,
            version=patient.version,
            recorded_at=recorded_at,
            primary_instruments=patient.primary_instruments,
            indications=patient.indications,
        )
    )


def _headers(patient: Patient) -> dict[str, str]:
    return {"Location": f"/v1/patients/{patient.id}", "ETag": f'"{patient.version}"'}
