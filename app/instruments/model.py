"""What an instrument is: items, scale, bands, rule and worked examples. Their values are checked when they are built.

Inside the service a score is an integer number of *points*: the sum of the items for most instruments, the sum (three
times the mean) for PEG, tenths of T for PROMIS. Thresholds are compared on points, so no comparison depends on
floating-point rounding. `value` is the number that people read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Direction = Literal["lower_is_better", "higher_is_better"]
Basis = Literal["percent", "points"]
RuleKind = Literal["nhs", "published", "computed", "convention"]
Answers = Sequence[int | None]


@dataclass(frozen=True, slots=True)
class Item:
    """One question, identified by number, a short label of our own and its LOINC code, never by its wording."""

    number: int
    label: str
    min: int
    max: int
    loinc: str | None = None


@dataclass(frozen=True, slots=True)
class Band:
    """A severity band in points, both ends included."""

    label: str
    min: int
    max: int


@dataclass(frozen=True, slots=True)
class Rule:
    """The lines of one instrument, in points of severity (0 = none, larger = worse). Source: clinical reference 4.5.

    `response` and `partial` are improvements in percent of the baseline severity or, if `basis` is "points", in points.
    """

    entry: int
    basis: Basis
    response: int
    partial: int
    reliable_change: int
    reliable_change_kind: RuleKind
    remission: int | None
    recall_days: int

    def __post_init__(self) -> None:
        if not (0 < self.partial < self.response and self.entry > 0 and self.reliable_change > 0):
            raise ValueError("a rule needs 0 < partial < response, and a positive entry line and reliable change")

    def falls_by(self, baseline: int, severity: int, amount: int) -> bool:
        """Whether severity fell from the baseline by `amount` (percent or points) or more, in exact integers."""
        fall = baseline - severity
        return fall >= amount if self.basis == "points" else 100 * fall >= amount * baseline


@dataclass(frozen=True, slots=True)
class SelfHarmItem:
    """The item that asks about self-harm: its number, the answer from which a review is needed, the answer from which
    it is urgent, and the largest total that is possible with this item at 0. Source: clinical reference 7."""

    number: int
    line: int
    urgent: int
    largest_total_without: int


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: answers (or only a score) and the value they must give."""

    answers: tuple[int | None, ...] | None
    value: float


@dataclass(frozen=True, slots=True)
class Instrument:
    """A questionnaire or rating scale as data. `points` lists every attainable score, ascending."""

    code: str
    name: str
    domain: str
    rater: Literal["self", "clinician"]
    recall_days: int
    items: tuple[Item, ...]
    method: str
    points: tuple[int, ...]
    per_unit: int
    direction: Direction
    loinc: str | None
    bands: tuple[Band, ...]
    rule: Rule | None
    sources: tuple[str, ...]
    rights: str
    examples: tuple[Example, ...]
    total: Callable[[Answers], int]
    either_or: tuple[tuple[int, int], ...] = ()
    self_harm: SelfHarmItem | None = None

    def __post_init__(self) -> None:
        if list(self.points) != sorted(set(self.points)):
            raise ValueError("attainable points ascend")
        if [item.number for item in self.items] != list(range(1, len(self.items) + 1)):
            raise ValueError("items are numbered from 1")
        if self.rule is not None and self.rule.recall_days != self.recall_days:
            raise ValueError("one recall window per instrument")

    def value(self, points: int) -> int | float:
        """The number that people read: the score in the instrument's own unit, to two decimals."""
        if self.per_unit == 1:
            return points
        return round(points / self.per_unit, 2)

    def severity(self, points: int) -> int:
        """Severity in points: larger is worse for every instrument. Source: clinical reference 4.1."""
        return points if self.direction == "lower_is_better" else self.points[-1] - points

    def points_of_severity(self, severity: int) -> int:
        """The inverse of `severity`."""
        return severity if self.direction == "lower_is_better" else self.points[-1] - severity

    def band(self, points: int) -> str | None:
        """The label of the severity band; None if the instrument has no bands."""
        return next((band.label for band in self.bands if band.min <= points <= band.max), None)


def total_of_items(answers: Answers) -> int:
    """The sum of the answers; an unanswered item counts as 0."""
    return sum(answer or 0 for answer in answers)


def items(labels: Sequence[str], low: int, high: int, loinc: Sequence[str | None] = ()) -> tuple[Item, ...]:
    """Items numbered from 1 that all have the same range."""
    codes = list(loinc) or [None] * len(labels)
    return tuple(
        Item(number, label, low, high, code)
        for number, (label, code) in enumerate(zip(labels, codes, strict=True), start=1)
    )
