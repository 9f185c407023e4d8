"""Use cases of check-ins. `record_many` is the one way in: a single post is a batch of one.

It locks the patients in id order, gathers with one query each for the whole batch, decides post by post, and keeps with
one statement per table, audit included. The commit is the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts.models import AlertOut
from app.api.problems import log_unexpected
from app.audit import service as audit
from app.audit.service import Act, Shown
from app.checkins import answers, store
from app.checkins.models import (
    AlreadyRecordedOut,
    CheckIn,
    CheckInIn,
    CheckInReceipt,
    CheckInVersion,
)
from app.checkins.policies import (
    check_before_infusion,
    corrected_taken_at,
    digest,
    score_responses,
)
from app.checkins.reading import alerts_of, scores_of
from app.errors import AlreadyRecorded, Fault, Internal, NotFound, Problem, ReferenceNotFound
from app.instruments import Scored
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import Patient
from app.storage import is_passing, new_id
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.events import Calendar, local_day
from app.tracks.known import Known
from app.tracks.models import ScoreVersion
from app.tracks.service import Change

_RESENT_WITHIN = timedelta(hours=1)


class CheckInConflict(Problem):
    """This id names a check-in with other content. Nothing was overwritten: amend that one, or send a new id."""

    code, status, title = "check_in_conflict", 409, "The id names another check-in"


@dataclass(frozen=True, slots=True)
class Post:
    """One check-in as it came: by whom, for whom, in which request."""

    caller: Caller
    act: Act
    patient_id: UUID
    body: CheckInIn


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a post that was not refused. `status` is 201, or 200 where everything was recorded before."""

    check_in: CheckInReceipt
    status: int
    replayed: bool = False


@dataclass(slots=True)
class _Kept:
    """A check-in about to be written, or one that stands."""

    check_in: CheckIn
    version: CheckInVersion
    scores: list[ScoreVersion]
    already: list[AlreadyRecordedOut] = field(default_factory=list)
    is_new: bool = True
    replayed: bool = False


@dataclass(slots=True)
class _Gathered:
    """What a batch is decided on; grows with what the batch itself keeps, so that later posts see earlier ones."""

    patients: dict[UUID, Patient]
    known: dict[UUID, Known]
    sessions: dict[UUID, UUID]
    check_ins: dict[UUID, _Kept]
    places: dict[tuple[UUID, datetime, str], ScoreVersion]


