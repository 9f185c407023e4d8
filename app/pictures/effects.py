"""A patient's own series: how many days of relief each session brought, and what the change per booster is."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import zip_longest
from typing import Any

from app.effects.models import ChangePerBoosterOut, InstrumentEffectOut
from app.instruments import INSTRUMENTS
from app.pictures.panel import KINDS
from app.pictures.style import GREY, INK, WIDTH, Layer, framed, midnight, time_axis, titled
from app.pictures.trend import Heading
from app.speech import Speech
from app.speech import message as _

_HEIGHT = 240
# How a session's relief ended, where that was not measured: then it lasted at least so long.
_AT_LEAST = ("next_session", "still_holding", "unknown")


class Bar:
    """One session that counts: its day, its kind, and what it did by the instrument (None: nothing is known)."""

    def __init__(self, day: date, kind: str, effect: InstrumentEffectOut | None) -> None:
        self.day, self.kind, self.effect = day, kind, effect

    @property
    def days(self) -> int | None:
        """Days of relief; 0 where none came."""
        if self.effect is None:
            return None
        return 0 if self.effect.relief_ended_by == "never_responded" else self.effect.relief_days


def effects_picture(
    instrument: str, bars: Sequence[Bar], change: ChangePerBoosterOut | None, heading: Heading
) -> dict[str, Any]:
    """The specification of days of relief by session, beside the days to the next one. `bars` are in order of time."""
    speech = heading.speech
    first, last = (bars[0].day, heading.today) if bars else (heading.today, heading.today)
    values, spans = [], []
    for bar, following in zip_longest(bars, bars[1:]):
        until = heading.today if following is None else following.day
        spans.append({"at": midnight(bar.day), "value": (until - bar.day).days})
        if bar.days is not None and bar.effect is not None:
            at_least = bar.effect.relief_ended_by in _AT_LEAST
            values.append(
                {
                    "at": midnight(bar.day),
                    "value": bar.days,
                    "kind": speech.code(bar.kind),
                    "measured": not at_least,
                    "said": _told(bar, speech, at_least=at_least),
                }
            )
    top = max([7, *(one["value"] for one in (*values, *spans))])
    layers: list[Layer] = []
    if spans:
        layers.append(
            {"data": {"values": spans}, "mark": {"type": "bar", "color": "#E2E2E2", "width": 6, "aria": False}}
        )
    if values:
        kinds = [kind for kind in KINDS if any(one["kind"] == speech.code(kind) for one in values)]
        layers.append(
            {
                "data": {"values": values},
                "mark": {"type": "point", "size": 70, "strokeWidth": 1.8, "opacity": 1},
                "encoding": {
                    "shape": {
                        "field": "kind", "type": "nominal",
                        "scale": {"domain": [speech.code(k) for k in kinds], "range": [KINDS[k][0] for k in kinds]},
                    },
                    "stroke": {"value": INK},
                    "fill": {"condition": {"test": "datum.measured", "value": INK}, "value": "white"},
                    "description": {"field": "said"},
                },
            }
        )  # fmt: skip
    else:
        layers.append(
            {
                "data": {"values": [{"text": speech.translated(_("no session with a reading after it yet"))}]},
                "mark": {"type": "text", "fontSize": 14, "color": GREY},
                "encoding": {"x": {"value": WIDTH / 2}, "y": {"value": _HEIGHT / 2}, "text": {"field": "text"}},
            }
        )
    subtitle = [
        speech.translated(
            _("symbols: days of relief; hollow: at least so long · grey: days to the next session, or to today")
        ),
        changed(change, speech),
    ]
    axis = {"title": speech.translated(_("days")), "grid": True, "gridColor": "#EEEEEE", "tickCount": 5}
    y = {"field": "value", "type": "quantitative", "scale": {"domain": [0, top], "nice": True}, "axis": axis}
    return {
        **framed(
            titled(title_of(instrument, speech), heading.label, heading.clinic), subtitle,
            described(bars, change, speech), synthetic=heading.synthetic, speech=speech,
        ),
        "width": WIDTH,
        "height": _HEIGHT,
        "encoding": {"x": time_axis(first, max(last, first + timedelta(days=1))), "y": y},
        "layer": layers,
    }  # fmt: skip


def title_of(instrument: str, speech: Speech) -> str:
    """What the picture of an instrument is called."""
    name = speech.translated(INSTRUMENTS[instrument].name)
    return speech.translated(_("Relief by session: %(name)s")) % {"name": name}


def described(bars: Sequence[Bar], change: ChangePerBoosterOut | None, speech: Speech) -> str:
    """The series in words."""
    told = [
        f"{_told(bar, speech, at_least=bar.effect.relief_ended_by in _AT_LEAST)}."
        for bar in bars
        if bar.effect is not None and bar.days is not None
    ]
    none = speech.translated(_("No session with a reading after it yet."))
    return " ".join([*(told or [none]), f"{changed(change, speech)}."])


def changed(change: ChangePerBoosterOut | None, speech: Speech) -> str:
    """The change per booster in words, with its interval."""
    if change is None or change.change_days is None:
        unknown = _("change per booster: not known with fewer than five later sessions, or too few measured endings")
        return speech.translated(unknown)
    low, high = (_signed(end, speech) for end in change.ci or [None, None])
    values = {"days": _signed(change.change_days, speech), "low": low, "high": high, "sessions": change.sessions}
    text = _("change per booster: %(days)s days (95%% %(low)s to %(high)s), over %(sessions)s later sessions")
    return speech.translated(text) % values


def _signed(value: float | None, speech: Speech) -> str:
    if value is None:
        return speech.translated(_("unbounded"))
    return f"{'-' if value < 0 else '+'}{speech.number(abs(value))}"


def _told(bar: Bar, speech: Speech, *, at_least: bool) -> str:
    """A session, and how long its relief lasted."""
    values = {"kind": speech.code(bar.kind), "day": speech.day(bar.day), "lasted": _lasted(bar, speech, at_least)}
    return speech.translated(_("%(kind)s on %(day)s: %(lasted)s")) % values


def _lasted(bar: Bar, speech: Speech, at_least: bool) -> str:
    if bar.days == 0 and not at_least:
        return speech.code("no_response")
    days = bar.days or 0
    if at_least:
        text = speech.counted("at least %(days)s day of relief", "at least %(days)s days of relief", days)
    else:
        text = speech.counted("%(days)s day of relief", "%(days)s days of relief", days)
    return text % {"days": days}
