"""Use cases of patients: creating, changing, finding, erasing."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import MISSING

from app.access import store as access_store
from app.access.service import Caller
from app.api import store as responses
from app.audit.service import Act
from app.errors import AlreadyRecorded, Fault, Invalid, Merged, NotFound, Problem, ReferenceNotFound
from app.facts import Fact, require_version
from app.patients import history, identifiers, store
from app.patients.identifiers import Identity
from app.patients.models import (
    Patient,
    PatientIn,
    PatientOut,
    PatientPatch,
    PatientSearch,
)
from app.patients.policies import caseless
from app.patients.store import PatientSummary
from app.storage import Transaction, new_id
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.changes import Change
from app.tracks.patient_tracks import PatientTracks, Subject

ENDED = ("discharged", "deceased", "entered_in_error")
_PATIENTS_A_ROUND = 10
_IDENTIFYING = frozenset({"external_id", "label", "birth_year"})
VERDICTS_REST_ON = frozenset({"primary_instruments", "indications"})
_KEPT_WITH_TRACKS = VERDICTS_REST_ON | {"care_status"}
# These take a patient out of answers or end their care for good: it must be known why.
_NEEDS_REASON = ("deceased", "entered_in_error")
MERGED = "merged"


class ExternalIdTaken(Problem):
    """Another patient of this clinic has this external id."""

    code, status, title = "external_id_taken", 409, "The external id is taken"


class Erased(Problem):
    """The patient's identity was erased on request; nothing that tells who they are is recorded any more."""

    code, status, title = "erased", 409, "The patient's identity was erased"


def create(db: Transaction, caller: Caller, act: Act, body: PatientIn) -> Fact[PatientOut]:
    """Creates a patient. If the same id was posted with the same content, returns that one as it is now."""
    clinic_id, patient_id = act.clinic_id, body.id or new_id()
    _check_birth_year(body.birth_year, act)
    identifiers.guard(db, clinic_id)
    existing = store.locked(db, clinic_id, [patient_id]).get(patient_id)
    holder = identifiers.holder(db, clinic_id, body.external_id)
    if holder == patient_id and existing is None:  # an equal post committed between the two queries
        existing = find(db, clinic_id, patient_id)
    if existing is not None:
        if not _is_replay(db, existing, _normalised(body)):
            raise AlreadyRecorded(errors=[Fault("pointer", "/id", "names a patient with other content")])
        _check_unmerged(db, existing)
        return Fact(patient_out(db, existing), (patient_id,), existing.version, is_replay=True)
    if holder is not None:
        raise ExternalIdTaken(errors=[Fault("pointer", "/external_id", "must be unique in the clinic")])
    _check_team(db, clinic_id, body.care_team)
    patient = Patient(
        **body.model_dump(exclude={"id", "care_team", *_IDENTIFYING}),
        clinic_id=clinic_id,
        id=patient_id,
        created_at=act.at,
        updated_at=act.at,
        version=1,
        posted="",
        last_recorded_at=None,
    )
    db.add(patient)
    db.flush()
    identity = Identity(body.external_id, body.label, body.birth_year)
    identifiers.store_identity(db, clinic_id, patient_id, identity)
    patient.posted = identifiers.own_digest(db, clinic_id, patient_id, _normalised(body))
    if body.care_team:
        access_store.set_care_team(db, clinic_id, patient_id, body.care_team)
    history.record_version(db, act, patient, act.at, None, sorted(body.model_fields_set - {"id"}), body.care_team)
    tracks.apply(db, clinic_id, [Change(subject_of(patient, caller.time_zone))], {patient_id: PatientTracks()})
    return Fact(_out(patient, identity, body.care_team, []), (patient_id,), patient.version, is_new=True)


def _is_replay(db: Transaction, existing: Patient, content: str) -> bool:
    """Whether a patient was posted with this content. Earlier releases hashed it with the service's secret."""
    if existing.posted == "" or existing.erased_at is not None:
        return False
    mine = identifiers.own_digest(db, existing.clinic_id, existing.id, content)
    return existing.posted in (mine, *identifiers.digests(db, existing.clinic_id, content))


