"""Use cases of check-ins. `record` is the one way in: a single post is a batch of one.

It locks the patients in id order, gathers with one query each for the whole batch, decides post by post, and inserts
table by table. The commit and the audit event are the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from app.alerts import service as alerts
from app.alerts.models import AlertOut
from app.checkins import output, store
from app.checkins.deciding import Decision, Gathered, Post, Taken, decide, instant_of, taken_of
from app.checkins.models import CheckInReceipt
from app.checkins.reading import alerts_of, scores_of
from app.errors import Internal, NotFound, Problem
from app.facts import Fact, Outcome
from app.logs import log_unexpected
from app.patients import service as patients
from app.patients import store as patients_store
from app.storage import Transaction, is_passing
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.events import Calendar, local_day
from app.tracks.output import TrackOut
from app.tracks.patient_tracks import FOLLOWED, PatientTracks
from app.tracks.service import Change

_RESENT_WITHIN = timedelta(hours=1)


Receipt = Fact[CheckInReceipt]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of each post of a batch, in the order given, and the alerts that were raised, by check-in."""

    outcomes: list[Decision | Problem]
    gathered: Gathered
    raised: dict[UUID, list[AlertOut]]


def record_many(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """Records check-ins of one clinic. Returns a receipt or a problem for each, in the order given."""
    recorded = record(db, clinic_id, posts)
    repeats = [k.check_in.id for k in recorded.outcomes if isinstance(k, Decision) and not k.is_new]
    receipts = _Receipts(db, clinic_id, recorded.gathered.known, recorded.raised | alerts_of(db, clinic_id, repeats))
    return [
        outcome if isinstance(outcome, Problem) else receipts.of(post, outcome)
        for post, outcome in zip(posts, recorded.outcomes, strict=True)
    ]


def record(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> Recorded:
    """Records check-ins of one clinic, without receipts, in the order in which they were taken."""
    taken: list[Taken] = [taken_of(post) for post in posts]
    gathered = _gather(db, clinic_id, posts, taken)
    decided: dict[int, Decision | Problem] = {}
    for index in sorted(range(len(posts)), key=lambda i: (instant_of(posts[i], taken[i]), i)):
        try:
            decided[index] = decide(clinic_id, posts[index], taken[index], gathered)
        except Problem as problem:
            decided[index] = problem
    kept = [(posts[i], k) for i, k in decided.items() if isinstance(k, Decision) and k.is_new]
    raised = _insert(db, clinic_id, kept, gathered)
    return Recorded([decided[i] for i in range(len(posts))], gathered, raised)


def record_one(db: Transaction, clinic_id: UUID, post: Post) -> Receipt:
    """Records one check-in by itself. Raises its refusal."""
    outcome = record_many(db, clinic_id, [post])[0]
    if isinstance(outcome, Problem):
        raise outcome
    return outcome


def record_batch(
    db: Transaction, clinic_id: UUID, posts: Mapping[int, Post], refused: Mapping[int, Problem], named: Sequence[UUID]
) -> Fact[dict[int, Receipt | Problem]]:
    """Records posts that stand or fall alone, by index; `refused` are those that could not even be read, and
    `named` whom those name. The fact names the patients of recorded or shown check-ins, and those of refused ones."""
    recorded = dict(zip(posts, record_each(db, clinic_id, list(posts.values())), strict=True))
    shown = {fact.value.patient_id for fact in recorded.values() if isinstance(fact, Fact)}
    outcomes: dict[int, Receipt | Problem] = {**refused, **recorded}
    refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, Problem)]
    outcome: Outcome = "done"
    if refusals:
        found_nobody = all(isinstance(refusal, NotFound) for refusal in refusals)
        outcome = "partly_refused" if shown else "not_found" if found_nobody else "refused"
    asked_for = [*named, *(posts[i].patient_id for i, r in recorded.items() if isinstance(r, Problem))]
    return Fact(outcomes, tuple(shown), outcome=outcome, refused_patient_ids=tuple(dict.fromkeys(asked_for)))


