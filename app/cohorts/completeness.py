"""How complete the data behind a cohort answer are, and which of its groups may be shown to the caller."""

from collections.abc import Iterable, Mapping
from statistics import median

from app.cohorts.models import BesidesOut, CompletenessOut
from app.cohorts.policies import Sight, shown, shown_counts
from app.cohorts.tallies import Mix, Tallies, Trait
from app.instruments import INSTRUMENTS


def groups_shown(
    groups: Mapping[str, set[Trait]], people: Mapping[Trait, int], *, overlap: bool, sight: Sight
) -> set[str]:
    """The names of the groups that may be shown to the caller."""
    if sight.sees_all:
        return set(groups)
    allowed = {name: traits for name, traits in groups.items() if name not in sight.hidden}
    return shown(allowed, people, sight.smallest, traits_overlap=overlap)


def people_of(traits: set[Trait], people: Mapping[Trait, int]) -> int:
    """The number of patients with these traits."""
    return sum(people.get(trait, 0) for trait in traits)


def besides(instrument: str, mixes: Iterable[Mix]) -> BesidesOut | None:
    """What a group is made of; None where nothing is known of it."""
    mix = sum(mixes, Mix())
    if mix.episodes == 0:
        return None
    scale = INSTRUMENTS[instrument]
    mean = mix.baselines / mix.episodes / scale.per_unit
    shown = mean if scale.direction == "lower_is_better" else scale.points[-1] / scale.per_unit - mean
    return BesidesOut(
        episodes=mix.episodes,
        mean_baseline=round(shown, 2),
        resistance_known=mix.known,
        treatment_resistant=mix.resistant,
    )


def completeness(found: Tallies, *, sight: Sight) -> CompletenessOut:
    counts = {
        "patients": found.patients,
        "with_baseline": found.with_baseline,
        "evaluable": found.evaluable,
        "with_follow_up": found.with_follow_up,
        "responders": found.responders,
        "with_early_reading": found.with_early_reading,
    }
    told = set(counts)
    if not sight.sees_all:
        given = [name for name in ("responders", "with_early_reading") if counts[name] >= sight.smallest]
        told = shown_counts(counts, given, sight.smallest)
        # Groups count episodes. If only a few patients have more than one, the number of patients next to them would
        # reveal those few.
        if any(
            0 < extra < sight.smallest for extra in (found.extra_spells, found.early_count - found.with_early_reading)
        ):
            told = set()
    gaps = [gap for gap, n in found.gaps.items() for _ in range(n)]
    return CompletenessOut(
        **{name: count if name in told else None for name, count in counts.items()},
        median_gap_days=median(gaps) if gaps and (sight.sees_all or (told and len(gaps) >= sight.smallest)) else None,
    )
