"""Use cases of check-ins. `record` is the one way in: a single post is a batch of one.

It locks the patients in id order, gathers with one query each for the whole batch, decides post by post, and inserts
table by table. The commit and the audit event are the caller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.access.service import Caller
from app.alerts import service as alerts
from app.alerts.models import Alert, AlertOut
from app.audit.service import Act
from app.checkins import output, refusing, store
from app.checkins.deciding import Decision, Gathered, Post, decide, instant_of, taken_of
from app.checkins.models import CheckInReceipt, CheckInVersion
from app.checkins.policies import RIGHT_FOR, RIGHT_WITHIN, Taken
from app.checkins.reading import alerts_of, scores_of
from app.errors import Internal, NotFound, Problem
from app.facts import Fact, Outcome
from app.logs import log_unexpected
from app.outbox import service as outbox
from app.outbox.kinds import Kind
from app.patients import service as patients
from app.patients import store as patients_store
from app.plans.confirming import Confirming
from app.storage import Transaction, is_lost, is_passing, look_up, savepoint
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.changes import Change
from app.tracks.days import local_day
from app.tracks.events import Calendar
from app.tracks.models import ScoreVersion
from app.tracks.output import TrackOut
from app.tracks.patient_tracks import FOLLOWED, PatientTracks

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
    receipts = _Receipts(db, clinic_id, recorded.gathered, recorded.raised | alerts_of(db, clinic_id, repeats))
    return [
        outcome if isinstance(outcome, Problem) else receipts.of(post, outcome)
        for post, outcome in zip(posts, recorded.outcomes, strict=True)
    ]


def record(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> Recorded:
    """Records check-ins of one clinic, without receipts, in the order in which they were taken."""
    right = _right_clocks(db, clinic_id, posts)
    taken = [taken_of(post, was_right=post.caller.id in right) for post in posts]
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


def in_order(posts: Mapping[int, Post], refused: Mapping[int, Problem]) -> list[int]:
    """The indexes of a batch: those that can be recorded in the order in which they were taken, then those that could
    not even be read."""
    return [*sorted(posts, key=lambda i: (posts[i].body.taken_at, i)), *refused]


def record_batch(
    db: Transaction,
    caller: Caller,
    act: Act,
    items: Sequence[Any],
    posts: Mapping[int, Post],
    refused: Mapping[int, Problem],
    named: Sequence[UUID],
) -> Fact[dict[int, Receipt | Problem]]:
    """Records posts that stand or fall alone, by their index in `items`; `refused` are those that could not even be
    read, and `named` whom those name. The fact names the patients of recorded or shown check-ins, and those of refused
    ones."""
    clinic_id = act.clinic_id
    # Whoever has an alarming answer in an unreadable item is locked together with those who are recorded for.
    alarmed = {caller.whose(alarm.patient_id) for i in refused for alarm in refusing.alarms_in(items[i], None)}
    if alarmed:
        patients_store.summaries(db, clinic_id, alarmed | {post.patient_id for post in posts.values()}, lock=True)
    recorded = dict(zip(posts, record_each(db, clinic_id, list(posts.values())), strict=True))
    shown = {fact.value.patient_id for fact in recorded.values() if isinstance(fact, Fact)}
    outcomes: dict[int, Receipt | Problem] = {**refused, **recorded}
    refusals = [outcome for outcome in outcomes.values() if isinstance(outcome, Problem)]
    for refusal in refusals:
        if not caller.knows_merges:
            refusal.more.pop("into", None)
    _alarm(db, caller, act, items, outcomes)
    outcome: Outcome = "done"
    if refusals:
        found_nobody = all(isinstance(refusal, NotFound) for refusal in refusals)
        outcome = "partly_refused" if shown else "not_found" if found_nobody else "refused"
    asked_for = [*named, *(posts[i].patient_id for i, r in recorded.items() if isinstance(r, Problem))]
    return Fact(outcomes, tuple(shown), outcome=outcome, refused_patient_ids=tuple(dict.fromkeys(asked_for)))


def _alarm(
    db: Transaction, caller: Caller, act: Act, items: Sequence[Any], outcomes: Mapping[int, Receipt | Problem]
) -> None:
    """Raises the alerts of refused items, whose refusals then carry the notice."""
    alarms = {
        index: (problem, found)
        for index, problem in outcomes.items()
        if isinstance(problem, Problem) and refusing.concerns(problem)
        if (found := refusing.alarms_in(items[index], None))
    }
    if not alarms:
        return
    raised = refusing.raise_alarms(db, caller, act, [alarm for _, found in alarms.values() for alarm in found])
    for problem, found in alarms.values():
        if raised.value is not None and caller.whose(found[0].patient_id) in raised.patient_ids:
            problem.more["notice"] = raised.value.model_dump(mode="json")


def record_each(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> list[Receipt | Problem]:
    """`record_many`, but a post that breaks the whole batch fails alone: then each is recorded by itself."""
    try:
        with savepoint(db):
            return record_many(db, clinic_id, posts)
    except Exception as error:
        if is_lost(error):
            raise
        return [_record_alone(db, clinic_id, post) for post in posts]


def _record_alone(db: Transaction, clinic_id: UUID, post: Post) -> Receipt | Problem:
    try:
        with savepoint(db):
            return record_many(db, clinic_id, [post])[0]
    except Exception as error:
        if is_passing(error) or is_lost(error):
            raise  # the whole transaction must be tried again
        log_unexpected(error)
        return Internal()


def _right_clocks(db: Transaction, clinic_id: UUID, posts: Sequence[Post]) -> set[UUID]:
    """Of the devices whose clock looks slow now, those whose clock was right of late."""
    doubtful = {post.caller.id: post for post in posts if post.is_doubtful}
    if not doubtful:
        return set()
    since = min(post.act.at for post in doubtful.values()) - RIGHT_FOR
    patient_ids = {post.patient_id for post in doubtful.values()}
    return store.right_clocks(db, clinic_id, patient_ids, doubtful.keys(), since, RIGHT_WITHIN)


def _gather(db: Transaction, clinic_id: UUID, posts: Sequence[Post], taken: Sequence[Taken | Problem]) -> Gathered:
    patient_ids = {post.patient_id for post in posts}
    asked = (patients_store.LOCKED_SUMMARIES, tracks_store.FOLDS, tracks_store.TOLD)
    found, folds, told = look_up(db, clinic_id, patient_ids, *asked)
    locked = patients_store.summarized(found)
    for patient in locked.values():
        if patient.merged_into is not None:
            patient.merged_into = patients.goes_on_in(db, clinic_id, patient.id)
    known = tracks.gather(db, clinic_id, list(locked), folds, told)
    named = store.by_ids(db, clinic_id, {i for post in posts if (i := post.id) is not None})
    instants = {
        (post.patient_id, moment.at)
        for post, moment in zip(posts, taken, strict=True)
        if not isinstance(moment, Problem)
        and post.patient_id in known
        and not _is_newest(post, moment, known[post.patient_id])
    }
    standing = tracks_store.standing_at(db, clinic_id, instants)
    sessions = tracks_store.sessions_of(db, clinic_id, [p.body.session_id for p in posts if p.body.session_id])
    gathered = Gathered(locked, known, sessions, {}, {(s.patient_id, s.taken_at, s.instrument): s for s in standing})
    maybe_known = {
        post.id
        for post, moment in zip(posts, taken, strict=True)
        if post.id is not None and (post.body.sent_at is not None or (post.patient_id, _at(moment)) in instants)
    }
    gathered.known_posts = store.known_posts(db, clinic_id, maybe_known - named.keys())
    shown = {s.check_in_id for s in standing} | {known_post.check_in_id for known_post in gathered.known_posts.values()}
    rows = named | store.by_ids(db, clinic_id, shown - named.keys())
    scores = scores_of(db, clinic_id, list(rows))
    for check_in, version in rows.values():
        gathered.check_ins[check_in.id] = Decision(check_in, version, scores.get(check_in.id, []), is_new=False)
    return gathered


def _at(moment: Taken | Problem) -> datetime | None:
    return None if isinstance(moment, Problem) else moment.at


def _is_newest(post: Post, moment: Taken, known: PatientTracks) -> bool:
    """Whether the patient has no score yet in whose place this post's could be."""
    return known.is_before(moment.at) and all(response.instrument in FOLLOWED for response in post.body.responses)


