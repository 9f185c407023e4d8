"""Competing risks, medians on a flat half, and the errors of restricted means, beside R's figures and another library.

Figures: R's survival 3.5.3 (`survfit` with a factor status; `survmean`). On 1,500 random cohorts of 4 to 200 with ties,
the incidences, their standard errors, restricted means and theirs, medians read as midpoints, and median follow-up were
equal to R's survival and cmprsk 2.2.11 to 1e-12.
"""

import math
import random
import warnings
from collections import Counter

import pytest
from lifelines import AalenJohansenFitter

from app.statistics import (
    Times,
    cumulative_incidence,
    kaplan_meier,
    median,
    median_interval,
    restricted_mean,
    restricted_mean_variance,
    wilson,
    wilson_of_share,
)

# Days, and how they ended: 0 censored, 1 the event, 2 the competing one.
COHORT = [(1, 1), (2, 0), (3, 2), (3, 1), (5, 0), (8, 2), (8, 2), (9, 1), (12, 0), (14, 1)]


# (day, at risk, incidence, its standard error, incidence of the competing event), by R.
R_INCIDENCE = [
    (0, 10, 0.0, 0.0, 0.0),
    (1, 10, 0.1, 0.094868, 0.0),
    (3, 8, 0.2125, 0.134033, 0.1125),
    (8, 5, 0.2125, 0.134033, 0.3825),
    (9, 3, 0.3475, 0.16537, 0.3825),
    (14, 1, 0.6175, 0.173244, 0.3825),
]


def counted(cohort: list[tuple[int, int]], kind: int) -> Counter[int]:
    return Counter(days for days, ended in cohort if ended == kind)


def test_incidence_is_that_of_r() -> None:
    steps = cumulative_incidence(*(counted(COHORT, kind) for kind in (1, 2, 0)))
    found = [
        (
            step.time,
            step.at_risk,
            round(step.incidence, 6),
            round(step.standard_error, 6),
            round(step.competing_incidence, 6),
        )
        for step in steps
    ]
    assert found == R_INCIDENCE
    last = steps[-1]
    assert last.incidence + last.competing_incidence == pytest.approx(1)


def test_without_a_competing_event_incidence_is_what_the_curve_has_lost() -> None:
    rng = random.Random(3)
    cohort = [(rng.randrange(1, 30), rng.choice([0, 1, 1])) for _ in range(60)]
    events, censored = counted(cohort, 1), counted(cohort, 0)
    curve = {step.time: step for step in kaplan_meier(Times(events, censored))}
    for step in cumulative_incidence(events, {}, censored):
        assert step.incidence == pytest.approx(1 - curve[step.time].survival, abs=1e-12)
        assert step.standard_error == pytest.approx(curve[step.time].standard_error or 0, abs=1e-9)
        assert step.competing_incidence == 0


@pytest.mark.parametrize("seed", range(5))
def test_incidence_is_that_of_another_library(seed: int) -> None:
    rng = random.Random(seed)
    days = rng.sample(range(1, 200), 40)  # without ties, which that library breaks at random
    cohort = [(day, rng.choice([0, 1, 2])) for day in days]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = AalenJohansenFitter(calculate_variance=False).fit(
            days, [ended for _, ended in cohort], event_of_interest=1
        )
    for step in cumulative_incidence(*(counted(cohort, kind) for kind in (1, 2, 0))):
        assert step.incidence == pytest.approx(float(fitted.predict(step.time)), abs=1e-12)


def test_nobody_has_no_incidence() -> None:
    assert [step.incidence for step in cumulative_incidence({}, {}, {})] == [0.0]


@pytest.mark.parametrize(("events", "censored", "first", "middle"), [
    ({2: 1, 4: 1, 7: 1}, {9: 1}, 4, 5.5),  # one half from day 4 to day 7
    ({2: 1, 4: 1}, {9: 2}, 4, 4),  # one half to the end
    ({2: 1, 4: 2}, {9: 1}, 4, 4),  # never one half exactly
    ({2: 1}, {9: 3}, None, None),
])  # fmt: skip
def test_a_flat_half_is_read_from_its_first_day_or_in_the_middle(
    events: dict[int, int], censored: dict[int, int], first: float | None, middle: float | None
) -> None:
    steps = kaplan_meier(Times(events, censored))
    assert (median(steps), median(steps, midpoint=True)) == (first, middle)
    low, high = median_interval(steps)
    assert median_interval(steps, midpoint=True) == (low, high), "the limits are not one half there"


def test_the_error_of_a_restricted_mean_is_that_of_r() -> None:
    """R's survival: Freireich's treated arm to day 23, and a cohort in which all have had the event."""
    treated = Times(
        {6: 3, 7: 1, 10: 1, 13: 1, 16: 1, 22: 1, 23: 1},
        {6: 1, 9: 1, 10: 1, 11: 1, 17: 1, 19: 1, 20: 1, 25: 1, 32: 2, 34: 1, 35: 1},
    )
    steps = kaplan_meier(treated)
    assert restricted_mean(treated, steps, 23) == pytest.approx(17.90924, abs=1e-5)
    assert math.sqrt(restricted_mean_variance(steps, 23)) == pytest.approx(1.55319, abs=1e-5)
    all_ended = Times({1: 1, 2: 1, 4: 1}, {})
    assert math.sqrt(restricted_mean_variance(kaplan_meier(all_ended), 4)) == pytest.approx(0.7200823, abs=1e-6)


def test_a_shares_interval_needs_no_whole_number_of_trials() -> None:
    assert wilson(7, 10) == wilson_of_share(0.7, 10)
    low, high = wilson_of_share(0.7, 10.5)
    assert wilson_of_share(0.7, 10)[0] < low < 0.7 < high
    assert (wilson_of_share(1, 9)[1], wilson_of_share(0, 9)[0]) == (1.0, 0.0)
