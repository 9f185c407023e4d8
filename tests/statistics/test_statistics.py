"""Our arithmetic is that of published examples to the printed digits, and of kept libraries on random data."""

import math
import random
import warnings
from collections import Counter
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from app.statistics import (
    Times,
    censored_slope,
    kaplan_meier,
    log_rank,
    median,
    median_interval,
    restricted_mean,
    wilson,
)
from app.statistics.comparison import chi_square_tail
from app.statistics.slopes import _score

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lifelines import KaplanMeierFitter
    from lifelines.statistics import multivariate_logrank_test
    from lifelines.utils import median_survival_times, restricted_mean_survival_time
    from scipy.stats import binomtest, chi2, theilslopes

TREATED = "6,6,6,6+,7,9+,10,10+,11+,13,16,17+,19+,20+,22,23,25+,32+,32+,34+,35+"
PLACEBO = "1,1,2,2,3,4,4,5,5,8,8,8,8,11,11,12,12,15,17,22,23"
seeds = st.integers(0, 2**48)


def times(written: str) -> Times:
    """As papers print them: a plus sign is a censored time."""
    found = written.split(",")
    events = Counter(int(t) for t in found if not t.endswith("+"))
    return Times(events, Counter(int(t[:-1]) for t in found if t.endswith("+")))


def test_the_curve_of_freireich_1963_is_as_printed() -> None:
    printed = [
        (6, 21, 3, 0.8571, 0.0764, 0.6197, 0.9516),
        (7, 17, 1, 0.8067, 0.0869, 0.5631, 0.9228),
        (10, 15, 1, 0.7529, 0.0963, 0.5032, 0.8894),
        (13, 12, 1, 0.6902, 0.1068, 0.4316, 0.8491),
        (16, 11, 1, 0.6275, 0.1141, 0.3675, 0.8049),
        (22, 7, 1, 0.5378, 0.1282, 0.2678, 0.7468),
        (23, 6, 1, 0.4482, 0.1346, 0.1881, 0.6801),
    ]
    steps = kaplan_meier(times(TREATED))
    assert steps[0].survival == 1
    found = [
        (s.time, s.at_risk, s.events, *(round(v or 0, 4) for v in (s.survival, s.standard_error, s.low, s.high)))
        for s in steps[1:]
    ]
    assert found == printed


def test_medians_means_and_log_rank_of_freireich_1963_are_as_printed() -> None:
    treated, placebo = times(TREATED), times(PLACEBO)
    curve, other = kaplan_meier(treated), kaplan_meier(placebo)
    assert (median(curve), median_interval(curve)) == (23, (13, None))
    assert (median(other), median_interval(other)) == (8, (4, 11))
    assert [round(restricted_mean(treated, curve, tau) or 0, 4) for tau in (12, 23, 35)] == [10.7832, 17.9092, 23.2874]
    assert [round(restricted_mean(placebo, other, tau) or 0, 4) for tau in (12, 23)] == [7.2857, 8.6667]
    test = log_rank([treated, placebo])
    assert test is not None
    assert test.observed == (9, 21)
    assert [round(e, 4) for e in test.expected] == [19.2505, 10.7495]
    assert (round(test.chi_square, 4), test.degrees, f"{test.p_value:.2e}") == (16.7929, 1, "4.17e-05")


def cohort(rng: random.Random, size: int) -> list[tuple[int, bool]]:
    longest = rng.choice([5, 40, 200])
    return [(rng.randrange(0, longest) + (seen := rng.random() < 0.6), seen) for _ in range(size)]


def as_times(found: list[tuple[int, bool]]) -> Times:
    return Times(Counter(t for t, seen in found if seen), Counter(t for t, seen in found if not seen))


@run(max_examples=80, deadline=None)
@given(seeds)
def test_curves_medians_and_means_agree_with_lifelines(seed: int) -> None:
    rng = random.Random(seed)
    found = cohort(rng, rng.randrange(1, 60))
    mine = kaplan_meier(as_times(found))
    fitter = KaplanMeierFitter().fit([t for t, _ in found], [seen for _, seen in found])
    limits = fitter.confidence_interval_survival_function_
    for step in mine[1:]:
        assert step.survival == pytest.approx(fitter.predict(step.time), abs=1e-9)
        if step.low is not None:
            low, high = limits.loc[step.time]
            assert (step.low, step.high) == pytest.approx((low, high), abs=1e-9)
    near = [v for s in mine for v in (s.survival, s.low, s.high) if v is not None and abs(v - 0.5) < 1e-9]
    if near:
        return  # the curve touches one half, and their floats stray to either side of it
    theirs = fitter.median_survival_time_
    assert median(mine) == (None if math.isinf(theirs) else theirs)
    if mine[-1].survival > 0:
        ends = median_survival_times(limits).iloc[0].tolist()
        assert list(median_interval(mine)) == [None if math.isinf(end) else end for end in ends]
    tau = rng.randrange(1, max(2, as_times(found).last + 1))
    area = restricted_mean(as_times(found), mine, tau)
    if area is not None:
        assert area == pytest.approx(restricted_mean_survival_time(fitter, t=tau), abs=1e-6)


