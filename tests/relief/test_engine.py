"""The engine is a fold: any order of arrival, step by step or at once, it says what the slow second engine says."""

import random
import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from app.instruments import INSTRUMENTS
from app.relief import (
    Boosters,
    Endpoint,
    Infusion,
    Record,
    Score,
    Track,
    assess,
    fold,
    order,
    positions,
    read,
    records,
    step,
)
from tests.spec.oracle import records as second_records
from tests.spec.oracle import sessions_of
from tests.spec.oracle import verdict as oracle
from tests.spec.timelines import (
    INSTRUMENTS_WITH_RULE,
    ZONES,
    as_oracle_says,
    events,
    parameters,
    random_timeline,
)

STATUSES = {
    "not_started", "no_baseline", "not_evaluable", "awaiting_follow_up", "stale", "lost", "fading", "holding",
    "partial_response", "no_response",
}  # fmt: skip
seeds = st.integers(0, 2**48)


@run(max_examples=600, deadline=None)
@given(seeds)
def test_says_what_the_second_engine_says(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = INSTRUMENTS[code].rule
    assert rule
    infusions, scores, as_of = random_timeline(rng, code, zone)
    known_at = None if rng.random() < 0.5 or not scores else rng.choice(scores).recorded_at
    mine = assess(events(infusions, scores, zone, known_at), rule, as_of)
    assert as_oracle_says(mine) == oracle(parameters(rule), infusions, scores, zone, as_of, known_at)
    assert mine.status in STATUSES


@run(max_examples=300, deadline=None)
@given(seeds)
def test_any_arrival_order_and_step_by_step_give_the_same_track(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = INSTRUMENTS[code].rule
    assert rule
    infusions, scores, _ = random_timeline(rng, code, zone)
    everything = events(infusions, scores, zone, None)
    once = fold(everything, rule)
    rng.shuffle(everything)
    assert fold(everything, rule) == once
    stepped = Track()
    for event in sorted(everything, key=order):
        stepped = step(stepped, event, rule)
    assert stepped == once


@run(max_examples=200, deadline=None)
@given(seeds)
def test_a_stored_track_reads_every_later_day_as_folding_afresh_does(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = INSTRUMENTS[code].rule
    assert rule
    infusions, scores, as_of = random_timeline(rng, code, zone)
    everything = events(infusions, scores, zone, None)
    track = fold(everything, rule)
    if track.last is not None and track.last.day <= as_of:
        assert read(track, rule, as_of) == assess(everything, rule, as_of)


@run(max_examples=300, deadline=None)
@given(seeds)
def test_sessions_are_numbered_as_the_second_engine_numbers_them(seed: int) -> None:
    rng = random.Random(seed)
    zone = rng.choice(ZONES)
    infusions, _, _ = random_timeline(rng, "phq-9", zone)
    mine = positions([e for e in events(infusions, [], zone, None) if isinstance(e, Infusion)])
    theirs = sessions_of(infusions, zone)
    assert {i: (p.number, p.episode, p.course, p.kind) for i, p in mine.items()} == theirs


def test_the_random_timelines_reach_every_status_flag_and_event() -> None:
    seen: set[str | None] = set()
    for seed in range(3_000):
        rng = random.Random(seed)
        code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
        rule = INSTRUMENTS[code].rule
        assert rule
        infusions, scores, as_of = random_timeline(rng, code, zone)
        verdict = assess(events(infusions, scores, zone, None), rule, as_of)
        event = verdict.spell.event if verdict.spell else None
        seen |= {verdict.status, verdict.reason, verdict.last_known, event}
        seen |= set(verdict.flags) | {s.event for s in verdict.previous_spells}
    flags = {"remission", "worse_than_best", "reliable_deterioration", "emergent_symptoms",
             "recovered_without_retreatment"}  # fmt: skip
    assert seen >= STATUSES | flags | {"lost", "rescue"}


def test_an_event_out_of_order_is_refused() -> None:
    rng = random.Random(7)
    rule = INSTRUMENTS["phq-9"].rule
    assert rule
    infusions, scores, _ = random_timeline(rng, "phq-9", "UTC")
    early, late = sorted(events(infusions, scores, "UTC", None), key=order)[:2]
    track = step(Track(), late, rule)
    with pytest.raises(ValueError, match="forward in time"):
        step(track, early, rule)
    assert isinstance(late, Score | Infusion)
    with pytest.raises(ValueError, match="later than the day"):
        read(track, rule, late.day.replace(year=2000))


@run(max_examples=400, deadline=None)
@given(seeds)
def test_episodes_read_for_cohorts_are_those_of_the_second_engine(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = INSTRUMENTS[code].rule
    assert rule
    infusions, scores, as_of = random_timeline(rng, code, zone)
    track = fold([e for e in events(infusions, scores, zone, None) if e.day <= as_of], rule)
    assert [as_record(r) for r in records(track)] == second_records(parameters(rule), infusions, scores, zone, as_of)


def as_record(record: Record) -> dict[str, object]:
    policies: list[tuple[Endpoint, Boosters]] = [
        ("loss_or_rescue", "ignore"), ("loss", "ignore"), ("loss_or_rescue", "censor"), ("loss", "censor"),
    ]  # fmt: skip
    spell = record.spell
    gaps = sorted(gap for gap, count in record.gaps.items() for _ in range(count))
    assert record.median_gap_days == (statistics.median(gaps) if gaps else None)
    return {
        "episode": record.episode,
        "induction_sessions": record.induction_sessions,
        "baseline": record.baseline,
        "evaluable": record.evaluable,
        "followed": record.followed,
        "early": record.early,
        "gaps": gaps,
        "endings": spell and {policy: spell.outcome(policy[1]).ending(policy[0]) for policy in policies},
    }


def test_an_infusion_that_ends_before_it_starts_is_refused() -> None:
    at = datetime(2025, 1, 6, 15, tzinfo=UTC)
    with pytest.raises(ValueError, match="cannot end on a day before"):
        Infusion("a", at, at.date(), at.date() - timedelta(days=1))
