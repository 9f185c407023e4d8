"""What becomes of a post: a new check-in, a repeat of one that stands, or a refusal. Uses no database.
Each new check-in is added to what the batch decides on (`Gathered`), so that later posts see earlier ones."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from app.access.service import Caller
from app.alerts.policies import is_late, needs_notice
from app.audit.service import Act
from app.checkins.models import CheckIn, CheckInIn, CheckInVersion, KnownPost, RecordedIn, become
from app.checkins.policies import (
    Answers,
    Taken,
    check_before_infusion,
    compared,
    digest,
    identity,
    is_prompt,
    looks_slow,
    score_responses,
    taken,
)
from app.errors import AlreadyRecorded, Busy, Fault, Merged, NotFound, Problem, ReferenceNotFound
from app.instruments import INSTRUMENTS, Scored
from app.patients import service as patients
from app.patients.store import PatientSummary
from app.storage import new_id, row_maker
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion
from app.tracks.patient_tracks import PatientTracks

_check_in_row = row_maker(CheckIn)
_version_row = row_maker(CheckInVersion)
_score_row = row_maker(ScoreVersion)
_known_post_row = row_maker(KnownPost)


# A completed check-in keeps these of its last version, and its scores these.
_KEPT_WHEN_COMPLETED = (
    "clinic_id", "check_in_id", "patient_id", "taken_at", "session_id", "stated_before_at", "clock_offset_seconds",
    "clock_suspect", "voided", "moved_from", "moved_to",
)  # fmt: skip
_KEPT_OF_SCORES = ("clinic_id", "patient_id", "check_in_id", "taken_at", "stated_before_at", "late", "instrument")


class CheckInConflict(Problem):
    """This id names a check-in with other content. Nothing was overwritten: amend that one, or send a new id."""

    code, status, title = "check_in_conflict", 409, "The id names another check-in"


@dataclass(frozen=True, slots=True)
class Post:
    """One check-in as it was posted: the caller, the request's act, the patient and the body; of an import also when it
    was recorded where it comes from."""

    caller: Caller
    act: Act
    patient_id: UUID
    body: CheckInIn
    source_recorded_at: datetime | None = None

    @property
    def is_known_by_content(self) -> bool:
        """Whether a repeat is known by what it says: a device's queue, or a device whose clock may be wrong."""
        return self.body.id is None and (self.caller.patient_id is not None or self.body.sent_at is not None)

    @property
    def id(self) -> UUID | None:
        """The id by which a repeat of it is known; None if it has none."""
        return identity(self.caller, self.patient_id, self.body) if self.is_known_by_content else self.body.id

    @property
    def is_doubtful(self) -> bool:
        """Whether it is for us to find out if the device's clock is wrong, or only its queue was slow."""
        return self.caller.patient_id is not None and looks_slow(self.body.sent_at, self.act.at)


@dataclass(slots=True)
class Decision:
    """A check-in that is about to be written, or one that is already recorded. `already`, `completed` and `dropped`
    tell what became of the post's responses; `is_alarming`: one of them calls for the notice."""

    check_in: CheckIn
    version: CheckInVersion
    scores: list[ScoreVersion]
    already: list[RecordedIn] = field(default_factory=list)
    completed: list[RecordedIn] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    is_alarming: bool = False
    is_new: bool = True
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """A new version of a check-in in which answers take the place of a total or of fewer answers. `first`: its first
    version, which is kept beside the later ones from now on."""

    check_in: CheckIn
    version: CheckInVersion
    first: CheckInVersion | None
    scores: list[ScoreVersion]


@dataclass(slots=True)
class Gathered:
    """What a batch is decided on: its patients and what their verdicts rest on, the sessions it names (whose each is),
    the check-ins it may repeat, and the scores that stand, by patient, instant and instrument. `completions`: what the
    posts so far complete, by post."""

    patients: dict[UUID, PatientSummary]
    known: dict[UUID, PatientTracks]
    sessions: dict[UUID, UUID]
    check_ins: dict[UUID, Decision]
    standing: dict[tuple[UUID, datetime, str], ScoreVersion]
    completions: list[tuple[Post, Completion]] = field(default_factory=list)
    known_posts: dict[UUID, KnownPost] = field(default_factory=dict)
    new_posts: list[KnownPost] = field(default_factory=list)


def taken_of(post: Post, *, was_right: bool) -> Taken | Problem:
    """When a post was taken, by our clock, or the problem that it causes."""
    try:
        return taken(post.caller, post.body.taken_at, post.body.sent_at, post.act.at, was_right=was_right)
    except Problem as problem:
        return problem


