"""What each score says on its day: the same fold, with a result for each score."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from app.instruments import Rule
from app.relief.episode import Episode, improvement_tenths, is_response, run_on
from app.relief.events import Event, Infusion, Score, order
from app.relief.track import Track, step


@dataclass(frozen=True, slots=True)
class Reading:
    """One score. `infusion` is the latest one before it, None before the first. `counts` is true for representatives:
    not before any infusion, not acute, not replaced by a later one of its day. `is_acute`: by the infusion's last day.
    `status` is the verdict of its whole day. `responds` and `improvement_tenths` are None without an evaluable baseline
    or an infusion before it; `improvement_tenths` also for a rule in points, which has no percentages."""

    score: Score
    infusion: Infusion | None
    counts: bool
    is_acute: bool
    status: str
    responds: bool | None
    improvement_tenths: int | None


def readings(events: Iterable[Event], rule: Rule | None) -> tuple[list[Reading], Track]:
    """Every score in order of time, and the track that results. The events may be in any order."""
    track = Track()
    found: list[Reading] = []
    for day, of_day in groupby(sorted(events, key=order), key=lambda event: event.day):
        seen: list[tuple[Score, Episode | None]] = []
        for event in of_day:
            track = step(track, event, rule)
            if isinstance(event, Score):
                seen.append((event, track.episode))
        status = run_on(track.episode, day).status if track.episode else "not_started"
        eligible = [score for score, episode in seen if episode is not None and day > episode.last_infusion.end_day]
        represents = eligible[-1] if eligible else None
        found += [_reading(score, episode, score is represents, status, rule) for score, episode in seen]
    return found, track


def _reading(score: Score, episode: Episode | None, represents: bool, status: str, rule: Rule | None) -> Reading:
    if episode is None:
        return Reading(score, None, False, False, status, None, None)
    infusion = episode.last_infusion
    return Reading(
        score=score,
        infusion=infusion,
        counts=represents,
        is_acute=score.day <= infusion.end_day,
        status=status,
        responds=is_response(episode, score, rule) if rule and episode.baseline and episode.evaluable else None,
        improvement_tenths=improvement_tenths(episode, score, rule),
    )
