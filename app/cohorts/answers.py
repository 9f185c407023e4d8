"""From counts to answers: the statistics, and what of them is shown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import median as middle

from app.cohorts.method import durability_method, outcomes_method
from app.cohorts.models import (
    BoundsOut,
    CohortDurabilityOut,
    CohortOutcomesOut,
    CompletenessOut,
    DurabilityGroupOut,
    HoldingOut,
    LogRankOut,
    OutcomeGroupOut,
    RateOut,
    RestrictedMeanOut,
    StepOut,
)
from app.cohorts.policies import SMALLEST_AT_RISK, SMALLEST_GROUP, members, shown, shown_counts
from app.cohorts.tallies import Question, Tallies, Trait
from app.instruments import Rule
from app.relief import VERSION
from app.statistics import Step, Times, kaplan_meier, log_rank, median, median_interval, restricted_mean, wilson
from app.tracks.domains import rule

READ_ON_DAYS = (7, 14, 28, 56, 90, 180)
_WEEK = 7
_LONGEST_TAU = 90


def durability(
    question: Question, found: Tallies, known_at: datetime, tau: int | None, *, sees_all: bool
) -> CohortDurabilityOut:
    """The answer about durability; `sees_all` shows every group, day by day."""
    groups = members(question.group_by, found.people) or ({"all": set()} if question.group_by == "none" else {})
    visible = _visible(groups, found.people, overlap=found.people_overlap, sees_all=sees_all)
    times = {name: _times(found, traits) for name, traits in groups.items()}
    fewest = SMALLEST_AT_RISK if sees_all else SMALLEST_GROUP
    compared = [times[name] for name in groups if name in visible and times[name].size]
    tau = tau if tau is not None else _shared_tau(compared, fewest, sees_all=sees_all)
    test, reason = _log_rank(groups, visible, compared, found)
    return CohortDurabilityOut(
        instrument=question.instrument,
        endpoint=question.endpoint,
        boosters=question.boosters,
        group_by=question.group_by,
        as_of=question.as_of,
        known_at=known_at,
        rule=VERSION,
        method=durability_method(question, fewest, sees_all=sees_all),
        groups=[
            _durability_group(name, times[name], _people(traits, found.people), tau, fewest, sees_all=sees_all)
            if name in visible
            else _hidden_durability(name)
            for name, traits in groups.items()
        ],
        log_rank=test,
        reason=reason,
        completeness=_completeness(found, sees_all=sees_all),
    )


def outcomes(question: Question, found: Tallies, known_at: datetime, *, sees_all: bool) -> CohortOutcomesOut:
    """The answer about outcome rates; `sees_all` shows every group."""
    traits = {**found.early_people, **dict.fromkeys(found.early_missing, 0), **found.early_people}
    groups = members(question.group_by, traits) or ({"all": set()} if question.group_by == "none" else {})
    visible = _visible(groups, found.early_people, overlap=found.early_overlap, sees_all=sees_all)
    return CohortOutcomesOut(
        instrument=question.instrument,
        group_by=question.group_by,
        as_of=question.as_of,
        known_at=known_at,
        rule=VERSION,
        method=outcomes_method(sees_all=sees_all),
        groups=[
            _outcome_group(name, members_, found, rule(question.instrument), sees_all=sees_all)
            if name in visible
            else _hidden_outcome(name)
            for name, members_ in groups.items()
        ],
        completeness=_completeness(found, sees_all=sees_all),
    )


def _visible(
    groups: Mapping[str, set[Trait]], people: Mapping[Trait, int], *, overlap: bool, sees_all: bool
) -> set[str]:
    if sees_all:
        return set(groups)
    return shown(groups, people, SMALLEST_GROUP, traits_overlap=overlap)


def _people(traits: set[Trait], people: Mapping[Trait, int]) -> int:
    return sum(people.get(trait, 0) for trait in traits)


def _times(found: Tallies, traits: set[Trait]) -> Times:
    events, censored = Counter[int](), Counter[int]()
    for (trait, days, is_event), count in found.spells.items():
        if trait in traits:
            (events if is_event else censored)[days] += count
    return Times(events, censored)


def _shared_tau(groups: Sequence[Times], fewest: int, *, sees_all: bool) -> int:
    """The largest span that every group shown covers, 90 days at most."""
    tau = min([_LONGEST_TAU, *(group.last for group in groups)])
    if sees_all:
        return tau
    tau -= tau % _WEEK
    while tau > 0 and any(group.at_risk(tau) < fewest for group in groups):
        tau -= _WEEK
    return tau


def _log_rank(
    groups: Mapping[str, set[Trait]], visible: set[str], compared: Sequence[Times], found: Tallies
) -> tuple[LogRankOut | None, str | None]:
    """The test over the groups shown, or why there is none."""
    if len(groups) < 2:
        return None, "one_group"
    shared = sum(len(traits) for traits in groups.values()) > len(set().union(*groups.values()))
    if shared or found.people_overlap:
        return None, "groups_overlap"
    if len(compared) < 2:
        return None, "groups_suppressed" if len(visible) < len(groups) else "nothing_to_compare"
    test = log_rank(compared)
    if test is None:
        return None, "nothing_to_compare"
    return LogRankOut(chi_square=test.chi_square, df=test.degrees, p_value=test.p_value), None


def _durability_group(
    name: str, times: Times, people: int, tau: int, fewest: int, *, sees_all: bool
) -> DurabilityGroupOut:
    steps = kaplan_meier(times)
    low, high = median_interval(steps)
    mean = restricted_mean(times, steps, tau)

    def told(day: int | None) -> int | None:
        """A day as it may be told: to some callers in weeks, and not where few are at risk."""
        if day is None or sees_all:
            return day
        return None if times.at_risk(day) < fewest else -(-day // _WEEK) * _WEEK

    if mean is not None and not sees_all and times.at_risk(tau) < fewest:
        mean = None
    return DurabilityGroupOut(
        group=name,
        suppressed=False,
        small=people < SMALLEST_GROUP,
        responders=times.size,
        events=sum(times.events.values()),
        censored=sum(times.censored.values()),
        median_days=told(median(steps)),
        median_ci=[told(low), told(high)],
        restricted_mean_days=RestrictedMeanOut(tau=tau, value=mean),
        curve=_by_event(steps, fewest) if sees_all else _by_week(times, steps, fewest),
        still_holding=[_holding(times, steps, day, fewest) for day in READ_ON_DAYS],
    )


def _by_event(steps: Sequence[Step], fewest: int) -> list[StepOut]:
    return [_step_out(step.time, step.at_risk, step.events, step) for step in steps if step.at_risk >= fewest]


def _by_week(times: Times, steps: Sequence[Step], fewest: int) -> list[StepOut]:
    """The curve read every 7 days; events are those of the 7 days up to each."""
    found = []
    for day in range(0, times.last + 1, _WEEK):
        at_risk = times.at_risk(day)
        if at_risk < fewest:
            break
        events = sum(n for time, n in times.events.items() if day - _WEEK < time <= day)
        found.append(_step_out(day, at_risk, events, _at(steps, day)))
    return found


def _step_out(day: int, at_risk: int, events: int, step: Step) -> StepOut:
    return StepOut(
        day=day,
        at_risk=at_risk,
        events=events,
        survival=step.survival,
        standard_error=step.standard_error,
        ci_low=step.low,
        ci_high=step.high,
    )


def _holding(times: Times, steps: Sequence[Step], day: int, fewest: int) -> HoldingOut:
    at_risk = times.at_risk(day)
    if at_risk < fewest:
        return HoldingOut(day=day, at_risk=None, survival=None, ci_low=None, ci_high=None, lowest=None, highest=None)
    step = _at(steps, day)
    lost = sum(n for time, n in times.events.items() if time <= day)
    unknown = sum(n for time, n in times.censored.items() if time < day)
    return HoldingOut(
        day=day,
        at_risk=at_risk,
        survival=step.survival,
        ci_low=step.low,
        ci_high=step.high,
        lowest=(times.size - lost - unknown) / times.size,
        highest=(times.size - lost) / times.size,
    )


def _at(steps: Sequence[Step], day: int) -> Step:
    return [step for step in steps if step.time <= day][-1]


def _hidden_durability(name: str) -> DurabilityGroupOut:
    return DurabilityGroupOut(
        group=name,
        suppressed=True,
        small=True,
        responders=None,
        events=None,
        censored=None,
        median_days=None,
        median_ci=None,
        restricted_mean_days=None,
        curve=None,
        still_holding=None,
    )


def _outcome_group(name: str, traits: set[Trait], found: Tallies, by: Rule, *, sees_all: bool) -> OutcomeGroupOut:
    counts: Counter[str] = Counter()
    for (trait, baseline, severity), n in found.early.items():
        if trait in traits:
            counts["of"] += n
            counts.update(dict.fromkeys(_reached(baseline, severity, by), n))
    missing = sum(found.early_missing.get(trait, 0) for trait in traits)
    people = _people(traits, found.early_people)
    return OutcomeGroupOut(
        group=name,
        suppressed=False,
        small=people < SMALLEST_GROUP,
        response=_rate(counts["response"], counts["of"]),
        partial=_rate(counts["partial"], counts["of"]),
        remission=_rate(counts["remission"], counts["of"]) if by.remission is not None else None,
        deterioration=_rate(counts["deterioration"], counts["of"]),
        response_bounds=_bounds(counts["response"], counts["of"], missing) if sees_all else None,
    )


def _reached(baseline: int, severity: int, by: Rule) -> list[str]:
    """What a reading amounts to against its baseline. Source: clinical reference 4.1, 4.5 and 4.6."""
    responds = by.falls_by(baseline, severity, by.response)
    reached = {
        "response": responds,
        "partial": not responds and by.falls_by(baseline, severity, by.partial),
        "remission": by.remission is not None and severity <= by.remission,
        "deterioration": severity - baseline >= by.reliable_change,
    }
    return [outcome for outcome, is_reached in reached.items() if is_reached]


def _rate(n: int, of: int) -> RateOut:
    interval = wilson(n, of)
    ends = None if interval is None else [round(100 * end, 1) for end in interval]
    return RateOut(n=n, of=of, percent=_percent(n, of), ci=ends)


def _bounds(n: int, of: int, missing: int) -> BoundsOut:
    due = of + missing
    return BoundsOut(missing=missing, lowest_percent=_percent(n, due), highest_percent=_percent(n + missing, due))


def _percent(n: int, of: int) -> float | None:
    return None if of == 0 else round(100 * n / of, 1)


def _hidden_outcome(name: str) -> OutcomeGroupOut:
    return OutcomeGroupOut(
        group=name,
        suppressed=True,
        small=True,
        response=None,
        partial=None,
        remission=None,
        deterioration=None,
        response_bounds=None,
    )


def _completeness(found: Tallies, *, sees_all: bool) -> CompletenessOut:
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
        # Groups count episodes: a few more of them than patients would tell of those few.
        if 0 < found.spell_count - found.responders < SMALLEST_GROUP:
            told.discard("responders")
        if 0 < found.early_count - found.with_early_reading < SMALLEST_GROUP:
            told.discard("with_early_reading")
    gaps = [gap for gap, n in found.gaps.items() for _ in range(n)]
    return CompletenessOut(
        **{name: count if name in told else None for name, count in counts.items()},
        median_gap_days=middle(gaps) if gaps and (sees_all or len(gaps) >= SMALLEST_GROUP) else None,
    )
