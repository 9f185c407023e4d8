"""Cumulative incidence where two kinds of event compete."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

_ROUNDING = 1e-15  # a variance under this is 0 but for rounding


@dataclass(frozen=True, slots=True)
class IncidenceStep:
    """From `time` to the next step: the probability, 0 to 1, of having had the event, and that of having had the one
    that competes with it, with the standard error of the first. `events` and `competing` are those at `time`."""

    time: int
    at_risk: int
    events: int
    competing: int
    incidence: float
    competing_incidence: float
    standard_error: float


def cumulative_incidence(
    events: Mapping[int, int], competing: Mapping[int, int], censored: Mapping[int, int]
) -> list[IncidenceStep]:
    """The Aalen-Johansen estimate: a step at 0 and one at every time of an event of either kind. At equal times events
    count before censorings. With the curve of either event, the two incidences add up to 1.

    Sources: Aalen and Johansen 1978 Scand J Stat 5:141; standard error by the delta method, Marubini and Valsecchi
    1995, Analysing Survival Data from Clinical Trials and Observational Studies, 10.2."""
    at_risk = sum(map(sum, (events.values(), competing.values(), censored.values())))
    survival, incidence, other = 1.0, 0.0, 0.0
    steps = [IncidenceStep(0, at_risk, 0, 0, 0.0, 0.0, 0.0)]
    # The variance at a time t is a sum over the times s up to it of terms in F(t) - F(s); so these sums are kept.
    hazard = hazard_f = hazard_ff = own = shared = shared_f = 0.0
    for time in sorted({*events, *competing, *censored}):
        one, two = events.get(time, 0), competing.get(time, 0)
        if one or two:
            before, left = survival, at_risk - one - two
            incidence += before * one / at_risk
            other += before * two / at_risk
            survival = 0.0 if left == 0 else survival * left / at_risk
            term = (one + two) / (at_risk * left) if left else 0.0
            hazard += term
            hazard_f += term * incidence
            hazard_ff += term * incidence * incidence
            own += before * before * (at_risk - one) * one / at_risk**3
            shared += before * one / at_risk**2
            shared_f += before * one / at_risk**2 * incidence
            spread = incidence * incidence * hazard - 2 * incidence * hazard_f + hazard_ff
            variance = spread + own - 2 * (incidence * shared - shared_f)
            error = math.sqrt(variance) if variance > _ROUNDING else 0.0
            steps.append(IncidenceStep(time, at_risk, one, two, incidence, other, error))
        at_risk -= one + two + censored.get(time, 0)
    return steps
