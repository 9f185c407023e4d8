"""Amending and voiding a check-in: a new version each time, nothing overwritten."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import MISSING
from sqlmodel import Session

from app.access.service import Caller
from app.alerts import service as alerts
from app.api.idempotency import Reply
from app.api.versions import require_version
from app.audit import service as audit
from app.audit.service import Act
from app.checkins import answers
from app.checkins.deciding import score_version
from app.checkins.models import (
    AmendmentIn,
    CheckInReceipt,
    CheckInVersion,
    ResponseAmendment,
)
from app.checkins.policies import (
    check_before_infusion,
    check_taken_at,
    score_responses,
)
from app.checkins.reading import find, headers
from app.errors import AlreadyRecorded, Fault, Invalid
from app.instruments import Scored
from app.patients import service as patients
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.events import Calendar, local_day
from app.tracks.models import ScoreVersion
from app.tracks.service import Change


def amend(
    db: Session, caller: Caller, act: Act, patient_id: UUID, check_in_id: UUID, expected: int | None, body: AmendmentIn
) -> Reply[CheckInReceipt]:
    """A new version of a check-in; the ones before stay. Raises NotFound, PreconditionFailed, Invalid,
    AlreadyRecorded."""
    clinic_id = act.clinic_id
    patient = patients.lock_one(db, clinic_id, patient_id)
    check_in, current = find(db, clinic_id, patient_id, check_in_id)
    require_version(expected, check_in.version)
    known = tracks.gather(db, clinic_id, [patient_id])
    taken_at = current.taken_at if body.taken_at is MISSING else body.taken_at
    check_taken_at(taken_at, act.at)
    calendar = Calendar(known[patient_id].infusions, caller.time_zone)
    if current.before_infusion and body.taken_at is not MISSING:
        check_before_infusion(taken_at, calendar)
    voided = current.voided if body.void is MISSING else body.void
    if body.void is not MISSING and body.void == current.voided:
        raise Invalid(errors=[Fault("pointer", "/void", "must change whether the check-in is voided")])
    scored = {} if voided else _amended(db, clinic_id, caller, current, body)
    if voided and (body.void is MISSING or body.responses is not MISSING or body.taken_at is not MISSING):
        raise Invalid(errors=[Fault("pointer", "/void", "a voided check-in changes only by void: false")])
    _check_places(db, clinic_id, patient_id, check_in_id, taken_at, scored)
    recorded_at = patients.next_moment(patient, act.at)
    version = current.version + 1
    check_in.version, check_in.taken_at, check_in.voided = version, taken_at, voided
    new = CheckInVersion(
        **current.model_dump(
            exclude={"version", "recorded_at", "recorded_by_kind", "recorded_by_id", "taken_at", "voided", "reason"}
        ),
        version=version,
        recorded_at=recorded_at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        taken_at=taken_at,
        voided=voided,
        reason=body.reason,
    )
    rows = [score_version(new, code, response) for code, response in scored.items()]
    db.add_all([patient, check_in, new])
    db.flush()
    change = Change(
        patients.subject_of(patient, caller.time_zone),
        scores=rows,
        replaces_check_in=check_in_id,
        at=recorded_at,
        session_id=new.session_id,
    )
    raised = tracks.apply(db, clinic_id, [change], known)
    db.flush()
    audit.record(db, act, [patient_id])
    told = alerts.answers_of(db, clinic_id, raised)
    touched = list(dict.fromkeys([*scored, *_instruments(db, clinic_id, check_in_id)]))
    today = local_day(act.at, caller.time_zone)
    on_today = tracks.readable(db, clinic_id, patient_id, known[patient_id], caller.time_zone, today)
    relief = tracks.track_answers(on_today, touched, today)
    return Reply(
        answers.receipt(caller, new, rows, calendar, told, relief, [], own=False),
        201,
        headers(new),
        subjects=(patient_id,),
    )


def _amended(
    db: Session, clinic_id: UUID, caller: Caller, current: CheckInVersion, body: AmendmentIn
) -> dict[str, Scored]:
    """The responses of the new version: those given replace their instruments', the others stay."""
    if body.responses is MISSING and body.taken_at is MISSING and body.void is MISSING:
        raise Invalid(errors=[Fault("pointer", "", "must change something: taken_at, responses or void")])
    scored = {score.instrument: _scored(score) for score in _last_scores(db, clinic_id, current)}
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


def _last_scores(db: Session, clinic_id: UUID, current: CheckInVersion) -> list[ScoreVersion]:
    """The scores of the latest version that had any: a void has none."""
    every = tracks_store.versions_of_check_in(db, clinic_id, current.check_in_id)
    last = max((score.version for score in every), default=0)
    return [score for score in every if score.version == last]


def _scored(score: ScoreVersion) -> Scored:
    return Scored(score.points, None if score.answers is None else tuple(score.answers), score.self_harm_item)


def _check_places(
    db: Session, clinic_id: UUID, patient_id: UUID, check_in_id: UUID, taken_at: datetime, scored: dict[str, Scored]
) -> None:
    """Raises AlreadyRecorded where another check-in holds the place."""
    taken = {
        s.instrument
        for s in tracks_store.standing_at(db, clinic_id, [(patient_id, taken_at)])
        if s.check_in_id != check_in_id and s.instrument in scored
    }
    if taken:
        rule = "another check-in holds " + ", ".join(sorted(taken)) + " at this taken_at"
        raise AlreadyRecorded(errors=[Fault("pointer", "/taken_at", rule)])


def _instruments(db: Session, clinic_id: UUID, check_in_id: UUID) -> list[str]:
    return [score.instrument for score in tracks_store.versions_of_check_in(db, clinic_id, check_in_id)]
