"""Who may see what of a cohort: the groups, and the counts shown to callers who may not see patients.

Everything shown to them is a sum over patients. So a small group is safe if no sums and differences of the shown
numbers give it. The code guarantees that: the shown sets divide the cohort into cells, and no cell is smaller than the
limit.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.cohorts.tallies import RESISTANT_FROM_TRIALS, GroupBy, Trait

# With fewer patients at risk a curve is too uncertain to be drawn.
SMALLEST_AT_RISK = 5

# Each of these counts is contained in the one before. Responders and patients with an early reading are both contained
# in the last. The number of all patients is not listed: it is the same for every instrument, so it would appear next to
# the counts of every one of them.
_NESTED = ("with_baseline", "evaluable", "with_follow_up")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a caller may see: everything, or only what is about at least `smallest` patients, and of that not the groups
    of `hidden`, in which too few have changed since they were last shown. `smallest` is a setting of
    the clinic; its default of 11 follows the cell-size policy of the US Centers for Medicare & Medicaid Services."""

    sees_all: bool
    smallest: int
    hidden: frozenset[str] = frozenset()


def groups_of(group_by: GroupBy, trait: Trait) -> list[str]:
    """The groups that a trait belongs to. Only the trait of indications can belong to several."""
    if group_by == "indication":
        return json.loads(str(trait)) or ["none_recorded"]
    if group_by == "treatment_resistant":
        if not isinstance(trait, int):
            return ["unknown"]
        return ["treatment_resistant" if trait >= RESISTANT_FROM_TRIALS else "not_treatment_resistant"]
    return ["all"] if group_by == "none" else [str(trait)]


def members(group_by: GroupBy, traits: Iterable[Trait]) -> dict[str, set[Trait]]:
    """The traits of each group, sorted by name or number; always one group without a grouping."""
    found: dict[str, set[Trait]] = {"all": set()} if group_by == "none" else {}
    for trait in traits:
        for group in groups_of(group_by, trait):
            found.setdefault(group, set()).add(trait)
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0]) if item[0].isdigit() else (0, item[0])))


def shown(
    groups: Mapping[str, set[Trait]], people: Mapping[Trait, int], limit: int, *, traits_overlap: bool
) -> set[str]:
    """The groups that may be shown. They are tried from the largest; a group is accepted if all accepted groups
    together divide the cohort into cells of at least `limit` patients. If traits overlap, the size of a cell is taken
    to be that of its largest trait."""

    def size(traits: Iterable[Trait]) -> int:
        counts = [people.get(trait, 0) for trait in traits]
        return max(counts, default=0) if traits_overlap else sum(counts)

    cells = [set(people)]
    accepted: set[str] = set()
    if size(people) < limit:
        return accepted
    for name in sorted(groups, key=lambda group: (-size(groups[group]), group)):
        finer = [part for cell in cells for part in (cell & groups[name], cell - groups[name]) if size(part)]
        if all(size(part) >= limit for part in finer):
            cells = finer
            accepted.add(name)
    return accepted


def shown_counts(counts: Mapping[str, int], given: Sequence[str], limit: int) -> set[str]:
    """The counts that may be shown beside `given`: any two are equal or at least `limit` patients apart."""
    accepted = list(given)
    for name in _NESTED:
        apart = [abs(counts[name] - counts[other]) for other in accepted]
        if all(gap == 0 or gap >= limit for gap in [*apart, counts[name]]):
            accepted.append(name)
    return set(accepted)
