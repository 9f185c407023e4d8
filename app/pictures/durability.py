"""How long relief lasted over a clinic's patients: curves with intervals, where they end, and numbers at risk."""

from typing import Any

from app.cohorts.models import CohortDurabilityOut, DurabilityGroupOut
from app.instruments import INSTRUMENTS
from app.pictures.key import Sign, key
from app.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LABEL_HEIGHT,
    ORANGE,
    PURPLE,
    SKY,
    WIDTH,
    YELLOW,
    Layer,
    framed,
    shortened,
    titled,
)
from app.trend.words import day_in_words

_HEIGHT = 320
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, INK)
_DASHES: tuple[list[int], ...] = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3], [12, 4])
_TABLE_COLUMNS = 7
_LONGEST = 24
_UNDER_AXIS = 40  # room for the axis of the curves above


def durability_picture(answer: CohortDurabilityOut, clinic: str, *, synthetic: bool) -> dict[str, Any]:
    """The specification of the curves of an answer. The field `description` is the text alternative."""
    shown = [group for group in answer.groups if group.curve]
    last = max((_ends_on(group) for group in shown), default=0)
    layers: list[Layer] = []
    for index, group in enumerate(shown):
        layers += _curve(group, _COLOURS[index % 7], _DASHES[index % 7])
    signs = [
        Sign(f"{_named(group)} ({group.responders})", _COLOURS[index % 7], dash=_DASHES[index % 7])
        for index, group in enumerate(shown)
    ]
    x = {"field": "day", "type": "quantitative", "scale": {"domain": [0, max(last, 7)], "nice": False}}
    curves = {
        "width": WIDTH,
        "height": _HEIGHT,
        "encoding": {
            "x": x
            | {"axis": {"title": "days since the first response after the course", "grid": False, "tickMinStep": 1}},
            "y": {
                "field": "survival",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "share still in response", "format": ".0%", "tickCount": 5},
            },
        },
        "layer": layers or [_nothing()],
    }
    name = INSTRUMENTS[answer.instrument].name
    title = titled(f"How long relief lasts: {name}", clinic)
    return {
        **framed(title, _subtitle(answer), described(answer), synthetic=synthetic),
        "vconcat": [*([key(signs)] if signs else []), curves, *([_table(shown, last)] if shown else [])],
        "spacing": 8,
        "bounds": "flush",
    }


def described(answer: CohortDurabilityOut) -> str:
    """The curves in words: for each group how many, how many ended, the median, and what is known at each day."""
    parts = [f"How long relief lasts by {INSTRUMENTS[answer.instrument].name}, as of {day_in_words(answer.as_of)}."]
    for group in answer.groups:
        name = _named(group)
        if group.suppressed:
            parts.append(f"{name}: hidden, because too few patients are in it.")
            continue
        median = "not reached" if group.median_days is None else f"{group.median_days:g} days"
        parts.append(f"{name}: {group.responders} spells, {group.events} ended, median {median}.")
        known = [one for one in group.still_holding or [] if one.survival is not None]
        if known:
            told = ", ".join(f"{one.survival:.0%} on day {one.day}" for one in known)
            parts.append(f"Still in response: {told}.")
    return " ".join(parts)


def _subtitle(answer: CohortDurabilityOut) -> list[str]:
    ended = {"loss_or_rescue": "until loss or rescue", "loss": "until loss"}[answer.endpoint]
    boosters = {"ignore": "boosters ignored", "censor": "censored at the first booster"}[answer.boosters]
    lines = [f"as of {day_in_words(answer.as_of)} · {ended} · {boosters} · bands: 95% intervals"]
    if any(group.suppressed for group in answer.groups):
        hidden = ", ".join(_named(group) for group in answer.groups if group.suppressed)
        lines.append(f"hidden, because too few patients are in it: {hidden}")
    few = [
        f"{_named(group)} ({group.responders})" for group in answer.groups if not group.suppressed and not group.curve
    ]
    if few:
        lines.append(f"no curve, because too few spells are in it: {', '.join(few)}")
    lines.append(
        "A curve ends (bar) where too few are at risk. A loss needs two readings; sparse readings make it late."
    )
    return lines


