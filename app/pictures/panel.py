"""One instrument over time: bands, lines and sessions around its scores."""

from collections.abc import Iterator
from datetime import date
from itertools import pairwise, zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from app.pictures.scores import buckets_drawn, scores_drawn
from app.pictures.style import (
    BLUE,
    DARK_GREEN,
    GREEN,
    GREY,
    INK,
    PURPLE,
    SHADES,
    WIDTH,
    Layer,
    local,
    midnight,
    span,
    spread,
    time_axis,
)
from app.speech import Speech
from app.speech import message as _
from app.trend.models import TrendOut

KINDS = {"induction": ("triangle-down", INK), "maintenance": ("diamond", PURPLE), "booster": ("circle", BLUE)}
STRIP_HEIGHT = 16
_MANY = 150
_AXIS_LABELS = 34  # how far left of the plot the names of bands end, to leave room for the scores


def panel(
    trend: TrendOut, zone: ZoneInfo, first: date, last: date, height: int, speech: Speech, *, is_last: bool
) -> dict[str, Any]:
    """The panel of a trend, with times in the clinic's zone, between two days. `is_last`: the dates stand under it."""
    start, end = span(first, last)
    layers = [
        *_bands(trend, start, end, speech),
        *_marks(trend, zone, height, speech),
        *_lines(trend, start, end, height, speech),
        *(buckets_drawn(trend, speech) if trend.buckets else scores_drawn(trend, zone, speech)),
        *_nothing(trend, height, speech),
    ]
    y = {"domain": [trend.min, trend.max], "nice": False, "zero": False}
    ticks = 6 if height > 200 else 4
    return {
        "width": WIDTH,
        "height": height,
        "encoding": {
            "x": time_axis(first, last, labelled=is_last),
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": y,
                "axis": {"title": None, "grid": False, "tickCount": ticks},
            },
        },
        "layer": layers or [{"data": {"values": [{}]}, "mark": {"type": "point", "opacity": 0}}],
    }


def _bands(trend: TrendOut, start: str, end: str, speech: Speech) -> Iterator[Layer]:
    """Severity bands over the whole width, darker where worse, with their names beside them. Adjacent bands meet
    halfway between their scores."""
    if not trend.bands:
        return
    edges = [trend.min, *((a.max + b.min) / 2 for a, b in pairwise(trend.bands)), trend.max]
    worst_last = trend.direction == "lower_is_better"
    values = []
    for index, (band, (low, high)) in enumerate(zip(trend.bands, pairwise(edges), strict=True)):
        depth = index if worst_last else len(trend.bands) - 1 - index
        shade = SHADES[min(depth, len(SHADES) - 1)]
        label = speech.translated(band.label)
        values.append({"label": label, "low": low, "high": high, "middle": (low + high) / 2, "shade": shade})
    data = {"values": [{**value, "at": start, "end": end} for value in values]}
    yield {
        "data": data,
        "mark": {"type": "rect", "aria": False},
        "encoding": {
            "x2": {"field": "end"},
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "color": {"field": "shade", "type": "nominal", "scale": None},
        },
    }
    yield {
        "data": data,
        "mark": {"type": "text", "align": "right", "dx": -_AXIS_LABELS, "color": GREY, "fontSize": 11, "aria": False},
        "encoding": {
            "x": {"value": 0},
            "y": {"field": "middle", "type": "quantitative"},
            "text": {"field": "label"},
        },
    }


def _marks(trend: TrendOut, zone: ZoneInfo, height: int, speech: Speech) -> Iterator[Layer]:
    """A thin line for each session, with a symbol of its kind on top."""
    if not trend.sessions:
        return
    on_day = speech.translated(_("%(kind)s session on %(day)s"))
    values = [
        {
            "at": local(s.started_at, zone),
            "shape": KINDS[s.kind][0],
            "colour": KINDS[s.kind][1],
            "said": on_day % {"kind": speech.code(s.kind), "day": speech.day(s.day)},
        }
        for s in trend.sessions
    ]
    yield {
        "data": {"values": values},
        "mark": {"type": "rule", "color": "#8C8C8C", "strokeWidth": 0.6, "opacity": 0.7, "aria": False},
        "encoding": {"y": {"value": 0}, "y2": {"value": height}},
    }
    yield {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1, "clip": False},
        "encoding": {
            "y": {"value": -8},
            "color": {"field": "colour", "type": "nominal", "scale": None},
            "shape": {"field": "shape", "type": "nominal", "scale": None},
            "description": {"field": "said"},
        },
    }


def _lines(trend: TrendOut, start: str, end: str, height: int, speech: Speech) -> Iterator[Layer]:
    """The response line of each episode, from its first session to the first session of the next episode, and the
    remission line over the whole width. Lines that reach the right edge are labelled outside the plot, where no score
    can be, in the order in which they lie."""
    values: list[dict[str, Any]] = []
    for episode, following in zip_longest(trend.episodes, trend.episodes[1:]):
        begins = max(start, midnight(episode.first_session_on))
        ends = end if following is None else min(end, midnight(following.first_session_on))
        if episode.response_line is not None and begins < ends:
            label = speech.translated(_("response %(value)s")) % {"value": speech.number(episode.response_line)}
            values.append(
                {"at": begins, "end": ends, "value": episode.response_line, "label": label, "ink": DARK_GREEN}
            )
    remission = []
    if trend.remission_line is not None:
        label = speech.translated(_("remission %(value)s")) % {"value": speech.number(trend.remission_line)}
        remission = [{"at": start, "end": end, "value": trend.remission_line, "label": label, "ink": BLUE}]
    yield from _rules(values, GREEN, [7, 4])
    yield from _rules(remission, BLUE, [2, 3])
    text = {"type": "text", "fontSize": 11, "fontWeight": "bold", "clip": False, "aria": False}
    inside = [value for value in values if value["end"] != end]
    outside = [value for value in (*values, *remission) if value["end"] == end]
    colour = {"field": "ink", "type": "nominal", "scale": None}
    if inside:
        yield {
            "data": {"values": inside},
            "mark": {**text, "align": "right", "dy": -7},
            "encoding": {
                "x": {"field": "end", "type": "temporal"},
                "text": {"field": "label"},
                "color": colour,
            },
        }
    heights = spread([height * (trend.max - v["value"]) / (trend.max - trend.min) for v in outside], 0, height)
    for value, at in zip(outside, heights, strict=True):
        yield {
            "data": {"values": [value]},
            "mark": {**text, "align": "left", "dx": 6},
            "encoding": {"x": {"value": WIDTH}, "y": {"value": at}, "text": {"field": "label"}, "color": colour},
        }


def _rules(values: list[dict[str, Any]], colour: str, dash: list[int]) -> Iterator[Layer]:
    if values:
        yield {
            "data": {"values": values},
            "mark": {"type": "rule", "color": colour, "strokeDash": dash, "strokeWidth": 1.5},
            "encoding": {"x2": {"field": "end"}, "description": {"field": "label"}},
        }


def _nothing(trend: TrendOut, height: int, speech: Speech) -> Iterator[Layer]:
    if not trend.points:
        text = speech.translated(_("no scores yet") if trend.from_on is None else _("no scores in these days"))
        yield {
            "data": {"values": [{"text": text}]},
            "mark": {"type": "text", "fontSize": 14, "color": GREY},
            "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": height / 2}, "text": {"field": "text"}},
        }
