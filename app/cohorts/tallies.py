"""A cohort as counts: a few hundred numbers, whatever its size, from which every answer is computed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal, NamedTuple

from app.instruments import INSTRUMENTS
from app.relief import EARLY_TO_DAYS, Boosters, Endpoint, Outcome, Record

GroupBy = Literal[
    "none", "indication", "treatment_resistant", "induction_sessions", "route", "dose_band", "quarter", "age_band"
]
MedianRead = Literal["first_day", "midpoint"]
# Groupings by what an episode began with. Only callers who may see patients are answered by them.
BY_EPISODE: tuple[GroupBy, ...] = ("route", "dose_band", "quarter", "age_band")
Trait = str | int | None
RESISTANT_FROM_TRIALS = 2


class Held(NamedTuple):
    """A first durable response: its trait, and what became of it."""

    trait: Trait
    outcome: Outcome


class Early(NamedTuple):
    """An early reading: its trait, the baseline and the reading as severities in points, and whether its recall window
    reaches back to the first course (None: an earlier release did not keep that)."""

    trait: Trait
    baseline: int
    severity: int
    overlaps: bool | None


class Mix(NamedTuple):
    """What a group is made of: its evaluable episodes with an outcome, the sum of their baselines in points, and of how
    many the number of failed trials is known, and is two or more."""

    episodes: int = 0
    baselines: int = 0
    known: int = 0
    resistant: int = 0

    def __add__(self, other: object) -> "Mix":
        assert isinstance(other, Mix)
        return Mix(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a cohort. A *trait* is the value that `group_by` groups by: the indications (as stored), the
    number of failed antidepressant trials, the number of sessions in the episode's first course, or the group itself
    (`BY_EPISODE`). Without a grouping it is the instrument, which all share."""

    instrument: str
    group_by: GroupBy
    as_of: date
    endpoint: Endpoint = "loss_or_rescue"
    boosters: Boosters = "ignore"

    @property
    def early_closed_on(self) -> date:
        """For a first course that ended before this day, the window of early readings is over."""
        return self.as_of - timedelta(days=EARLY_TO_DAYS)


@dataclass(slots=True)
class Tallies:
    """Counts of episodes and of patients, for one instrument.

    `spells`: each first durable response. `people`: patients with such a response, by trait. `early`: the readings 14
    to 31 days after the first course of evaluable episodes. `early_people`: patients with such a reading.
    `early_missing`: episodes whose window closed without a reading. `held_mix` and `early_mix`: by trait, what the
    episodes with a response and those with a reading are; empty without a grouping. `gaps`: the median days between
    readings of each evaluable episode. `people_overlap` and `early_overlap`: whether some patient is counted under two
    traits. `last_on`: the day of the last event behind the stored episodes; their values stay the same on any later
    day."""

    last_on: date | None = field(default=None, compare=False)
    spells: Counter[Held] = field(default_factory=Counter)
    people: Counter[Trait] = field(default_factory=Counter)
    early: Counter[Early] = field(default_factory=Counter)
    early_people: Counter[Trait] = field(default_factory=Counter)
    early_missing: Counter[Trait] = field(default_factory=Counter)
    held_mix: dict[Trait, Mix] = field(default_factory=dict)
    early_mix: dict[Trait, Mix] = field(default_factory=dict)
    gaps: Counter[float] = field(default_factory=Counter)
    people_overlap: bool = False
    early_overlap: bool = False
    patients: int = 0
    with_baseline: int = 0
    evaluable: int = 0
    with_follow_up: int = 0
    responders: int = 0
    with_early_reading: int = 0
    spell_count: int = 0
    early_count: int = 0

    @property
    def extra_spells(self) -> int:
        """The number of spells beyond the first of each patient."""
        return self.spell_count - self.responders

    def add(
        self,
        question: Question,
        trait_of: Callable[[Record], Trait],
        records: Sequence[Record],
        trials: int | None,
    ) -> None:
        """Adds one patient who has had a session to the counts; `trials` is the number of failed antidepressant
        trials."""
        recall_days = INSTRUMENTS[question.instrument].recall_days
        evaluable = [r for r in records if r.evaluable]
        held = {r.episode: trait_of(r) for r in evaluable if r.spell is not None}
        early = {r.episode: trait_of(r) for r in evaluable if r.early is not None}
        self.patients += 1
        self.with_baseline += any(r.baseline is not None for r in records)
        self.evaluable += bool(evaluable)
        self.with_follow_up += any(r.followed for r in evaluable)
        self.responders += bool(held)
        self.with_early_reading += bool(early)
        self.people.update(set(held.values()))
        self.early_people.update(set(early.values()))
        self.people_overlap |= len(set(held.values())) > 1
        self.early_overlap |= len(set(early.values())) > 1
        for record in evaluable:
            for mixes, is_of in ((self.held_mix, record.spell), (self.early_mix, record.early)):
                if is_of is not None and question.group_by != "none":
                    mine, known = trait_of(record), trials is not None
                    mix = Mix(1, record.baseline or 0, known, (trials or 0) >= RESISTANT_FROM_TRIALS)
                    mixes[mine] = mixes.get(mine, Mix()) + mix
            if record.spell is not None:
                self.spell_count += 1
                self.spells[Held(trait_of(record), record.spell.outcome(question.boosters))] += 1
            if record.early is not None and record.baseline is not None:
                self.early_count += 1
                overlaps = None if record.early_days is None else recall_days > record.early_days
                self.early[Early(trait_of(record), record.baseline, record.early, overlaps)] += 1
            elif record.induction_ended_on < question.early_closed_on:
                self.early_missing[trait_of(record)] += 1
            if record.median_gap_days is not None:
                self.gaps[record.median_gap_days] += 1