def _insert(
    db: Transaction, clinic_id: UUID, kept: Sequence[tuple[Post, Decision]], gathered: Gathered
) -> dict[UUID, list[AlertOut]]:
    """Writes the batch. Returns the raised alerts by check-in id."""
    completed = gathered.completions
    touched = {post.patient_id for post, _ in (*kept, *completed)}
    if not touched and not gathered.new_posts:
        return {}
    patients_store.store_recorded_at(db, clinic_id, [gathered.patients[i] for i in sorted(touched)])
    versions = [version for _, done in completed for version in (done.first, done.version) if version is not None]
    store.insert_many(db, [k.check_in for _, k in kept], versions, gathered.new_posts)
    new = [k.version for _, k in kept]
    outbox.record(db, [_told(v, "check_in.recorded") for v in new])
    outbox.record(db, [_told(done.version, "check_in.amended") for _, done in completed])
    changes = [_change(post, gathered, k.scores, k.version) for post, k in kept]
    found = tracks.apply(db, clinic_id, changes, gathered.known) if changes else []
    for post, done in completed:
        change = replace(
            _change(post, gathered, done.scores, done.version),
            replaces_check_ins=[done.check_in.id],
            at=done.version.recorded_at,
        )
        found += tracks.apply(db, clinic_id, [change], gathered.known)
    return _by_check_in(found, kept, gathered)


