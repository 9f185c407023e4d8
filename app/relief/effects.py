"""What one session did: before, after, how fast a response came, how long it lasted and how it ended.

Durations follow clinical reference 4.3, within the readings between this session and the next.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from app.relief.courses import InfusionPosition
from app.relief.events import Infusion, Score
from app.relief.lines import BASELINE_LOOKBACK_DAYS, CONFIRMATION_DAYS, STALE_AFTER_DAYS
from app.relief.readings import Reading


@dataclass(frozen=True, slots=True)
class Effect:
    """`before` is the latest score at or before the session's start, at most 28 days earlier; `after` every reading up
    to the next session; `first_response` the first that shows response and counts or is acute. `relief_days`
    run over readings that count, from the first response to `ended_by`: `lost` and `rescue` (days to the onset),
    `next_session`, `still_holding` and `unknown` (days to the last reading); None without a response."""

    before: Score | None
    after: tuple[Reading, ...]
    first_response: Reading | None
    relief_days: int | None
    ended_by: str

    @property
    def best(self) -> Score | None:
        """The mildest score after the session that counts or is acute; the first of several."""
        heard = (reading.score for reading in self.after if reading.counts or reading.is_acute)
        return min(heard, key=lambda score: score.severity, default=None)

    @property
    def is_observed(self) -> bool:
        """Whether the end of relief was measured, not cut off by the next session or the last reading."""
        return self.ended_by in ("lost", "rescue", "never_responded")


def effects(
    infusions: Sequence[Infusion], positions: Mapping[str, InfusionPosition], readings: Sequence[Reading], as_of: date
) -> dict[str, Effect]:
    """The effect of every infusion by one instrument, by infusion id. Both sequences are in order of time."""
    after: dict[str, list[Reading]] = {}
    for reading in readings:
        if reading.infusion is not None:
            after.setdefault(reading.infusion.id, []).append(reading)
    moments = [reading.score.at for reading in readings]
    found = {}
    for infusion, following in zip(infusions, [*infusions[1:], None], strict=False):
        earlier = bisect_right(moments, infusion.at)
        before = readings[earlier - 1].score if earlier else None
        begins = following is not None and _course(positions, following) != _course(positions, infusion)
        ended = (following is not None, begins, as_of)
        found[infusion.id] = _effect(infusion, before, tuple(after.get(infusion.id, ())), ended)
    return found


def _effect(
    infusion: Infusion, before: Score | None, after: tuple[Reading, ...], ended: tuple[bool, bool, date]
) -> Effect:
    if before is not None and (infusion.day - before.day).days > BASELINE_LOOKBACK_DAYS:
        before = None
    first = next((r for r in after if r.responds and (r.counts or r.is_acute)), None)
    days, ended_by = _ending([r for r in after if r.counts and r.responds is not None], *ended)
    return Effect(before, after, first, days, ended_by)


def _course(positions: Mapping[str, InfusionPosition], infusion: Infusion) -> tuple[int, int]:
    position = positions[infusion.id]
    return position.episode, position.course


def _ending(days: list[Reading], is_followed: bool, begins_course: bool, as_of: date) -> tuple[int | None, str]:
    origin = next((r.score.day for r in days if r.responds), None)
    if origin is None:
        return None, "never_responded" if days else "unknown"
    tail_on: date | None = None
    for reading in days:
        day = reading.score.day
        if day < origin:
            continue
        tail_on = None if reading.responds else tail_on or day
        if tail_on is not None and (day - tail_on).days >= CONFIRMATION_DAYS:
            return (tail_on - origin).days, "lost"
    if tail_on is not None and begins_course:
        return (tail_on - origin).days, "rescue"
    last = days[-1].score.day
    if is_followed:
        return (last - origin).days, "next_session"
    holds = tail_on is None and (as_of - last).days <= STALE_AFTER_DAYS
    return (last - origin).days, "still_holding" if holds else "unknown"
