"""How much of a cohort an answer rests on, and which of its groups are shown to whom."""

from collections.abc import Mapping
from statistics import median

from app.cohorts.models import CompletenessOut
from app.cohorts.policies import SMALLEST_GROUP, shown, shown_counts
from app.cohorts.tallies import Tallies, Trait


def groups_shown(
    groups: Mapping[str, set[Trait]], people: Mapping[Trait, int], *, overlap: bool, sees_all: bool
) -> set[str]:
    """The names of the groups that are shown."""
    return set(groups) if sees_all else shown(groups, people, SMALLEST_GROUP, traits_overlap=overlap)


def people_of(traits: set[Trait], people: Mapping[Trait, int]) -> int:
    """Patients with these traits."""
    return sum(people.get(trait, 0) for trait in traits)


def completeness(found: Tallies, *, sees_all: bool) -> CompletenessOut:
    counts = {
        "patients": found.patients,
        "with_baseline": found.with_baseline,
        "evaluable": found.evaluable,
        "with_follow_up": found.with_follow_up,
        "responders": found.responders,
        "with_early_reading": found.with_early_reading,
    }
    told = set(counts)
    if not sees_all:
        given = [name for name in ("responders", "with_early_reading") if counts[name] >= SMALLEST_GROUP]
        told = shown_counts(counts, given, SMALLEST_GROUP)
        # Groups count episodes: beside them, the number of patients would tell of the few who have two.
        if any(
            0 < extra < SMALLEST_GROUP for extra in (found.extra_spells, found.early_count - found.with_early_reading)
        ):
            told = set()
    gaps = [gap for gap, n in found.gaps.items() for _ in range(n)]
    return CompletenessOut(
        **{name: count if name in told else None for name, count in counts.items()},
        median_gap_days=median(gaps) if gaps and (sees_all or (told and len(gaps) >= SMALLEST_GROUP)) else None,
    )
