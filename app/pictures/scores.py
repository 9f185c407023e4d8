"""The scores of a trend, as they are drawn: one by one, or by the bucket."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from app.pictures.style import GREY, INK, Layer, instant, local
from app.relief import STALE_AFTER_DAYS
from app.speech import Speech
from app.speech import message as _
from app.trend.models import PointOut, TrendOut

_MANY = 150


def notes(trend: TrendOut, speech: Speech) -> list[str]:
    """The meaning of the signs that no legend explains."""
    found = []
    if trend.buckets:
        found.append(_("dots and line: median of each period; bars: lowest to highest"))
    elif _are_many(trend):
        found.append(_("line: weekly medians"))
    if not trend.buckets and any(not point.counts and not point.acute for point in trend.points):
        found.append(_("hollow: before the first session, or replaced by a later score of its day"))
    if not trend.buckets and any(point.acute for point in trend.points):
        found.append(_("crosses: on a session's day after it, not counted"))
    return [speech.translated(note) for note in found]


def _are_many(trend: TrendOut) -> bool:
    return len(trend.points) > _MANY


def scores_drawn(trend: TrendOut, zone: ZoneInfo, speech: Speech) -> Iterator[Layer]:
    """Scores and a line through them, or, where they are many, through their weekly medians. The line breaks where
    two points are so far apart that the earlier score was stale, and passes scores of a session's own day by: they are
    crosses. Other scores that do not count are hollow."""
    many = _are_many(trend)
    # Of many, each is not named: nobody reads thousands of labels, and the description tells what they show.
    said = {"aria": False} if many else {}
    saying: Layer = {} if many else {"description": {"field": "said"}}
    lined = [point for point in trend.points if not point.acute]
    through = _weekly_medians(trend) if many else [(p.day, local(p.taken_at, zone), p.value) for p in lined]
    if through:
        yield {
            "data": {"values": _unbroken(through)},
            "mark": {"type": "line", "color": INK, "strokeWidth": 2 if many else 1.5, "aria": False},
            "encoding": {"detail": {"field": "run", "type": "nominal"}},
        }
    size, width, opacity = (9, 0.5, 0.4) if many else (38, 1.5, 1)
    plain, acute = (
        [_score(p, zone, None if many else speech) for p in trend.points if p.acute == is_acute]
        for is_acute in (False, True)
    )
    if plain:
        yield {
            "data": {"values": plain},
            "mark": {
                "type": "point", "filled": False, "stroke": INK, "strokeWidth": width, "size": size,
                "opacity": opacity, **said,
            },
            "encoding": {"fill": {"condition": {"test": "datum.counts", "value": INK}, "value": "white"}, **saying},
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
                **said,
            },
            "encoding": saying,
        }


def _score(point: PointOut, zone: ZoneInfo, speech: Speech | None) -> dict[str, Any]:
    """A score as it is drawn; named where it is said how."""
    found = {"at": local(point.taken_at, zone), "value": point.value, "counts": point.counts, "acute": point.acute}
    if speech is not None:
        told = f"{speech.day(point.day)}: {speech.number(point.value)}"
        found["said"] = told if point.counts else speech.translated(_("%(score)s, not counted")) % {"score": told}
    return found


def buckets_drawn(trend: TrendOut, speech: Speech) -> Iterator[Layer]:
    """The median of each bucket, and a bar from its lowest to its highest score."""
    told = speech.translated(_("%(first)s to %(last)s: median %(median)s of %(count)s"))
    values = [
        {
            "at": instant(datetime.combine(b.start_on, time()) + (b.end_on + timedelta(days=1) - b.start_on) / 2),
            "value": b.median,
            "low": b.min,
            "high": b.max,
            "said": told
            % {
                "first": speech.day(b.start_on),
                "last": speech.day(b.end_on),
                "median": speech.number(b.median),
                "count": b.n,
            },
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
