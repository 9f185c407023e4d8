"""The trend in words, for people who cannot see the picture. Made from the response body alone."""

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from app.events.models import HappenedOut
from app.relief import STALE_AFTER_DAYS
from app.trend.models import TrendBandOut, TrendOut

_MOST_RUNS = 6
_DIRECTIONS = {"lower_is_better": "lower is better", "higher_is_better": "higher is better"}


def described(trend: TrendOut, name: str) -> str:
    """Describes the scale and bands, the scores, lines, sessions, what else happened, gaps and statuses."""
    happened = happened_in_words(trend.events)
    parts = [_scale(trend, name), _scores(trend), _lines(trend), _sessions(trend), happened, _gaps(trend)]
    parts += [_runs(trend), _status(trend)]
    return " ".join(part for part in parts if part)


def day_in_words(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"


def happened_in_words(events: Sequence[HappenedOut]) -> str:
    """What else happened, by day; empty where nothing did."""
    told = ", ".join(f"{one.label or one.kind.replace('_', ' ')} on {day_in_words(one.on)}" for one in events)
    return f"What else happened: {told}." if told else ""


def _runs(trend: TrendOut) -> str:
    """The last runs of days with one status."""
    shown = trend.statuses[-_MOST_RUNS:]
    if len(trend.statuses) < 2:
        return ""
    told = "; ".join(f"{run.status.replace('_', ' ')} from {day_in_words(run.from_on)}" for run in shown)
    return f"Day by day: {told}."


def _scale(trend: TrendOut, name: str) -> str:
    bands = ", ".join(_band(band) for band in trend.bands)
    return f"{name}, {trend.min:g} to {trend.max:g}, {_DIRECTIONS[trend.direction]}{f' ({bands})' if bands else ''}."


def _band(band: TrendBandOut) -> str:
    return f"{band.label} {band.min:g}" + (f" to {band.max:g}" if band.max > band.min else "")


def _scores(trend: TrendOut) -> str:
    if not trend.points:
        since = "" if trend.from_on is None else f" from {day_in_words(trend.from_on)}"
        return f"No scores{since} to {day_in_words(trend.to_on)}."
    values = [point.value for point in trend.points]
    first, last = trend.points[0], trend.points[-1]
    if len(values) == 1:
        return f"One score: {first.value:g} on {day_in_words(first.day)}."
    span = f"on {day_in_words(first.day)}"
    if first.day != last.day:
        span = f"from {day_in_words(first.day)} to {day_in_words(last.day)}"
    between = f"between {min(values):g} and {max(values):g}"
    return f"{len(values)} scores {span}, {between}, the first {first.value:g}, the latest {last.value:g}."


def _lines(trend: TrendOut) -> str:
    if trend.status is None and trend.response_line is None:  # a screening instrument has neither baseline nor lines
        return ""
    found = []
    for episode in trend.episodes:
        told = [
            *([f"baseline {episode.baseline:g}"] if episode.baseline is not None else ["no baseline"]),
            *([f"response line {episode.response_line:g}"] if episode.response_line is not None else []),
        ]
        whose = (
            ""
            if len(trend.episodes) == 1
            else f"Episode {episode.number}, from {day_in_words(episode.first_session_on)}: "
        )
        found.append(f"{whose}{', '.join(told)}")
    if trend.remission_line is not None:
        found.append(f"remission line {trend.remission_line:g}")
    return " ".join(f"{text[0].upper()}{text[1:]}." for text in found)


def _sessions(trend: TrendOut) -> str:
    if not trend.sessions:
        return "No session in these days." if trend.episodes else "No sessions."
    kinds = [session.kind for session in trend.sessions]
    counted = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    last = day_in_words(trend.sessions[-1].day)
    if len(kinds) == 1:
        return f"One session ({counted}), on {last}."
    return f"{len(kinds)} sessions ({counted}), the last on {last}."


def _status(trend: TrendOut) -> str:
    """The status on the last day; if stale or awaiting, "last known" is that at the latest reading that counted."""
    if trend.status is None:
        return ""
    status = trend.status.replace("_", " ")
    known = "" if trend.last_known is None else f", last known {trend.last_known.replace('_', ' ')}"
    return f"Status on {day_in_words(trend.to_on)}: {status}{known}."


def _gaps(trend: TrendOut) -> str:
    days = [point.day for point in trend.points]
    gaps = [(a, b) for a, b in pairwise(days) if (b - a).days > STALE_AFTER_DAYS]
    silent = (trend.to_on - days[-1]).days if days else 0
    found = [f"No score between {day_in_words(a)} and {day_in_words(b)}." for a, b in gaps[:3]]
    if len(gaps) > 3:
        found.append(f"{len(gaps) - 3} more such gaps.")
    if silent > STALE_AFTER_DAYS:
        found.append(f"No score since {day_in_words(days[-1])}.")
    return " ".join(found)
