"""What else happened, as a row of marks with names under a picture."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from app.events.models import HappenedOut
from app.pictures.style import LABEL_HEIGHT, PURPLE, WIDTH, Layer, midnight, place, time_axis, width_of
from app.trend.words import day_in_words

_ROWS = 3
_LONGEST = 28
_GAP = 10


def lane(events: Sequence[HappenedOut], first: date, last: date, *, is_last: bool) -> dict[str, Any]:
    """A mark for each event, and its name where it overprints none: names take the first row in which they fit."""
    ends = [0.0] * _ROWS
    values: list[dict[str, Any]] = []
    for event in events:
        name = named(event)
        at, wide = place(event.on, first, last), width_of(name) + _GAP
        to_left = at + wide > WIDTH
        begins = at - wide if to_left else at
        row = next((row for row, end in enumerate(ends) if begins >= end), None)
        if row is not None:
            ends[row] = at + _GAP if to_left else at + wide
        values.append(
            {
                "at": midnight(event.on),
                "row": LABEL_HEIGHT * (0.5 + (0 if row is None else row)),
                "name": "" if row is None else name,
                "to_left": to_left,
                "said": f"{name} on {day_in_words(event.on)}",
            }
        )
    height = LABEL_HEIGHT * max(1, sum(end > 0 for end in ends))
    y = {"field": "row", "type": "quantitative", "axis": None, "scale": {"domain": [height, 0], "nice": False}}
    sides: list[Layer] = [
        {
            "data": {"values": side},
            "mark": {
                "type": "text", "align": align, "dx": dx, "fontSize": 11, "color": "#7A3B5E", "aria": False,
                "baseline": "middle",
            },
            "encoding": {"y": y, "text": {"field": "name"}},
        }
        for is_left, align, dx in ((False, "left", 6), (True, "right", -6))
        if (side := [value for value in values if value["to_left"] == is_left])
    ]  # fmt: skip
    mark = {"type": "point", "shape": "triangle-up", "filled": True, "size": 40, "color": PURPLE, "opacity": 1}
    dots: Layer = {"data": {"values": values}, "mark": mark, "encoding": {"y": y, "description": {"field": "said"}}}
    return {
        "width": WIDTH,
        "height": height,
        "view": {"stroke": None},
        "encoding": {"x": time_axis(first, last, labelled=is_last)},
        "layer": [dots, *sides],
    }


def named(event: HappenedOut) -> str:
    """The name of an event on a picture."""
    name = event.label or event.kind.replace("_", " ")
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
