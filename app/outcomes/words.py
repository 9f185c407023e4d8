"""The trend in words: what its picture says, for those who do not see it. Made from the answer alone."""

from datetime import date
from itertools import pairwise

from app.outcomes.models import TrendOut

_DIRECTIONS = {"lower_is_better": "lower is better", "higher_is_better": "higher is better"}
_STATUSES = {
    "no_baseline": "no baseline",
    "not_evaluable": "not evaluable",
    "awaiting_follow_up": "awaiting follow-up",
    "partial_response": "partial response",
    "no_response": "no response",
    "not_started": "before the first session",
}
LONG_GAP_DAYS = 35


def described(trend: TrendOut, name: str) -> str:
    """Span, scores, lines, sessions, the latest score with its status, and gaps."""
    parts = [_scores(trend, name), _lines(trend), _sessions(trend), _latest(trend), _gaps(trend)]
    return " ".join(part for part in parts if part)


def day_in_words(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def _scores(trend: TrendOut, name: str) -> str:
    scale = f"{name}, {trend.min} to {trend.max}, {_DIRECTIONS[trend.direction]}"
    if not trend.points:
        return f"{scale}. No scores up to {day_in_words(trend.to_on)}."
    if len(trend.points) == 1:
        only = trend.points[0]
        return f"{scale}. One score: {only.value} on {day_in_words(only.day)}."
    values = [point.value for point in trend.points]
    first, last = trend.points[0], trend.points[-1]
    span = f"from {day_in_words(first.day)} to {day_in_words(last.day)}"
    return f"{scale}. {len(values)} scores {span}, between {min(values)} and {max(values)}, the first {first.value}."


def _lines(trend: TrendOut) -> str:
    lines = []
    if trend.baseline is not None:
        lines.append(f"baseline {trend.baseline.value}")
    if trend.response_line is not None:
        lines.append(f"response line {trend.response_line}")
    if trend.remission_line is not None:
        lines.append(f"remission line {trend.remission_line}")
    return f"{', '.join(lines).capitalize()}." if lines else ""


def _sessions(trend: TrendOut) -> str:
    if not trend.sessions:
        return "No sessions."
    kinds = [session.kind for session in trend.sessions]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    last = day_in_words(trend.sessions[-1].day)
    return (
        f"One session ({counted}), on {last}."
        if len(kinds) == 1
        else f"{len(kinds)} sessions ({counted}), the last on {last}."
    )


def _latest(trend: TrendOut) -> str:
    if len(trend.points) < 2:
        return ""
    latest = trend.points[-1]
    status = "" if latest.status is None else f", {_STATUSES.get(latest.status, latest.status)}"
    return f"The latest is {latest.value}{status}."


def _gaps(trend: TrendOut) -> str:
    days = [point.day for point in trend.points]
    gaps = [(a, b) for a, b in pairwise(days) if (b - a).days > LONG_GAP_DAYS]
    silent = (trend.to_on - days[-1]).days if days else 0
    found = [f"No score between {day_in_words(a)} and {day_in_words(b)}." for a, b in gaps[:3]]
    if len(gaps) > 3:
        found.append(f"{len(gaps) - 3} more such gaps.")
    if silent > LONG_GAP_DAYS:
        found.append(f"No score since {day_in_words(days[-1])}.")
    return " ".join(found)
