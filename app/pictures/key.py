"""The key of a picture: which sign means what, as a row on top."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from app.pictures.panel import KINDS
from app.pictures.style import INK, STATUS_COLOURS, WIDTH, Layer, width_of
from app.speech import Speech
from app.speech import message as _
from app.trend.models import TrendOut

_HEIGHT = 16
_SIGN, _GAP = 14, 18


class Sign(NamedTuple):
    """A sign and its meaning. `dash`: the sign is a line of that dash, otherwise a shape."""

    name: str
    colour: str
    shape: str = "square"
    dash: Sequence[int] | None = None


def key(signs: Iterable[Sign], *, is_last: bool = False) -> dict[str, Any]:
    """The signs in rows."""
    del is_last  # a key has no dates under it
    layers: list[Layer] = []
    x, y = 0.0, _HEIGHT / 2
    for sign in signs:
        wide = _SIGN + width_of(sign.name) + _GAP
        if x and x + wide > WIDTH:
            x, y = 0.0, y + _HEIGHT
        layers += _drawn(sign, x, y)
        x += wide
    blank = {"data": {"values": [{}]}, "mark": {"type": "point", "opacity": 0}}
    return {"width": WIDTH, "height": y + _HEIGHT, "view": {"stroke": None}, "layer": layers or [blank]}


def signs_of(trends: Iterable[TrendOut], speech: Speech) -> list[Sign]:
    """The kinds of sessions and the statuses of some trends."""
    every = list(trends)
    kinds = {session.kind for trend in every for session in trend.sessions}
    statuses = {run.status for trend in every for run in trend.statuses}
    session = speech.translated(_("%(kind)s session"))
    found = [
        Sign(session % {"kind": speech.code(kind)}, colour, shape)
        for kind, (shape, colour) in KINDS.items()
        if kind in kinds
    ]
    return found + [Sign(speech.code(s), colour) for s, colour in STATUS_COLOURS.items() if s in statuses]


def _drawn(sign: Sign, x: float, y: float) -> list[Layer]:
    data = {"values": [{"name": sign.name}]}
    if sign.dash is not None:
        mark: dict[str, Any] = {"type": "rule", "color": sign.colour, "strokeDash": list(sign.dash), "strokeWidth": 2}
        places: dict[str, Any] = {"x": {"value": x}, "x2": {"value": x + _SIGN - 2}, "y": {"value": y}}
    else:
        mark = {"type": "point", "shape": sign.shape, "filled": True, "color": sign.colour, "size": 70, "opacity": 1}
        places = {"x": {"value": x + _SIGN / 2 - 2}, "y": {"value": y}}
    text = {"type": "text", "align": "left", "baseline": "middle", "fontSize": 11, "color": INK}
    return [
        {"data": data, "mark": mark | {"aria": False}, "encoding": places},
        {
            "data": data,
            "mark": text,
            "encoding": {"x": {"value": x + _SIGN + 2}, "y": {"value": y}, "text": {"field": "name"}},
        },
    ]
