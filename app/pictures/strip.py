"""The status of each day, as a strip under a picture."""

from datetime import date, datetime, time, timedelta
from typing import Any

from app.pictures.style import STATUS_COLOURS, WIDTH, Layer, ink_on, instant, midnight, place, time_axis, width_of
from app.speech import Speech
from app.speech import message as _
from app.trend.models import TrendOut

_HEIGHT = 16


def strip(trend: TrendOut, first: date, last: date, speech: Speech, *, is_last: bool) -> dict[str, Any]:
    """The status of each day, as one row of colours, each named where there is room."""
    from_to = speech.translated(_("%(status)s from %(first)s to %(last)s"))
    runs = [
        {
            "at": midnight(run.from_on),
            "end": midnight(run.to_on + timedelta(days=1)),
            "middle": instant(
                datetime.combine(run.from_on, time()) + (run.to_on + timedelta(days=1) - run.from_on) / 2
            ),
            "status": speech.code(run.status),
            "colour": STATUS_COLOURS[run.status],
            "ink": ink_on(run.status),
            "room": place(run.to_on + timedelta(days=1), first, last) - place(run.from_on, first, last),
            "said": from_to
            % {"status": speech.code(run.status), "first": speech.day(run.from_on), "last": speech.day(run.to_on)},
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
                "y2": {"value": _HEIGHT},
                "color": colours,
                "description": {"field": "said"},
            },
        },
        {
            "data": {"values": named},
            "mark": {"type": "text", "fontSize": 10, "aria": False},
            "encoding": {
                "x": {"field": "middle", "type": "temporal"},
                "y": {"value": _HEIGHT / 2},
                "text": {"field": "status"},
                "color": {"field": "ink", "type": "nominal", "scale": None},
            },
        },
    ]
    blank = {"data": {"values": [{}]}, "mark": {"type": "point", "opacity": 0}}
    return {
        "width": WIDTH,
        "height": _HEIGHT,
        "view": {"stroke": "#DDDDDD"},
        "encoding": {"x": time_axis(first, last, labelled=is_last)},
        "layer": [layer for layer in layers if layer["data"]["values"]] or [blank],
    }
