"""A cohort as counts: a few hundred numbers, whatever its size, from which every answer is computed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from app.relief import EARLY_TO_DAYS, Boosters, Endpoint, Record

GroupBy = Literal["none", "indication", "treatment_resistant", "induction_sessions"]
Trait = str | int | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a cohort. A *trait* is the value that `group_by` groups by: the indications (as stored), the
    number of failed antidepressant trials, or the number of sessions in the episode's first course. Without a grouping
    it is the instrument, which all share."""

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

    `spells`: (trait, days, ended by an event) of each first durable response. `people`: patients with such a response,
    by trait. `early`: (trait, baseline, severity 14 to 31 days after the first course) of evaluable episodes, in
    points. `early_people`: patients with such a reading. `early_missing`: episodes whose window closed without a
    reading. `gaps`: the median days between readings of each evaluable episode. `people_overlap` and `early_overlap`:
    whether some patient is counted under two traits. `last_on`: the day of the last event behind the stored episodes;
    their values stay the same on any later day.
    """

    last_on: date | None = field(default=None, compare=False)
    spells: Counter[tuple[Trait, int, bool]] = field(default_factory=Counter)
    people: Counter[Trait] = field(default_factory=Counter)
    early: Counter[tuple[Trait, int, int]] = field(default_factory=Counter)
    early_people: Counter[Trait] = field(default_factory=Counter)
    early_missing: Counter[Trait] = field(default_factory=Counter)
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

    def add(self, question: Question, trait: Trait, records: Sequence[Record]) -> None:
        """Adds one patient who has had a session to the counts."""

        def trait_of(record: Record) -> Trait:
            return record.induction_sessions if question.group_by == "induction_sessions" else trait

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
            if record.spell is not None:
                self.spell_count += 1
                self.spells[(trait_of(record), *record.spell.ending(question.endpoint, question.boosters))] += 1
            if record.early is not None and record.baseline is not None:
                self.early_count += 1
                self.early[(trait_of(record), record.baseline, record.early)] += 1
            elif record.induction_ended_on < question.early_closed_on:
                self.early_missing[trait_of(record)] += 1
            if record.median_gap_days is not None:
                self.gaps[record.median_gap_days] += 1
