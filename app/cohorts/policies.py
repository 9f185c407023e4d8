"""Who sees what of a cohort: groups, and which counts may be shown to those who may not see patients.

Everything shown to them is a sum over patients, so a small group is safe when it is no combination of what is shown.
That is kept by construction: the sets shown cut the cohort into cells, and no cell is smaller than the limit.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from app.cohorts.tallies import GroupBy, Trait

# Where fewer are at risk a curve is too uncertain to be drawn.
SMALLEST_AT_RISK = 5
RESISTANT_FROM_TRIALS = 2

# Nested, each in the one before; responders and those with an early reading both lie in the last. The number of all
# patients is not among them: it is the same for every instrument, so it stands beside the counts of all of them.
_NESTED = ("with_baseline", "evaluable", "with_follow_up")


@dataclass(frozen=True, slots=True)
class Sight:
    """What a caller may see: everything, or only what tells of at least `smallest` patients (a setting of the clinic;
    by default 11, after the cell-size policy of the US Centers for Medicare & Medicaid Services)."""

    sees_all: bool
    smallest: int


def groups_of(group_by: GroupBy, trait: Trait) -> list[str]:
    """The groups that a trait belongs to. Only indications can be several."""
    if group_by == "indication":
        return json.loads(str(trait)) or ["none_recorded"]
    if group_by == "treatment_resistant":
        if not isinstance(trait, int):
            return ["unknown"]
        return ["treatment_resistant" if trait >= RESISTANT_FROM_TRIALS else "not_treatment_resistant"]
    return ["all"] if group_by == "none" else [str(trait)]


def members(group_by: GroupBy, traits: Iterable[Trait]) -> dict[str, set[Trait]]:
    """The traits of each group, in the order of the groups' names; numbers by size. Without a grouping there is always
    one."""
    found: dict[str, set[Trait]] = {"all": set()} if group_by == "none" else {}
    for trait in traits:
        for group in groups_of(group_by, trait):
            found.setdefault(group, set()).add(trait)
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0]) if item[0].isdigit() else (0, item[0])))


def shown(
    groups: Mapping[str, set[Trait]], people: Mapping[Trait, int], limit: int, *, traits_overlap: bool
) -> set[str]:
    """The groups that may be shown, largest first, so that they and the whole cut the cohort into cells of at least
    `limit` patients. Where traits overlap, a cell is taken to be no larger than its largest trait."""

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
    """Which counts of completeness may be shown beside those that the groups give already: none may differ from
    another by fewer than `limit` patients, unless they are equal."""
    accepted = list(given)
    for name in _NESTED:
        apart = [abs(counts[name] - counts[other]) for other in accepted]
        if all(gap == 0 or gap >= limit for gap in [*apart, counts[name]]):
            accepted.append(name)
    return set(accepted)