@run(max_examples=60, deadline=None)
@given(seeds)
def test_the_log_rank_of_any_number_of_groups_agrees_with_lifelines(seed: int) -> None:
    rng = random.Random(seed)
    groups = [cohort(rng, rng.randrange(4, 40)) for _ in range(rng.randrange(2, 6))]
    mine = log_rank([as_times(group) for group in groups])
    rows = [(t, seen, name) for name, group in enumerate(groups) for t, seen in group]
    theirs = multivariate_logrank_test([t for t, _, _ in rows], [n for _, _, n in rows], [s for _, s, _ in rows])
    if mine is None:
        assert not theirs.test_statistic > 1e-9
        return
    assert mine.chi_square == pytest.approx(theirs.test_statistic, rel=1e-6, abs=1e-9)
    if mine.degrees == len(groups) - 1:
        assert mine.p_value == pytest.approx(theirs.p_value, rel=1e-6, abs=1e-12)


def test_nothing_is_compared_where_nothing_can_be() -> None:
    assert log_rank([]) is None
    assert log_rank([times("1,2,3+")]) is None
    assert log_rank([times("1+,2+"), times("3+,4+")]) is None
    assert log_rank([times("1,2,3"), times("4,5")]) is not None
    assert log_rank([times("1"), times("1")]) is None, "where all have the event at once, nothing varies"


def test_a_group_that_was_never_at_risk_tells_nothing_and_takes_nothing_away() -> None:
    two = log_rank([times("1,2,3,9"), times("2,4,8,12")])
    assert two is not None
    assert log_rank([times("1,2,3,9"), times("0+,0+"), times("2,4,8,12")]) == two


def test_the_tail_of_chi_square_is_scipys() -> None:
    for degrees in range(1, 15):
        for x in (0.0, 0.01, 0.5, 1.0, 3.84, 10.0, 40.0, 200.0):
            assert chi_square_tail(x, degrees) == pytest.approx(chi2.sf(x, degrees), rel=1e-9, abs=1e-14)


@run(max_examples=100, deadline=None)
@given(st.integers(0, 200), st.integers(1, 200))
def test_wilson_is_scipys(n: int, of: int) -> None:
    n = min(n, of)
    theirs = binomtest(n, of).proportion_ci(method="wilson")
    assert wilson(n, of) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert wilson(0, 0) is None


@run(max_examples=60, deadline=None)
@given(seeds)
def test_the_slope_without_censoring_is_theil_and_sens(seed: int) -> None:
    rng = random.Random(seed)
    values = [rng.gauss(20 - 2 * i, 6) for i in range(rng.randrange(5, 15))]
    mine, theirs = censored_slope(values, [True] * len(values), range(len(values))), theilslopes(values)
    assert mine is not None
    assert mine.change == pytest.approx(theirs.slope)
    size = len(values)
    kendall = math.sqrt(size * (size - 1) * (2 * size + 5) / 18)
    pairs = list(combinations(range(size), 2))
    assert _score(values, [True] * size, range(size), pairs, 0.0)[1] == pytest.approx(1.959964 * kendall, rel=1e-6)


def test_the_variance_of_the_slopes_score_is_that_of_all_permutations() -> None:
    values, seen = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6], [True, False, True, True, False, True]
    pairs = list(combinations(range(6), 2))
    scores = [
        _score([values[i] for i in p], [seen[i] for i in p], range(6), pairs, 0.0)[0] for p in permutations(range(6))
    ]
    spread = math.sqrt(sum(s * s for s in scores) / len(scores))
    assert _score(values, seen, range(6), pairs, 0.0)[1] == pytest.approx(1.959964 * spread, rel=1e-6)


def test_the_slope_is_found_through_censored_values_and_its_interval_keeps_its_promise() -> None:
    rng = random.Random(4)
    held = answered = 0
    for _ in range(600):
        truth = [40 - 3 * i + rng.gauss(0, 6) for i in range(8)]
        cut = [rng.uniform(10, 60) for _ in truth]
        slope = censored_slope([min(t, c) for t, c in zip(truth, cut, strict=True)],
                               [t <= c for t, c in zip(truth, cut, strict=True)], range(8))  # fmt: skip
        if slope is not None:
            answered += 1
            held += (slope.low is None or slope.low <= -3) and (slope.high is None or slope.high >= -3)
    assert answered > 550
    assert 0.93 < held / answered < 0.99


def test_a_slope_needs_five_values_and_something_measured() -> None:
    assert censored_slope([9.0, 7.0, 5.0, 3.0], [True] * 4, range(4)) is None
    assert censored_slope([30.0] * 8, [False] * 8, range(8)) is None
    for occasions, change in ((range(5), -10), (range(0, 10, 2), -5)):
        slope = censored_slope([50.0, 40.0, 30.0, 20.0, 10.0], [True] * 5, occasions)
        assert slope is not None
        assert (slope.change, slope.low, slope.high) == (change, change, change)
