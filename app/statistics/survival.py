"""Survival from right-censored times: curve, median and restricted mean.

At equal times events count before censorings. Intervals are 95%, on the log(-log) scale, which keeps them inside 0 to 1
(lifelines' default; R's survfit defaults to log).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z = NormalDist().inv_cdf(0.975)
_ROUNDING = 1e-12  # the rounding error allowed when survival is compared with one half


@dataclass(frozen=True, slots=True)
class Times:
    """Times as whole numbers from 0: how many ended at each time with an event, and how many were censored at it."""

    events: Mapping[int, int]
    censored: Mapping[int, int]

    @property
    def size(self) -> int:
        return sum(self.events.values()) + sum(self.censored.values())

    @property
    def last(self) -> int:
        """The largest time; 0 if there are none."""
        return max([*self.events, *self.censored], default=0)

    def at_risk(self, time: int) -> int:
        """How many had neither an event nor censoring before `time`."""
        return sum(n for counts in (self.events, self.censored) for t, n in counts.items() if t >= time)


@dataclass(frozen=True, slots=True)
class Step:
    """The curve from `time` to the next step: the probability, 0 to 1, of having had no event by then. The standard
    error and the limits are None where they are undefined, that is where the probability is 1 or 0."""

    time: int
    at_risk: int
    events: int
    survival: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None


def kaplan_meier(times: Times) -> list[Step]:
    """The product-limit estimate: a step at 0 and one at every time of an event.

    Sources: Kaplan and Meier 1958 J Am Stat Assoc 53:457; variance Greenwood 1926 (Rep Public Health Med Subj 33);
    log(-log) limits Kalbfleisch and Prentice 1980.
    """
    at_risk = times.size
    steps = [Step(0, at_risk, 0, 1.0)]
    survival, hazard_variance = 1.0, 0.0
    for time in sorted({0, *times.events, *times.censored}):
        events = times.events.get(time, 0)
        if events:
            survival = 0.0 if events == at_risk else survival * (1 - events / at_risk)
            if survival > 0:
                hazard_variance += events / (at_risk * (at_risk - events))
            steps.append(_step(time, at_risk, events, survival, hazard_variance))
        at_risk -= events + times.censored.get(time, 0)
    return steps


def median(steps: Sequence[Step], *, midpoint: bool = False) -> float | None:
    """The smallest time at which survival is at most one half; None if the curve never gets there. With `midpoint`,
    where the curve is one half from one step to a lower one, the middle of the two, as R's survfit and SAS give it."""
    return _reached([(step.time, step.survival) for step in steps], midpoint=midpoint)


def median_interval(steps: Sequence[Step], *, midpoint: bool = False) -> tuple[float | None, float | None]:
    """The times at which the lower and the upper limit of the curve reach one half, read as the median is; None for a
    limit that never does.

    Source: Brookmeyer and Crowley 1982 Biometrics 38:29.
    """
    low = [(step.time, step.low) for step in steps if step.low is not None]
    high = [(step.time, step.high) for step in steps if step.high is not None]
    return _reached(low, midpoint=midpoint), _reached(high, midpoint=midpoint)


def _reached(curve: Sequence[tuple[int, float]], *, midpoint: bool) -> float | None:
    """The time at which a falling curve is at one half or under."""
    at = next((index for index, (_, value) in enumerate(curve) if value <= 0.5 + _ROUNDING), None)
    if at is None:
        return None
    time, value = curve[at]
    lower = next((later for later, below in curve[at:] if below < value - _ROUNDING), None)
    if not midpoint or abs(value - 0.5) > _ROUNDING or lower is None:
        return time
    return (time + lower) / 2


def restricted_mean(times: Times, steps: Sequence[Step], tau: int) -> float | None:
    """The area under the curve from 0 to `tau`, in the unit of the times. None if `tau` is later than the last time and
    the curve has not reached 0, because the curve is unknown there.

    Sources: Irwin 1949 J Hyg 47:188; Royston and Parmar 2013 BMC Med Res Methodol 13:152.
    """
    if tau > times.last and steps[-1].survival > 0:
        return None
    area = 0.0
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        end = tau if following is None else min(following.time, tau)
        area += step.survival * max(0, end - step.time)
    return area


def restricted_mean_variance(steps: Sequence[Step], tau: int) -> float:
    """The variance of `restricted_mean`: over the times of events up to `tau`, d / (n (n - d)) times the square of the
    area under the curve between that time and `tau`. A time at which all who are at risk have the event adds nothing,
    because nothing is left under the curve.

    Source: Irwin 1949 J Hyg 47:188; Kaplan and Meier 1958 J Am Stat Assoc 53:457.
    """
    variance, area, end = 0.0, 0.0, tau
    for step in reversed(steps):
        if step.time > tau:
            continue
        area += step.survival * (end - step.time)
        end = step.time
        left = step.at_risk - step.events
        if step.events and left:
            variance += area * area * step.events / (step.at_risk * left)
    return variance


def _step(time: int, at_risk: int, events: int, survival: float, hazard_variance: float) -> Step:
    if survival <= 0 or survival >= 1:
        return Step(time, at_risk, events, survival)
    error = math.sqrt(hazard_variance)
    width = Z * error / math.log(survival)  # negative
    return Step(
        time,
        at_risk,
        events,
        survival,
        standard_error=survival * error,
        low=survival ** math.exp(-width),
        high=survival ** math.exp(width),
    )
