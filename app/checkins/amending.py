"""Amending and voiding a check-in. Each change adds a version; nothing is overwritten."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import MISSING

from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts.policies import is_late
from app.audit.service import Act
from app.checkins import output, store
from app.checkins.deciding import score_version, scored_of
from app.checkins.models import AmendmentIn, CheckInReceipt, CheckInVersion, ResponseAmendment
from app.checkins.policies import OWN_CORRECTION, check_before_infusion, check_taken_at, is_prompt, score_responses
from app.checkins.reading import find
from app.errors import AlreadyRecorded, Fault, InsufficientScope, Invalid
from app.facts import Fact, require_version
from app.instruments import Scored
from app.outbox import service as outbox
from app.patients import service as patients
from app.patients.models import Patient
from app.plans.confirming import Confirming
from app.storage import Transaction
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.changes import Change
from app.tracks.days import local_day
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion
from app.tracks.output import TrackOut
from app.tracks.patient_tracks import PatientTracks


def amend(
    db: Transaction,
    caller: Caller,
    act: Act,
    patient_id: UUID,
    check_in_id: UUID,
    expected: int | None,
    body: AmendmentIn,
    source_recorded_at: datetime | None = None,
) -> Fact[CheckInReceipt]:
    """Adds a version to a check-in. `source_recorded_at`: of an import, when that was recorded where it comes from.
    Raises NotFound, PreconditionFailed, Invalid, AlreadyRecorded."""
    patient = patients.lock_one(db, act.clinic_id, patient_id)
    check_in, current = find(db, act.clinic_id, patient_id, check_in_id)
    require_version(expected, check_in.version)
    if current.moved_to is not None:
        raise Invalid(errors=[Fault("pointer", "", "this check-in was moved: amend the one that goes on in its place")])
    first = store.versions(db, act.clinic_id, check_in_id)[0]
    if caller.patient_id is not None:
        _check_own(first, current, body, act)
    known = tracks.gather(db, act.clinic_id, [patient_id])
    calendar = Calendar(known[patient_id].infusions, caller.time_zone)
    taken_at, voided = _decided(current, body, calendar, act.at)
    stood = {score.instrument: score for score in _last_scores(db, act.clinic_id, current)}
    scored = {} if voided else _amended({code: scored_of(score) for code, score in stood.items()}, caller, body)
    _check_places(db, act.clinic_id, patient_id, check_in_id, taken_at, scored)
    new = _next_version(current, act, body.reason, patients.next_moment(patient, act.at), taken_at, voided)
    new.source_recorded_at = source_recorded_at
    rows = [
        score_version(
            new,
            code,
            response,
            late=_is_late(stood.get(code), first, new),
            prompt=_is_prompt(stood.get(code), first, new, caller.time_zone),
        )
        for code, response in scored.items()
    ]
    store.add_version(db, check_in, new)
    db.add(patient)
    db.flush()
    outbox.record(db, [outbox.change(act.clinic_id, "check_in.amended", patient_id, new.recorded_at, check_in_id)])
    change = Change(
        patients.subject_of(patient, caller.time_zone),
        scores=rows,
        replaces_check_ins=[check_in_id],
        at=new.recorded_at,
        session_id=new.session_id,
        urgent_is_late=first.recorded_by_kind != "device" or first.clock_offset_seconds is not None,
    )
    raised = tracks.apply(db, act.clinic_id, [change], known)
    db.flush()
    touched = [*scored, *_instruments(db, act.clinic_id, check_in_id)]
    relief = _relief_now(db, act, caller, patient, touched, known)
    told = alerts.alerts_out(db, act.clinic_id, list({alert.id: alert for alert in raised}.values()))
    receipt = output.receipt(caller, new, rows, calendar, told, relief, own=caller.patient_id is not None)
    return Fact(receipt, (patient_id,), new.version, is_new=True)


def _check_own(first: CheckInVersion, current: CheckInVersion, body: AmendmentIn, act: Act) -> None:
    """A patient may correct the answers of an own check-in within an hour. Raises InsufficientScope, Invalid."""
    by = {first.recorded_by_kind, current.recorded_by_kind}
    if by != {"device"} or act.at - first.recorded_at > OWN_CORRECTION:
        raise InsufficientScope("a patient may correct an own check-in within an hour of sending it")
    faults = [
        Fault("pointer", f"/{name}", "is not for a patient's own device: only answers may be corrected")
        for name in ("void", "taken_at")
        if getattr(body, name) is not MISSING
    ]
    for index, response in enumerate([] if body.responses is MISSING else body.responses):
        if response.remove:
            faults.append(Fault("pointer", f"/responses/{index}/remove", "is not for a patient's own device"))
    if faults:
        raise Invalid(errors=faults)


def _is_late(stood: ScoreVersion | None, first: CheckInVersion, new: CheckInVersion) -> bool:
    """Whether an amended score is no news: what it was, unless it is said to be of another time; then by when it was
    first recorded. An answer that is added is as old as the amendment."""
    if stood is None:
        return is_late(new.taken_at, new.recorded_at)
    if stood.taken_at == new.taken_at:
        return stood.late
    if first.moved_from is not None:  # it was recorded elsewhere before
        return stood.late and is_late(new.taken_at, first.recorded_at)
    return not first.clock_suspect and is_late(new.taken_at, first.recorded_at)


def _is_prompt(stood: ScoreVersion | None, first: CheckInVersion, new: CheckInVersion, zone: ZoneInfo) -> bool:
    """Whether an amended score was first recorded soon after it was taken: what it was, unless it is said to be of
    another time. A total that is only known now is as old as the amendment."""
    if stood is None or stood.points is None:
        return is_prompt(new.taken_at, new.recorded_at, zone)
    if stood.taken_at == new.taken_at or first.moved_from is not None:
        return stood.prompt
    return is_prompt(new.taken_at, first.recorded_at, zone)


def _decided(current: CheckInVersion, body: AmendmentIn, calendar: Calendar, now: datetime) -> tuple[datetime, bool]:
    """When the new version was taken, and whether it is voided. Raises Invalid for what cannot be."""
    taken_at = current.taken_at if body.taken_at is MISSING else body.taken_at
    check_taken_at(taken_at, now)
    if current.stated_before_at is not None and body.taken_at is not MISSING:
        check_before_infusion(taken_at, calendar)
    voided = current.voided if body.void is MISSING else body.void
    if body.void is not MISSING and body.void == current.voided:
        raise Invalid(errors=[Fault("pointer", "/void", "must change whether the check-in is voided")])
    if voided and (body.void is MISSING or body.responses is not MISSING or body.taken_at is not MISSING):
        raise Invalid(errors=[Fault("pointer", "/void", "a voided check-in changes only by void: false")])
    return taken_at, voided


def _next_version(
    current: CheckInVersion, act: Act, reason: str, recorded_at: datetime, taken_at: datetime, voided: bool
) -> CheckInVersion:
    return CheckInVersion(
        clinic_id=current.clinic_id,
        check_in_id=current.check_in_id,
        version=current.version + 1,
        patient_id=current.patient_id,
        recorded_at=recorded_at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        taken_at=taken_at,
        session_id=current.session_id,
        stated_before_at=_stated_at(current, taken_at, recorded_at),
        clock_offset_seconds=current.clock_offset_seconds,
        clock_suspect=current.clock_suspect,
        voided=voided,
        moved_from=current.moved_from,
        moved_to=None,
        reason=reason,
        source_recorded_at=None,
    )


def _stated_at(current: CheckInVersion, taken_at: datetime, recorded_at: datetime) -> datetime | None:
    """When it was stated that the check-in came before an infusion: anew where it is said to be of another time."""
    if current.stated_before_at is None or taken_at == current.taken_at:
        return current.stated_before_at
    return recorded_at


def _relief_now(
    db: Transaction,
    act: Act,
    caller: Caller,
    patient: Patient,
    instruments: Sequence[str],
    known: Mapping[UUID, PatientTracks],
) -> list[TrackOut]:
    """What relief says today of these instruments."""
    today = local_day(act.at, caller.time_zone)
    readable = answers.readable(db, act.clinic_id, patient.id, known[patient.id], caller.time_zone, today)
    plans = Confirming(db, act.clinic_id, caller.time_zone, [patient.id])
    found = answers.tracks_out(readable, instruments, today)
    return plans.told(patient.id, patient.care_status, readable, found, today)


def _amended(scored: Mapping[str, Scored], caller: Caller, body: AmendmentIn) -> dict[str, Scored]:
    """The scores of the new version: a response of the amendment replaces or removes its instrument's."""
    if body.responses is MISSING and body.taken_at is MISSING and body.void is MISSING:
        raise Invalid(errors=[Fault("pointer", "", "must change something: taken_at, responses or void")])
    given: Sequence[ResponseAmendment] = [] if body.responses is MISSING else body.responses
    for index, response in enumerate(given):
        at = f"/responses/{index}"
        if response.instrument in [earlier.instrument for earlier in given[:index]]:
            raise Invalid(errors=[Fault("pointer", f"{at}/instrument", "must be named only once")])
        if response.remove and response.instrument not in scored:
            raise Invalid(errors=[Fault("pointer", f"{at}/instrument", "must name an instrument of this check-in")])
        if response.remove and (response.answers is not None or response.score is not None):
            raise Invalid(errors=[Fault("pointer", f"{at}/remove", "leaves no room for answers or a score")])
    removed = [response.instrument for response in given if response.remove]
    replaced = dict(score_responses([r for r in given if not r.remove], caller))
    result = {code: s for code, s in scored.items() if code not in removed} | replaced
    if not result:
        raise Invalid(errors=[Fault("pointer", "/responses", "must leave a response (or void the check-in)")])
    return result


def _last_scores(db: Transaction, clinic_id: UUID, current: CheckInVersion) -> list[ScoreVersion]:
    """The scores of the latest version that has any. A voided version has none."""
    every = tracks_store.versions_of_check_in(db, clinic_id, current.check_in_id)
    last = max((score.version for score in every), default=0)
    return [score for score in every if score.version == last]


def _check_places(
    db: Transaction, clinic_id: UUID, patient_id: UUID, check_in_id: UUID, taken_at: datetime, scored: dict[str, Scored]
) -> None:
    """Raises AlreadyRecorded if another check-in has a score on one of these instruments at `taken_at`."""
    taken = {
        s.instrument
        for s in tracks_store.standing_at(db, clinic_id, [(patient_id, taken_at)])
        if s.check_in_id != check_in_id and s.instrument in scored
    }
    if taken:
        rule = "another check-in holds " + ", ".join(sorted(taken)) + " at this taken_at"
        raise AlreadyRecorded(errors=[Fault("pointer", "/taken_at", rule)])


def _instruments(db: Transaction, clinic_id: UUID, check_in_id: UUID) -> list[str]:
    return [score.instrument for score in tracks_store.versions_of_check_in(db, clinic_id, check_in_id)]
