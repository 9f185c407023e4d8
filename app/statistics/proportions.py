"""Proportions."""

import math

from app.statistics.survival import Z


def wilson(successes: int, trials: int) -> tuple[float, float] | None:
    """The 95% score interval of a proportion, from 0 to 1; None if there are no trials.

    Source: Wilson 1927 J Am Stat Assoc 22:209.
    """
    return None if trials == 0 else wilson_of_share(successes / trials, trials)


def wilson_of_share(share: float, trials: float) -> tuple[float, float]:
    """The 95% score interval of a share, 0 to 1, that rests on a number of trials, which need not be whole.

    Sources: Wilson 1927 J Am Stat Assoc 22:209; for an estimate of survival with its effective number of trials,
    Rothman 1978 J Chronic Dis 31:557.
    """
    scale = 1 + Z * Z / trials
    centre = (share + Z * Z / (2 * trials)) / scale
    half = Z / scale * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    low = 0.0 if share == 0 else centre - half
    high = 1.0 if share == 1 else centre + half
    return low, high
