"""What else happened, as a row of marks with names under a picture."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from app.events.models import HappenedOut
from app.pictures.style import LABEL_HEIGHT, PURPLE, WIDTH, Layer, midnight, place, shortened, time_axis, width_of
from app.speech import ENGLISH, Speech
from app.speech import message as _
from app.trend.words import event_in_words

_ROWS = 6
_LONGEST = 28
_GAP = 10


def lane(events: Sequence[HappenedOut], first: date, last: date, speech: Speech, *, is_last: bool) -> dict[str, Any]:
    """A mark for each event between two days, and its name where it overprints none. Marks without a name are in a row
    of their own under the others, where no name is."""
    found = placed(events, first, last, speech)
    rows = 1 + max((row for _event, row, _side in found if row is not None), default=-1)
    height = LABEL_HEIGHT * (rows + any(row is None for _event, row, _side in found))
    values: list[dict[str, Any]] = [
        {
            "at": midnight(event.on),
            "row": LABEL_HEIGHT * (0.5 + (rows if row is None else row)),
            "name": "" if row is None else named(event, speech),
            "to_left": to_left,
            "said": event_in_words(named(event, speech), event, speech),
        }
        for event, row, to_left in found
    ]
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
        if (side := [value for value in values if value["name"] and value["to_left"] == is_left])
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


def placed(
    events: Sequence[HappenedOut], first: date, last: date, speech: Speech = ENGLISH
) -> list[tuple[HappenedOut, int | None, bool]]:
    """Each event, in order of time, with the first row in which its name fits (None: it fits in none), and whether its
    name stands left of its mark."""
    ends = [0.0] * _ROWS
    found = []
    for event in events:
        at, wide = place(event.on, first, last), width_of(named(event, speech)) + _GAP
        to_left = at + wide > WIDTH
        begins = at - wide if to_left else at - _GAP / 2
        row = next((row for row, end in enumerate(ends) if begins >= end), None)
        if row is not None:
            ends[row] = at + _GAP if to_left else at + wide
        found.append((event, row, to_left))
    return found


def without_room(events: Sequence[HappenedOut], first: date, last: date, speech: Speech) -> list[str]:
    """What a picture says of events that it shows without their names; nothing where all are named."""
    count = sum(row is None for _event, row, _side in placed(events, first, last, speech))
    text = speech.translated(_("%(count)s of %(all)s events are marked without a name, for want of room"))
    return [text % {"count": count, "all": len(events)}] if count else []


def named(event: HappenedOut, speech: Speech) -> str:
    """The name of an event on a picture."""
    return shortened(event.label or speech.code(event.kind), _LONGEST)
