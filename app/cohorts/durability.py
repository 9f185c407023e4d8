"""Computes durability from counts: survival curves, medians, restricted means, and a test between groups."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import pairwise

from app.cohorts.completeness import completeness, groups_shown, people_of
from app.cohorts.method import durability_method
from app.cohorts.models import (
    CohortDurabilityOut,
    DurabilityGroupOut,
    HoldingOut,
    LogRankOut,
    RestrictedMeanOut,
    StepOut,
)
from app.cohorts.policies import SMALLEST_AT_RISK, Sight, members, shown
from app.cohorts.tallies import Question, Tallies, Trait
from app.relief import VERSION
from app.statistics import Step, Times, kaplan_meier, log_rank, median, median_interval, restricted_mean

WEEK = 7
_READ_ON_DAYS = (7, 14, 28, 56, 90, 180)
_READ_ON_WEEKS = (7, 14, 28, 56, 91, 182)
_LONGEST_TAU = 90

Groups = Mapping[str, set[Trait]]


def durability(
    question: Question, found: Tallies, known_at: datetime, tau: int | None, *, sight: Sight
) -> CohortDurabilityOut:
    """The answer about durability. If the caller may not see everything, small groups are hidden, and all numbers are
    read from the curve in weeks, as far as each group's curve may be shown."""
    groups = members(question.group_by, found.people)
    visible = groups_shown(groups, found.people, overlap=found.people_overlap, sight=sight)
    times = {name: _times(found, traits) for name, traits in groups.items()}
    if sight.sees_all:
        enough = [time for time in times.values() if time.size >= SMALLEST_AT_RISK]
        tau = tau or _shared_tau(time.last for time in enough or times.values())
        told = {name: _by_day(times[name], tau) for name in groups}
    else:
        until = _weeks_shown(groups, visible, found, sight.smallest)
        tau = tau or max(0, _shared_tau(until.values())) // WEEK * WEEK
        told = {name: _by_week(times[name], until[name], tau) for name in visible}
    test, reason = _log_rank(groups, visible, times, found)
    return CohortDurabilityOut(
        instrument=question.instrument,
        endpoint=question.endpoint,
        boosters=question.boosters,
        group_by=question.group_by,
        as_of=question.as_of,
        known_at=known_at,
        snapshot_on=None if sight.sees_all else question.as_of,
        rule=VERSION,
        method=durability_method(question, sight=sight),
        groups=[
            told[name].model_copy(update={"group": name, "small": people_of(traits, found.people) < sight.smallest})
            if name in told
            else _hidden(name)
            for name, traits in groups.items()
        ],
        log_rank=test,
        reason=reason,
        completeness=completeness(found, sight=sight),
    )


def _times(found: Tallies, traits: set[Trait]) -> Times:
    events, censored = Counter[int](), Counter[int]()
    for (trait, days, is_event), count in found.spells.items():
        if trait in traits:
            (events if is_event else censored)[days] += count
    return Times(events, censored)


def _shared_tau(lasts: Iterable[int]) -> int:
    """The largest number of days that every group covers, at most 90."""
    return min([_LONGEST_TAU, *lasts])


def _weeks_shown(groups: Groups, visible: set[str], found: Tallies, smallest: int) -> dict[str, int]:
    """For each group, the last day (a multiple of 7) up to which its curve may be shown: as long as no sum or
    difference of the numbers at risk is of fewer patients than the limit. Spells are counted, not patients. So the
    number of spells that patients have beyond their first is added to the limit."""
    limit = smallest + found.extra_spells
    until = dict.fromkeys(visible, -1)
    open_groups, day = set(visible), 0
    while open_groups:
        at_risk = Counter[Trait]()
        for (trait, days, _), count in found.spells.items():
            at_risk[trait] += count if days >= day else 0
        parts = {name: groups[name] for name in open_groups}
        open_groups &= shown(parts, at_risk, limit, traits_overlap=found.people_overlap)
        until |= dict.fromkeys(open_groups, day)
        day += WEEK
    return until


