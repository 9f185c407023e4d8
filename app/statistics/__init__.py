"""Published statistics in plain Python: survival curves, their comparison, proportions and slopes. Pure functions."""

from app.statistics.comparison import Comparison, log_rank
from app.statistics.incidence import IncidenceStep, cumulative_incidence
from app.statistics.proportions import wilson, wilson_of_share
from app.statistics.slopes import Slope, censored_slope
from app.statistics.survival import (
    Step,
    Times,
    Z,
    kaplan_meier,
    median,
    median_interval,
    restricted_mean,
    restricted_mean_variance,
)

__all__ = [
    "Comparison",
    "IncidenceStep",
    "Slope",
    "Step",
    "Times",
    "Z",
    "censored_slope",
    "cumulative_incidence",
    "kaplan_meier",
    "log_rank",
    "median",
    "median_interval",
    "restricted_mean",
    "restricted_mean_variance",
    "wilson",
    "wilson_of_share",
]