def record_many(db: Session, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """Records check-ins of one clinic: a receipt or a refusal for each, in the order given. Posts of one patient are
    applied in the order in which they were taken."""
    taken: list[tuple[datetime, int | None] | Problem] = [_taken(post) for post in posts]
    gathered = _gather(db, clinic_id, posts, taken)
    outcomes: list[_Kept | Problem] = [NotFound()] * len(posts)
    order = sorted(range(len(posts)), key=lambda i: (_instant(posts[i], taken[i]), i))
    for index in order:
        try:
            outcomes[index] = _decide(clinic_id, posts[index], taken[index], gathered)
        except Problem as problem:
            outcomes[index] = problem
    kept = [(posts[i], k) for i in order if isinstance(k := outcomes[i], _Kept) and k.is_new]
    raised = _keep(db, clinic_id, kept, gathered)
    _audit(db, clinic_id, posts, outcomes)
    standing = alerts_of(db, clinic_id, [k.check_in.id for k in outcomes if isinstance(k, _Kept) and not k.is_new])
    return [
        outcome if isinstance(outcome, Problem) else _receipt(db, post, outcome, gathered, raised | standing)
        for post, outcome in zip(posts, outcomes, strict=True)
    ]


def record_each(db: Session, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """`record_many` for posts that stand or fall alone whatever happens: what breaks the batch is found by recording
    one by one, and only that one fails."""
    try:
        with db.begin_nested():
            return record_many(db, clinic_id, posts)
    except Exception:
        return [_record_alone(db, clinic_id, post) for post in posts]


def _record_alone(db: Session, clinic_id: UUID, post: Post) -> Receipt | Problem:
    try:
        with db.begin_nested():
            return record_many(db, clinic_id, [post])[0]
    except Exception as error:
        if is_passing(error):
            raise  # the whole transaction is to be tried again
        log_unexpected(error)
        return Internal()


def _taken(post: Post) -> tuple[datetime, int | None] | Problem:
    try:
        return corrected_taken_at(post.body, post.act.at)
    except Problem as problem:
        return problem


def _instant(post: Post, taken: tuple[datetime, int | None] | Problem) -> datetime:
    """When it was taken, by our clock where the device's was corrected."""
    return post.body.taken_at if isinstance(taken, Problem) else taken[0]


def _gather(
    db: Session, clinic_id: UUID, posts: Sequence[Post], taken: Sequence[tuple[datetime, int | None] | Problem]
) -> _Gathered:
    patient_ids = {post.patient_id for post in posts}
    locked = patients_store.locked(db, clinic_id, patient_ids)
    known = tracks.gather(db, clinic_id, list(locked))
    named = store.by_ids(db, clinic_id, {post.body.id for post in posts if post.body.id is not None})
    instants = {(p.patient_id, t[0]) for p, t in zip(posts, taken, strict=True) if not isinstance(t, Problem)}
    standing = tracks_store.standing_at(db, clinic_id, instants)
    sessions = tracks_store.sessions_of(db, clinic_id, [p.body.session_id for p in posts if p.body.session_id])
    gathered = _Gathered(locked, known, sessions, {}, {(s.patient_id, s.taken_at, s.instrument): s for s in standing})
    # A device whose clock is wrong may send one post twice: corrected, the two lie as far apart as their sendings.
    sent = {
        (p.patient_id, t[0])
        for p, t in zip(posts, taken, strict=True)
        if p.body.sent_at is not None and p.body.id is None and not isinstance(t, Problem)
    }
    resent = store.taken_near(db, clinic_id, sent, _RESENT_WITHIN)
    others = {s.check_in_id for s in standing} - named.keys()
    rows = named | store.by_ids(db, clinic_id, others) | {row[0].id: row for row in resent}
    scores = scores_of(db, clinic_id, list(rows))
    for check_in, version in rows.values():
        gathered.check_ins[check_in.id] = _Kept(check_in, version, scores.get(check_in.id, []), is_new=False)
    return gathered


def _decide(clinic_id: UUID, post: Post, taken: tuple[datetime, int | None] | Problem, gathered: _Gathered) -> _Kept:
    """What becomes of one post. Raises its refusal."""
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
        return _Kept(stands.check_in, stands.version, stands.scores, already, is_new=False)
    check_in_id = body.id or new_id()
    check_in = CheckIn(
        clinic_id=clinic_id,
        id=check_in_id,
        patient_id=patient.id,
        version=1,
        taken_at=taken_at,
        voided=False,
        posted=digest(body),
    )
    version = CheckInVersion(
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
    kept = _Kept(check_in, version, [score_version(version, code, response) for code, response in new], already)
    gathered.check_ins[check_in_id] = kept
    for score in kept.scores:
        gathered.places[(patient.id, taken_at, score.instrument)] = score
    return kept


def _again(post: Post, stands: _Kept) -> _Kept:
    """A post whose id is known: the same content is a repeat, other content a conflict."""
    if stands.check_in.patient_id != post.patient_id or stands.check_in.posted != digest(post.body):
        raise CheckInConflict(errors=[Fault("pointer", "/id", "names a check-in with other content")])
    return _Kept(stands.check_in, stands.version, stands.scores, is_new=False, replayed=True)


def _resent(post: Post, gathered: _Gathered) -> _Kept | None:
    """The check-in that this post of a device with a wrong clock already made."""
    posted = digest(post.body)
    mine = (k for k in gathered.check_ins.values() if k.check_in.patient_id == post.patient_id)
    return next((k for k in mine if k.check_in.posted == posted and not k.check_in.voided), None)


def _sorted_out(
    post: Post, taken_at: datetime, scored: Sequence[tuple[str, Scored]], gathered: _Gathered
) -> tuple[list[tuple[str, Scored]], list[AlreadyRecordedOut]]:
    """Responses that are new, and those equal to what is recorded. Raises AlreadyRecorded naming each that differs."""
    new, already, faults = [], [], []
    for index, (code, response) in enumerate(scored):
        stands = gathered.places.get((post.patient_id, taken_at, code))
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
    """The same score; answers where a total alone stands would add to it, and so are not the same."""
    if stands.points != response.points:
        return False
    return response.answers is None or stands.answers == list(response.answers)


def _keep(
    db: Session, clinic_id: UUID, kept: Sequence[tuple[Post, _Kept]], gathered: _Gathered
) -> dict[UUID, list[AlertOut]]:
    """Writes the batch; the alerts raised come back, by check-in."""
    if not kept:
        return {}
    db.add_all({post.patient_id: gathered.patients[post.patient_id] for post, _ in kept}.values())
    db.flush()
    store.insert_many(db, [k.check_in.model_dump() for _, k in kept], [k.version.model_dump() for _, k in kept])
    changes = [
        Change(
            patients.subject_of(gathered.patients[post.patient_id], post.caller.time_zone),
            scores=k.scores,
            session_id=k.version.session_id,
        )
        for post, k in kept
    ]
    raised: dict[UUID, list[AlertOut]] = {}
    for alert in tracks.apply(db, clinic_id, changes, gathered.known):
        if alert.check_in_id is not None:
            raised.setdefault(alert.check_in_id, []).append(alerts.answer(alert))
    return raised


def _audit(db: Session, clinic_id: UUID, posts: Sequence[Post], outcomes: Sequence[_Kept | Problem]) -> None:
    """One event per request, with the patients whose data it wrote or showed. A request of which nothing is kept is
    audited where it is refused."""
    shown: dict[Act, list[UUID]] = {}
    strangers = set()
    for post, outcome in zip(posts, outcomes, strict=True):
        if isinstance(outcome, _Kept):
            shown.setdefault(post.act, []).append(post.patient_id)
        elif isinstance(outcome, NotFound):
            strangers.add(post.act)
    if shown:
        events = [
            Shown(act, tuple(ids), "partly_refused" if act in strangers else "done") for act, ids in shown.items()
        ]
        audit.record_many(db, clinic_id, events)


def _receipt(db: Session, post: Post, kept: _Kept, gathered: _Gathered, raised: dict[UUID, list[AlertOut]]) -> Receipt:
    known = gathered.known[post.patient_id]
    zone = post.caller.time_zone
    calendar = Calendar(known.infusions, zone)
    shown = answers.answer(post.caller, kept.version, kept.scores, calendar, raised.get(kept.check_in.id, []))
    posted = [response.instrument for response in post.body.responses]
    today = local_day(post.act.at, zone)
    relief = tracks.track_answers(db, post.act.clinic_id, post.patient_id, known, zone, posted, today)
    receipt = answers.receipt(post.caller, shown, relief, kept.already, own=kept.is_new)
    return Receipt(receipt, 201 if kept.is_new else 200, kept.replayed)


def score_version(version: CheckInVersion, code: str, response: Scored) -> ScoreVersion:
    return ScoreVersion(
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