def _named(group: DurabilityGroupOut) -> str:
    return "all patients" if group.group == "all" else group.group.replace("_", " ")


def _ends_on(group: DurabilityGroupOut) -> int:
    """The last day on which enough are at risk; the curve is known up to there."""
    assert group.curve is not None
    return max(group.followed_to_day or 0, group.curve[-1].day)


def _curve(group: DurabilityGroupOut, colour: str, dash: list[int]) -> list[Layer]:
    assert group.curve is not None
    steps = [step.model_dump() | {"group": _named(group)} for step in group.curve]
    steps.append({**steps[-1], "day": _ends_on(group)})
    band = [step for step in steps if step["ci_low"] is not None]
    end, label = steps[-1], f"{_named(group)} ({group.responders})"
    layers: list[Layer] = []
    if band:
        layers.append(
            {
                "data": {"values": band},
                "mark": {"type": "area", "interpolate": "step-after", "color": colour, "opacity": 0.13, "aria": False},
                "encoding": {"y": {"field": "ci_low", "type": "quantitative"}, "y2": {"field": "ci_high"}},
            }
        )
    layers.append(
        {
            "data": {"values": steps},
            "mark": {
                "type": "line", "interpolate": "step-after", "color": colour, "strokeDash": dash, "strokeWidth": 2,
                "description": f"{label}: {end['survival']:.0%} on day {end['day']}",
            },
        }
    )  # fmt: skip
    layers.append(
        {
            "data": {"values": [end]},
            "mark": {"type": "tick", "orient": "vertical", "color": colour, "size": 14, "thickness": 2},
        }
    )
    return layers


def _table(shown: list[DurabilityGroupOut], last: int) -> dict[str, Any]:
    """How many were at risk, under the curves."""
    step = 7 * max(1, round(last / 7 / _TABLE_COLUMNS))
    values = [
        {"day": one.day, "row": LABEL_HEIGHT * (index + 1.5), "text": str(one.at_risk), "ink": _COLOURS[index % 7]}
        for index, group in enumerate(shown)
        for one in group.numbers_at_risk or []
        if one.day % step == 0
    ]
    names = [
        {
            "day": 0,
            "row": LABEL_HEIGHT * (index + 1.5),
            "text": shortened(_named(group), _LONGEST),
            "ink": _COLOURS[index % 7],
        }
        for index, group in enumerate(shown)
    ]
    heading = [{"day": 0, "row": LABEL_HEIGHT / 2, "text": "at risk", "ink": GREY}]
    height = LABEL_HEIGHT * (len(shown) + 1) + _UNDER_AXIS
    return {
        "width": WIDTH,
        "height": height,
        "view": {"stroke": None},
        "encoding": {
            "x": {
                "field": "day", "type": "quantitative", "axis": None,
                "scale": {"domain": [0, max(last, 7)], "nice": False},
            },
            "y": {
                "field": "row", "type": "quantitative", "axis": None,
                "scale": {"domain": [height - _UNDER_AXIS, -_UNDER_AXIS], "nice": False},
            },
            "text": {"field": "text"},
            "color": {"field": "ink", "type": "nominal", "scale": None},
        },
        "layer": [
            {"data": {"values": values}, "mark": {"type": "text", "fontSize": 11}},
            {
                "data": {"values": [*names, *heading]},
                "mark": {"type": "text", "align": "right", "dx": -24, "fontSize": 11},
            },
        ],
    }  # fmt: skip


def _nothing() -> Layer:
    return {
        "data": {"values": [{"text": "nothing to show"}]},
        "mark": {"type": "text", "fontSize": 14, "color": GREY},
        "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": _HEIGHT / 2}, "text": {"field": "text"}},
    }
