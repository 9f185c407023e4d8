"""What becomes of a post: a new check-in, a repeat of one that stands, or a refusal. Uses no database.
Each new check-in is added to what the batch decides on (`Gathered`), so that later posts see earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.access.service import Caller
from app.audit.service import Act
from app.checkins.models import AlreadyRecordedOut, CheckIn, CheckInIn, CheckInVersion
from app.checkins.policies import check_before_infusion, corrected_taken_at, digest, score_responses
from app.errors import AlreadyRecorded, Fault, NotFound, Problem, ReferenceNotFound
from app.instruments import Scored
from app.patients import service as patients
from app.patients.store import PatientSummary
from app.storage import new_id, row_maker
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion
from app.tracks.patient_tracks import PatientTracks

_check_in_row = row_maker(CheckIn)
_version_row = row_maker(CheckInVersion)
_score_row = row_maker(ScoreVersion)

# When it was taken, and by how many seconds the device's clock was corrected; or the problem, if this cannot be known.
Taken = tuple[datetime, int | None] | Problem


class CheckInConflict(Problem):
    """This id names a check-in with other content. Nothing was overwritten: amend that one, or send a new id."""

    code, status, title = "check_in_conflict", 409, "The id names another check-in"


@dataclass(frozen=True, slots=True)
class Post:
    """One check-in as it was posted: the caller, the request's act, the patient and the body."""

    caller: Caller
    act: Act
    patient_id: UUID
    body: CheckInIn


@dataclass(slots=True)
class Decision:
    """A check-in that is about to be written, or one that is already recorded."""

    check_in: CheckIn
    version: CheckInVersion
    scores: list[ScoreVersion]
    already: list[AlreadyRecordedOut] = field(default_factory=list)
    is_new: bool = True
    replayed: bool = False


@dataclass(slots=True)
class Gathered:
    """What a batch is decided on: its patients and what their verdicts rest on, the sessions it names (whose each is),
    the check-ins it may repeat, and the scores that stand, by patient, instant and instrument."""

    patients: dict[UUID, PatientSummary]
    known: dict[UUID, PatientTracks]
    sessions: dict[UUID, UUID]
    check_ins: dict[UUID, Decision]
    standing: dict[tuple[UUID, datetime, str], ScoreVersion]


def taken_of(post: Post) -> Taken:
    """When a post was taken, by our clock, or the problem that it causes."""
    try:
        return corrected_taken_at(post.body, post.act.at)
    except Problem as problem:
        return problem


def instant_of(post: Post, taken: Taken) -> datetime:
    """When it was taken: by our clock if the device's clock could be corrected, otherwise as posted."""
    return post.body.taken_at if isinstance(taken, Problem) else taken[0]


def decide(clinic_id: UUID, post: Post, taken: Taken, gathered: Gathered) -> Decision:
    """Decides what one post becomes. Raises the problem if it is refused."""
    body, caller, patient = post.body, post.caller, gathered.patients.get(post.patient_id)
    if patient is None or caller.patient_id not in (None, post.patient_id):
        raise NotFound
    if body.id is not None and body.id in gathered.check_ins:
        return _again(post, gathered.check_ins[body.id])
    if isinstance(taken, Problem):
        raise taken
    taken_at, corrected_by = taken
    if body.sent_at is not None and body.id is None and (stands := _resent(post, gathered)) is not None:
        return _again(post, stands)
    if body.session_id is not None and gathered.sessions.get(body.session_id) != post.patient_id:
        raise ReferenceNotFound(errors=[Fault("pointer", "/session_id", "must name a session of this patient")])
    if body.before_infusion:
        check_before_infusion(taken_at, Calendar(gathered.known[patient.id].infusions, caller.time_zone))
    scored = score_responses(body.responses, caller)
    new, already = _sorted_out(post, taken_at, scored, gathered)
    if not new:
        stands = gathered.check_ins[already[0].check_in_id]
        return Decision(stands.check_in, stands.version, stands.scores, already, is_new=False)
    check_in, version = _rows(clinic_id, post, patient, taken_at, corrected_by)
    kept = Decision(check_in, version, [score_version(version, code, response) for code, response in new], already)
    gathered.check_ins[kept.check_in.id] = kept
    for score in kept.scores:
        gathered.standing[(patient.id, taken_at, score.instrument)] = score
    return kept