def instant_of(post: Post, moment: Taken | Problem) -> datetime:
    """When it was taken: by our clock if the device's clock could be corrected, otherwise as posted."""
    return post.body.taken_at if isinstance(moment, Problem) else moment.at


def decide(clinic_id: UUID, post: Post, moment: Taken | Problem, gathered: Gathered) -> Decision:
    """Decides what one post becomes. Raises the problem if it is refused."""
    body, caller, patient = post.body, post.caller, gathered.patients.get(post.patient_id)
    if patient is None or caller.patient_id not in (None, post.patient_id):
        raise NotFound
    if patient.merged_into is not None and caller.patient_id is not None:
        raise Busy  # this process will know of the merge in a moment, and record it for the other patient
    if patient.merged_into is not None:
        raise Merged(patient.merged_into)
    known_as = post.id
    if known_as is not None and known_as in gathered.check_ins:
        stands = gathered.check_ins[known_as]
        return _again(post, stands, stands.check_in)
    if known_as is not None and known_as in gathered.known_posts:
        known_post = gathered.known_posts[known_as]
        return _again(post, gathered.check_ins[known_post.check_in_id], known_post)
    if isinstance(moment, Problem):
        raise moment
    if body.session_id is not None and gathered.sessions.get(body.session_id) != post.patient_id:
        raise ReferenceNotFound(errors=[Fault("pointer", "/session_id", "must name a session of this patient")])
    if body.before_infusion:
        check_before_infusion(moment.at, Calendar(gathered.known[patient.id].infusions, caller.time_zone))
    scored = score_responses(body.responses, caller)
    sorted_out = _sorted_out(post, moment.at, scored, gathered)
    completed = [
        _complete(post, patient, code, response, stands, gathered) for code, response, stands in sorted_out.whole
    ]
    if sorted_out.new:
        check_in, version = _rows(clinic_id, post, patient, moment, known_as or new_id())
        late = not moment.is_suspect and is_late(moment.at, version.recorded_at)
        prompt = is_prompt(moment.at, version.recorded_at, caller.time_zone)
        scores = [score_version(version, code, response, late=late, prompt=prompt) for code, response in sorted_out.new]
        kept = Decision(check_in, version, scores)
        gathered.check_ins[check_in.id] = kept
        for score in scores:
            gathered.standing[(patient.id, moment.at, score.instrument)] = score
    else:
        shown = completed[0].check_in_id if completed else sorted_out.already[0].check_in_id
        stands = gathered.check_ins[shown]
        kept = Decision(stands.check_in, stands.version, stands.scores, is_new=False)
        if known_as is not None:
            known_post = _known_post(clinic_id, post, known_as, shown)
            gathered.known_posts[known_as] = known_post
            gathered.new_posts.append(known_post)
    kept.already, kept.completed = sorted_out.already, completed
    kept.is_alarming = any(needs_notice(INSTRUMENTS[code], s.points, s.self_harm_item) for code, s in scored)
    kept.dropped = [r.instrument for r, (_, s) in zip(body.responses, scored, strict=True)
                    if r.score is not None and s.points is None]  # fmt: skip
    return kept


def _complete(
    post: Post, patient: PatientSummary, code: str, response: Scored, stands: ScoreVersion, gathered: Gathered
) -> RecordedIn:
    """Makes an earlier score whole, in a new version of its check-in, which keeps all but its author."""
    before = gathered.check_ins[stands.check_in_id]
    old, check_in = before.version, before.check_in
    version = _version_row(
        **{name: getattr(old, name) for name in _KEPT_WHEN_COMPLETED},
        version=old.version + 1,
        recorded_at=patients.next_moment(patient, post.act.at),
        recorded_by_kind=post.act.actor_kind,
        recorded_by_id=post.act.actor_id,
        reason="completed",
        source_recorded_at=post.source_recorded_at,
    )
    become(check_in, version)
    # A total that was known keeps when it was recorded; one that is known only now is as old as its last answers.
    is_whole_soon = is_prompt(old.taken_at, version.recorded_at, post.caller.time_zone)
    scores = [
        _score_row(
            **{name: getattr(score, name) for name in _KEPT_OF_SCORES},
            **_answered(score if score.instrument != code else response),
            prompt=score.prompt if score.points is not None or score.instrument != code else is_whole_soon,
            id=new_id(),
            version=version.version,
            recorded_at=version.recorded_at,
            superseded_at=None,
        )
        for score in before.scores
    ]
    for score in scores:
        gathered.standing[(patient.id, score.taken_at, score.instrument)] = score
    gathered.check_ins[check_in.id] = Decision(check_in, version, scores, is_new=False)
    gathered.completions.append((post, Completion(check_in, version, old if old.version == 1 else None, scores)))
    return RecordedIn(instrument=code, check_in_id=check_in.id)