def update(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, expected: int | None, patch: PatientPatch
) -> Fact[PatientOut]:
    """Changes a patient and returns them. A patch that changes nothing makes no version. Raises NotFound,
    PreconditionFailed, Invalid, ExternalIdTaken, Erased."""
    patient = lock_one(db, act.clinic_id, patient_id)
    require_version(expected, patient.version)
    before = patient_out(db, patient)
    changed = {name: value for name, value in _merged(patient, patch).items() if getattr(before, name) != value}
    if not changed:
        return Fact(before, (patient_id,), patient.version)
    if patient.erased_at is not None and changed.keys() & _IDENTIFYING:
        raise Erased
    _check_birth_year(changed.get("birth_year"), act)
    if changed.get("care_status") in _NEEDS_REASON and not patch.reason:
        rule = "is required where care_status becomes " + " or ".join(_NEEDS_REASON)
        raise Invalid(errors=[Fault("pointer", "/reason", rule)])
    _identify(db, act.clinic_id, before, changed)
    if "care_team" in changed:
        team = [UUID(str(user_id)) for user_id in changed["care_team"]]
        _check_team(db, act.clinic_id, team)
        access_store.set_care_team(db, act.clinic_id, patient_id, team)
    for name in changed.keys() - _IDENTIFYING - {"care_team"}:
        setattr(patient, name, changed[name])
    patient.version += 1
    patient.updated_at = act.at
    has_ended = patient.care_status in ENDED
    team = changed.get("care_team", before.care_team)
    # Only what verdicts rest on makes an answer one about something newer.
    recorded_at = next_moment(patient, act.at) if changed.keys() & VERDICTS_REST_ON else act.at
    history.record_version(db, act, patient, recorded_at, patch.reason, sorted(changed), team)
    if has_ended:
        for one in (patient_id, *merged_records(db, act.clinic_id, [patient_id])):
            access_store.revoke_devices(db, act.clinic_id, one, act.at)
    if changed.keys() & _KEPT_WITH_TRACKS:
        known = tracks.gather(db, act.clinic_id, [patient_id])
        tracks.apply(db, act.clinic_id, [Change(subject_of(patient, caller.time_zone))], known)
    db.add(patient)
    db.flush()
    return Fact(patient_out(db, patient), (patient_id,), patient.version, changes_callers=has_ended)


def erase(db: Transaction, act: Act, patient_id: UUID) -> Fact[PatientOut]:
    """Erases a patient's identity: deletes the identifiers, their key and the stored idempotent responses, and revokes
    every device. The clinical record stays under a pseudonym. Erasing again changes nothing. Records that were merged
    into this one are erased with it. Raises NotFound."""
    every = store.locked(db, act.clinic_id, [patient_id, *merged_records(db, act.clinic_id, [patient_id])])
    patient = lock_one(db, act.clinic_id, patient_id)
    if patient.erased_at is None:
        for one in every.values():
            store.erase(db, act.clinic_id, one.id)
            responses.delete_responses_about(db, act.clinic_id, one.id)
            access_store.revoke_devices(db, act.clinic_id, one.id, act.at)
            access_store.unname_devices(db, act.clinic_id, one.id)
            one.erased_at, one.updated_at, one.version = act.at, act.at, one.version + 1
            one.posted = ""
            history.record_version(db, act, one, act.at, None, ["erased_at"], None)
            db.add(one)
        db.flush()
    return Fact(patient_out(db, patient), (patient_id,), patient.version, changes_callers=True)


