"""What callers who may not see patients are answered from: one snapshot of a clinic, renewed at most weekly.

Asked before and after somebody's visit, today's numbers would tell what became of that patient. So such callers get
the numbers of one moment, whatever they ask, and a new moment only when none or at least as many patients have changed
since every earlier one as the smallest group has. That is so for each instrument by itself, because questions are
about one: where fewer have changed by an instrument, its episodes stay those of the moment before. A group of which
fewer have changed stays hidden, and with it whatever would give it by subtraction.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, get_args
from uuid import UUID

from app.cohorts import store
from app.cohorts.kept import kept_record
from app.cohorts.models import CohortSnapshot
from app.cohorts.policies import groups_of
from app.cohorts.tallies import BY_EPISODE, GroupBy, Question, Tallies, Trait
from app.relief import Record
from app.storage import Transaction

_RENEWED_AFTER = timedelta(days=7)
# What is said of patients whatever the instrument: who they are, and what they are treated for.
_NO_INSTRUMENT = ""
_GROUPINGS: tuple[GroupBy, ...] = tuple(by for by in get_args(GroupBy) if by not in BY_EPISODE)

# The episodes of one patient by one instrument: see `store.episodes`.
Episodes = list[list[Any]]


@dataclass(frozen=True, slots=True)
class Person:
    """A patient in a snapshot: the traits they are grouped by, and their episodes by instrument."""

    indications: str
    trials: int | None
    episodes: dict[str, Episodes]

    def groups(self, group_by: GroupBy, instrument: str) -> frozenset[str]:
        """The groups that count this patient."""
        if group_by == "induction_sessions":
            return frozenset(str(episode[1]) for episode in self.episodes.get(instrument, ()))
        trait: Trait = self.indications if group_by == "indication" else self.trials
        return frozenset(groups_of(group_by, trait))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A clinic at one moment. `moments`: when, and on which day of the clinic, the episodes by each instrument were as
    they are here; `shown`: by instrument, the groups of each grouping that changes do not hide."""

    taken_at: datetime
    day: date
    people: dict[str, Person]
    moments: dict[str, tuple[datetime, date]]
    shown: dict[str, dict[GroupBy, list[str]]]

    def moment_of(self, instrument: str) -> tuple[datetime, date]:
        """As of when a question about an instrument is answered, and of which day."""
        return self.moments.get(instrument, self.moments[_NO_INSTRUMENT])

    def tallies(self, question: Question) -> Tallies:
        """The counts that answer a question, as of the snapshot's day."""
        found = Tallies()
        for person in self.people.values():
            records = [kept_record(values) for values in person.episodes.get(question.instrument, [])]
            found.add(question, partial(_trait_of, question, person), records, person.trials)
        return found

    def hidden(self, question: Question, groups: Iterable[str]) -> frozenset[str]:
        """Those of these groups of which too few patients have changed."""
        shown = self.shown.get(question.instrument, self.shown[_NO_INSTRUMENT])
        return frozenset(set(groups) - set(shown[question.group_by]))


def _trait_of(question: Question, person: Person, record: Record) -> Trait:
    if question.group_by == "induction_sessions":
        return record.induction_sessions
    if question.group_by == "indication":
        return person.indications
    return person.trials if question.group_by == "treatment_resistant" else question.instrument


def current(db: Transaction, clinic_id: UUID) -> Snapshot | None:
    """The snapshot that answers now; None before the first."""
    row = store.last_snapshot(db, clinic_id)
    return None if row is None else _read(row)


def is_due(db: Transaction, clinic_id: UUID, now: datetime) -> bool:
    """Whether the clinic has a snapshot that is a week old, or that a clock took which was ahead."""
    row = store.last_snapshot(db, clinic_id)
    return row is not None and not timedelta() <= now - row.taken_at < _RENEWED_AFTER


def taken(db: Transaction, clinic_id: UUID, day: date, now: datetime, smallest: int) -> Snapshot | None:
    """A snapshot of today, which `keep` keeps; None where too few patients have changed since an earlier one."""
    earlier = [_read(row) for row in store.snapshots(db, clinic_id)]
    return renewed(_people(db, clinic_id), earlier, day, now, smallest)


def renewed(
    people: dict[str, Person], earlier: Sequence[Snapshot], day: date, now: datetime, smallest: int
) -> Snapshot | None:
    """The snapshot of these people that may follow the earlier ones, oldest first; None if none may."""
    last = earlier[-1] if earlier else None
    if last is not None and not _may_follow(people, earlier, _NO_INSTRUMENT, smallest):
        people = _same_people(people, last)
    instruments = [_NO_INSTRUMENT, *sorted({code for person in people.values() for code in person.episodes})]
    moments = dict.fromkeys(instruments, (now, day))
    for code in instruments:
        if last is not None and not _may_follow(people, earlier, code, smallest):
            people, moments[code] = _as_before(people, last, code), last.moment_of(code)
    if not all(_may_follow(people, earlier, code, smallest) for code in instruments):
        return None
    if last is not None and moments == last.moments:
        return None
    shown = {code: {by: _shown(people, earlier, code, by, smallest) for by in _GROUPINGS} for code in instruments}
    return Snapshot(now, day, people, moments, shown)


