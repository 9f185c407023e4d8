"""Takes back what an import brought, the last first: check-ins are voided, sessions and patients entered in error."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

from pydantic import MISSING

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import amending
from app.checkins import store as check_ins_store
from app.checkins.models import AmendmentIn
from app.devices import service as devices
from app.errors import Problem
from app.events import service as events
from app.exchange.applying import BROUGHT, CHECK_IN, PATIENT, SESSION, Applied
from app.exchange.verdicts import TAKEN_BACK
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import PatientPatch
from app.plans import store as plans_store
from app.sessions import service as sessions
from app.sessions import store as sessions_store
from app.sessions.models import SessionPatch
from app.storage import Transaction, savepoint


def take_back(db: Transaction, caller: Caller, act: Act, brought: bytes) -> Applied:
    """Takes back the last of what a chunk brought, in the opposite order: check-ins are voided, sessions and patients
    entered in error, with a reason. What was changed since stays."""
    done = Applied()
    for place in range(len(brought) - BROUGHT.size, -1, -BROUGHT.size):
        kind, raw, version = BROUGHT.unpack_from(brought, place)
        _undo(db, done, partial(_TAKE_BACK[kind], db, caller, act, UUID(bytes=raw), version))
    return done


def last_of(brought: bytes, count: int) -> int:
    """Where the last `count` entries begin."""
    return max(0, len(brought) - count * BROUGHT.size)


def _undo(db: Transaction, done: Applied, work: Callable[[], UUID | None]) -> None:
    try:
        with savepoint(db):
            patient_id = work()
    except Problem:
        patient_id = None
    if patient_id is None:
        done.count("kept")
    else:
        done.count("taken_back")
        done.patient_ids.add(patient_id)


def _void(db: Transaction, caller: Caller, act: Act, made: UUID, version: int) -> UUID | None:
    found = check_ins_store.by_ids(db, act.clinic_id, [made]).get(made)
    if found is None or found[0].version != version or found[0].voided:
        return None
    body = AmendmentIn.model_construct(reason=TAKEN_BACK, taken_at=MISSING, responses=MISSING, void=True)
    amending.amend(db, caller, act, found[0].patient_id, made, None, body)
    return found[0].patient_id


def _end_session(db: Transaction, caller: Caller, act: Act, made: UUID, version: int) -> UUID | None:
    found = sessions_store.by_ids(db, act.clinic_id, [made]).get(made)
    if found is None or found[0].version != version:
        return None
    patch = SessionPatch.model_validate({"status": "entered_in_error", "reason": TAKEN_BACK})
    sessions.update(db, caller, act, found[0].patient_id, made, None, patch)
    return found[0].patient_id


def _end_patient(db: Transaction, caller: Caller, act: Act, made: UUID, version: int) -> UUID | None:
    found = patients_store.find(db, act.clinic_id, made)
    if found is None or found.version != version or found.merged_into is not None or _has_records(db, act, made):
        return None
    patch = PatientPatch.model_validate({"care_status": "entered_in_error", "reason": TAKEN_BACK})
    patients.update(db, caller, act, made, None, patch)
    return made


def _has_records(db: Transaction, act: Act, patient_id: UUID) -> bool:
    """Whether anything stands in a patient's record, or has been set up for them."""
    clinic_id = act.clinic_id
    ended = "entered_in_error"
    return (
        any(not one.voided for one, _ in check_ins_store.of_patient(db, clinic_id, patient_id))
        or any(one.content["status"] != ended for _, one in sessions_store.of_patients(db, clinic_id, [patient_id]))
        or bool(devices.listed(db, clinic_id, patient_id))
        or bool(events.every_version(db, clinic_id, patient_id))
        or bool(plans_store.patient_versions(db, clinic_id, patient_id))
    )


_TAKE_BACK: dict[int, Callable[[Transaction, Caller, Act, UUID, int], UUID | None]] = {
    PATIENT: _end_patient,
    SESSION: _end_session,
    CHECK_IN: _void,
}