def _rows(
    clinic_id: UUID, post: Post, patient: PatientSummary, taken_at: datetime, corrected_by: int | None
) -> tuple[CheckIn, CheckInVersion]:
    body, check_in_id = post.body, post.body.id or new_id()
    check_in = _check_in_row(
        clinic_id=clinic_id,
        id=check_in_id,
        patient_id=patient.id,
        version=1,
        taken_at=taken_at,
        voided=False,
        posted=digest(body),
    )
    version = _version_row(
        clinic_id=clinic_id,
        check_in_id=check_in_id,
        version=1,
        patient_id=patient.id,
        recorded_at=patients.next_moment(patient, post.act.at),
        recorded_by_kind=post.act.actor_kind,
        recorded_by_id=post.act.actor_id,
        taken_at=taken_at,
        session_id=body.session_id,
        before_infusion=body.before_infusion,
        clock_corrected_by_seconds=corrected_by,
        voided=False,
        reason=None,
    )
    return check_in, version


def _again(post: Post, stands: Decision) -> Decision:
    """For a post whose id is recorded: a repeat if the content is the same, otherwise CheckInConflict."""
    if stands.check_in.patient_id != post.patient_id or stands.check_in.posted != digest(post.body):
        raise CheckInConflict(errors=[Fault("pointer", "/id", "names a check-in with other content")])
    return Decision(stands.check_in, stands.version, stands.scores, is_new=False, replayed=True)


def _resent(post: Post, gathered: Gathered) -> Decision | None:
    """The check-in that an earlier sending of this post already made. It is found by its content, because the device's
    clock is wrong and the corrected times may differ."""
    posted = digest(post.body)
    mine = (k for k in gathered.check_ins.values() if k.check_in.patient_id == post.patient_id)
    return next((k for k in mine if k.check_in.posted == posted and not k.check_in.voided), None)


def _sorted_out(
    post: Post, taken_at: datetime, scored: Sequence[tuple[str, Scored]], gathered: Gathered
) -> tuple[list[tuple[str, Scored]], list[AlreadyRecordedOut]]:
    """Splits responses into new ones and equal repeats. Raises AlreadyRecorded, naming those that differ."""
    new, already, faults = [], [], []
    for index, (code, response) in enumerate(scored):
        stands = gathered.standing.get((post.patient_id, taken_at, code))
        if stands is None:
            new.append((code, response))
        elif _is_equal(stands, response):
            already.append(AlreadyRecordedOut(instrument=code, check_in_id=stands.check_in_id))
        else:
            rule = f"a different answer is recorded for {code} at this taken_at"
            faults.append(Fault("pointer", f"/responses/{index}", rule))
    if faults:
        raise AlreadyRecorded(errors=faults)
    return new, already


def _is_equal(stands: ScoreVersion, response: Scored) -> bool:
    """Whether the score is the same. Item answers for a recorded total would add to it: not the same."""
    if stands.points != response.points:
        return False
    return response.answers is None or stands.answers == list(response.answers)


def score_version(version: CheckInVersion, code: str, response: Scored) -> ScoreVersion:
    """A row for one score of a check-in's version."""
    return _score_row(
        clinic_id=version.clinic_id,
        id=new_id(),
        patient_id=version.patient_id,
        check_in_id=version.check_in_id,
        version=version.version,
        recorded_at=version.recorded_at,
        superseded_at=None,
        taken_at=version.taken_at,
        before_infusion=version.before_infusion,
        instrument=code,
        points=response.points,
        answers=None if response.answers is None else list(response.answers),
        self_harm_item=response.self_harm_item,
    )
