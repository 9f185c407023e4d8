"""Use cases of sessions: recording, changing, reading."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import MISSING

from app.access.service import Caller
from app.alerts import raising
from app.audit.service import Act
from app.effects.models import ChangePerBoosterOut, SessionEffectOut
from app.effects.service import effects_of
from app.errors import AlreadyRecorded, Fault, Invalid, NotFound
from app.facts import Fact, require_version
from app.outbox import service as outbox
from app.outbox.kinds import Kind
from app.patients import service as patients
from app.patients.models import Patient
from app.sessions import store
from app.sessions.models import (
    COUNTED,
    InfusionSession,
    RecorderOut,
    SessionIn,
    SessionListed,
    SessionOut,
    SessionPatch,
    SessionVersion,
    SessionVersionOut,
)
from app.sessions.moving import content_of
from app.sessions.policies import check, check_overlap, check_vitals, dose_per_kilogram, severe_side_effects
from app.storage import Transaction, new_id
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.changes import Change
from app.tracks.days import local_day
from app.tracks.events import Calendar
from app.tracks.models import InfusionVersion
from app.tracks.patient_tracks import PatientTracks

# What a version shows whose session goes on elsewhere.
MOVED = "moved"
_TIMES = frozenset({"started_at", "ended_at"})
_NEEDS_REASON = _TIMES | {"status"}
_NO_PLACE: dict[str, Any] = {"number": None, "episode_number": None, "course_number": None, "kind": None}


def record(
    db: Transaction,
    caller: Caller,
    act: Act,
    patient_id: UUID,
    body: SessionIn,
    source_recorded_at: datetime | None = None,
) -> Fact[SessionOut]:
    """Records a session. If the same id was posted before with the same content, returns that session as it is now.
    `source_recorded_at`: of an import, when it was recorded where it comes from."""
    patient = patients.lock_one(db, act.clinic_id, patient_id)
    session_id = body.id or new_id()
    found = store.find(db, act.clinic_id, session_id)
    known = tracks.gather(db, act.clinic_id, [patient_id])
    if found is not None:
        session, version = found
        first = store.first_version(db, act.clinic_id, session_id)
        if session.patient_id != patient_id or content_of(first) != body.model_copy(update={"id": None}):
            raise AlreadyRecorded(errors=[Fault("pointer", "/id", "names a session with other content")])
        value = _session_out(session, version, _of(known[patient_id], caller))
        return Fact(value, (patient_id,), session.version, is_replay=True)
    check(body, act.at)
    check_vitals(body, act.at)
    if body.status in COUNTED:
        check_overlap(body, known[patient_id].infusions)
    session = InfusionSession(
        clinic_id=act.clinic_id,
        id=session_id,
        patient_id=patient_id,
        version=1,
        started_at=body.started_at,
        created_at=act.at,
    )
    patients.tell_due_from(patient, local_day(body.started_at, caller.time_zone))
    version = _store_version(db, caller, act, patient, session, body, None, known, severe_before=set(),
                             source_recorded_at=source_recorded_at)  # fmt: skip
    value = _session_out(session, version, _of(known[patient_id], caller))
    return Fact(value, (patient_id,), session.version, is_new=True)


def update(
    db: Transaction,
    caller: Caller,
    act: Act,
    patient_id: UUID,
    session_id: UUID,
    expected: int | None,
    patch: SessionPatch,
    source_recorded_at: datetime | None = None,
) -> Fact[SessionOut]:
    """Changes a session and returns it. A patch that changes nothing makes no version. Raises NotFound,
    PreconditionFailed, SessionOverlaps, DoseMismatch, Invalid."""
    patient = patients.lock_one(db, act.clinic_id, patient_id)
    session, version = find(db, act.clinic_id, patient_id, session_id)
    require_version(expected, session.version)
    if version.moved_to is not None:
        raise Invalid(errors=[Fault("pointer", "", "this session was moved: change the one that goes on in its place")])
    known = tracks.gather(db, act.clinic_id, [patient_id])
    current = content_of(version)
    changes = {
        name: value
        for name in SessionPatch.model_fields
        if name != "reason" and (value := getattr(patch, name)) is not MISSING
    }
    body = current.model_copy(update=changes)
    changed = {name for name in changes if getattr(body, name) != getattr(current, name)}
    if not changed:
        return Fact(_session_out(session, version, _of(known[patient_id], caller)), (patient_id,), session.version)
    if changed & _NEEDS_REASON and not patch.reason:
        raise Invalid(errors=[Fault("pointer", "/reason", "is required when times or status change")])
    check(body, act.at)
    if changed & (_TIMES | {"vitals"}):
        check_vitals(body, act.at)
    if body.status in COUNTED:
        check_overlap(body, [i for i in known[patient_id].infusions if i.session_id != session_id])
    if changed & _NEEDS_REASON:
        patients.tell_due_from(patient, local_day(min(body.started_at, current.started_at), caller.time_zone))
    session.version += 1
    session.started_at = body.started_at
    severe = severe_side_effects(current)
    version = _store_version(
        db, caller, act, patient, session, body, patch.reason, known,
        severe_before=severe, moved_from=version.moved_from, source_recorded_at=source_recorded_at,
    )  # fmt: skip
    return Fact(_session_out(session, version, _of(known[patient_id], caller)), (patient_id,), session.version)


def find(
    db: Transaction, clinic_id: UUID, patient_id: UUID, session_id: UUID
) -> tuple[InfusionSession, SessionVersion]:
    """A session of this patient with its current version. Raises NotFound."""
    found = store.find(db, clinic_id, session_id)
    if found is None or found[0].patient_id != patient_id:
        raise NotFound
    return found


def one(db: Transaction, caller: Caller, patient_id: UUID, session_id: UUID) -> Fact[SessionOut]:
    """The current version of a session. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    session, version = find(db, caller.clinic_id, patient_id, session_id)
    return Fact(_session_out(session, version, _calendar(db, caller, patient_id)), (patient_id,), session.version)


