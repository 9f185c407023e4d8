"""Published statistics in plain Python: survival curves, their comparison, proportions and slopes. Pure functions."""

from app.statistics.comparison import Comparison, log_rank
from app.statistics.proportions import wilson
from app.statistics.slopes import Slope, censored_slope
from app.statistics.survival import Step, Times, kaplan_meier, median, median_interval, restricted_mean

__all__ = [
    "Comparison",
    "Slope",
    "Step",
    "Times",
    "censored_slope",
    "kaplan_meier",
    "log_rank",
    "median",
    "median_interval",
    "restricted_mean",
    "wilson",
]