def _log_rank(
    groups: Groups, visible: set[str], times: Mapping[str, Times], found: Tallies
) -> tuple[LogRankOut | None, str | None]:
    """The log-rank test over the groups shown, or the reason why there is none."""
    if len(groups) < 2:
        return None, "one_group"
    shared = sum(len(traits) for traits in groups.values()) > len(set().union(*groups.values()))
    if shared or found.people_overlap:
        return None, "groups_overlap"
    test = log_rank([times[name] for name in groups if name in visible])
    if test is None:
        return None, "groups_suppressed" if len(visible) < len(groups) else "nothing_to_compare"
    return LogRankOut(chi_square=test.chi_square, df=test.degrees, p_value=test.p_value), None


def _by_day(times: Times, tau: int) -> DurabilityGroupOut:
    """All results of a group, day by day. The curve ends where fewer than 5 are at risk."""
    steps = kaplan_meier(times)
    low, high = median_interval(steps)
    mean = restricted_mean(times, steps, tau) if tau else None
    return _group(
        times,
        median_days=median(steps),
        median_ci=[low, high],
        restricted_mean_days=RestrictedMeanOut(tau=tau, value=mean),
        curve=[_step(step) for step in steps if step.at_risk >= SMALLEST_AT_RISK],
        still_holding=[
            _holding(times, day, _at(steps, day)) if times.at_risk(day) >= SMALLEST_AT_RISK else _unknown(day)
            for day in _READ_ON_DAYS
        ],
    )


def _by_week(times: Times, until: int, tau: int) -> DurabilityGroupOut:
    """A group's results, every 7 days up to `until`; medians and means are those of the curve as shown."""
    steps = kaplan_meier(times)
    curve = [
        replace(_at(steps, day), time=day, at_risk=times.at_risk(day), events=_events_of_week(times, day))
        for day in range(0, until + 1, WEEK)
    ]
    by_day = {step.time: step for step in curve}
    low, high = median_interval(curve)
    mean = None
    if 0 < tau <= until:
        mean = sum(WEEK * (a.survival + b.survival) / 2 for a, b in pairwise(curve[: tau // WEEK + 1]))
    return _group(
        times,
        median_days=median(curve),
        median_ci=[low, high],
        restricted_mean_days=RestrictedMeanOut(tau=tau, value=mean),
        curve=[_step(step) for step in curve],
        still_holding=[
            _holding(times, day, by_day[day]).model_copy(update={"lowest": None, "highest": None})
            if day in by_day
            else _unknown(day)
            for day in _READ_ON_WEEKS
        ],
    )


def _group(
    times: Times,
    *,
    median_days: int | None,
    median_ci: list[int | None],
    restricted_mean_days: RestrictedMeanOut,
    curve: list[StepOut],
    still_holding: list[HoldingOut],
) -> DurabilityGroupOut:
    return DurabilityGroupOut(
        group="",
        suppressed=False,
        small=False,
        responders=times.size,
        events=sum(times.events.values()),
        censored=sum(times.censored.values()),
        median_days=median_days,
        median_ci=median_ci,
        restricted_mean_days=restricted_mean_days,
        curve=curve,
        still_holding=still_holding,
    )


def _events_of_week(times: Times, day: int) -> int:
    return sum(n for time, n in times.events.items() if day - WEEK < time <= day)


def _step(step: Step) -> StepOut:
    return StepOut(
        day=step.time,
        at_risk=step.at_risk,
        events=step.events,
        survival=step.survival,
        standard_error=step.standard_error,
        ci_low=step.low,
        ci_high=step.high,
    )


def _holding(times: Times, day: int, step: Step) -> HoldingOut:
    lost = sum(n for time, n in times.events.items() if time <= day)
    unknown = sum(n for time, n in times.censored.items() if time < day)
    return HoldingOut(
        day=day,
        at_risk=times.at_risk(day),
        survival=step.survival,
        ci_low=step.low,
        ci_high=step.high,
        lowest=(times.size - lost - unknown) / times.size,
        highest=(times.size - lost) / times.size,
    )


def _unknown(day: int) -> HoldingOut:
    return HoldingOut(day=day, at_risk=None, survival=None, ci_low=None, ci_high=None, lowest=None, highest=None)


def _at(steps: Sequence[Step], day: int) -> Step:
    return [step for step in steps if step.time <= day][-1]


def _hidden(name: str) -> DurabilityGroupOut:
    return DurabilityGroupOut(
        group=name,
        suppressed=True,
        small=True,
        responders=None,
        events=None,
        censored=None,
        median_days=None,
        median_ci=None,
        restricted_mean_days=None,
        curve=None,
        still_holding=None,
    )