def _answered(score: Scored | ScoreVersion) -> dict[str, Any]:
    answers = None if score.answers is None else list(score.answers)
    return {"points": score.points, "answers": answers, "self_harm_item": score.self_harm_item}


def _rows(
    clinic_id: UUID, post: Post, patient: PatientSummary, moment: Taken, check_in_id: UUID
) -> tuple[CheckIn, CheckInVersion]:
    body, recorded_at = post.body, patients.next_moment(patient, post.act.at)
    said: dict[str, Any] = {
        "version": 1,
        "recorded_at": recorded_at,
        "recorded_by_kind": post.act.actor_kind,
        "recorded_by_id": post.act.actor_id,
        "taken_at": moment.at,
        "session_id": body.session_id,
        "stated_before_at": recorded_at if body.before_infusion else None,
        "clock_offset_seconds": moment.offset_seconds,
        "clock_suspect": moment.is_suspect,
        "voided": False,
        "moved_from": None,
        "moved_to": None,
        "reason": None,
        "source_recorded_at": post.source_recorded_at,
    }
    whose: dict[str, Any] = {"clinic_id": clinic_id, "patient_id": patient.id}
    check_in = _check_in_row(**whose, id=check_in_id, posted=bytes.fromhex(digest(body)), **said)
    return check_in, _version_row(**whose, check_in_id=check_in_id, **said)


def _known_post(clinic_id: UUID, post: Post, post_id: UUID, check_in_id: UUID) -> KnownPost:
    return _known_post_row(
        clinic_id=clinic_id,
        id=post_id,
        patient_id=post.patient_id,
        check_in_id=check_in_id,
        posted=bytes.fromhex(digest(post.body)),
    )


def _again(post: Post, stands: Decision, known: CheckIn | KnownPost) -> Decision:
    """For a post whose id is known: a repeat if the content is the same, otherwise CheckInConflict."""
    mine = (post.patient_id, *post.caller.former_patient_ids)
    if known.patient_id not in mine or known.posted != bytes.fromhex(digest(post.body)):
        raise CheckInConflict(errors=[Fault("pointer", "/id", "names a check-in with other content")])
    return Decision(stands.check_in, stands.version, stands.scores, is_new=False, replayed=True)


@dataclass(slots=True)
class _SortedOut:
    """The responses of a post: new ones, those that make an earlier score whole, and those that say no more."""

    new: list[tuple[str, Scored]] = field(default_factory=list)
    whole: list[tuple[str, Scored, ScoreVersion]] = field(default_factory=list)
    already: list[RecordedIn] = field(default_factory=list)


def _sorted_out(post: Post, taken_at: datetime, scored: Sequence[tuple[str, Scored]], gathered: Gathered) -> _SortedOut:
    """Sorts responses out. Raises AlreadyRecorded, naming those that differ from what stands."""
    found, faults = _SortedOut(), []
    for index, (code, response) in enumerate(scored):
        stands = gathered.standing.get((post.patient_id, taken_at, code))
        if stands is None:
            found.new.append((code, response))
            continue
        how = compared(scored_of(stands), response)
        if how is Answers.SAME:
            found.already.append(RecordedIn(instrument=code, check_in_id=stands.check_in_id))
        elif how is Answers.COMPLETES:
            found.whole.append((code, response, stands))
        else:
            rule = f"a different answer is recorded for {code} at this taken_at"
            faults.append(Fault("pointer", f"/responses/{index}", rule))
    if faults:
        raise AlreadyRecorded(errors=faults)
    return found


def scored_of(score: ScoreVersion) -> Scored:
    """What a recorded score says."""
    return Scored(score.points, None if score.answers is None else tuple(score.answers), score.self_harm_item)


def score_version(version: CheckInVersion, code: str, response: Scored, *, late: bool, prompt: bool) -> ScoreVersion:
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
        stated_before_at=version.stated_before_at,
        late=late,
        prompt=prompt,
        instrument=code,
        **_answered(response),
    )
