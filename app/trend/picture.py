"""The picture of a trend as a Vega-Lite specification, from which all formats are drawn.

The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart. Kinds of session
also differ in shape and lines in their dashes, so the picture can be read in grey too. Source: Okabe and Ito 2008,
Color Universal Design.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from html import escape
from itertools import pairwise, zip_longest
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from app.relief import STALE_AFTER_DAYS
from app.trend.models import TrendOut
from app.trend.words import day_in_words

_WIDTH, _HEIGHT = 760, 300
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY, _INK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#595959", "#222222"
_DARK_GREEN = "#00664A"  # the same hue, darker, for text on white
_KINDS = {"induction": ("triangle-down", _INK), "maintenance": ("diamond", _PURPLE), "booster": ("square", _ORANGE)}
_SHADES = ("#FFFFFF", "#F6F6F6", "#ECECEC", "#E2E2E2", "#D8D8D8")
_MANY = 150
_LABEL_HEIGHT = 14
_BANDS_AT = 92

Layer = dict[str, Any]


def picture(trend: TrendOut, name: str, zone: ZoneInfo) -> dict[str, Any]:
    """The Vega-Lite 5 specification of a trend, with times in the clinic's zone. `name` is the name of the instrument.
    The field `description` is the text alternative."""
    start, end = _span(trend)
    layers = [*_bands(trend, start, end), *_marks(trend, zone), *_lines(trend, start, end), *_scores(trend, zone)]
    direction = "lower is better" if trend.direction == "lower_is_better" else "higher is better"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": f"{name} ({direction})",
            "subtitle": _notes(trend),
            "anchor": "start",
            "fontSize": 14,
            "subtitleColor": _GREY,
            "offset": 12,
        },
        "description": trend.description,
        "width": _WIDTH,
        "height": _HEIGHT,
        "background": "white",
        "padding": {"left": 8, "top": 8, "right": 8, "bottom": 8},
        "encoding": {
            "x": {
                "field": "at",
                "type": "temporal",
                "scale": {"type": "utc", "domain": [start, end], "nice": False},
                "axis": {
                    "title": None,
                    "labelOverlap": "greedy",
                    "labelSeparation": 12,
                    "grid": False,
                    "tickCount": _ticks(trend),
                    "format": _dates(start, end),
                },
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"domain": [trend.min, trend.max], "nice": False, "zero": False},
                "axis": {"title": "score", "grid": False, "tickCount": 6},
            },
        },
        "layer": layers or [{"data": {"values": [{}]}, "mark": {"type": "point", "opacity": 0}}],
        "config": {
            "font": "sans-serif",
            "axis": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 11, "titleFontWeight": "normal"},
            "view": {"stroke": "#999999"},
            "legend": {"orient": "top", "title": None, "labelFontSize": 11, "symbolSize": 70, "offset": 24},
        },
    }


def with_alternative(svg: str, name: str, description: str) -> str:
    """The SVG with role `img`, a title and a text alternative, for people who cannot see it."""
    opening, rest = svg.split(">", 1)
    labels = f'<title id="title">{escape(name)}</title><desc id="description">{escape(description)}</desc>'
    return f'{opening} role="img" aria-labelledby="title description">{labels}{rest}'


def _bands(trend: TrendOut, start: str, end: str) -> Iterator[Layer]:
    """Severity bands over the whole width, darker where worse. Their names stand right of the names of the lines.
    Adjacent bands meet halfway between their scores."""
    if not trend.bands:
        return
    edges = [trend.min, *((a.max + b.min) / 2 for a, b in pairwise(trend.bands)), trend.max]
    worst_last = trend.direction == "lower_is_better"
    values = []
    for index, (band, (low, high)) in enumerate(zip(trend.bands, pairwise(edges), strict=True)):
        depth = index if worst_last else len(trend.bands) - 1 - index
        shade = _SHADES[min(depth, len(_SHADES) - 1)]
        values.append({"label": band.label, "low": low, "high": high, "middle": (low + high) / 2, "shade": shade})
    y: Layer = {"field": "low", "type": "quantitative", "title": "score"}
    data = {"values": [{**value, "at": start, "end": end} for value in values]}
    yield {
        "data": data,
        "mark": {"type": "rect", "aria": False},
        "encoding": {
            "x2": {"field": "end"},
            "y": y,
            "y2": {"field": "high"},
            "color": {"field": "shade", "type": "nominal", "scale": None},
        },
    }
    yield {
        "data": data,
        "mark": {"type": "text", "align": "left", "dx": _BANDS_AT, "color": _GREY, "fontSize": 11},
        "encoding": {
            "x": {"value": _WIDTH},
            "y": {"field": "middle", "type": "quantitative", "title": "score"},
            "text": {"field": "label"},
        },
    }


def _marks(trend: TrendOut, zone: ZoneInfo) -> Iterator[Layer]:
    """A thin line for each session, with a symbol of its kind on top."""
    if not trend.sessions:
        return
    kinds = [kind for kind in _KINDS if any(session.kind == kind for session in trend.sessions)]
    data = {"values": [{"at": _local(s.started_at, zone), "kind": s.kind} for s in trend.sessions]}
    scale = {"domain": kinds, "range": [_KINDS[kind][1] for kind in kinds]}
    shapes = {"domain": kinds, "range": [_KINDS[kind][0] for kind in kinds]}
    yield {
        "data": data,
        "mark": {"type": "rule", "color": "#8C8C8C", "strokeWidth": 0.6, "opacity": 0.7, "aria": False},
        "encoding": {"y": {"value": 0}, "y2": {"value": _HEIGHT}},
    }
    yield {
        "data": data,
        "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1, "clip": False},
        "encoding": {
            "y": {"value": -8},
            "color": {"field": "kind", "type": "nominal", "scale": scale},
            "shape": {"field": "kind", "type": "nominal", "scale": shapes},
        },
    }


def _lines(trend: TrendOut, start: str, end: str) -> Iterator[Layer]:
    """The response line of each episode, from its first session to the first session of the next episode, and the
    remission line over the whole width. A line that reaches the right edge is labelled outside the plot, where no score
    can be."""
    values: list[dict[str, Any]] = []
    for episode, following in zip_longest(trend.episodes, trend.episodes[1:]):
        begins = max(start, _midnight(episode.first_session_on))
        ends = end if following is None else min(end, _midnight(following.first_session_on))
        if episode.response_line is not None and begins < ends:
            label = f"response {episode.response_line:g}"
            values.append({"at": begins, "end": ends, "value": episode.response_line, "label": label})
    remission = []
    if trend.remission_line is not None:
        label = f"remission {trend.remission_line:g}"
        remission = [{"at": start, "end": end, "value": trend.remission_line, "label": label}]
    apart = [abs(v["value"] - trend.remission_line) for v in values[-1:] if trend.remission_line is not None]
    squeezed = any(gap / (trend.max - trend.min) * _HEIGHT < _LABEL_HEIGHT for gap in apart)
    yield from _rules(values, end, (_GREEN, _DARK_GREEN), [7, 4], -_LABEL_HEIGHT / 2 if squeezed else 0)
    yield from _rules(remission, end, (_BLUE, _BLUE), [2, 3], _LABEL_HEIGHT / 2 if squeezed else 0)


def _rules(
    values: list[dict[str, Any]], edge: str, colors: tuple[str, str], dash: list[int], shift: float
) -> Iterator[Layer]:
    if not values:
        return
    yield {
        "data": {"values": values},
        "mark": {"type": "rule", "color": colors[0], "strokeDash": dash, "strokeWidth": 1.5},
        "encoding": {"x2": {"field": "end"}},
    }
    text = {"type": "text", "fontSize": 11, "fontWeight": "bold", "color": colors[1], "clip": False}
    for reaches, place in ((True, {"align": "left", "dx": 6, "dy": shift}), (False, {"align": "right", "dy": -7})):
        named = [value for value in values if (value["end"] == edge) == reaches]
        if named:
            yield {
                "data": {"values": named},
                "mark": {**text, **place},
                "encoding": {"x": {"field": "end", "type": "temporal"}, "text": {"field": "label"}},
            }


def _scores(trend: TrendOut, zone: ZoneInfo) -> Iterator[Layer]:
    """Scores and a line through them, or, where they are many, through their weekly medians. The line breaks where
    two points are so far apart that the earlier score was stale. Scores that do not count are hollow."""
    scores = [{"at": _local(p.taken_at, zone), "value": p.value, "counts": p.counts} for p in trend.points]
    if not scores:
        return
    many = _are_many(trend)
    through = _weekly_medians(trend) if many else [(p.day, _local(p.taken_at, zone), p.value) for p in trend.points]
    yield {
        "data": {"values": _unbroken(through)},
        "mark": {"type": "line", "color": _INK, "strokeWidth": 2 if many else 1.5, "aria": False},
        "encoding": {"detail": {"field": "run", "type": "nominal"}},
    }
    yield {
        "data": {"values": scores},
        "mark": {
            "type": "point",
            "filled": False,
            "stroke": _INK,
            "strokeWidth": 0.5 if many else 1.5,
            "size": 9 if many else 38,
            "opacity": 0.4 if many else 1,
        },
        "encoding": {"fill": {"condition": {"test": "datum.counts", "value": _INK}, "value": "white"}},
    }


def _are_many(trend: TrendOut) -> bool:
    return len(trend.points) > _MANY


def _weekly_medians(trend: TrendOut) -> list[tuple[date, str, float]]:
    """The median of each week that has scores, placed at noon of its Thursday."""
    weeks: dict[date, list[float]] = {}
    for point in trend.points:
        weeks.setdefault(point.day - timedelta(days=point.day.weekday()), []).append(point.value)
    noon = timedelta(days=3, hours=12)
    return [(day, _instant(datetime.combine(day, time()) + noon), median(values)) for day, values in weeks.items()]


def _unbroken(points: list[tuple[date, str, float]]) -> list[dict[str, Any]]:
    """The points, each with the number of the unbroken piece of line that it belongs to."""
    run, before, found = 0, points[0][0], []
    for day, at, value in points:
        run += (day - before).days > STALE_AFTER_DAYS
        before = day
        found.append({"at": at, "value": value, "run": run})
    return found


def _notes(trend: TrendOut) -> str:
    """The days shown, and the meaning of the signs that no legend explains."""
    first, last = day_in_words(trend.from_on or trend.to_on), day_in_words(trend.to_on)
    notes = [f"{first} to {last}" if first != last else first]
    if _are_many(trend):
        notes.append("line: weekly medians")
    if any(not point.counts for point in trend.points):
        notes.append("hollow: before the first session, on a session's day, or replaced the same day")
    return "; ".join(notes)


def _span(trend: TrendOut) -> tuple[str, str]:
    """The start and end of the time axis: the days of the trend, with a little space on both sides."""
    first, last = trend.from_on or trend.to_on, trend.to_on
    room = (last - first) / 60
    return _instant(datetime.combine(first, time()) - room), _instant(datetime.combine(last, time(23, 59)) + room)


def _ticks(trend: TrendOut) -> int | dict[str, Any]:
    """About eight dates on the time axis; for short spans whole-day steps, so that no date appears twice."""
    days = (trend.to_on - (trend.from_on or trend.to_on)).days
    return 8 if days > 16 else {"interval": "day", "step": 1 + days // 8}


def _dates(start: str, end: str) -> str:
    years = {start[:4], end[:4]}
    return "%-d %b" if len(years) == 1 else "%-d %b %Y"


def _local(moment: datetime, zone: ZoneInfo) -> str:
    """The local time in the clinic's zone, written as if it were UTC, because the specification uses a UTC scale."""
    return _instant(moment.astimezone(zone).replace(tzinfo=None))


def _midnight(day: date) -> str:
    return _instant(datetime.combine(day, time()))


def _instant(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds") + "Z"
