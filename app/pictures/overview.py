"""Mood, anxiety and pain over one time axis, with sessions, statuses and what else happened."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

from app.events.models import HappenedOut
from app.instruments import INSTRUMENTS
from app.pictures.key import key, signs_of
from app.pictures.lane import lane, without_room
from app.pictures.panel import panel
from app.pictures.scores import notes
from app.pictures.strip import strip
from app.pictures.style import GREY, WIDTH, framed, titled
from app.pictures.trend import Heading, answered, days_shown, ends_said, stacked, without_line
from app.speech import Speech
from app.speech import message as _
from app.trend.models import TrendOut
from app.trend.words import happened_in_words

_HEIGHT = 110
_HEAD_HEIGHT = 16


def overview_picture(
    trends: Mapping[str, TrendOut],
    missing: Sequence[str],
    events: Sequence[HappenedOut],
    days: tuple[date, date],
    heading: Heading,
    *,
    is_whole: bool,
) -> dict[str, Any]:
    """The specification of a patient's domains, by the instrument that answers for each; `missing` are those without a
    score. All share the axis of `days`; `is_whole`: these are all days up to today."""
    first, last = days
    speech = heading.speech
    absent = speech.translated(_("no scores yet") if is_whole else _("no scores in these days"))
    signs = signs_of(trends.values(), speech)
    parts: list[Callable[..., dict[str, Any]]] = [partial(key, signs)] if signs else []
    for domain, trend in trends.items():
        parts.append(partial(_head, domain, trend, heading))
        parts.append(partial(panel, trend, heading.zone, first, last, _HEIGHT, speech))
        if trend.statuses:
            parts.append(partial(strip, trend, first, last, speech))
    if events:
        parts.append(partial(lane, events, first, last, speech))
    lines = [days_shown(first, last, heading)]
    if missing:
        lines[0] += f" · {_lacking(absent, missing, speech)}"
    told = [note for trend in trends.values() for note in notes(trend, speech)]
    lines += ["; ".join(dict.fromkeys(told))] if told else []
    lines += without_room(events, first, last, speech)
    return {
        **framed(
            titled(speech.translated(_("Overview")), heading.label, heading.clinic),
            lines,
            described(trends, missing, events, absent, speech),
            synthetic=heading.synthetic,
            speech=speech,
        ),
        "vconcat": stacked(parts) or [_nothing(absent)],
        "spacing": 10,
        "bounds": "flush",
    }


def described(
    trends: Mapping[str, TrendOut], missing: Sequence[str], events: Sequence[HappenedOut], absent: str, speech: Speech
) -> str:
    """The overview in words: what each domain's picture shows, and what else happened."""
    parts = [f"{speech.code(domain).capitalize()}: {trend.description}" for domain, trend in trends.items()]
    if missing:
        parts.append(f"{_lacking(absent.capitalize(), missing, speech)}.")
    parts += [happened] if (happened := happened_in_words(events, speech)) else []
    return " ".join(parts) or f"{absent.capitalize()}."


def _lacking(absent: str, missing: Sequence[str], speech: Speech) -> str:
    return f"{absent}: {', '.join(map(speech.code, missing))}"


def _nothing(absent: str) -> dict[str, Any]:
    return {
        "width": WIDTH,
        "height": _HEIGHT,
        "data": {"values": [{"text": absent}]},
        "mark": {"type": "text", "fontSize": 14, "color": GREY},
        "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": _HEIGHT / 2}, "text": {"field": "text"}},
    }


def _head(domain: str, trend: TrendOut, heading: Heading, *, is_last: bool) -> dict[str, Any]:
    """The name of a domain's panel, with its status and why it has no line."""
    del is_last  # never: a panel follows
    speech = heading.speech
    said = [f"{speech.code(domain).capitalize()}: {speech.translated(INSTRUMENTS[trend.instrument].name)}"]
    if trend.status is not None:
        said.append(speech.code(trend.status))
    said += [*ends_said(trend, speech), *answered(trend, heading)]
    said += [why] if (why := without_line(trend, speech)) else []
    return {
        "width": WIDTH,
        "height": _HEAD_HEIGHT,
        "view": {"stroke": None},
        "data": {"values": [{"text": " · ".join(said)}]},
        "mark": {"type": "text", "align": "left", "fontSize": 12, "fontWeight": "bold", "color": GREY},
        "encoding": {"x": {"value": 0}, "y": {"value": 0}, "text": {"field": "text"}},
    }