def one(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Fact[PatientOut]:
    """A patient as the service shows them. Raises NotFound."""
    patient = find(db, clinic_id, patient_id)
    return Fact(patient_out(db, patient), (patient_id,), patient.version)


def listed(
    db: Transaction,
    clinic_id: UUID,
    indication: str | None,
    care_status: str | None,
    after: Sequence[str] | None,
    limit: int,
) -> list[PatientOut]:
    """A page, newest first, one more than `limit` where there is more."""
    return patients_out(db, clinic_id, store.page(db, clinic_id, indication, care_status, after, limit))


def find(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Patient:
    """A patient's row. Raises NotFound, and Merged where the record goes on in another."""
    patient = store.find(db, clinic_id, patient_id)
    if patient is None:
        raise NotFound
    _check_unmerged(db, patient)
    return patient


def lock_one(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Patient:
    """A patient, locked until the transaction ends. Raises NotFound, and Merged where the record goes on in another."""
    patient = store.locked(db, clinic_id, [patient_id]).get(patient_id)
    if patient is None:
        raise NotFound
    _check_unmerged(db, patient)
    return patient


def _check_unmerged(db: Transaction, patient: Patient) -> None:
    if patient.merged_into is not None:
        raise Merged(goes_on_in(db, patient.clinic_id, patient.id), patient.version)


def merged_records(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Every record that was merged into one of these, or into one that was, each with that of these in which it goes
    on."""
    found: dict[UUID, UUID] = {}
    asked: Sequence[UUID] = patient_ids
    while asked:
        level = store.merged_into(db, clinic_id, asked)
        found |= {former: found.get(into, into) for former, into in level.items()}
        asked = list(level)
    return found


def refold_outdated(db: Transaction, clinic_id: UUID, zone: ZoneInfo) -> Sequence[UUID]:
    """Folds a few patients again whose fold was stored under another fold version. Returns their ids."""
    patient_ids = tracks_store.outdated(db, clinic_id, _PATIENTS_A_ROUND)
    patients = store.locked(db, clinic_id, patient_ids).values()
    changes = [Change(subject_of(patient, zone)) for patient in patients]
    tracks.apply(db, clinic_id, changes, tracks.gather(db, clinic_id, patient_ids))
    return patient_ids


def advance_domains(db: Transaction, clinic_id: UUID, day: date) -> None:
    """Writes the domain rows of a few patients whose next day has come by `day`."""
    patient_ids = tracks_store.turned(db, clinic_id, day, _PATIENTS_A_ROUND)
    store.locked(db, clinic_id, patient_ids)
    tracks.advance(db, clinic_id, patient_ids, day)


def search(
    db: Transaction, clinic_id: UUID, body: PatientSearch, after: Sequence[str] | None, limit: int
) -> Sequence[PatientOut]:
    """A page, newest first, one more than `limit` where there is more."""
    if body.external_id is None and body.q is None:
        return patients_out(db, clinic_id, store.page(db, clinic_id, None, None, after, limit))
    if body.external_id is not None:
        holder = identifiers.holder(db, clinic_id, body.external_id)
        found = [] if holder is None or after is not None else [holder]
    else:
        assert body.q is not None  # one of the two is given
        found = list(islice(identifiers.matching(db, clinic_id, body.q, after, limit), limit + 1))
    patients = store.by_ids(db, clinic_id, found)
    if any(patient.merged_into is not None for patient in patients.values()):  # found by an alias
        found = [goes_on_in(db, clinic_id, patient_id) for patient_id in found]
        patients = store.by_ids(db, clinic_id, found)
    shown = patients_out(db, clinic_id, [patients[patient_id] for patient_id in found])
    return [p for p in shown if body.q is None or identifiers.has(p.external_id, p.label, body.q)]


def next_moment(patient: Patient | PatientSummary, now: datetime) -> datetime:
    """The patient's next `recorded_at`: now, but later than the last. The caller holds the patient's lock."""
    last = patient.last_recorded_at
    moment = now if last is None or now > last else last + timedelta(microseconds=1)
    patient.last_recorded_at = moment
    return moment


def tell_due_from(patient: Patient, day: date) -> None:
    """Has it told again what becomes due after a day, which an infusion has changed. The caller holds the lock."""
    if patient.due_told_on is not None:
        patient.due_told_on = min(patient.due_told_on, day)


def subject_of(patient: Patient | PatientSummary, zone: ZoneInfo) -> Subject:
    """The patient as the Subject that tracks are folded for."""
    care_status = patient.care_status if patient.merged_into is None else MERGED
    return Subject(patient.id, zone, patient.primary_instruments, patient.indications, care_status)


def patient_out(db: Transaction, patient: Patient) -> PatientOut:
    """A patient as the service shows them."""
    return patients_out(db, patient.clinic_id, [patient])[0]


def patients_out(db: Transaction, clinic_id: UUID, patients: Sequence[Patient]) -> list[PatientOut]:
    """The response bodies of patients. One query for all identities, one for all care teams, one for merged records."""
    ids = [patient.id for patient in patients]
    if not ids:
        return []
    into = merged_records(db, clinic_id, ids)
    who, teams = identifiers.of_patients(db, clinic_id, [*ids, *into]), access_store.care_teams(db, clinic_id, ids)
    return [
        _out(
            patient,
            who[patient.id],
            teams.get(patient.id, []),
            sorted(who[former].external_id for former, goes_on in into.items() if goes_on == patient.id),
        )
        for patient in patients
    ]


def _out(patient: Patient, identity: Identity, care_team: Sequence[UUID], aliases: Sequence[str]) -> PatientOut:
    stored = patient.model_dump(include=set(PatientOut.model_fields))
    known = {**stored, **asdict(identity), "care_team": sorted(care_team), "aliases": aliases}
    return PatientOut.model_validate(known)


def goes_on_in(db: Transaction, clinic_id: UUID, patient_id: UUID) -> UUID:
    """The record in which this one goes on; itself where it was not merged."""
    return way_on(db, clinic_id, patient_id)[-1]


def way_on(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[UUID]:
    """This record and those in which it goes on, one after the other; only itself where it was not merged."""
    found = [patient_id]
    while True:
        patient = store.find(db, clinic_id, found[-1])
        if patient is None or patient.merged_into is None:
            return found
        found.append(patient.merged_into)


def _identify(db: Transaction, clinic_id: UUID, before: PatientOut, changed: Mapping[str, Any]) -> None:
    """Stores changes to a patient's identity. Raises ExternalIdTaken."""
    if not changed.keys() & _IDENTIFYING:
        return
    identity = Identity(**{name: changed.get(name, getattr(before, name)) for name in _IDENTIFYING})
    if "external_id" not in changed and before.external_id == identifiers.unreadable(before.id).external_id:
        raise Invalid(errors=[Fault("pointer", "/external_id", "must be given: what is stored cannot be read")])
    is_other = caseless(identity.external_id) != caseless(before.external_id)
    if is_other:
        identifiers.guard(db, clinic_id)
    if is_other and identifiers.holder(db, clinic_id, identity.external_id) not in (None, before.id):
        raise ExternalIdTaken(errors=[Fault("pointer", "/external_id", "must be unique in the clinic")])
    identifiers.store_identity(db, clinic_id, before.id, identity)


def _check_team(db: Transaction, clinic_id: UUID, team: Sequence[UUID]) -> None:
    """Raises ReferenceNotFound if a member is not a user of this clinic."""
    known = access_store.users_by_ids(db, clinic_id, team) if team else {}
    strangers = [index for index, user_id in enumerate(team) if user_id not in known]
    if strangers:
        rule = "must be a person of this clinic"
        raise ReferenceNotFound(errors=[Fault("pointer", f"/care_team/{index}", rule) for index in strangers])


def _check_birth_year(year: object, act: Act) -> None:
    if isinstance(year, int) and year > act.at.year:
        raise Invalid(errors=[Fault("pointer", "/birth_year", "must not be in the future")])


def _normalised(body: PatientIn) -> str:
    """The content that a repeated create is compared with: without the id, and with its lists sorted."""
    lists = {
        "indications": sorted(body.indications),
        "failed_treatments": sorted(body.failed_treatments),
        "care_team": sorted(body.care_team),
    }
    return body.model_copy(update={"id": None, **lists}).model_dump_json()


def _merged(patient: Patient, patch: PatientPatch) -> dict[str, Any]:
    sent: dict[str, Any] = {
        name: value
        for name in PatientPatch.model_fields
        if name != "reason" and (value := getattr(patch, name)) is not MISSING
    }
    if "care_team" in sent:
        sent["care_team"] = sorted(sent["care_team"])
    if "primary_instruments" in sent:
        merged = patient.primary_instruments | sent["primary_instruments"]
        sent["primary_instruments"] = {domain: code for domain, code in merged.items() if code is not None}
    return sent
