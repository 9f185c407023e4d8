"""What each score says on its day, and each day's status: the same fold, with a result for each score."""

from collections.abc import Iterable
from datetime import date, timedelta
from itertools import groupby
from typing import NamedTuple

from app.instruments import Rule
from app.relief.episode import Episode, improvement_tenths, is_response, last_heard_on, status_on
from app.relief.events import Event, Infusion, Score, order
from app.relief.lines import STALE_AFTER_DAYS
from app.relief.track import Track, advance
from app.relief.values import Immutable


class Reading(Immutable, frozen=True):
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


class Readings(NamedTuple):
    """Every score in order of time, the track that results, and the days on which the status becomes another one, with
    that status, from the first infusion on; the last may be in the future."""

    scores: list[Reading]
    track: Track
    turns: list[tuple[date, str]]


def readings(events: Iterable[Event], rule: Rule | None) -> Readings:
    """What these events, given in any order, say."""
    track = Track()
    found: list[Reading] = []
    turns: list[tuple[date, str]] = []
    for day, of_day in groupby(sorted(events, key=order), key=lambda event: event.day):
        _fall_silent(turns, track.episode, day)
        seen: list[tuple[Score, Episode | None]] = []
        for event in of_day:
            track = advance(track, event, rule)
            if isinstance(event, Score):
                seen.append((event, track.episode))
        status = status_on(track.episode, day) if track.episode else "not_started"
        if track.episode is not None and (not turns or turns[-1][1] != status):
            turns.append((day, status))
        eligible = [score for score, episode in seen if episode is not None and day > episode.last_infusion.end_day]
        represents = eligible[-1] if eligible else None
        found += [_reading(score, episode, score is represents, status, rule) for score, episode in seen]
    _fall_silent(turns, track.episode, date.max)
    return Readings(found, track, turns)


def _fall_silent(turns: list[tuple[date, str]], episode: Episode | None, before: date) -> None:
    """Adds the day on which silence changes the status, if that comes before the next event."""
    if episode is None:
        return
    silent_on = last_heard_on(episode) + timedelta(days=STALE_AFTER_DAYS + 1)
    if silent_on < before and (status := status_on(episode, silent_on)) != turns[-1][1]:
        turns.append((silent_on, status))


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