def listed(
    db: Transaction, caller: Caller, patient_id: UUID, after: Sequence[str] | None, limit: int, effects_on: date | None
) -> tuple[Sequence[SessionListed], list[ChangePerBoosterOut] | None]:
    """One page of sessions, newest first. Returns one item more than `limit` if there are more. With `effects_on`, also
    what each session did as of that day, and the change per booster. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    calendar = _calendar(db, caller, patient_id)
    rows = store.page(db, caller.clinic_id, patient_id, after, limit)
    if effects_on is None:
        return [SessionListed(**dict(_session_out(session, version, calendar))) for session, version in rows], None
    found = effects_of(db, caller.clinic_id, patient_id, calendar, effects_on)
    items = [
        SessionListed(**dict(_session_out(session, version, calendar)), effect=found.of(session.id))
        for session, version in rows
    ]
    return items, found.changes()


def effect(db: Transaction, caller: Caller, patient_id: UUID, session_id: UUID, as_of: date) -> Fact[SessionEffectOut]:
    """What one session did; empty if the session does not count. Raises NotFound."""
    patients.find(db, caller.clinic_id, patient_id)
    find(db, caller.clinic_id, patient_id, session_id)
    calendar = _calendar(db, caller, patient_id)
    found = effects_of(db, caller.clinic_id, patient_id, calendar, as_of)
    value = SessionEffectOut(patient_id=patient_id, session_id=session_id, instruments=found.of(session_id))
    return Fact(value, (patient_id,))


def versions(db: Transaction, clinic_id: UUID, patient_id: UUID, session_id: UUID) -> Fact[list[SessionVersionOut]]:
    """Every version of a session, oldest first. Raises NotFound."""
    patients.find(db, clinic_id, patient_id)
    session, _ = find(db, clinic_id, patient_id, session_id)
    rows = store.versions(db, clinic_id, session_id)
    return Fact([SessionVersionOut(**_fields(session, version)) for version in rows], (patient_id,))


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[SessionVersionOut]:
    """Every version of every session of a patient, oldest first."""
    rows = store.every_version(db, clinic_id, patient_id)
    return [SessionVersionOut(**_fields(session, version)) for session, version in rows]


def _store_version(
    db: Transaction,
    caller: Caller,
    act: Act,
    patient: Patient,
    session: InfusionSession,
    body: SessionIn,
    reason: str | None,
    known: dict[UUID, PatientTracks],
    *,
    severe_before: set[str],
    moved_from: UUID | None = None,
    source_recorded_at: datetime | None = None,
) -> SessionVersion:
    """Writes a version, folds it into the patient's tracks, and raises or marks alerts about severe side effects."""
    recorded_at = patients.next_moment(patient, act.at)
    version, infusion = _rows(act, session, body, reason, recorded_at, moved_from)
    version.source_recorded_at = source_recorded_at
    db.add_all([patient, session])
    db.flush()
    db.add(version)
    kind: Kind = "session.recorded" if session.version == 1 else "session.amended"
    outbox.record(db, [outbox.change(act.clinic_id, kind, patient.id, recorded_at, session.id)])
    change = Change(
        patients.subject_of(patient, caller.time_zone),
        infusions=[infusion],
        replaces_sessions=[session.id] if session.version > 1 else [],
        at=recorded_at,
    )
    tracks.apply(db, act.clinic_id, [change], known)
    severe = severe_side_effects(body)
    if severe_before - severe:
        raising.mark_amended(db, act.clinic_id, session.id, recorded_at)
    if severe - severe_before:
        raising.raise_severe_side_effect(db, act.clinic_id, patient.id, session.id, body.started_at, recorded_at)
    return version


