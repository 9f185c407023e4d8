"""Colours, sizes and the time axis that all pictures share.

The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart. Kinds of session
also differ in shape, lines in their dashes, and statuses are named where there is room, so pictures can be read in grey
too. Source: Okabe and Ito 2008, Color Universal Design."""

from datetime import date, datetime, time
from html import escape
from typing import Any
from zoneinfo import ZoneInfo

from app.speech import ENGLISH, Speech
from app.speech import message as _

WIDTH = 760
BLUE, ORANGE, GREEN, PURPLE, GREY, INK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959", "#222222"
DARK_GREEN = "#00664A"  # the same hue, darker, for text on white
YELLOW, SKY, BLACK = "#E69F00", "#56B4E9", "#000000"
SHADES = ("#FFFFFF", "#F6F6F6", "#ECECEC", "#E2E2E2", "#D8D8D8")
LABEL_HEIGHT = 14
_TITLE = 100  # characters that fit into a title
_CHARACTER = 6.2  # the mean width of a character at the size of labels
STATUS_COLOURS = {
    "holding": GREEN,
    "fading": YELLOW,
    "lost": ORANGE,
    "partial_response": SKY,
    "no_response": GREY,
    "awaiting_follow_up": "#D9D9D9",
    "stale": "#BDBDBD",
    "no_baseline": "#F0F0F0",
    "not_evaluable": "#F0F0F0",
}
_DARK = frozenset({"holding", "lost", "no_response"})

Layer = dict[str, Any]


def framed(
    title: str, subtitle: list[str], description: str, *, synthetic: bool, speech: Speech = ENGLISH
) -> dict[str, Any]:
    """The parts of a specification that all pictures have. `description` is the text alternative."""
    if synthetic:
        title = speech.translated(_("SYNTHETIC DATA, nobody real: %(title)s")) % {"title": title}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": title,
            "subtitle": subtitle,
            "anchor": "start",
            "fontSize": 14,
            "subtitleColor": GREY,
            "subtitleFontSize": 11,
            "offset": 12,
        },
        "description": description,
        "background": "white",
        "padding": {"left": 8, "top": 8, "right": 8, "bottom": 8},
        "config": {
            "font": "sans-serif",
            "axis": {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontWeight": "normal"},
            "view": {"stroke": "#999999"},
            "legend": {"orient": "top", "title": None, "labelFontSize": 11, "symbolSize": 70},
            **({} if speech is ENGLISH else {"locale": {"time": speech.calendar(), "number": speech.digits()}}),
        },
    }


def with_alternative(svg: str, name: str, description: str) -> str:
    """The SVG with role `img`, a title and a text alternative, for people who cannot see it."""
    opening, rest = svg.split(">", 1)
    labels = f'<title id="title">{escape(name)}</title><desc id="description">{escape(description)}</desc>'
    return f'{opening} role="img" aria-labelledby="title description">{labels}{rest}'


def time_axis(first: date, last: date, *, labelled: bool = True) -> Layer:
    """The x encoding of the days of a picture, with a little space on both sides."""
    days = (last - first).days
    # For short spans whole-day steps, so that no date appears twice.
    ticks: int | dict[str, Any] = 8 if days > 16 else {"interval": "day", "step": 1 + days // 8}
    axis: dict[str, Any] = {"title": None, "grid": False, "tickCount": ticks}
    if labelled:
        one_year = first.year == last.year
        axis |= {"labelOverlap": "greedy", "labelSeparation": 12, "format": "%-d %b" if one_year else "%-d %b %Y"}
    else:
        axis |= {"labels": False, "ticks": False, "domain": False}
    start, end = span(first, last)
    # Not `domain`: layers with an end of their own (`x2`) repeat it as a signal, and Vega-Lite warns of a conflict.
    limits = {"domainMin": {"expr": f"toDate('{start}')"}, "domainMax": {"expr": f"toDate('{end}')"}}
    scale = {"type": "utc", **limits, "nice": False}
    return {"field": "at", "type": "temporal", "scale": scale, "axis": axis}


def span(first: date, last: date) -> tuple[str, str]:
    """The start and the end of the time axis."""
    room = (last - first) / 60
    return instant(datetime.combine(first, time()) - room), instant(datetime.combine(last, time(23, 59)) + room)


def place(day: date, first: date, last: date) -> float:
    """How far right the start of a day is, in pixels."""
    start, end = (datetime.fromisoformat(end).replace(tzinfo=None) for end in span(first, last))
    return WIDTH * (datetime.combine(day, time()) - start) / (end - start)


def local(moment: datetime, zone: ZoneInfo) -> str:
    """The local time in the clinic's zone, written as if it were UTC, because specifications use a UTC scale."""
    return instant(moment.astimezone(zone).replace(tzinfo=None))


def midnight(day: date) -> str:
    return instant(datetime.combine(day, time()))


def instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds") + "Z"


def width_of(text: str) -> float:
    """About how wide a label is, in pixels."""
    return len(text) * _CHARACTER


def titled(title: str, *whose: str | None) -> str:
    """A title with whose picture it is. Long names are cut: a title must not be wider than the picture."""
    longest = (_TITLE - len(title)) // max(1, len(whose))
    return " · ".join([title, *(shortened(name, longest) for name in whose if name)])


def shortened(text: str, longest: int) -> str:
    """A text of at most so many characters; one that is cut ends in an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def ink_on(status: str) -> str:
    """The colour of a label on a status."""
    return "white" if status in _DARK else INK


def spread(wanted: list[float], low: float, high: float) -> list[float]:
    """Places for labels at these heights, in their order, at least a label apart and within bounds as far as they
    fit."""
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    found = [0.0] * len(wanted)
    floor = low
    for index in order:
        found[index] = floor = max(wanted[index], floor)
        floor += LABEL_HEIGHT
    ceiling = high
    for index in reversed(order):
        found[index] = min(found[index], ceiling)
        ceiling = found[index] - LABEL_HEIGHT
    return found
