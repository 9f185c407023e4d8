"""The verdict: what a track says on a day. Source: clinical reference 4.6."""

from collections.abc import Iterable
from datetime import date, timedelta

from msgspec.structs import replace

from app.instruments import Rule
from app.relief.episode import Episode, Standing, improvement_tenths, is_response, last_heard_on, run_on
from app.relief.events import Event, Score
from app.relief.lines import CONFIRMATION_DAYS, STALE_AFTER_DAYS
from app.relief.spells import Spell
from app.relief.track import Track, fold
from app.relief.values import Immutable

READ_FROM_SCORES = frozenset({"lost", "fading", "holding", "partial_response", "no_response"})


class Verdict(Immutable, frozen=True):
    """Whether relief is holding, on one day, by one instrument. None means: this status has no such number.

    Severities are in points; `improvement_tenths` is percent times ten, rounded down (toward worse) so that a printed
    50.0 is a response; it is None where percentages have no meaning. `response_severity` is the highest severity in
    points that still is a response (not yet moved to an attainable score). Silence counts from `heard_on`; None where
    it changes nothing.
    """

    as_of: date
    status: str
    reason: str | None = None
    flags: tuple[str, ...] = ()
    provisional: bool = False
    last_known: str | None = None
    baseline: Score | None = None
    best: Score | None = None
    latest: Score | None = None
    latest_overlaps: bool = False
    improvement_tenths: int | None = None
    change: int | None = None
    response_severity: int | None = None
    since_on: date | None = None
    holding_since_on: date | None = None
    holding_through_on: date | None = None
    days_since_last_session: int | None = None
    days_since_last_score: int | None = None
    episode_number: int | None = None
    first_session_on: date | None = None
    sessions: int | None = None
    courses: int | None = None
    spell: Spell | None = None
    previous_spells: tuple[Spell, ...] = ()
    heard_on: date | None = None

    @property
    def days_holding(self) -> int | None:
        """Days from the first to the last reading of the run; none after it, because silence is not relief."""
        if self.holding_since_on is None or self.holding_through_on is None:
            return None
        return (self.holding_through_on - self.holding_since_on).days


def assess(events: Iterable[Event], rule: Rule | None, as_of: date) -> Verdict:
    """The verdict on `as_of`, including the whole local day, from all events that count, in any order."""
    return read(fold((event for event in events if event.day <= as_of), rule), rule, as_of)


def read(track: Track, rule: Rule | None, as_of: date) -> Verdict:
    """The verdict of a track on `as_of`. Raises ValueError when the track already holds a later day's event."""
    if track.last is not None and track.last.day > as_of:
        raise ValueError("the track is later than the day asked for; fold again up to that day")
    episode = track.episode
    if episode is None:
        return Verdict(as_of, "not_started")
    run, standing = run_on(episode, as_of), episode.standing
    evaluable = episode.baseline is not None and episode.evaluable
    holding = run.status == "holding"
    latest = standing.latest
    return Verdict(
        as_of=as_of,
        status=run.status,
        reason=run.reason,
        flags=_flags(episode, run.status, rule, as_of),
        provisional=run.status in ("partial_response", "no_response") and standing.only_overlapping,
        last_known=standing.state if run.status in ("awaiting_follow_up", "stale") else None,
        baseline=episode.baseline,
        best=standing.best if evaluable and standing.responded else None,
        latest=latest,
        latest_overlaps=standing.latest_overlaps,
        improvement_tenths=improvement_tenths(episode, latest, rule),
        change=latest.severity - episode.baseline.severity if latest and episode.baseline else None,
        response_severity=response_severity(episode.baseline.severity, rule)
        if rule and evaluable and episode.baseline
        else None,
        since_on=run.since_on,
        holding_since_on=standing.holding_since_on if holding else None,
        holding_through_on=latest.day if holding and latest else None,
        days_since_last_session=(as_of - episode.last_infusion.day).days,
        days_since_last_score=(as_of - latest.day).days if latest else None,
        episode_number=episode.position.episode,
        first_session_on=episode.position.episode_day,
        sessions=episode.position.number,
        courses=episode.position.course,
        spell=standing.spell,
        previous_spells=tuple(record.spell for record in track.ended if record.spell),
        heard_on=last_heard_on(episode) if evaluable else None,
    )


def silenced(verdict: Verdict, day: date) -> Verdict:
    """What a verdict becomes on a later day if nothing arrives, in as far as it tells a domain's answer: its status,
    its flags and since when. `read` says the same, and more."""
    if verdict.heard_on is not None:
        stale_on = verdict.heard_on + timedelta(days=STALE_AFTER_DAYS + 1)
        if day < stale_on or verdict.status == "stale":
            return verdict
        state = verdict.last_known if verdict.status == "awaiting_follow_up" else verdict.status
        reason = "never_followed_up" if verdict.status == "awaiting_follow_up" else "no_recent_score"
        return replace(verdict, status="stale", reason=reason, last_known=state, flags=(), since_on=stale_on)
    if verdict.flags and verdict.latest is not None and (day - verdict.latest.day).days > STALE_AFTER_DAYS:
        return replace(verdict, flags=())
    return verdict


def response_severity(baseline: int, rule: Rule) -> int:
    """The highest severity in points that still is a response to an evaluable baseline."""
    if rule.basis == "points":
        return baseline - rule.response
    return baseline * (100 - rule.response) // 100


def _flags(episode: Episode, status: str, rule: Rule | None, as_of: date) -> tuple[str, ...]:
    standing, baseline = episode.standing, episode.baseline
    latest = standing.latest
    if latest is None or baseline is None or rule is None:
        return ()
    risen = latest.severity - baseline.severity >= rule.reliable_change
    if status == "not_evaluable":
        recent = (as_of - latest.day).days <= STALE_AFTER_DAYS
        return ("emergent_symptoms",) if recent and risen and latest.severity >= rule.entry else ()
    if status not in READ_FROM_SCORES:
        return ()
    holding = status == "holding"
    raised = {
        "reliable_deterioration": risen,
        "remission": holding and rule.remission is not None and latest.severity <= rule.remission,
        "worse_than_best": holding and _is_worse_than_best(episode, standing, latest, rule),
        "recovered_without_retreatment": holding and standing.loss is not None and not standing.loss.retreated,
    }
    return tuple(sorted(flag for flag, is_raised in raised.items() if is_raised))


def _is_worse_than_best(episode: Episode, standing: Standing, latest: Score, rule: Rule) -> bool:
    """Whether the last two readings are responses, at least 5 days apart, both reliably worse than the second best."""
    before, second_best = standing.before, standing.second_best
    if before is None or second_best is None or not is_response(episode, before, rule):
        return False
    apart = (latest.day - before.day).days >= CONFIRMATION_DAYS
    return apart and min(latest.severity, before.severity) - second_best >= rule.reliable_change
