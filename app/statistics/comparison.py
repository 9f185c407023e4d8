"""Comparing survival between groups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from app.statistics.survival import Times


@dataclass(frozen=True, slots=True)
class Comparison:
    """A log-rank test: each group's observed and expected events, chi-square and its degrees of freedom."""

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    chi_square: float
    degrees: int
    p_value: float


def log_rank(groups: Sequence[Times]) -> Comparison | None:
    """The log-rank test over any number of disjoint groups, with the hypergeometric covariance. Groups with nobody at
    risk at the first event contribute nothing and are left out (as in R's survdiff). None if fewer than two groups are
    left, or if the covariance matrix is singular.

    Sources: Mantel 1966 Cancer Chemother Rep 50:163; Peto and Peto 1972 J R Stat Soc A 135:185.
    """
    first_event = min((time for group in groups for time in group.events), default=None)
    groups = [group for group in groups if first_event is not None and group.at_risk(first_event)]
    k = len(groups)
    at_risk = [group.size for group in groups]
    observed, expected = [0] * k, [0.0] * k
    covariance = [[0.0] * k for _ in range(k)]
    for time in sorted({time for group in groups for time in (*group.events, *group.censored)}):
        events = [group.events.get(time, 0) for group in groups]
        total, dead = sum(at_risk), sum(events)
        if dead:
            spread = dead * (total - dead) / (total - 1) if total > 1 else 0.0
            shares = [n / total for n in at_risk]
            for i in range(k):
                observed[i] += events[i]
                expected[i] += dead * shares[i]
                for j in range(k):
                    covariance[i][j] += spread * shares[i] * ((i == j) - shares[j])
        at_risk = [n - d - g.censored.get(time, 0) for n, d, g in zip(at_risk, events, groups, strict=True)]
    differences = [o - e for o, e in zip(observed, expected, strict=True)][:-1]
    solved = _solve([row[:-1] for row in covariance[:-1]], differences)
    if solved is None:
        return None
    chi_square = sum(d * s for d, s in zip(differences, solved, strict=True))
    return Comparison(tuple(observed), tuple(expected), chi_square, k - 1, chi_square_tail(chi_square, k - 1))


def chi_square_tail(x: float, degrees: int) -> float:
    """The probability that chi-square exceeds `x`. Source: Abramowitz and Stegun 1964, 26.4.4, 26.4.5."""
    if x <= 0:
        return 1.0
    half = x / 2
    if degrees % 2:
        tail, shape = math.erfc(math.sqrt(half)), 0.5
    else:
        tail, shape = math.exp(-half), 1.0
    while shape < degrees / 2:
        tail += math.exp(shape * math.log(half) - half - math.lgamma(shape + 1))
        shape += 1
    return min(tail, 1.0)


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float] | None:
    """Solves a small linear system by elimination with pivoting; None if it has no unique solution."""
    size = len(right)
    if size == 0:
        return None
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda r: abs(rows[r][column]))
        if abs(rows[pivot][column]) < 1e-12:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(size):
            if row != column:
                factor = rows[row][column] / rows[column][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [rows[i][size] / rows[i][i] for i in range(size)]
