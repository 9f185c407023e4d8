"""What an instrument is: items, scale, bands, rule and worked examples. Their values are checked when they are built.

Inside the service a score is an integer number of *points*: the sum of the items for most instruments, the sum (three
times the mean) for PEG, tenths of T for PROMIS. Thresholds are compared on points, so no comparison depends on
floating-point rounding. `value` is the number that people read.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["lower_is_better", "higher_is_better"]
Basis = Literal["percent", "points"]
RuleKind = Literal["nhs", "published", "computed", "convention"]
Answers = Sequence[int | None]

CONVENTION = "convention"


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
    `remission_needs_reliable_change`: in answers over many patients, remission needs a fall by the reliable change too.
    """

    entry: int
    basis: Basis
    response: int
    partial: int
    reliable_change: int
    reliable_change_kind: RuleKind
    reliable_change_source: str
    remission: int | None
    recall_days: int
    remission_needs_reliable_change: bool = False

    def __post_init__(self) -> None:
        if not (0 < self.partial < self.response and self.entry > 0 and self.reliable_change > 0):
            raise ValueError("a rule needs 0 < partial < response, and a positive entry line and reliable change")

    def falls_by(self, baseline: int, severity: int, amount: int) -> bool:
        """Whether severity fell from the baseline by `amount` (percent or points) or more, in exact integers."""
        fall = baseline - severity
        return fall >= amount if self.basis == "points" else 100 * fall >= amount * baseline

    @property
    def measurement_error(self) -> float:
        """The standard error of measurement of one reading, in points: the reliable change / (1.96 x sqrt 2). Source:
        Jacobson and Truax 1991 J Consult Clin Psychol 59:12."""
        return self.reliable_change / (1.96 * math.sqrt(2))

    def is_within_error(self, severity: int, line: int) -> bool:
        """Whether a reading and a line are at most 1.96 standard errors of measurement apart, in exact integers."""
        return 2 * (severity - line) ** 2 <= self.reliable_change**2


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
    """A questionnaire or rating scale as data. `points` lists every attainable score, ascending. `rule` is that of the
    newest version; `earlier_rules` those of earlier versions in which it was another one."""

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
    earlier_rules: Mapping[str, Rule] = field(default_factory=dict)

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

    def worst_at_most(self, severity: int) -> int | None:
        """The severity of the worst attainable score whose severity is at most this one; None if there is none."""
        return max((found for found in map(self.severity, self.points) if found <= severity), default=None)

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