def _told(version: CheckInVersion, kind: Kind) -> dict[str, Any]:
    return outbox.change(version.clinic_id, kind, version.patient_id, version.recorded_at, version.check_in_id)


def _change(post: Post, gathered: Gathered, scores: Sequence[ScoreVersion], version: CheckInVersion) -> Change:
    is_own = post.caller.patient_id is not None
    return Change(
        patients.subject_of(gathered.patients[post.patient_id], post.caller.time_zone),
        scores=scores,
        session_id=version.session_id,
        urgent_is_late=not is_own or post.body.sent_at is not None,
    )


def _by_check_in(
    found: Sequence[Alert], kept: Sequence[tuple[Post, Decision]], gathered: Gathered
) -> dict[UUID, list[AlertOut]]:
    """Alerts by the check-in whose receipt shows them: the one they are about, if it is of this batch, else the last of
    the patient's."""
    last = {post.patient_id: decision.check_in.id for post, decision in kept}
    mine = {decision.check_in.id for _, decision in kept}
    shown: dict[UUID, list[AlertOut]] = {}
    for alert in {alert.id: alert for alert in found}.values():
        about = alert.check_in_id if alert.check_in_id in mine else last.get(alert.patient_id, alert.check_in_id)
        if about is not None:
            shown.setdefault(about, []).append(alerts.alert_out(alert))
    return shown


class _Receipts:
    """The receipts of a batch. Each patient's relief is computed once."""

    def __init__(
        self, db: Transaction, clinic_id: UUID, gathered: Gathered, raised: dict[UUID, list[AlertOut]]
    ) -> None:
        self._db, self._clinic_id, self._known, self._raised = db, clinic_id, gathered.known, raised
        self._patients = gathered.patients
        self._plans: dict[ZoneInfo, Confirming] = {}
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
        if kept.version.moved_to is not None:  # another patient's by now: this one is told nothing of it
            posted = []
        relief = [track for code in posted for track in self._track(patient_id, code, zone, today)]
        receipt = output.receipt(
            post.caller,
            kept.version,
            kept.scores,
            calendar,
            self._raised.get(kept.check_in.id, []),
            relief,
            kept,
            own=kept.is_new,
        )
        return Fact(receipt, (patient_id,), kept.version.version, is_new=kept.is_new, is_replay=kept.replayed)

    def _track(self, patient_id: UUID, code: str, zone: ZoneInfo, today: date) -> list[TrackOut]:
        found = self._relief.get((patient_id, code, today))
        if found is None:
            known = self._readable.get((patient_id, today))
            if known is None:
                known = answers.readable(self._db, self._clinic_id, patient_id, self._known[patient_id], zone, today)
                self._readable[patient_id, today] = known
            plans = self._plans.setdefault(zone, Confirming(self._db, self._clinic_id, zone, list(self._patients)))
            care_status = self._patients[patient_id].care_status
            tracks = answers.tracks_out(known, [code], today)
            found = self._relief[patient_id, code, today] = plans.told(patient_id, care_status, known, tracks, today)
        return found