def record_each(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """`record_many`, but a post that breaks the whole batch fails alone: then each is recorded by itself."""
    try:
        with db.begin_nested():
            return record_many(db, clinic_id, posts)
    except Exception:
        return [_record_alone(db, clinic_id, post) for post in posts]


def _record_alone(db: Transaction, clinic_id: UUID, post: Post) -> Receipt | Problem:
    try:
        with db.begin_nested():
            return record_many(db, clinic_id, [post])[0]
    except Exception as error:
        if is_passing(error):
            raise  # the whole transaction must be tried again
        log_unexpected(error)
        return Internal()


def _gather(db: Transaction, clinic_id: UUID, posts: Sequence[Post], taken: Sequence[Taken]) -> Gathered:
    patient_ids = {post.patient_id for post in posts}
    locked = patients_store.summaries(db, clinic_id, patient_ids, lock=True)
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
    # A device with a wrong clock may send one post twice. The corrected times then differ by the time between the two
    # sendings, so check-ins taken near that time are read too.
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
        gathered.check_ins[check_in.id] = Decision(check_in, version, scores.get(check_in.id, []), is_new=False)
    return gathered


def _is_newest(post: Post, taken_at: datetime, known: PatientTracks) -> bool:
    """Whether the patient has no score yet that this post could repeat."""
    return known.is_before(taken_at) and all(response.instrument in FOLLOWED for response in post.body.responses)


def _insert(
    db: Transaction, clinic_id: UUID, kept: Sequence[tuple[Post, Decision]], gathered: Gathered
) -> dict[UUID, list[AlertOut]]:
    """Writes the batch. Returns the raised alerts by check-in id."""
    if not kept:
        return {}
    patients_store.store_recorded_at(
        db, clinic_id, [gathered.patients[i] for i in sorted({p.patient_id for p, _ in kept})]
    )
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
            raised.setdefault(alert.check_in_id, []).append(alerts.alert_out(alert))
    return raised


class _Receipts:
    """The receipts of a batch. Each patient's relief is computed once."""

    def __init__(
        self, db: Transaction, clinic_id: UUID, known: dict[UUID, PatientTracks], raised: dict[UUID, list[AlertOut]]
    ) -> None:
        self._db, self._clinic_id, self._known, self._raised = db, clinic_id, known, raised
        self._calendars: dict[UUID, Calendar] = {}
        self._readable: dict[tuple[UUID, date], PatientTracks] = {}
        self._relief: dict[tuple[UUID, str, date], list[TrackOut]] = {}

    def of(self, post: Post, kept: Decision) -> Receipt:
        patient_id, zone = post.patient_id, post.caller.time_zone
        calendar = self._calendars.get(patient_id)
        if calendar is None:
            calendar = self._calendars[patient_id] = Calendar(self._known[patient_id].infusions, zone)
        posted = list(dict.fromkeys(response.instrument for response in post.body.responses))
        today = local_day(post.act.at, zone)
        relief = [track for code in posted for track in self._track(patient_id, code, zone, today)]
        receipt = output.receipt(
            post.caller,
            kept.version,
            kept.scores,
            calendar,
            self._raised.get(kept.check_in.id, []),
            relief,
            kept.already,
            own=kept.is_new,
        )
        return Fact(receipt, (patient_id,), kept.version.version, is_new=kept.is_new, is_replay=kept.replayed)

    def _track(self, patient_id: UUID, code: str, zone: ZoneInfo, today: date) -> list[TrackOut]:
        found = self._relief.get((patient_id, code, today))
        if found is None:
            known = self._readable.get((patient_id, today))
            if known is None:
                known = tracks.readable(self._db, self._clinic_id, patient_id, self._known[patient_id], zone, today)
                self._readable[patient_id, today] = known
            found = self._relief[patient_id, code, today] = tracks.tracks_out(known, [code], today)
        return found
