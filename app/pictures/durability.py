"""How long relief lasted over a clinic's patients: curves with intervals, where they end, and numbers at risk."""

from typing import Any

from app.cohorts.models import CohortDurabilityOut, DurabilityGroupOut
from app.cohorts.words import group_in_words
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
from app.speech import Speech
from app.speech import message as _

_HEIGHT = 320
_COLOURS = (BLUE, ORANGE, GREEN, PURPLE, YELLOW, SKY, INK)
_DASHES: tuple[list[int], ...] = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3], [4, 4], [1, 3], [12, 4])
_TABLE_COLUMNS = 7
_LONGEST = 24
_UNDER_AXIS = 40  # room for the axis of the curves above


def durability_picture(answer: CohortDurabilityOut, clinic: str, speech: Speech, *, synthetic: bool) -> dict[str, Any]:
    """The specification of the curves of an answer. The field `description` is the text alternative."""
    shown = [group for group in answer.groups if group.curve]
    last = max((_ends_on(group) for group in shown), default=0)
    layers: list[Layer] = []
    for index, group in enumerate(shown):
        layers += _curve(group, _COLOURS[index % 7], _DASHES[index % 7], speech)
    signs = [
        Sign(
            f"{group_in_words(group.group, speech)} ({group.responders})", _COLOURS[index % 7], dash=_DASHES[index % 7]
        )
        for index, group in enumerate(shown)
    ]
    x = {"field": "day", "type": "quantitative", "scale": {"domain": [0, max(last, 7)], "nice": False}}
    days = speech.translated(_("days since the first response after the course"))
    share = speech.translated(_("share still in response"))
    curves = {
        "width": WIDTH,
        "height": _HEIGHT,
        "encoding": {
            "x": x | {"axis": {"title": days, "grid": False, "tickMinStep": 1}},
            "y": {
                "field": "survival",
                "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"title": share, "format": ".0%", "tickCount": 5},
            },
        },
        "layer": layers or [_nothing(speech)],
    }
    title, told = titled(title_of(answer, speech), clinic), described(answer, speech)
    return {
        **framed(title, _subtitle(answer, speech), told, synthetic=synthetic, speech=speech),
        "vconcat": [*([key(signs)] if signs else []), curves, *([_table(shown, last, speech)] if shown else [])],
        "spacing": 8,
        "bounds": "flush",
    }


def title_of(answer: CohortDurabilityOut, speech: Speech) -> str:
    """What the picture of an answer is called."""
    name = speech.translated(INSTRUMENTS[answer.instrument].name)
    return speech.translated(_("How long relief lasts: %(name)s")) % {"name": name}


def described(answer: CohortDurabilityOut, speech: Speech) -> str:
    """The curves in words: for each group how many, how many ended, the median, and what is known at each day."""
    opening = speech.translated(_("How long relief lasts by %(name)s, as of %(day)s."))
    name = speech.translated(INSTRUMENTS[answer.instrument].name)
    parts = [opening % {"name": name, "day": speech.day(answer.as_of)}]
    for group in answer.groups:
        named = group_in_words(group.group, speech)
        if group.suppressed:
            hidden = _("%(group)s: hidden, because too few patients are in it.")
            parts.append(speech.translated(hidden) % {"group": named})
            continue
        median = speech.translated(_("not reached"))
        if group.median_days is not None:
            median = speech.translated(_("%(days)s days")) % {"days": speech.number(group.median_days)}
        values = {"group": named, "spells": group.responders, "ended": group.events, "median": median}
        parts.append(speech.translated(_("%(group)s: %(spells)s spells, %(ended)s ended, median %(median)s.")) % values)
        known = [one for one in group.still_holding or [] if one.survival is not None]
        if known:
            told = ", ".join(_share(one.survival or 0, one.day, speech) for one in known)
            parts.append(speech.translated(_("Still in response: %(told)s.")) % {"told": told})
    return " ".join(parts)


def _share(survival: float, day: int, speech: Speech) -> str:
    return speech.translated(_("%(percent)s%% on day %(day)s")) % {"percent": f"{100 * survival:.0f}", "day": day}


def _subtitle(answer: CohortDurabilityOut, speech: Speech) -> list[str]:
    ended = {"loss_or_rescue": _("until loss or rescue"), "loss": _("until loss")}[answer.endpoint]
    boosters = {"ignore": _("boosters ignored"), "censor": _("censored at the first booster")}[answer.boosters]
    as_of = speech.translated(_("as of %(day)s")) % {"day": speech.day(answer.as_of)}
    bands = speech.translated(_("bands: 95%% intervals")) % {}
    lines = [" · ".join([as_of, speech.translated(ended), speech.translated(boosters), bands])]
    if any(group.suppressed for group in answer.groups):
        hidden = ", ".join(group_in_words(group.group, speech) for group in answer.groups if group.suppressed)
        text = speech.translated(_("hidden, because too few patients are in it: %(groups)s"))
        lines.append(text % {"groups": hidden})
    few = [
        f"{group_in_words(group.group, speech)} ({group.responders})"
        for group in answer.groups
        if not group.suppressed and not group.curve
    ]
    if few:
        text = speech.translated(_("no curve, because too few spells are in it: %(groups)s"))
        lines.append(text % {"groups": ", ".join(few)})
    end = _("A curve ends (bar) where too few are at risk. A loss needs two readings; sparse readings make it late.")
    lines.append(speech.translated(end))
    return lines


def _ends_on(group: DurabilityGroupOut) -> int:
    """The last day on which enough are at risk; the curve is known up to there."""
    assert group.curve is not None
    return max(group.followed_to_day or 0, group.curve[-1].day)


def _curve(group: DurabilityGroupOut, colour: str, dash: list[int], speech: Speech) -> list[Layer]:
    assert group.curve is not None
    steps = [step.model_dump() | {"group": group_in_words(group.group, speech)} for step in group.curve]
    steps.append({**steps[-1], "day": _ends_on(group)})
    band = [step for step in steps if step["ci_low"] is not None]
    end, label = steps[-1], f"{group_in_words(group.group, speech)} ({group.responders})"
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
                "description": f"{label}: {_share(end['survival'], end['day'], speech)}",
            },
        }
    )  # fmt: skip
    layers.append(
        {
            "data": {"values": [end]},
            "mark": {"type": "tick", "orient": "vertical", "color": colour, "size": 14, "thickness": 2, "aria": False},
        }
    )
    return layers


def _table(shown: list[DurabilityGroupOut], last: int, speech: Speech) -> dict[str, Any]:
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
            "text": shortened(group_in_words(group.group, speech), _LONGEST),
            "ink": _COLOURS[index % 7],
        }
        for index, group in enumerate(shown)
    ]
    heading = [{"day": 0, "row": LABEL_HEIGHT / 2, "text": speech.translated(_("at risk")), "ink": GREY}]
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
            {"data": {"values": values}, "mark": {"type": "text", "fontSize": 11, "aria": False}},
            {
                "data": {"values": [*names, *heading]},
                "mark": {"type": "text", "align": "right", "dx": -24, "fontSize": 11, "aria": False},
            },
        ],
    }  # fmt: skip


def _nothing(speech: Speech) -> Layer:
    return {
        "data": {"values": [{"text": speech.translated(_("nothing to show"))}]},
        "mark": {"type": "text", "fontSize": 14, "color": GREY},
        "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": _HEIGHT / 2}, "text": {"field": "text"}},
    }
