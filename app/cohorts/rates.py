"""Computes outcome rates, 14 to 31 days after the first course, from counts."""

from collections import Counter
from datetime import datetime

from app.cohorts.completeness import besides, completeness, groups_shown, people_of
from app.cohorts.method import outcomes_method
from app.cohorts.models import BoundsOut, CohortOutcomesOut, OutcomeGroupOut, RateOut
from app.cohorts.policies import Sight, members
from app.cohorts.tallies import Early, Question, Tallies, Trait
from app.instruments import Rule
from app.relief import VERSION
from app.statistics import wilson
from app.tracks.domains import rule


def rates(question: Question, found: Tallies, known_at: datetime, *, sight: Sight) -> CohortOutcomesOut:
    """The answer about outcome rates. If the caller may not see everything, small groups are hidden."""
    groups = members(question.group_by, [*found.early_people, *found.early_missing])
    visible = groups_shown(groups, found.early_people, overlap=found.early_overlap, sight=sight)
    return CohortOutcomesOut(
        instrument=question.instrument,
        group_by=question.group_by,
        as_of=question.as_of,
        known_at=known_at,
        snapshot_on=None if sight.sees_all else question.as_of,
        rule=VERSION,
        method=outcomes_method(question, sight=sight),
        groups=[
            _group(name, traits, found, question.instrument, sight=sight) if name in visible else _hidden(name)
            for name, traits in groups.items()
        ],
        completeness=completeness(found, sight=sight),
    )


def _group(name: str, traits: set[Trait], found: Tallies, instrument: str, *, sight: Sight) -> OutcomeGroupOut:
    by = rule(instrument)
    counts: Counter[str] = Counter()
    for early, n in found.early.items():
        if early.trait in traits:
            counts["of"] += n
            counts.update(dict.fromkeys(_reached(early, by), n))
    missing = sum(found.early_missing.get(trait, 0) for trait in traits)
    people = people_of(traits, found.early_people)
    return OutcomeGroupOut(
        group=name,
        suppressed=False,
        small=people < sight.smallest,
        response=_rate(counts["response"], counts["of"]),
        partial=_rate(counts["partial"], counts["of"]),
        remission=_rate(counts["remission"], counts["of"]) if by.remission is not None else None,
        deterioration=_rate(counts["deterioration"], counts["of"]),
        overlapping=None if counts["unknown"] else _rate(counts["overlapping"], counts["of"]),
        provisional=None if counts["unknown"] else _rate(counts["provisional"], counts["of"]),
        response_bounds=_bounds(counts["response"], counts["of"], missing) if sight.sees_all else None,
        besides=besides(instrument, [found.early_mix[trait] for trait in traits if trait in found.early_mix])
        if sight.sees_all
        else None,
    )


def _reached(early: Early, by: Rule) -> list[str]:
    """The outcomes that a reading reaches against its baseline. Remission needs a response, and, where the rule says
    so, a fall by the reliable change. Source: clinical reference 4.1, 4.5, 4.6 and 4.7 (d)."""
    baseline, severity = early.baseline, early.severity
    responds = by.falls_by(baseline, severity, by.response)
    enough = not by.remission_needs_reliable_change or baseline - severity >= by.reliable_change
    reached = {
        "response": responds,
        "partial": not responds and by.falls_by(baseline, severity, by.partial),
        "remission": responds and enough and by.remission is not None and severity <= by.remission,
        "deterioration": severity - baseline >= by.reliable_change,
        "overlapping": bool(early.overlaps),
        "provisional": bool(early.overlaps) and not responds,
        "unknown": early.overlaps is None,
    }
    return [outcome for outcome, is_reached in reached.items() if is_reached]


def _rate(n: int, of: int) -> RateOut:
    interval = wilson(n, of)
    ends = None if interval is None else [round(100 * end, 1) for end in interval]
    return RateOut(n=n, of=of, percent=_percent(n, of), ci=ends)


def _bounds(n: int, of: int, missing: int) -> BoundsOut:
    due = of + missing
    return BoundsOut(missing=missing, lowest_percent=_percent(n, due), highest_percent=_percent(n + missing, due))


def _percent(n: int, of: int) -> float | None:
    return None if of == 0 else round(100 * n / of, 1)


def _hidden(name: str) -> OutcomeGroupOut:
    nothing = dict.fromkeys(OutcomeGroupOut.model_fields)
    return OutcomeGroupOut.model_validate(nothing | {"group": name, "suppressed": True, "small": True})
