"""Proportions."""

import math

from app.statistics.survival import Z


def wilson(successes: int, trials: int) -> tuple[float, float] | None:
    """The 95% score interval of a proportion, from 0 to 1; None if there are no trials.

    Source: Wilson 1927 J Am Stat Assoc 22:209.
    """
    if trials == 0:
        return None
    share, scale = successes / trials, 1 + Z * Z / trials
    centre = (share + Z * Z / (2 * trials)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return low, high
