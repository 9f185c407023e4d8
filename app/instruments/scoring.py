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
    """A scored response. `answers`: None for a bare total. `self_harm_item`: None if unknown or not asked."""

    points: int
    answers: tuple[int | None, ...] | None
    self_harm_item: int | None


def score(instrument: Instrument, answers: Answers | None, value: float | None, pointer: str = "") -> Scored:
    """The points of a response, given as answers (in item order), as a score in the instrument's unit, or as both.

    Raises Invalid for a wrong number of answers, an answer out of range, a missing answer or an unattainable score, and
    ScoreMismatch if both are given and differ. `pointer` is the prefix of the places named in an error.
    """
    if answers is None and value is None:
        raise Invalid(errors=[Fault("pointer", pointer, "give answers or a score")])
    if answers is not None and not instrument.items:
        rule = "this instrument is one number: send it as score"
        raise Invalid(errors=[Fault("pointer", f"{pointer}/answers", rule)])
    stated = None if value is None else _points_of(instrument, value, pointer)
    if answers is None:
        assert stated is not None  # one of the two was given
        return Scored(stated, None, None)
    faults = _faults(instrument, answers, pointer)
    if faults:
        raise Invalid(errors=faults)
    points = instrument.total(answers)
    if stated is not None and stated != points:
        raise ScoreMismatch(errors=[Fault("pointer", f"{pointer}/score", "must be what the answers give")])
    harm = instrument.self_harm
    return Scored(points, tuple(answers), None if harm is None else answers[harm.number - 1])


def _points_of(instrument: Instrument, value: float, pointer: str) -> int:
    if instrument.per_unit == 1 and not isinstance(value, int):
        raise Invalid(errors=[Fault("pointer", f"{pointer}/score", "must be a whole number")])
    nearest = round(value * instrument.per_unit) if abs(value) < 1_000 else -1
    if nearest not in instrument.points or instrument.value(nearest) != value:
        low, high = instrument.value(instrument.points[0]), instrument.value(instrument.points[-1])
        rule = f"must be a score this instrument can give, from {low} to {high}"
        raise Invalid(errors=[Fault("pointer", f"{pointer}/score", rule)])
    return nearest


def _faults(instrument: Instrument, answers: Answers, pointer: str) -> Sequence[Fault]:
    if len(answers) != len(instrument.items):
        rule = f"must have {len(instrument.items)} answers, in item order"
        return [Fault("pointer", f"{pointer}/answers", rule)]
    faults = []
    for index, (item, answer) in enumerate(zip(instrument.items, answers, strict=True)):
        if answer is None:
            if not _may_be_blank(instrument, item.number, answers):
                faults.append(Fault("pointer", f"{pointer}/answers/{index}", "must be answered"))
        elif not item.min <= answer <= item.max:
            rule = f"must be from {item.min} to {item.max}"
            faults.append(Fault("pointer", f"{pointer}/answers/{index}", rule))
    return faults


def _may_be_blank(instrument: Instrument, number: int, answers: Answers) -> bool:
    """Whether an item may be left blank: it is one of an either-or pair, and the other one is answered."""
    return any(
        number in pair and answers[(pair[0] if number == pair[1] else pair[1]) - 1] is not None
        for pair in instrument.either_or
    )