def keep(db: Transaction, clinic_id: UUID, found: Snapshot, after: Snapshot | None) -> bool:
    """Stores a snapshot that was made to follow another one; False, and nothing is stored, where a newer one is there
    by now."""
    last = store.last_snapshot(db, clinic_id)
    if (None if last is None else last.taken_at) != (None if after is None else after.taken_at):
        return False
    content = {
        "people": {name: [one.indications, one.trials, one.episodes] for name, one in found.people.items()},
        "moments": {code: [at.isoformat(), day.isoformat()] for code, (at, day) in found.moments.items()},
        "shown": found.shown,
    }
    packed = zlib.compress(json.dumps(content).encode(), 6)
    store.add_snapshot(db, CohortSnapshot(clinic_id=clinic_id, taken_at=found.taken_at, day=found.day, content=packed))
    return True


def _same_people(people: dict[str, Person], last: Snapshot) -> dict[str, Person]:
    """The people of a snapshot as they were, with their episodes of now."""
    return {
        name: Person(then.indications, then.trials, people[name].episodes if name in people else then.episodes)
        for name, then in last.people.items()
    }


def _as_before(people: dict[str, Person], last: Snapshot, code: str) -> dict[str, Person]:
    """The same people, with their episodes by one instrument as they were."""
    return {
        name: Person(
            one.indications,
            one.trials,
            {
                **{other: mine for other, mine in one.episodes.items() if other != code},
                **({code: then.episodes[code]} if (then := last.people.get(name)) and code in then.episodes else {}),
            },
        )
        for name, one in people.items()
    }


def _may_follow(people: dict[str, Person], earlier: Sequence[Snapshot], code: str, smallest: int) -> bool:
    return all(_is_safe(_changed(people, one.people, code), code, "none", (), smallest) for one in earlier)


def _shown(
    people: dict[str, Person], earlier: Sequence[Snapshot], code: str, group_by: GroupBy, smallest: int
) -> list[str]:
    """The groups that may be shown, tried from the largest: each is accepted if the accepted ones, compared with every
    earlier snapshot in as far as that showed them too, divide the changed patients into none or enough."""
    sizes = Counter(group for person in people.values() for group in person.groups(group_by, code))
    known = [(one, one.shown.get(code, one.shown[_NO_INSTRUMENT])) for one in earlier]
    since = [(_changed(people, one.people, code), shown[group_by]) for one, shown in known]
    accepted: list[str] = []
    for name in sorted(sizes, key=lambda group: (-sizes[group], group)):
        tried = [*accepted, name]
        if all(_is_safe(some, code, group_by, [g for g in tried if g in shown], smallest) for some, shown in since):
            accepted = tried
    return accepted


_Change = tuple[Person | None, Person | None]


def _changed(after: dict[str, Person], before: dict[str, Person], code: str) -> list[_Change]:
    """Patients of whom something has changed that an answer about an instrument could show: now, and then."""

    pairs = [(after.get(name), before.get(name)) for name in after.keys() | before.keys()]
    return [(now, then) for now, then in pairs if not _says_the_same(now, then, code)]


def _says_the_same(now: Person | None, then: Person | None, code: str) -> bool:
    """Whether an answer says the same of both. An earlier release kept fewer values of an episode: those are compared
    that both have."""
    if now is None or then is None:
        return now is then
    mine, theirs = now.episodes.get(code), then.episodes.get(code)
    if (now.indications, now.trials, mine is None) != (then.indications, then.trials, theirs is None):
        return False
    if mine is None or theirs is None:
        return True
    alike = all(a == b for one, other in zip(mine, theirs, strict=False) for a, b in zip(one, other, strict=False))
    return len(mine) == len(theirs) and alike


def _is_safe(changes: Sequence[_Change], code: str, group_by: GroupBy, names: Sequence[str], smallest: int) -> bool:
    """Whether in each part into which these groups divide the patients, none or at least `smallest` have changed."""
    counts: Counter[tuple[bool, ...]] = Counter()
    for pair in changes:
        counts.update({_part(one, code, group_by, names) for one in pair if one is not None})
    return all(count >= smallest for count in counts.values())


def _part(person: Person, code: str, group_by: GroupBy, names: Sequence[str]) -> tuple[bool, ...]:
    mine = person.groups(group_by, code) if names else frozenset()
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
    moments = {
        code: (datetime.fromisoformat(at), date.fromisoformat(day)) for code, (at, day) in content["moments"].items()
    }
    return Snapshot(row.taken_at, row.day, people, moments, content["shown"])
