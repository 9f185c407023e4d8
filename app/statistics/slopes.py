"""The change of a right-censored value from one occasion to the next."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

from app.statistics.survival import Z

ENOUGH = 5  # with fewer values no order of them is unlikely enough for a 95% interval


@dataclass(frozen=True, slots=True)
class Slope:
    """The change per occasion, with its 95% interval. A limit is None if the data do not bound it."""

    change: float
    low: float | None
    high: float | None


def censored_slope(values: Sequence[float], is_event: Sequence[bool], occasions: Sequence[int]) -> Slope | None:
    """The Theil-Sen slope of `values` over ascending `occasions`. A value without an event is censored: it is only
    known to be at least that large. A pair counts only if it is known which of its two residuals is larger. The
    interval comes from inverting the test, with the permutation variance. None with fewer than five values, or if no
    slope balances the pairs.

    Sources: Sen 1968 J Am Stat Assoc 63:1379; Akritas, Murphy and LaValley 1995 J Am Stat Assoc 90:170; variance Mantel
    1967 Biometrics 23:65.
    """
    if len(values) < ENOUGH:
        return None
    pairs = list(combinations(range(len(values)), 2))
    slopes = sorted({(values[j] - values[i]) / (occasions[j] - occasions[i]) for i, j in pairs})
    # The score is constant between two neighbouring slopes of pairs and decreases from one such interval to the next.
    # So it is evaluated once in each interval.
    places = [slopes[0] - 1, *((a + b) / 2 for a, b in pairwise(slopes)), slopes[-1] + 1]

    def first(condition: Callable[[int, float], bool]) -> int:
        return bisect_left(
            places, True, key=lambda place: condition(*_score(values, is_event, occasions, pairs, place))
        )

    balanced, below = first(lambda score, _: score <= 0), first(lambda score, _: score < 0)
    if balanced == 0 or below == len(places):
        return None
    low, high = first(lambda score, bound: score <= bound), first(lambda score, bound: score < -bound)
    return Slope(
        change=(slopes[balanced - 1] + slopes[below - 1]) / 2,
        low=slopes[low - 1] if low > 0 else None,
        high=slopes[high - 1] if high < len(places) else None,
    )


def _score(
    values: Sequence[float],
    is_event: Sequence[bool],
    occasions: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    slope: float,
) -> tuple[int, float]:
    """The number of pairs whose later residual is larger, minus the number of those whose later residual is smaller;
    and how far this score may lie from 0 (95%) if the residuals were in random order."""
    size = len(values)
    residuals = [value - slope * at for at, value in zip(occasions, values, strict=True)]
    score, sums, squares = 0, [0] * size, 0
    for i, j in pairs:
        rises = residuals[i] < residuals[j]
        known = is_event[i] if rises else is_event[j]
        sign = (1 if rises else -1) if known else 0
        score += sign
        sums[j] += sign
        sums[i] -= sign
        squares += sign * sign
    # The permutation variance of a sum over pairs. Each term is the product of two signs: that of the order of the
    # occasions and that of the residuals.
    order_sums = sum((size - 1 - 2 * i) ** 2 for i in range(size))
    residual_sums = sum(s * s for s in sums)
    order_squares, residual_squares = size * (size - 1), 2 * squares
    variance = (order_sums - order_squares) * (residual_sums - residual_squares) / (size * (size - 1) * (size - 2))
    variance += order_squares * residual_squares / (2 * size * (size - 1))
    return score, Z * math.sqrt(max(0.0, variance))
