"""An episode as it stands: what is carried through it, and its status on a day. Source: clinical reference 4.6."""

from collections.abc import Mapping
from datetime import date, timedelta

from app.instruments import Rule
from app.relief.courses import InfusionPosition
from app.relief.events import Infusion, Score
from app.relief.lines import STALE_AFTER_DAYS
from app.relief.onsets import Onsets
from app.relief.spells import Spell
from app.relief.values import Immutable


class Loss(Immutable, frozen=True):
    """The latest loss in the current course: whether an infusion came before the first response after it, and
    whether that response has come."""

    retreated: bool = False
    recovered: bool = False


class Standing(Immutable, frozen=True):
    """What is carried through an episode, as of some representative. Names as in clinical reference 4.6.

    `state` is the result of rules 6-10 at the latest representative. `tail_on` is the first day of the current run of
    below-response representatives in the current course. `before` is the representative before `latest` in the
    current course. `only_overlapping` says that every representative of the course overlaps its infusion. `onsets` are
    those of the episode, oldest first.
    """

    state: str | None = None
    responded: bool = False
    best: Score | None = None
    second_best: int | None = None
    tail_on: date | None = None
    latest: Score | None = None
    latest_overlaps: bool = False
    in_course: bool = False
    before: Score | None = None
    only_overlapping: bool = True
    holding_since_on: date | None = None
    loss: Loss | None = None
    spell: Spell | None = None
    onsets: Onsets = ()


class Run(Immutable, frozen=True):
    """A status and the first day of the unbroken run of days with it."""

    status: str
    reason: str | None
    since_on: date


class Episode(Immutable, frozen=True):
    """The current episode. `day` is the local day of the last event in it; `yesterday` the run that held at the end
    of the day before, `settled` the standing then: a later reading of the same day replaces the day's earlier one.
    `first_session`, `induction_sessions`, `induction_ended_on`, `early` and `gaps` are what its Record will say."""

    position: InfusionPosition
    last_infusion: Infusion
    baseline: Score | None
    evaluable: bool
    scored: bool
    day: date
    yesterday: Run | None
    settled: Standing
    standing: Standing
    first_session: str
    induction_sessions: int
    induction_ended_on: date
    early: Score | None = None
    gaps: Mapping[int, int] = {}


def run_on(episode: Episode, day: date) -> Run:
    """The status on `day` (the day of the last event or a later one) and since when. Source: 4.6, rules 2-10."""
    status, reason = _status(episode, day)
    if status in ("no_baseline", "not_evaluable"):
        return Run(status, reason, episode.position.episode_day)
    if status == "awaiting_follow_up":
        return Run(status, reason, episode.position.course_day)
    if _status(episode, episode.day)[0] != status:
        return Run(status, reason, last_heard_on(episode) + timedelta(days=STALE_AFTER_DAYS + 1))
    if episode.yesterday is not None and episode.yesterday.status == status:
        return Run(status, reason, episode.yesterday.since_on)
    return Run(status, reason, episode.day)


def status_on(episode: Episode, day: date) -> str:
    """The status of `run_on` alone."""
    return _status(episode, day)[0]


def is_response(episode: Episode, score: Score, rule: Rule) -> bool:
    """Whether the improvement is a response (I >= R) against the episode's baseline, which is evaluable."""
    assert episode.baseline is not None
    return rule.falls_by(episode.baseline.severity, score.severity, rule.response)


def improvement_tenths(episode: Episode, score: Score | None, rule: Rule | None) -> int | None:
    """Percent times ten of the fall from the evaluable baseline, rounded down; None without such a baseline."""
    baseline = episode.baseline
    if score is None or baseline is None or rule is None or not episode.evaluable or rule.basis == "points":
        return None
    return 1000 * (baseline.severity - score.severity) // baseline.severity


def _status(episode: Episode, day: date) -> tuple[str, str | None]:
    standing = episode.standing
    if episode.baseline is None:
        return "no_baseline", "baseline_after_first_infusion" if episode.scored else "none_in_window"
    if not episode.evaluable:
        return "not_evaluable", "baseline_below_threshold"
    heard = (day - last_heard_on(episode)).days <= STALE_AFTER_DAYS
    if not standing.in_course:
        return ("awaiting_follow_up", None) if heard else ("stale", "never_followed_up")
    assert standing.state is not None  # a representative has been read against an evaluable baseline
    return (standing.state, None) if heard else ("stale", "no_recent_score")


def last_heard_on(episode: Episode) -> date:
    """The day from which silence counts: of the course's latest representative, or else its last infusion."""
    standing = episode.standing
    return standing.latest.day if standing.in_course and standing.latest else episode.last_infusion.day
