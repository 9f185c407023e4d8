"""One instrument's scores over time, with bands, lines and sessions; and the strip of its statuses."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from app.pictures.style import (
    BLUE,
    DARK_GREEN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SHADES,
    STATUS_COLOURS,
    WIDTH,
    Layer,
    ink_on,
    instant,
    local,
    midnight,
    place,
    span,
    spread,
    time_axis,
    width_of,
)
from app.relief import STALE_AFTER_DAYS
from app.trend.models import TrendOut
from app.trend.words import day_in_words

KINDS = {"induction": ("triangle-down", INK), "maintenance": ("diamond", PURPLE), "booster": ("square", ORANGE)}
STRIP_HEIGHT = 16
_MANY = 150
_AXIS_LABELS = 34  # how far left of the plot the names of bands end, to leave room for the scores


def panel(trend: TrendOut, zone: ZoneInfo, first: date, last: date, height: int, *, is_last: bool) -> dict[str, Any]:
    """The panel of a trend, with times in the clinic's zone, between two days. `is_last`: the dates stand under it."""
    start, end = span(first, last)
    layers = [
        *_bands(trend, start, end),
        *_marks(trend, zone, height),
        *_lines(trend, start, end, height),
        *(_buckets(trend) if trend.buckets else _scores(trend, zone)),
        *_nothing(trend, height),
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


def strip(trend: TrendOut, first: date, last: date, *, is_last: bool) -> dict[str, Any]:
    """The status of each day, as one row of colours, each named where there is room."""
    runs = [
        {
            "at": midnight(run.from_on),
            "end": midnight(run.to_on + timedelta(days=1)),
            "middle": instant(
                datetime.combine(run.from_on, time()) + (run.to_on + timedelta(days=1) - run.from_on) / 2
            ),
            "status": run.status.replace("_", " "),
            "colour": STATUS_COLOURS[run.status],
            "ink": ink_on(run.status),
            "room": place(run.to_on + timedelta(days=1), first, last) - place(run.from_on, first, last),
            "said": f"{run.status.replace('_', ' ')} from {day_in_words(run.from_on)} to {day_in_words(run.to_on)}",
        }
        for run in trend.statuses
        if run.status in STATUS_COLOURS
    ]
    colours = {"field": "colour", "type": "nominal", "scale": None}
    named = [run for run in runs if width_of(str(run["status"])) + 6 < float(str(run["room"]))]
    layers: list[Layer] = [
        {
            "data": {"values": runs},
            "mark": {"type": "rect", "stroke": "white", "strokeWidth": 0.5},
            "encoding": {
                "x2": {"field": "end"},
                "y": {"value": 0},
                "y2": {"value": STRIP_HEIGHT},
                "color": colours,
                "description": {"field": "said"},
            },
        },
        {
            "data": {"values": named},
            "mark": {"type": "text", "fontSize": 10, "aria": False},
            "encoding": {
                "x": {"field": "middle", "type": "temporal"},
                "y": {"value": STRIP_HEIGHT / 2},
                "text": {"field": "status"},
                "color": {"field": "ink", "type": "nominal", "scale": None},
            },
        },
    ]
    blank = {"data": {"values": [{}]}, "mark": {"type": "point", "opacity": 0}}
    return {
        "width": WIDTH,
        "height": STRIP_HEIGHT,
        "view": {"stroke": "#DDDDDD"},
        "encoding": {"x": time_axis(first, last, labelled=is_last)},
        "layer": [layer for layer in layers if layer["data"]["values"]] or [blank],
    }


def notes(trend: TrendOut) -> str:
    """The meaning of the signs that no legend explains."""
    found = []
    if trend.buckets:
        found.append("dots and line: median of each period; bars: lowest to highest")
    elif are_many(trend):
        found.append("line: weekly medians")
    if not trend.buckets and any(not point.counts and not point.acute for point in trend.points):
        found.append("hollow: before the first session, or replaced by a later score of its day")
    if not trend.buckets and any(point.acute for point in trend.points):
        found.append("crosses: on a session's day after it, not counted")
    return "; ".join(found)


def are_many(trend: TrendOut) -> bool:
    return len(trend.points) > _MANY


def _bands(trend: TrendOut, start: str, end: str) -> Iterator[Layer]:
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
        values.append({"label": band.label, "low": low, "high": high, "middle": (low + high) / 2, "shade": shade})
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


def _marks(trend: TrendOut, zone: ZoneInfo, height: int) -> Iterator[Layer]:
    """A thin line for each session, with a symbol of its kind on top."""
    if not trend.sessions:
        return
    values = [
        {
            "at": local(s.started_at, zone),
            "shape": KINDS[s.kind][0],
            "colour": KINDS[s.kind][1],
            "said": f"{s.kind} session on {day_in_words(s.day)}",
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


def _lines(trend: TrendOut, start: str, end: str, height: int) -> Iterator[Layer]:
    """The response line of each episode, from its first session to the first session of the next episode, and the
    remission line over the whole width. Lines that reach the right edge are labelled outside the plot, where no score
    can be, in the order in which they lie."""
    values: list[dict[str, Any]] = []
    for episode, following in zip_longest(trend.episodes, trend.episodes[1:]):
        begins = max(start, midnight(episode.first_session_on))
        ends = end if following is None else min(end, midnight(following.first_session_on))
        if episode.response_line is not None and begins < ends:
            label = f"response {episode.response_line:g}"
            values.append(
                {"at": begins, "end": ends, "value": episode.response_line, "label": label, "ink": DARK_GREEN}
            )
    remission = []
    if trend.remission_line is not None:
        label = f"remission {trend.remission_line:g}"
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


def _scores(trend: TrendOut, zone: ZoneInfo) -> Iterator[Layer]:
    """Scores and a line through them, or, where they are many, through their weekly medians. The line breaks where
    two points are so far apart that the earlier score was stale, and passes scores of a session's own day by: they are
    crosses. Other scores that do not count are hollow."""
    scores = [
        {
            "at": local(p.taken_at, zone),
            "value": p.value,
            "counts": p.counts,
            "acute": p.acute,
            "said": f"{day_in_words(p.day)}: {p.value:g}" + ("" if p.counts else ", not counted"),
        }
        for p in trend.points
    ]
    lined = [point for point in trend.points if not point.acute]
    many = are_many(trend)
    through = _weekly_medians(trend) if many else [(p.day, local(p.taken_at, zone), p.value) for p in lined]
    if through:
        yield {
            "data": {"values": _unbroken(through)},
            "mark": {"type": "line", "color": INK, "strokeWidth": 2 if many else 1.5, "aria": False},
            "encoding": {"detail": {"field": "run", "type": "nominal"}},
        }
    size, width, opacity = (9, 0.5, 0.4) if many else (38, 1.5, 1)
    plain, acute = ([score for score in scores if score["acute"] == is_acute] for is_acute in (False, True))
    if plain:
        yield {
            "data": {"values": plain},
            "mark": {
                "type": "point", "filled": False, "stroke": INK, "strokeWidth": width, "size": size,
                "opacity": opacity,
            },
            "encoding": {
                "fill": {"condition": {"test": "datum.counts", "value": INK}, "value": "white"},
                "description": {"field": "said"},
            },
        }  # fmt: skip
    if acute:
        yield {
            "data": {"values": acute},
            "mark": {
                "type": "point",
                "shape": "cross",
                "filled": True,
                "color": GREY,
                "size": size,
                "opacity": opacity,
            },
            "encoding": {"description": {"field": "said"}},
        }


def _buckets(trend: TrendOut) -> Iterator[Layer]:
    """The median of each bucket, and a bar from its lowest to its highest score."""
    values = [
        {
            "at": instant(datetime.combine(b.start_on, time()) + (b.end_on + timedelta(days=1) - b.start_on) / 2),
            "value": b.median,
            "low": b.min,
            "high": b.max,
            "said": f"{day_in_words(b.start_on)} to {day_in_words(b.end_on)}: median {b.median:g} of {b.n}",
        }
        for b in trend.buckets
        if b.median is not None
    ]
    if not values:
        return
    days = [b.start_on for b in trend.buckets if b.median is not None]
    through = [(day, value["at"], value["value"]) for day, value in zip(days, values, strict=True)]
    yield {
        "data": {"values": values},
        "mark": {"type": "rule", "color": GREY, "strokeWidth": 2, "opacity": 0.5, "aria": False},
        "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
    }
    yield {
        "data": {"values": _unbroken(through)},
        "mark": {"type": "line", "color": INK, "strokeWidth": 1.5, "aria": False},
        "encoding": {"detail": {"field": "run", "type": "nominal"}},
    }
    yield {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "color": INK, "size": 38, "opacity": 1},
        "encoding": {"description": {"field": "said"}},
    }


def _nothing(trend: TrendOut, height: int) -> Iterator[Layer]:
    if not trend.points:
        yield {
            "data": {"values": [{"text": "no scores yet"}]},
            "mark": {"type": "text", "fontSize": 14, "color": GREY},
            "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": height / 2}, "text": {"field": "text"}},
        }


def _weekly_medians(trend: TrendOut) -> list[tuple[date, str, float]]:
    """The median of each week that has scores, placed at noon of its Thursday."""
    weeks: dict[date, list[float]] = {}
    for point in trend.points:
        if not point.acute:
            weeks.setdefault(point.day - timedelta(days=point.day.weekday()), []).append(point.value)
    noon = timedelta(days=3, hours=12)
    return [(day, instant(datetime.combine(day, time()) + noon), median(values)) for day, values in weeks.items()]


def _unbroken(points: list[tuple[date, Any, Any]]) -> list[dict[str, Any]]:
    """The points, each with the number of the unbroken piece of line that it belongs to."""
    run, before, found = 0, points[0][0], []
    for day, at, value in points:
        run += (day - before).days > STALE_AFTER_DAYS
        before = day
        found.append({"at": at, "value": value, "run": run})
    return found
