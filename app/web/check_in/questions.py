"""What a patient is asked: the questions of what is due, in the reader's language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.instruments import INSTRUMENTS, Instrument
from app.plans.models import DueOut

_OPEN = ("due", "overdue")
# What each end of a scale from 0 to 10 stands for. They ask about now.
ENDS: Mapping[str, tuple[str, str]] = {
    "nrs-mood": ("worst mood", "best mood"),
    "nrs-anxiety": ("no anxiety", "worst anxiety"),
    "nrs-pain": ("no pain", "worst pain"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer that may be chosen."""

    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """One item of an instrument. `alarms_from`: the answer from which it is about self-harm; None for other items."""

    name: str
    code: str
    number: int
    text: str
    choices: Sequence[Choice]
    alarms_from: int | None


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale about now without items, for a slider."""

    name: str
    code: str
    text: str
    low: int
    high: int
    ends: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked now: scales that go into one view, and questions that come one at a time. `is_worded`: the clinic
    has loaded the wording of all of them; else short labels of ours stand in its place."""

    scales: Sequence[Scale]
    questions: Sequence[Question]
    codes: Sequence[str]
    is_worded: bool


Wording = Mapping[str, Mapping[str, Any]]


def asked(items: Sequence[DueOut], wording: Wording, translated: Callable[[str], str]) -> Asked:
    """The questions of what is due and not answered. `wording`: by instrument, the clinic's own."""
    codes = list(dict.fromkeys(code for one in items if one.state in _OPEN for code in one.missing))
    found = [INSTRUMENTS[code] for code in codes]
    scales = [_scale(one, wording.get(one.code), translated) for one in found if not one.items]
    questions = [
        question for one in found if one.items for question in _questions(one, wording.get(one.code), translated)
    ]
    return Asked(scales, questions, codes, all(code in wording for code in codes))


def _scale(instrument: Instrument, worded: Mapping[str, Any] | None, translated: Callable[[str], str]) -> Scale:
    low, high = int(instrument.value(instrument.points[0])), int(instrument.value(instrument.points[-1]))
    first, last = ENDS.get(instrument.code, ("", ""))
    text = worded["items"][0]["text"] if worded else translated(instrument.name)
    return Scale(f"{instrument.code}.total", instrument.code, text, low, high, (translated(first), translated(last)))


def _questions(
    instrument: Instrument, worded: Mapping[str, Any] | None, translated: Callable[[str], str]
) -> Sequence[Question]:
    found = []
    for item in instrument.items:
        mine = next((one for one in worded["items"] if one["number"] == item.number), None) if worded else None
        texts = {} if mine is None else {choice["value"]: choice["text"] for choice in mine["choices"]}
        choices = [Choice(value, texts.get(value, str(value))) for value in range(item.min, item.max + 1)]
        harm = instrument.self_harm
        alarms_from = 1 if harm is not None and harm.number == item.number else None
        text = mine["text"] if mine is not None else f"{instrument.name} {item.number}: {translated(item.label)}"
        found.append(
            Question(f"{instrument.code}.{item.number}", instrument.code, item.number, text, choices, alarms_from)
        )
    return found
