"""Computes durability from counts: survival curves, medians, restricted means, and a test between groups."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

from app.cohorts.completeness import besides, completeness, groups_shown, people_of
from app.cohorts.curves import WEEK, Spells, by_day, by_week, hidden
from app.cohorts.method import durability_method
from app.cohorts.models import BesidesOut, CohortDurabilityOut, LogRankOut
from app.cohorts.policies import SMALLEST_AT_RISK, Sight, members, shown
from app.cohorts.tallies import MedianRead, Question, Tallies, Trait
from app.relief import VERSION
from app.statistics import Times, log_rank

_LONGEST_TAU = 90

Groups = Mapping[str, set[Trait]]


def durability(
    question: Question, found: Tallies, known_at: datetime, tau: int | None, median_read: MedianRead, *, sight: Sight
) -> CohortDurabilityOut:
    """The answer about durability. If the caller may not see everything, small groups are hidden, and all numbers are
    read from the curve in weeks, as far as each group's curve may be shown."""
    groups = members(question.group_by, found.people)
    visible = groups_shown(groups, found.people, overlap=found.people_overlap, sight=sight)
    spells = {name: Spells(found, traits, question.endpoint) for name, traits in groups.items()}
    times = {name: mine.times for name, mine in spells.items()}
    midpoint = median_read == "midpoint"
    if sight.sees_all:
        enough = [time for time in times.values() if time.size >= SMALLEST_AT_RISK]
        tau = tau or _shared_tau(time.last for time in enough or times.values())
        told = {
            name: by_day(spells[name], tau, _besides(question, found, traits), midpoint=midpoint)
            for name, traits in groups.items()
        }
    else:
        until = _weeks_shown(question, groups, visible, found, sight.smallest)
        tau = tau or max(0, _shared_tau(until.values())) // WEEK * WEEK
        told = {name: by_week(times[name], until[name], tau, midpoint=midpoint) for name in visible}
    test, reason = _log_rank(groups, visible, times, found)
    return CohortDurabilityOut(
        instrument=question.instrument,
        endpoint=question.endpoint,
        boosters=question.boosters,
        median=median_read,
        group_by=question.group_by,
        as_of=question.as_of,
        known_at=known_at,
        snapshot_on=None if sight.sees_all else question.as_of,
        rule=VERSION,
        method=durability_method(question, median_read, sight=sight),
        groups=[
            told[name].model_copy(update={"group": name, "small": people_of(traits, found.people) < sight.smallest})
            if name in told
            else hidden(name)
            for name, traits in groups.items()
        ],
        log_rank=test,
        reason=reason,
        completeness=completeness(found, sight=sight),
    )


def _besides(question: Question, found: Tallies, traits: set[Trait]) -> BesidesOut | None:
    return besides(question.instrument, [found.held_mix[trait] for trait in traits if trait in found.held_mix])


def _shared_tau(lasts: Iterable[int]) -> int:
    """The largest number of days that every group covers, at most 90."""
    return min([_LONGEST_TAU, *lasts])


def _weeks_shown(
    question: Question, groups: Groups, visible: set[str], found: Tallies, smallest: int
) -> dict[str, int]:
    """For each group, the last day (a multiple of 7) up to which its curve may be shown: as long as no sum or
    difference of the numbers at risk is of fewer patients than the limit. Spells are counted, not patients. So the
    number of spells that patients have beyond their first is added to the limit."""
    limit = smallest + found.extra_spells
    until = dict.fromkeys(visible, -1)
    open_groups, day = set(visible), 0
    while open_groups:
        at_risk = Counter[Trait]()
        for held, count in found.spells.items():
            at_risk[held.trait] += count if held.outcome.ending(question.endpoint)[0] >= day else 0
        parts = {name: groups[name] for name in open_groups}
        open_groups &= shown(parts, at_risk, limit, traits_overlap=found.people_overlap)
        until |= dict.fromkeys(open_groups, day)
        day += WEEK
    return until


def _log_rank(
    groups: Groups, visible: set[str], times: Mapping[str, Times], found: Tallies
) -> tuple[LogRankOut | None, str | None]:
    """The log-rank test over the groups shown, or the reason why there is none."""
    if len(groups) < 2:
        return None, "one_group"
    shared = sum(len(traits) for traits in groups.values()) > len(set().union(*groups.values()))
    if shared or found.people_overlap:
        return None, "groups_overlap"
    test = log_rank([times[name] for name in groups if name in visible])
    if test is None:
        return None, "groups_suppressed" if len(visible) < len(groups) else "nothing_to_compare"
    return LogRankOut(chi_square=test.chi_square, df=test.degrees, p_value=test.p_value), None
