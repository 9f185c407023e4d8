"""Scoring: converts answers or a total to points. Refuses what the instrument cannot give."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import Fault, Invalid, Problem
from app.instruments.model import Answers, Instrument


class ScoreMismatch(Problem):
    """Answers and score were both given, and the answers do not add up to that score."""

    code, status, title = "score_mismatch", 422, "The score does not follow from the answers"


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored response. `points`: None where items are unanswered; no total is ever made of fewer items than the
    instrument asks for. `answers`: None for a bare total. `self_harm_item`: None if unknown or not asked."""

    points: int | None
    answers: tuple[int | None, ...] | None
    self_harm_item: int | None


def score(instrument: Instrument, answers: Answers | None, value: float | None, pointer: str = "") -> Scored:
    """The points of a response, given as answers (in item order), as a score in the instrument's unit, or as both.

    A null is an item that was not answered; beside one, a score is ignored. Raises Invalid for a wrong number of
    answers, an answer out of range or an unattainable score, and ScoreMismatch if both are given and differ. `pointer`
    is the prefix of the places named in an error. Source: clinical reference 4.7 b.
    """
    if answers is None and value is None:
        raise Invalid(errors=[Fault("pointer", pointer, "give answers or a score")])
    if answers is not None and not instrument.items:
        rule = "this instrument is one number: send it as score"
        raise Invalid(errors=[Fault("pointer", f"{pointer}/answers", rule)])
    if answers is None:
        assert value is not None  # one of the two was given
        return Scored(_points_of(instrument, value, pointer), None, None)
    faults = _faults(instrument, answers, pointer)
    if faults:
        raise Invalid(errors=faults)
    harm = instrument.self_harm
    item = None if harm is None else answers[harm.number - 1]
    if any(answer is None and not _may_be_blank(instrument, n, answers) for n, answer in enumerate(answers, start=1)):
        return Scored(None, tuple(answers), item)
    points = instrument.total(answers)
    if value is not None and _points_of(instrument, value, pointer) != points:
        raise ScoreMismatch(errors=[Fault("pointer", f"{pointer}/score", "must be what the answers give")])
    return Scored(points, tuple(answers), item)


def _points_of(instrument: Instrument, value: float, pointer: str) -> int:
    if instrument.per_unit == 1 and not isinstance(value, int):
        raise Invalid(errors=[Fault("pointer", f"{pointer}/score", "must be a whole number")])
    nearest = round(value * instrument.per_unit) if abs(value) < 1_000 else -1
    if nearest not in instrument.points or instrument.value(nearest) != value:
        rule = f"must be a score this instrument can give: {_attainable(instrument)}"
        raise Invalid(errors=[Fault("pointer", f"{pointer}/score", rule)])
    return nearest


def _attainable(instrument: Instrument) -> str:
    """Which scores an instrument can give, in words: a range where it gives every whole number in it, else a list."""
    low, high = instrument.points[0], instrument.points[-1]
    if instrument.per_unit == 1 and len(instrument.points) == high - low + 1:
        return f"from {low} to {high}"
    return ", ".join(str(instrument.value(points)) for points in instrument.points)


def _faults(instrument: Instrument, answers: Answers, pointer: str) -> Sequence[Fault]:
    if len(answers) != len(instrument.items):
        rule = f"must have {len(instrument.items)} answers, in item order"
        return [Fault("pointer", f"{pointer}/answers", rule)]
    faults = []
    for index, (item, answer) in enumerate(zip(instrument.items, answers, strict=True)):
        if answer is not None and not item.min <= answer <= item.max:
            rule = f"must be from {item.min} to {item.max}"
            faults.append(Fault("pointer", f"{pointer}/answers/{index}", rule))
    return faults


def _may_be_blank(instrument: Instrument, number: int, answers: Answers) -> bool:
    """Whether an item may be left blank: it is one of an either-or pair, and the other one is answered."""
    return any(
        number in pair and answers[(pair[0] if number == pair[1] else pair[1]) - 1] is not None
        for pair in instrument.either_or
    )
