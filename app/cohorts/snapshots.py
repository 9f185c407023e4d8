"""What callers who may not see patients are answered from: one snapshot of a clinic, renewed at most weekly.

Asked before and after somebody's visit, today's numbers would tell what became of that patient. So such callers get
the numbers of one moment, whatever they ask, and a new moment only when at least as many patients have changed since
every earlier one as the smallest group has. A group of which fewer have changed stays hidden, and with it whatever
would give it by subtraction.
"""

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast, get_args
from uuid import UUID

from app.cohorts import store
from app.cohorts.models import CohortSnapshot
from app.cohorts.policies import groups_of
from app.cohorts.tallies import GroupBy, Question, Tallies, Trait
from app.relief import Record, Spell
from app.storage import Transaction

_RENEWED_AFTER = timedelta(days=7)
# Answers count days from the origin of a spell, whatever its date.
_ORIGIN = date(2000, 1, 1)
_GROUPINGS: tuple[GroupBy, ...] = get_args(GroupBy)

# The episodes of one patient by one instrument: see `store.episodes`.
Episodes = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Person:
    """A patient in a snapshot: the traits they are grouped by, and their episodes by instrument."""

    indications: str
    trials: int | None
    episodes: dict[str, Episodes]

    @property
    def fingerprint(self) -> str:
        """Equal as long as nothing has changed that an answer could show."""
        said = json.dumps([self.indications, self.trials, self.episodes], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def groups(self, group_by: GroupBy) -> frozenset[str]:
        """The groups that count this patient, by whatever instrument."""
        if group_by == "induction_sessions":
            return frozenset(str(episode[1]) for mine in self.episodes.values() for episode in mine)
        trait: Trait = self.indications if group_by == "indication" else self.trials
        return frozenset(groups_of(group_by, trait))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A clinic at one moment. `shown`: the groups of each grouping that changes do not hide."""

    taken_at: datetime
    day: date
    people: dict[str, Person]
    shown: dict[GroupBy, list[str]]

    def tallies(self, question: Question) -> Tallies:
        """The counts that answer a question, as of the snapshot's day."""
        found = Tallies()
        for person in self.people.values():
            trait: Trait = question.instrument
            if question.group_by == "indication":
                trait = person.indications
            elif question.group_by == "treatment_resistant":
                trait = person.trials
            found.add(question, trait, [_record(values) for values in person.episodes.get(question.instrument, [])])
        return found

    def hidden(self, group_by: GroupBy, groups: Iterable[str]) -> frozenset[str]:
        """Those of these groups of which too few patients have changed."""
        return frozenset(set(groups) - set(self.shown[group_by]))


def current(db: Transaction, clinic_id: UUID) -> Snapshot | None:
    """The snapshot that answers now; None before the first."""
    row = store.last_snapshot(db, clinic_id)
    return None if row is None else _read(row)


def is_due(db: Transaction, clinic_id: UUID, now: datetime) -> bool:
    """Whether the clinic has a snapshot that is a week old, or that a clock took which was ahead."""
    row = store.last_snapshot(db, clinic_id)
    return row is not None and not timedelta() <= now - row.taken_at < _RENEWED_AFTER


def take(db: Transaction, clinic_id: UUID, day: date, now: datetime, smallest: int) -> Snapshot | None:
    """Takes a snapshot of today and stores it; None, and nothing is stored, where too few patients have changed since
    an earlier one. Of snapshots taken at once the first is kept."""
    earlier = [_read(row) for row in store.snapshots(db, clinic_id)]
    people = _people(db, clinic_id)
    if not all(_is_safe(people, one.people, "none", (), smallest) for one in earlier):
        return None
    shown = {group_by: _shown(people, earlier, group_by, smallest) for group_by in _GROUPINGS}
    found = Snapshot(now, day, people, shown)
    content = {
        "people": {name: [one.indications, one.trials, one.episodes] for name, one in people.items()},
        "shown": shown,
    }
    packed = zlib.compress(json.dumps(content).encode(), 6)
    store.add_snapshot(db, CohortSnapshot(clinic_id=clinic_id, taken_at=now, day=day, content=packed))
    return found


def _shown(people: dict[str, Person], earlier: Sequence[Snapshot], group_by: GroupBy, smallest: int) -> list[str]:
    """The groups that may be shown, tried from the largest: each is accepted if the accepted ones, compared with every
    earlier snapshot in as far as that showed them too, divide the changed patients into none or enough."""
    sizes = Counter(group for person in people.values() for group in person.groups(group_by))
    accepted: list[str] = []
    for name in sorted(sizes, key=lambda group: (-sizes[group], group)):
        tried = [*accepted, name]
        if all(
            _is_safe(people, one.people, group_by, [g for g in tried if g in one.shown[group_by]], smallest)
            for one in earlier
        ):
            accepted = tried
    return accepted


def _is_safe(
    after: dict[str, Person], before: dict[str, Person], group_by: GroupBy, names: Sequence[str], smallest: int
) -> bool:
    """Whether in each part into which these groups divide the patients, none or at least `smallest` have changed."""
    changed: Counter[tuple[bool, ...]] = Counter()
    for patient in after.keys() | before.keys():
        now, then = after.get(patient), before.get(patient)
        parts = {_part(one, group_by, names) for one in (now, then) if one is not None}
        if now is None or then is None or len(parts) > 1 or now.fingerprint != then.fingerprint:
            changed.update(parts)
    return all(count >= smallest for count in changed.values())


def _part(person: Person, group_by: GroupBy, names: Sequence[str]) -> tuple[bool, ...]:
    mine = person.groups(group_by) if names else frozenset()
    return tuple(name in mine for name in names)


def _people(db: Transaction, clinic_id: UUID) -> dict[str, Person]:
    """Every patient who has had a session, as stored now."""
    episodes: dict[UUID, dict[str, Episodes]] = {}
    for patient_id, instrument, *values in store.episodes(db, clinic_id):
        episodes.setdefault(patient_id, {}).setdefault(instrument, []).append(_plain(values))
    return {
        patient_id.hex: Person(indications, trials, episodes.get(patient_id, {}))
        for patient_id, indications, trials in store.started(db, clinic_id)
    }


def _plain(values: Sequence[Any]) -> list[Any]:
    return [value.isoformat() if isinstance(value, date) else value for value in values]


def _read(row: CohortSnapshot) -> Snapshot:
    content = json.loads(zlib.decompress(row.content))
    people = {name: Person(*values) for name, values in content["people"].items()}
    return Snapshot(row.taken_at, row.day, people, cast("dict[GroupBy, list[str]]", content["shown"]))


@dataclass(frozen=True, slots=True)
class _Kept:
    """An episode as it is stored, which answers like `relief.Record`."""

    episode: int
    induction_sessions: int
    induction_ended_on: date
    baseline: int | None
    evaluable: bool
    followed: bool
    early: int | None
    median_gap_days: float | None
    spell: Spell | None


def _record(values: Sequence[Any]) -> Record:
    episode, sessions, ended_on, baseline, evaluable, followed, early, gap, days, event, *before = values
    spell = None
    if days is not None:
        ends = [None if lasted is None else _ORIGIN + timedelta(days=lasted) for lasted in before]
        spell = Spell(episode, 1, _ORIGIN, _ORIGIN + timedelta(days=days), event, None, None, *ends)
    ended = date.fromisoformat(ended_on)
    kept = _Kept(episode, sessions, ended, baseline, bool(evaluable), bool(followed), early, gap, spell)
    return cast("Record", kept)
