"""The picture of a trend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS
from app.pictures.key import key, signs_of
from app.pictures.lane import lane, without_room
from app.pictures.panel import panel
from app.pictures.scores import notes
from app.pictures.strip import strip
from app.pictures.style import framed, titled
from app.trend.models import TrendOut
from app.trend.words import day_in_words

_HEIGHT = 300
_SPACING = 8


@dataclass(frozen=True, slots=True)
class Heading:
    """Whose picture it is (the label, where the caller may see it), of which clinic, and on which day it is drawn."""

    label: str | None
    clinic: str
    zone: ZoneInfo
    today: date
    synthetic: bool


def trend_picture(trend: TrendOut, heading: Heading) -> dict[str, Any]:
    """The Vega-Lite 5 specification of a trend, with times in the clinic's zone. The field `description` is the text
    alternative."""
    first, last = trend.from_on or trend.to_on, trend.to_on
    name = INSTRUMENTS[trend.instrument].name
    direction = "lower is better" if trend.direction == "lower_is_better" else "higher is better"
    signs = signs_of([trend])
    parts: list[Callable[..., dict[str, Any]]] = [partial(key, signs)] if signs else []
    parts.append(partial(panel, trend, heading.zone, first, last, _HEIGHT))
    parts += [partial(strip, trend, first, last)] if trend.statuses else []
    parts += [partial(lane, trend.events, first, last)] if trend.events else []
    return {
        **framed(
            titled(f"{name} ({direction})", heading.label, heading.clinic),
            _subtitle(trend, heading),
            trend.description,
            synthetic=heading.synthetic,
        ),
        "vconcat": stacked(parts),
        "spacing": _SPACING,
        "bounds": "flush",
    }


def stacked(parts: Sequence[Callable[..., dict[str, Any]]]) -> list[dict[str, Any]]:
    """Parts, one under the other, over one time axis; the last one has the dates."""
    return [part(is_last=index == len(parts) - 1) for index, part in enumerate(parts)]


def _subtitle(trend: TrendOut, heading: Heading) -> list[str]:
    first, last = day_in_words(trend.from_on or trend.to_on), day_in_words(trend.to_on)
    shown = last if trend.to_on != heading.today else f"today, {last}"
    days = [f"{first} to {shown}" if first != last else shown]
    numbers = []
    if trend.baseline is not None:
        numbers.append(f"baseline {trend.baseline.value:g}")
    if trend.latest is not None:
        numbers.append(f"latest {trend.latest.value:g}")
    lines = [" · ".join([*days, *numbers, *answered(trend, heading.today)])]
    if why := without_line(trend):
        lines.append(why)
    if signs := notes(trend):
        lines.append(signs)
    return lines + without_room(trend.events, trend.from_on or trend.to_on, trend.to_on)


def answered(trend: TrendOut, today: date) -> list[str]:
    """How long ago the last answer was, where the picture goes up to today."""
    if not trend.points or trend.to_on != today:
        return []
    days = (today - trend.points[-1].day).days
    return ["last answer today" if days == 0 else f"last answer {days} day{'' if days == 1 else 's'} ago"]


def without_line(trend: TrendOut) -> str:
    """Why a picture has no response line; empty where it has one, or where nothing is said of verdicts."""
    if trend.response_line is not None or trend.status is None:  # a screen, or a patient who is shown no verdicts
        return ""
    if not trend.episodes:
        return "no response line: no session yet"
    if trend.baseline is None:
        return "no response line: no score in the 28 days up to the first session, so no baseline"
    return f"no response line: the baseline of {trend.baseline.value:g} is milder than the entry line (not evaluable)"
