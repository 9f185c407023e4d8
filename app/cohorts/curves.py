"""One group's numbers about durability: day by day, or in weeks as far as its curve may be shown."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from app.cohorts.models import (
    AtRiskOut,
    BesidesOut,
    DurabilityGroupOut,
    HoldingOut,
    IncidenceOut,
    RestrictedMeanOut,
    StepOut,
)
from app.cohorts.policies import SMALLEST_AT_RISK
from app.cohorts.tallies import Tallies, Trait
from app.relief import Endpoint
from app.statistics import (
    Step,
    Times,
    Z,
    cumulative_incidence,
    kaplan_meier,
    median,
    median_interval,
    restricted_mean,
    restricted_mean_variance,
)
from app.tracks.output import Value

WEEK = 7
_READ_ON_DAYS = (7, 14, 28, 56, 90, 180)
_READ_ON_WEEKS = (7, 14, 28, 56, 91, 182)


class Spells:
    """The spells of one group under an endpoint: `times` by it; `by_last_response`, the same with censored spells
    censored at their last response; `last_responses` of all; and, where rescue competes, `lost` and `rescued` by
    day."""

    def __init__(self, found: Tallies, traits: set[Trait], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.last_responses = Counter[int]()
        self.censored_below = 0
        self.lost, self.rescued, self.unended = Counter[int](), Counter[int](), Counter[int]()
        events, censored, at_response = Counter[int](), Counter[int](), Counter[int]()
        kinds = {"lost": self.lost, "rescue": self.rescued, None: self.unended}
        for held, count in found.spells.items():
            if held.trait not in traits:
                continue
            days, is_event = held.outcome.ending(endpoint)
            last = held.outcome.last_response
            self.last_responses[last] += count
            kinds[held.outcome.event][held.outcome.days] += count
            if is_event:
                events[days] += count
            else:
                censored[days] += count
                at_response[last] += count
                self.censored_below += count if last < days else 0
        self.times, self.by_last_response = Times(events, censored), Times(events, at_response)

    def lowest(self, day: int) -> float | None:
        """The share of all spells whose last response is not before a day."""
        size = self.times.size
        return sum(n for last, n in self.last_responses.items() if last >= day) / size if size else None

    def highest(self, day: int) -> float | None:
        """The share of all spells without an event up to a day."""
        size = self.times.size
        return 1 - sum(n for time, n in self.times.events.items() if time <= day) / size if size else None


def by_day(spells: Spells, tau: int, besides: BesidesOut | None, *, midpoint: bool) -> DurabilityGroupOut:
    """All results of a group, day by day. The curves end where fewer than 5 are at risk."""
    times = spells.times
    steps, second = kaplan_meier(times), kaplan_meier(spells.by_last_response)
    low, high = median_interval(steps, midpoint=midpoint)
    return DurabilityGroupOut(
        group="",
        suppressed=False,
        small=False,
        responders=times.size,
        events=sum(times.events.values()),
        censored=sum(times.censored.values()),
        censored_below=spells.censored_below,
        median_days=_whole(median(steps, midpoint=midpoint)),
        median_ci=[_whole(low), _whole(high)],
        restricted_mean_days=_mean(times, steps, tau),
        followed_to_day=_followed_to(times),
        median_follow_up_days=_whole(median(kaplan_meier(Times(times.censored, times.events)), midpoint=midpoint)),
        numbers_at_risk=_at_risk(times),
        curve=[_step(step) for step in steps if step.at_risk >= SMALLEST_AT_RISK],
        by_last_response=[_step(step) for step in second if step.at_risk >= SMALLEST_AT_RISK],
        incidence=_incidence(spells) if spells.endpoint == "loss" else None,
        still_holding=[_holding(spells, steps, second, day) for day in _READ_ON_DAYS],
        besides=besides,
    )


def by_week(times: Times, until: int, tau: int, *, midpoint: bool) -> DurabilityGroupOut:
    """A group's results, every 7 days up to `until`; medians and means are those of the curve as shown."""
    steps = kaplan_meier(times)
    curve = [
        replace(_at(steps, day), time=day, at_risk=times.at_risk(day), events=_events_of_week(times, day))
        for day in range(0, until + 1, WEEK)
    ]
    low, high = median_interval(curve, midpoint=midpoint)
    mean = None
    if 0 < tau <= until:
        mean = sum(WEEK * (a.survival + b.survival) / 2 for a, b in pairwise(curve[: tau // WEEK + 1]))
    return DurabilityGroupOut(
        group="",
        suppressed=False,
        small=False,
        responders=times.size,
        events=sum(times.events.values()),
        censored=sum(times.censored.values()),
        censored_below=None,
        median_days=_whole(median(curve, midpoint=midpoint)),
        median_ci=[_whole(low), _whole(high)],
        restricted_mean_days=RestrictedMeanOut(tau=tau, value=mean, se=None, ci=None),
        followed_to_day=until if until >= 0 else None,
        median_follow_up_days=None,
        numbers_at_risk=[AtRiskOut(day=step.time, at_risk=step.at_risk) for step in curve],
        curve=[_step(step) for step in curve],
        by_last_response=None,
        incidence=None,
        still_holding=[_of_week(curve, day) for day in _READ_ON_WEEKS],
        besides=None,
    )


def hidden(name: str) -> DurabilityGroupOut:
    """A group of which nothing is shown."""
    nothing = dict.fromkeys(DurabilityGroupOut.model_fields)
    return DurabilityGroupOut.model_validate(nothing | {"group": name, "suppressed": True, "small": True})


def _followed_to(times: Times) -> int | None:
    """The last day with enough at risk: how long those were followed who were followed longest, but for four."""
    ends = Counter(times.events) + Counter(times.censored)
    longest, counted = sorted(ends.items(), reverse=True), 0
    for day, count in longest:
        counted += count
        if counted >= SMALLEST_AT_RISK:
            return day
    return None


def _at_risk(times: Times) -> list[AtRiskOut]:
    days = range(0, (_followed_to(times) or 0) + 1, WEEK)
    return [AtRiskOut(day=day, at_risk=n) for day in days if (n := times.at_risk(day)) >= SMALLEST_AT_RISK]


def _mean(times: Times, steps: Sequence[Step], tau: int) -> RestrictedMeanOut:
    value = restricted_mean(times, steps, tau) if tau else None
    if value is None:
        return RestrictedMeanOut(tau=tau, value=None, se=None, ci=None)
    error = math.sqrt(restricted_mean_variance(steps, tau))
    return RestrictedMeanOut(
        tau=tau, value=value, se=error, ci=[max(0.0, value - Z * error), min(tau, value + Z * error)]
    )


def _incidence(spells: Spells) -> list[IncidenceOut]:
    return [
        IncidenceOut(
            day=step.time,
            at_risk=step.at_risk,
            events=step.events,
            competing=step.competing,
            loss=step.incidence,
            standard_error=step.standard_error,
            rescue=step.competing_incidence,
        )
        for step in cumulative_incidence(spells.lost, spells.rescued, spells.unended)
        if step.at_risk >= SMALLEST_AT_RISK
    ]


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


def _holding(spells: Spells, steps: Sequence[Step], second: Sequence[Step], day: int) -> HoldingOut:
    step = _known(spells.times, steps, day)
    other = _known(spells.by_last_response, second, day)
    return HoldingOut(
        day=day,
        at_risk=spells.times.at_risk(day),
        survival=None if step is None else step.survival,
        ci_low=None if step is None else step.low,
        ci_high=None if step is None else step.high,
        lowest=spells.lowest(day),
        highest=spells.highest(day),
        by_last_response=None if other is None else other.survival,
    )


def _known(times: Times, steps: Sequence[Step], day: int) -> Step | None:
    """The curve at a day, where enough are at risk, or where nobody is left."""
    step = _at(steps, day)
    return step if times.at_risk(day) >= SMALLEST_AT_RISK or (step.survival == 0 and times.size) else None


def _of_week(curve: Sequence[Step], day: int) -> HoldingOut:
    step = next((step for step in curve if step.time == day), None)
    return HoldingOut(
        day=day,
        at_risk=None if step is None else step.at_risk,
        survival=None if step is None else step.survival,
        ci_low=None if step is None else step.low,
        ci_high=None if step is None else step.high,
        lowest=None,
        highest=None,
        by_last_response=None,
    )


def _at(steps: Sequence[Step], day: int) -> Step:
    return [step for step in steps if step.time <= day][-1]


def _whole(days: float | None) -> Value | None:
    """A number of days without decimals where it has none."""
    return int(days) if days is not None and float(days).is_integer() else days
