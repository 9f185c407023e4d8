"""What each score said on its day: the fold, told score by score."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from app.instruments import Rule
from app.relief.episode import Episode, improvement_tenths, is_response, run_on
from app.relief.events import Event, Infusion, Score, order
from app.relief.track import Track, step


@dataclass(frozen=True, slots=True)
class Reading:
    """One score. `infusion` is the latest one before it, None before the first. `counts` is false for acute readings
    and those before any infusion; several readings of one day may count, and the last stands for the day.
    `status` is the verdict of its whole day. `responds`, `overlaps` and `improvement_tenths` are None where there is
    no evaluable baseline, no infusion before it, or no percentage."""

    score: Score
    infusion: Infusion | None
    counts: bool
    status: str
    responds: bool | None
    overlaps: bool | None
    improvement_tenths: int | None


def readings(events: Iterable[Event], rule: Rule) -> tuple[list[Reading], Track]:
    """Every score in order of time, and the track they come to, from every event that counts, in any order."""
    track = Track()
    found: list[Reading] = []
    for day, of_day in groupby(sorted(events, key=order), key=lambda event: event.day):
        seen: list[tuple[Score, Episode | None]] = []
        for event in of_day:
            track = step(track, event, rule)
            if isinstance(event, Score):
                seen.append((event, track.episode))
        status = run_on(track.episode, day).status if track.episode else "not_started"
        found += [_reading(score, episode, status, rule) for score, episode in seen]
    return found, track


def _reading(score: Score, episode: Episode | None, status: str, rule: Rule) -> Reading:
    if episode is None:
        return Reading(score, None, False, status, None, None, None)
    infusion = episode.last_infusion
    return Reading(
        score=score,
        infusion=infusion,
        counts=score.day > infusion.end_day,
        status=status,
        responds=is_response(episode, score, rule) if episode.baseline and episode.evaluable else None,
        overlaps=rule.recall_days > (score.day - infusion.day).days,
        improvement_tenths=improvement_tenths(episode, score, rule),
    )
