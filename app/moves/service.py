"""Use cases of moves: a check-in or a session of the wrong person, and two records of one person, together and
apart."""

from functools import partial
from uuid import UUID

from app.access import store as access
from app.access.service import Caller
from app.alerts import following
from app.alerts import moving as alerts
from app.audit.service import Act
from app.checkins import reading
from app.checkins import store as check_ins
from app.checkins.models import CheckInOut
from app.errors import Fault, Invalid, Merged, NotFound, ReferenceNotFound
from app.events import moving as events
from app.facts import Fact, require_version
from app.moves import loading
from app.moves.loading import Load, Side
from app.moves.models import MergeIn, MergeOut, MovedOut, MoveIn, UndoIn, UndoOut
from app.moves.moving import carry
from app.patients import history
from app.patients import store as patients_store
from app.patients.models import Patient
from app.patients.service import ENDED, Erased
from app.reminders import service as reminders
from app.sessions import service as sessions
from app.sessions import store as sessions_store
from app.sessions.models import SessionOut
from app.sessions.policies import SessionOverlaps
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.days import local_day
from app.tracks.onset_changes import onsets_of


def move_check_in(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, check_in_id: UUID, expected: int | None, body: MoveIn
) -> Fact[CheckInOut]:
    """Moves a check-in to the patient it is of, and returns the one that goes on there. Raises NotFound, Merged,
    PreconditionFailed, ReferenceNotFound, Invalid, AlreadyRecorded."""
    source, target = _sides(db, act, patient_id, body.to_patient_id, "/to_patient_id")
    check_in, version = reading.find(db, act.clinic_id, patient_id, check_in_id)
    require_version(expected, check_in.version)
    if version.voided:
        raise Invalid(errors=[Fault("pointer", "", "a check-in that was voided or moved cannot be moved")])
    load, to = Load(), target.patient.id
    loading.load_check_ins(db, act.clinic_id, load, [(check_in, version)], target)
    if not load.faults and not load.check_ins:
        load.faults.append(Fault("pointer", "", "the other record holds the same: void this one"))
    load.refuse()
    carry(
        db, caller, act, source, target, load, body.reason, "moved",
        lambda: alerts.of_moved(db, act.clinic_id, patient_id, to, load.place_of, source.at),
    )  # fmt: skip
    moved = reading.one(db, caller, to, load.check_ins[0].becomes)
    return Fact(moved.value, (patient_id, to), moved.version, is_new=True)


def move_session(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, session_id: UUID, expected: int | None, body: MoveIn
) -> Fact[SessionOut]:
    """Moves a session to the patient it is of, and returns the one that goes on there. Raises NotFound, Merged,
    PreconditionFailed, ReferenceNotFound, Invalid, AlreadyRecorded."""
    source, target = _sides(db, act, patient_id, body.to_patient_id, "/to_patient_id")
    session, version = sessions.find(db, act.clinic_id, patient_id, session_id)
    require_version(expected, session.version)
    if version.moved_to is not None:
        raise Invalid(errors=[Fault("pointer", "", "a session that was moved cannot be moved")])
    load, to = Load(), target.patient.id
    loading.load_sessions(load, [(session, version)], sessions_store.of_patients(db, act.clinic_id, [to]), target)
    if not load.faults and not load.sessions:
        load.faults.append(Fault("pointer", "", "the other record holds the same: mark this one as entered in error"))
    if load.sessions and load.faults:
        raise SessionOverlaps(errors=load.faults)
    load.refuse()
    carry(
        db, caller, act, source, target, load, body.reason, "moved",
        lambda: alerts.of_moved(db, act.clinic_id, patient_id, to, load.place_of, source.at),
    )  # fmt: skip
    moved = sessions.one(db, caller, to, load.sessions[0].becomes)
    return Fact(moved.value, (patient_id, to), moved.version, is_new=True)


