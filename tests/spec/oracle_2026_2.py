"""A slow, plain second implementation of clinical.md 4.7 (a), (c), (e), (f) and (h), for tests to compare with.

It is written from that text, on the histories of the second engine. It counts day by day and person by person.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from tests.spec.oracle import (
    InfusionVersion,
    Parameters,
    ScoreVersion,
    _answer,
    _durability,
    _episodes,
    _existing_infusions,
    _existing_scores,
    _history,
    _seen,
)

Z = 1.959963984540054


@dataclass(frozen=True)
class PlainSpell:
    """One spell, in days since its origin: its end, the event, the readings up to the end with what they show, and the
    days on which later courses began."""

    days: int
    event: str | None
    readings: tuple[tuple[int, int, bool], ...]  # day, severity, whether it is a response
    courses: tuple[int, ...]
    baseline: int


def spells(
    parameters: Parameters,
    infusions: Sequence[InfusionVersion],
    scores: Sequence[ScoreVersion],
    zone: str,
    as_of: date,
) -> list[PlainSpell]:
    """The spells of one patient and instrument, as of a day."""
    seen = [i for i in _existing_infusions(infusions, ZoneInfo(zone), None) if i.day <= as_of]
    all_scores = [s for s in _existing_scores(scores, ZoneInfo(zone), None) if s.day <= as_of]
    episodes = _episodes(seen)
    found = []
    for number, courses in enumerate(episodes, start=1):
        following = episodes[number][0][0] if number < len(episodes) else None
        history = _history(parameters, courses, all_scores, following)
        spell = _durability(history, following)
        origin, through, event = spell["origin_on"], spell["through_on"], spell["event"]
        if not isinstance(origin, date) or not isinstance(through, date) or history.baseline is None:
            continue
        readings = [
            ((each.score.day - origin).days, each.score.severity, responds)
            for each, responds in zip(history.representatives, history.responses, strict=True)
            if origin <= each.score.day <= through
        ]
        begun = [course[0].day for later in episodes[number - 1 :] for course in later if course[0].day >= origin]
        found.append(
            PlainSpell(
                (through - origin).days,
                event if isinstance(event, str) else None,
                tuple(readings),
                tuple(sorted((day - origin).days for day in begun)),
                history.baseline.severity,
            )
        )
    return found


def last_response(spell: PlainSpell) -> int:
    return max(day for day, _, responds in spell.readings if responds)


# ---- (f) the outlook


@dataclass(frozen=True)
class Matched:
    days: int
    is_event: bool
    severity: int
    next_course: int | None


def matched(spell: PlainSpell, held: int) -> Matched | None:
    near = [(abs(day - held), day, severity, responds) for day, severity, responds in spell.readings]
    near = [one for one in near if one[0] <= 14]
    if not near:
        return None
    _, day, severity, responds = min(near)
    later = any(other > day for other, _, _ in spell.readings)
    before_onset = spell.event is None or day < spell.days
    if not (responds and before_onset and later):
        return None
    courses = [begun - day for begun in spell.courses if begun >= day]
    return Matched(spell.days - day, spell.event is not None, severity, min(courses, default=None))


def ahead(found: Sequence[Matched], days: int) -> dict[str, object]:
    """One row of the answer, by hand."""
    at_risk = len(found)
    survival, hazard = 1.0, 0.0
    for time in range(days + 1):
        events = sum(one.is_event and one.days == time for one in found)
        if events:
            survival *= (at_risk - events) / at_risk
            if events < at_risk:
                hazard += events / (at_risk * (at_risk - events))
        at_risk -= events + sum(not one.is_event and one.days == time for one in found)
    followed = sum(one.days >= days for one in found)
    held: float | None = survival
    interval: list[float] | None
    if survival == 1:
        interval = [_wilson(1, followed)[0] if followed else 0.0, 1.0]
    elif survival == 0:
        interval = [0.0, _wilson(0, len(found))[1]]
    else:
        interval = list(_wilson(survival, (1 - survival) / (survival * hazard)))
    if followed < 5 and survival > 0:
        held, interval = None, None
    return {
        "days": days,
        "held": held,
        "ci": interval,
        "lost": sum(one.is_event and one.days <= days for one in found),
        "followed": followed,
        "boosted": sum(one.next_course is not None and one.next_course <= days for one in found),
    }


def _wilson(share: float, trials: float) -> tuple[float, float]:
    centre = share + Z * Z / (2 * trials)
    half = Z * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    return (centre - half) / (1 + Z * Z / trials), (centre + half) / (1 + Z * Z / trials)


# ---- (e) durability, besides the curve


def lowest(found: Sequence[PlainSpell], day: int) -> float:
    return sum(not last_response(one) + 1 <= day for one in found) / len(found)


def highest(found: Sequence[PlainSpell], day: int) -> float:
    return sum(one.event is None or one.days > day for one in found) / len(found)


def curve(ends: Sequence[tuple[int, bool]], day: int) -> float:
    """The product-limit estimate at a day, from (days, event) of each person."""
    survival = 1.0
    for time in range(day + 1):
        at_risk = sum(days >= time for days, _ in ends)
        events = sum(is_event and days == time for days, is_event in ends)
        if events:
            survival *= 1 - events / at_risk
    return survival


def incidence(found: Sequence[PlainSpell], day: int) -> tuple[float, float]:
    """The cumulative incidences of loss and of rescue by a day."""
    free, lost, rescued = 1.0, 0.0, 0.0
    for time in range(day + 1):
        at_risk = sum(one.days >= time for one in found)
        ended = [one.event for one in found if one.days == time and one.event is not None]
        if ended:
            lost += free * ended.count("lost") / at_risk
            rescued += free * ended.count("rescue") / at_risk
            free *= 1 - len(ended) / at_risk
    return lost, rescued


# ---- (c) measurement error and (h) asking once more


def is_near(parameters: Parameters, attainable: Sequence[int], baseline: int, severity: int) -> bool:
    """Whether a reading is within reliable change / sqrt 2 of the worst attainable score that still is a response."""
    if parameters.basis == "points":
        responses = [s for s in attainable if baseline - s >= parameters.response]
    else:
        responses = [s for s in attainable if 100 * (baseline - s) >= parameters.response * baseline]
    return bool(responses) and 2 * (severity - max(responses)) ** 2 <= parameters.reliable_change**2


def confirming_days(
    parameters: Parameters,
    attainable: Sequence[int],
    infusions: Sequence[InfusionVersion],
    scores: Sequence[ScoreVersion],
    zone: str,
    last: date,
) -> list[date]:
    """The days D+6 from which one more reading would be asked for if the plan asked for nothing."""
    all_infusions = _existing_infusions(infusions, ZoneInfo(zone), None)
    all_scores = _existing_scores(scores, ZoneInfo(zone), None)
    found = []
    first_recorded = {each.id: each.recorded_at for each in scores if each.version == 1}
    first = min([score.day for score in all_scores], default=last)
    for n in range((last - first).days + 1):
        day = first + timedelta(days=n)
        episodes, seen_scores, history = _seen(parameters, all_infusions, all_scores, day)
        if history is None or not history.evaluable or history.baseline is None or not history.representatives:
            continue
        latest = history.representatives[-1].score
        status = _answer(parameters, history, seen_scores, day).status
        if latest.day != day or status not in ("holding", "fading"):
            continue
        is_past = not history.responses[-1]
        if not is_past and not is_near(parameters, attainable, history.baseline.severity, latest.severity):
            continue
        recorded_on = first_recorded[latest.id].astimezone(ZoneInfo(zone)).date()
        if (recorded_on - day).days > 2:
            continue
        due = day + timedelta(days=6)
        infused = max(i.day for course in episodes[-1] for i in course)
        if (due - infused).days < min(parameters.recall_days, 14):
            continue
        if any(infusion.start >= latest.taken and infusion.day <= due for infusion in all_infusions):
            continue
        heard = [other.day for other in all_scores if _is_counted(all_infusions, other.taken, other.day)]
        if any(day < other < due and other <= last for other in heard):
            continue
        found.append(due)
    return [day for day in found if day - timedelta(days=6) <= last]


def _is_counted(infusions: Sequence[object], taken: object, day: date) -> bool:
    """Whether a score after an infusion is on a later day than that ended, and so can represent its day."""
    before = [i for i in infusions if i.start < taken]  # type: ignore[attr-defined]
    return bool(before) and day > before[-1].end_day  # type: ignore[attr-defined]


# ---- (a) which instrument answers


def answering(
    order: Sequence[str], verdicts: Mapping[str, Mapping[str, object]], scored: Sequence[str], version: str
) -> str:
    """The instrument that answers for a domain without a declared primary. `verdicts` are those of the second engine;
    `scored` the instruments with any score."""
    if version != "2026.1":
        for code in order:
            verdict = verdicts.get(code)
            if verdict is None or verdict["baseline"] is None or verdict["status"] == "not_evaluable":
                continue
            if verdict["status"] == "stale" and verdict["last_known"] not in ("lost", "fading"):
                continue
            return code
    for code in order:
        if code in verdicts and verdicts[code]["baseline"] is not None and verdicts[code]["status"] != "not_evaluable":
            return code
    for code in order:
        if code in verdicts and verdicts[code]["baseline"] is not None:
            return code
    return next((code for code in order if code in scored), order[0])