def _rows(
    act: Act,
    session: InfusionSession,
    body: SessionIn,
    reason: str | None,
    recorded_at: datetime,
    moved_from: UUID | None,
) -> tuple[SessionVersion, InfusionVersion]:
    version = SessionVersion(
        clinic_id=act.clinic_id,
        session_id=session.id,
        version=session.version,
        patient_id=session.patient_id,
        recorded_at=recorded_at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        reason=reason,
        content=body.model_dump(mode="json", exclude={"id"}),
        moved_from=moved_from,
    )
    infusion = InfusionVersion(
        clinic_id=act.clinic_id,
        id=new_id(),
        patient_id=session.patient_id,
        session_id=session.id,
        version=session.version,
        recorded_at=recorded_at,
        superseded_at=None,
        started_at=body.started_at,
        ended_at=body.ended_at,
        counts=body.status in COUNTED,
    )
    return version, infusion


def doses(db: Transaction, clinic_id: UUID, patient_id: UUID) -> dict[UUID, float | None]:
    """The dose of each session of a patient in mg per kg; None where it is not known."""
    return {
        session.id: dose_per_kilogram(content_of(version))
        for session, version in store.of_patients(db, clinic_id, [patient_id])
    }


def _of(known: PatientTracks, caller: Caller) -> Calendar:
    return Calendar(known.infusions, caller.time_zone)


def _calendar(db: Transaction, caller: Caller, patient_id: UUID) -> Calendar:
    return Calendar(tracks_store.infusions(db, caller.clinic_id, patient_id), caller.time_zone)


def _session_out(session: InfusionSession, version: SessionVersion, calendar: Calendar) -> SessionOut:
    position = calendar.positions.get(str(session.id))
    where = _NO_PLACE
    if position is not None:
        where = {
            "number": position.number,
            "episode_number": position.episode,
            "course_number": position.course,
            "kind": position.kind,
        }
    return SessionOut(**_fields(session, version), **where)


def _fields(session: InfusionSession, version: SessionVersion) -> dict[str, Any]:
    body = content_of(version)
    return {
        **body.model_dump(exclude={"id"}),
        "dose_mg_per_kg": dose_per_kilogram(body),
        "id": session.id,
        "patient_id": session.patient_id,
        "version": version.version,
        "recorded_at": version.recorded_at,
        "recorded_by": RecorderOut(kind=version.recorded_by_kind, id=version.recorded_by_id),
        "reason": version.reason,
        "source_recorded_at": version.source_recorded_at,
        "moved_from": version.moved_from,
        "moved_to": version.moved_to,
        **({} if version.moved_to is None else {"status": MOVED}),
    }


def severe(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID]) -> list[tuple[UUID, UUID, datetime]]:
    """(patient id, session id, start) of every session of these patients that counts and had a severe side effect."""
    found = []
    for session, version in store.of_patients(db, clinic_id, patient_ids):
        body = content_of(version)
        if version.moved_to is None and severe_side_effects(body):
            found.append((session.patient_id, session.id, body.started_at))
    return found
