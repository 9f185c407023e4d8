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
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.trend.models import TrendOut
from app.trend.words import DIRECTIONS

_HEIGHT = 300
_SPACING = 8


@dataclass(frozen=True, slots=True)
class Heading:
    """Whose picture it is (the label, where the caller may see it), of which clinic, on which day it is drawn, and how
    it says things."""

    label: str | None
    clinic: str
    zone: ZoneInfo
    today: date
    synthetic: bool
    speech: Speech = ENGLISH


def trend_picture(trend: TrendOut, heading: Heading) -> dict[str, Any]:
    """The Vega-Lite 5 specification of a trend, with times in the clinic's zone. The field `description` is the text
    alternative."""
    first, last = trend.from_on or trend.to_on, trend.to_on
    speech = heading.speech
    name = speech.translated(INSTRUMENTS[trend.instrument].name)
    direction = speech.translated(DIRECTIONS[trend.direction])
    signs = signs_of([trend], speech)
    parts: list[Callable[..., dict[str, Any]]] = [partial(key, signs)] if signs else []
    parts.append(partial(panel, trend, heading.zone, first, last, _HEIGHT, speech))
    parts += [partial(strip, trend, first, last, speech)] if trend.statuses else []
    parts += [partial(lane, trend.events, first, last, speech)] if trend.events else []
    return {
        **framed(
            titled(f"{name} ({direction})", heading.label, heading.clinic),
            _subtitle(trend, heading),
            trend.description,
            synthetic=heading.synthetic,
            speech=speech,
        ),
        "vconcat": stacked(parts),
        "spacing": _SPACING,
        "bounds": "flush",
    }


def _subtitle(trend: TrendOut, heading: Heading) -> list[str]:
    speech, first = heading.speech, trend.from_on or trend.to_on
    days = days_shown(first, trend.to_on, heading)
    lines = [" · ".join([days, *ends_said(trend, speech), *answered(trend, heading)])]
    if why := without_line(trend, speech):
        lines.append(why)
    if signs := notes(trend, speech):
        lines.append("; ".join(signs))
    return lines + without_room(trend.events, first, trend.to_on, speech)


def days_shown(first: date, last: date, heading: Heading) -> str:
    """From when to when a picture is."""
    speech, shown = heading.speech, heading.speech.day(last)
    if last == heading.today:
        shown = speech.translated(_("today, %(day)s")) % {"day": shown}
    if first == last:
        return shown
    return speech.translated(_("%(first)s to %(last)s")) % {"first": speech.day(first), "last": shown}


def ends_said(trend: TrendOut, speech: Speech) -> list[str]:
    """The baseline and the latest score."""
    found = []
    if trend.baseline is not None:
        found.append(speech.translated(_("baseline %(value)s")) % {"value": speech.number(trend.baseline.value)})
    if trend.latest is not None:
        found.append(speech.translated(_("latest %(value)s")) % {"value": speech.number(trend.latest.value)})
    return found


def stacked(parts: Sequence[Callable[..., dict[str, Any]]]) -> list[dict[str, Any]]:
    """Parts, one under the other, over one time axis; the last one has the dates."""
    return [part(is_last=index == len(parts) - 1) for index, part in enumerate(parts)]


def answered(trend: TrendOut, heading: Heading) -> list[str]:
    """How long ago the last answer was, where the picture goes up to today."""
    if not trend.points or trend.to_on != heading.today:
        return []
    ago = heading.speech.days_ago((heading.today - trend.points[-1].day).days)
    return [heading.speech.translated(_("last answer %(ago)s")) % {"ago": ago}]


def without_line(trend: TrendOut, speech: Speech) -> str:
    """Why a picture has no response line; empty where it has one, or where nothing is said of verdicts."""
    if trend.response_line is not None or trend.status is None:  # a screen, or a patient who is shown no verdicts
        return ""
    if not trend.episodes:
        return speech.translated(_("no response line: no session yet"))
    if trend.baseline is None:
        none = _("no response line: no score in the 28 days up to the first session, so no baseline")
        return speech.translated(none)
    mild = _("no response line: the baseline of %(value)s is milder than the entry line (not evaluable)")
    return speech.translated(mild) % {"value": speech.number(trend.baseline.value)}
