"""Use cases of check-ins. `record` is the one way in: a single post is a batch of one.

It locks the patients in id order, gathers with one query each for the whole batch, decides post by post, and keeps
table by table, audit included. The commit is the caller's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlmodel import Session

from app.alerts import service as alerts
from app.alerts.models import AlertOut
from app.api.problems import log_unexpected
from app.audit import service as audit
from app.audit.service import Act, Shown
from app.checkins import answers, store
from app.checkins.deciding import CheckInConflict, Gathered, Kept, Post, Taken, decide, instant_of, taken_of
from app.checkins.models import CheckInReceipt
from app.checkins.reading import alerts_of, scores_of
from app.errors import AlreadyRecorded, Internal, NotFound, Problem
from app.patients import service as patients
from app.patients import store as patients_store
from app.storage import is_passing
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.answers import TrackOut
from app.tracks.events import Calendar, local_day
from app.tracks.known import FOLLOWED, Known
from app.tracks.service import Change

_RESENT_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a post that was not refused. `status` is 201, or 200 where everything was recorded before."""

    check_in: CheckInReceipt
    status: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """A batch that was kept: what became of each post, in the order given, and the alerts raised, by check-in."""

    outcomes: list[Kept | Problem]
    gathered: Gathered
    raised: dict[UUID, list[AlertOut]]


def record_many(db: Session, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """Records check-ins of one clinic: a receipt or a refusal for each, in the order given."""
    recorded = record(db, clinic_id, posts)
    repeats = [k.check_in.id for k in recorded.outcomes if isinstance(k, Kept) and not k.is_new]
    receipts = _Receipts(db, clinic_id, recorded.gathered.known, recorded.raised | alerts_of(db, clinic_id, repeats))
    return [
        outcome if isinstance(outcome, Problem) else receipts.of(post, outcome)
        for post, outcome in zip(posts, recorded.outcomes, strict=True)
    ]


def record(db: Session, clinic_id: UUID, posts: Sequence[Post]) -> Recorded:
    """Records check-ins of one clinic, audit included, and makes no receipts. Posts of one patient are applied in the
    order in which they were taken."""
    taken: list[Taken] = [taken_of(post) for post in posts]
    gathered = _gather(db, clinic_id, posts, taken)
    outcomes: list[Kept | Problem] = [NotFound()] * len(posts)
    order = sorted(range(len(posts)), key=lambda i: (instant_of(posts[i], taken[i]), i))
    for index in order:
        try:
            outcomes[index] = decide(clinic_id, posts[index], taken[index], gathered)
        except Problem as problem:
            outcomes[index] = problem
    kept = [(posts[i], k) for i in order if isinstance(k := outcomes[i], Kept) and k.is_new]
    raised = _keep(db, clinic_id, kept, gathered)
    _audit(db, clinic_id, posts, outcomes)
    return Recorded(outcomes, gathered, raised)


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


def _gather(db: Session, clinic_id: UUID, posts: Sequence[Post], taken: Sequence[Taken]) -> Gathered:
    patient_ids = {post.patient_id for post in posts}
    locked = patients_store.briefs(db, clinic_id, patient_ids, lock=True)
    known = tracks.gather(db, clinic_id, list(locked))
    named = store.by_ids(db, clinic_id, {post.body.id for post in posts if post.body.id is not None})
    instants = {
        (p.patient_id, t[0])
        for p, t in zip(posts, taken, strict=True)
        if not isinstance(t, Problem) and p.patient_id in known and not _is_newest(p, t[0], known[p.patient_id])
    }
    standing = tracks_store.standing_at(db, clinic_id, instants)
    sessions = tracks_store.sessions_of(db, clinic_id, [p.body.session_id for p in posts if p.body.session_id])
    gathered = Gathered(locked, known, sessions, {}, {(s.patient_id, s.taken_at, s.instrument): s for s in standing})
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
        gathered.check_ins[check_in.id] = Kept(check_in, version, scores.get(check_in.id, []), is_new=False)
    return gathered


def _is_newest(post: Post, taken_at: datetime, known: Known) -> bool:
    """Whether no score that it could repeat is there yet."""
    return known.is_before(taken_at) and all(response.instrument in FOLLOWED for response in post.body.responses)


def _keep(
    db: Session, clinic_id: UUID, kept: Sequence[tuple[Post, Kept]], gathered: Gathered
) -> dict[UUID, list[AlertOut]]:
    """Writes the batch; the alerts raised come back, by check-in."""
    if not kept:
        return {}
    patients_store.keep_moments(db, clinic_id, [gathered.patients[i] for i in sorted({p.patient_id for p, _ in kept})])
    store.insert_many(db, [k.check_in for _, k in kept], [k.version for _, k in kept])
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


def _audit(db: Session, clinic_id: UUID, posts: Sequence[Post], outcomes: Sequence[Kept | Problem]) -> None:
    """One event per request, with the patients whose data it wrote or showed. A request of which nothing is kept is
    audited where it is refused."""
    shown: dict[Act, list[UUID]] = {}
    refused: dict[Act, list[UUID]] = {}
    for post, outcome in zip(posts, outcomes, strict=True):
        if isinstance(outcome, Kept):
            shown.setdefault(post.act, []).append(post.patient_id)
        elif tells(outcome):
            refused.setdefault(post.act, []).append(post.patient_id)
    if shown:
        events = [
            Shown(act, tuple(ids), "partly_refused" if act in refused else "done", (), tuple(refused.get(act, ())))
            for act, ids in shown.items()
        ]
        audit.record_many(db, clinic_id, events)


def tells(refusal: Problem) -> bool:
    """Whether a post's refusal tells something of a patient: that there is none, or what is recorded of them."""
    return isinstance(refusal, NotFound | AlreadyRecorded | CheckInConflict)


class _Receipts:
    """The receipts of a batch. What relief says of a patient is made once, however many of the posts are theirs."""

    def __init__(
        self, db: Session, clinic_id: UUID, known: dict[UUID, Known], raised: dict[UUID, list[AlertOut]]
    ) -> None:
        self._db, self._clinic_id, self._known, self._raised = db, clinic_id, known, raised
        self._calendars: dict[UUID, Calendar] = {}
        self._readable: dict[tuple[UUID, date], Known] = {}
        self._relief: dict[tuple[UUID, str, date], list[TrackOut]] = {}

    def of(self, post: Post, kept: Kept) -> Receipt:
        patient_id, zone = post.patient_id, post.caller.time_zone
        calendar = self._calendars.get(patient_id)
        if calendar is None:
            calendar = self._calendars[patient_id] = Calendar(self._known[patient_id].infusions, zone)
        posted = list(dict.fromkeys(response.instrument for response in post.body.responses))
        today = local_day(post.act.at, zone)
        relief = [track for code in posted for track in self._track(patient_id, code, zone, today)]
        receipt = answers.receipt(
            post.caller,
            kept.version,
            kept.scores,
            calendar,
            self._raised.get(kept.check_in.id, []),
            relief,
            kept.already,
            own=kept.is_new,
        )
        return Receipt(receipt, 201 if kept.is_new else 200, kept.replayed)

    def _track(self, patient_id: UUID, code: str, zone: ZoneInfo, today: date) -> list[TrackOut]:
        found = self._relief.get((patient_id, code, today))
        if found is None:
            known = self._readable.get((patient_id, today))
            if known is None:
                known = tracks.readable(self._db, self._clinic_id, patient_id, self._known[patient_id], zone, today)
                self._readable[patient_id, today] = known
            found = self._relief[patient_id, code, today] = tracks.track_answers(known, [code], today)
        return found