def merge(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, expected: int | None, body: MergeIn
) -> Fact[MergeOut]:
    """Ends a record and lets it go on in another. What the other holds too stays behind. Raises NotFound, Merged,
    PreconditionFailed, ReferenceNotFound, Invalid, Erased, and AlreadyRecorded, naming all that differ; then nothing is
    moved."""
    source, target = _sides(db, act, patient_id, body.into, "/into")
    require_version(expected, source.patient.version)
    if target.patient.erased_at is not None:
        raise Erased
    if target.patient.care_status == "entered_in_error":
        raise Invalid(errors=[Fault("pointer", "/into", "must not be entered in error: nothing of it counts")])
    load = Load()
    rows = sessions_store.of_patients(db, act.clinic_id, [patient_id, body.into])
    mine = [row for row in rows if row[0].patient_id == patient_id and row[1].moved_to is None]
    loading.load_sessions(load, mine, [row for row in rows if row[0].patient_id == body.into], target)
    standing = [row for row in check_ins.of_patient(db, act.clinic_id, patient_id) if not row[1].voided]
    loading.load_check_ins(db, act.clinic_id, load, standing, target)
    load.refuse()
    source.patient.merged_into, source.patient.merged_at = body.into, source.at
    history.next_version(db, act, source.patient, source.at, body.reason, ["merged_into"])
    history.next_version(db, act, target.patient, target.at, body.reason, ["aliases"])
    carry(
        db, caller, act, source, target, load, body.reason, "merged",
        lambda: alerts.of_merged(db, act.clinic_id, patient_id, body.into, load.place_of, target.at),
    )  # fmt: skip
    _follow(db, caller, act, target)
    events.move_all(db, act, patient_id, body.into, source.at, body.reason)
    began = local_day(target.patient.created_at, caller.time_zone)
    reminders.carry_over(db, act.clinic_id, patient_id, body.into, load.session_ids, began)
    access.hand_over_devices(db, act.clinic_id, patient_id, body.into)
    if target.patient.care_status in ENDED:
        access.revoke_devices(db, act.clinic_id, body.into, act.at)
    value = MergeOut(
        patient_id=patient_id,
        into=body.into,
        version=source.patient.version,
        **_moved(load),
        left_check_ins=sorted({check_in_id for check_in_id, _ in load.same} - {c.check_in.id for c in load.check_ins}),
        left_sessions=sorted(load.same_sessions),
    )
    return Fact(value, (patient_id, body.into), value.version, is_new=True, changes_callers=True)


def undo(
    db: Transaction, caller: Caller, act: Act, patient_id: UUID, expected: int | None, body: UndoIn
) -> Fact[UndoOut]:
    """Takes a merge back: what it moved returns as it now stands, what came since stays. Raises NotFound,
    PreconditionFailed, Invalid, Merged, AlreadyRecorded."""
    found = patients_store.find(db, act.clinic_id, patient_id)
    other = patient_id if found is None or found.merged_into is None else found.merged_into
    locked = patients_store.locked(db, act.clinic_id, {patient_id, other})
    merged = _present(locked, patient_id)
    require_version(expected, merged.version)
    if merged.merged_into is None or merged.merged_into != other or merged.merged_at is None:
        raise Invalid("this record is not merged into another")
    if locked[other].merged_into is not None:
        raise Merged(locked[other].merged_into, locked[other].version)
    since = merged.merged_at
    source, target = loading.sides(db, act, locked[other], merged)
    load = loading.returning(db, act.clinic_id, merged, other, target)
    load.refuse()
    merged.merged_into = merged.merged_at = None
    history.next_version(db, act, merged, target.at, body.reason, ["merged_into"])
    history.next_version(db, act, locked[other], source.at, body.reason, ["aliases"])
    carry(
        db, caller, act, source, target, load, body.reason, "merged",
        lambda: alerts.of_returned(db, act.clinic_id, other, patient_id, load.place_of, target.at),
    )  # fmt: skip
    _follow(db, caller, act, source)
    _follow(db, caller, act, target)
    events.move_back(db, act, other, patient_id, since, target.at, body.reason)
    access.hand_back_devices(db, act.clinic_id, other, patient_id)
    value = UndoOut(
        patient_id=patient_id,
        out_of=other,
        version=merged.version,
        **_moved(load),
        stayed_check_ins=list(check_ins.first_recorded_since(db, act.clinic_id, other, since)),
        stayed_sessions=list(sessions_store.first_recorded_since(db, act.clinic_id, other, since)),
    )
    return Fact(value, (patient_id, other), value.version, is_new=True, changes_callers=True)


def _sides(db: Transaction, act: Act, patient_id: UUID, other: UUID, pointer: str) -> tuple[Side, Side]:
    """Both records, locked in the order of their ids. Raises NotFound and Merged for the first, ReferenceNotFound and
    Invalid for the other."""
    locked = patients_store.locked(db, act.clinic_id, {patient_id, other})
    mine = _present(locked, patient_id)
    if mine.merged_into is not None:
        raise Merged(mine.merged_into, mine.version)
    if other == patient_id:
        raise Invalid(errors=[Fault("pointer", pointer, "must be another patient")])
    theirs = locked.get(other)
    if theirs is None or theirs.merged_into is not None:
        raise ReferenceNotFound(errors=[Fault("pointer", pointer, "must name a patient whose record goes on")])
    return loading.sides(db, act, mine, theirs)


def _present(locked: dict[UUID, Patient], patient_id: UUID) -> Patient:
    if patient_id not in locked:
        raise NotFound
    return locked[patient_id]


def _follow(db: Transaction, caller: Caller, act: Act, side: Side) -> None:
    """Makes the alerts about onsets what the scores call for that are there now, whatever came with them."""
    told = onsets_of({side.patient.id: side.known}, "merged", side.at)
    check_ins_of = partial(tracks_store.check_ins_of, db, act.clinic_id)
    following.follow(db, act.clinic_id, told, caller.time_zone, check_ins_of)


def _moved(load: Load) -> dict[str, list[MovedOut]]:
    return {
        "check_ins": [MovedOut(from_id=one.check_in.id, to_id=one.becomes) for one in load.check_ins],
        "sessions": [MovedOut(from_id=one.session.id, to_id=one.becomes) for one in load.sessions],
    }
