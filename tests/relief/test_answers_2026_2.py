"""Rule 2026.2 says what the second engine says: which instrument answers, how sure a reading is, what happened to
others, bounds, and when one more reading is asked for."""

import random
from collections import Counter
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from app.cohorts.curves import Spells
from app.cohorts.tallies import Held, Tallies
from app.instruments import DOMAINS, INSTRUMENTS, Rule
from app.outlook.estimating import ahead
from app.plans.confirming import _due_days
from app.relief import Candidate, Endpoint, Infusion, Outcome, Score, assess, choose, confirm_on, fold, records
from app.relief.outlook import LOOKED_AHEAD_DAYS, Contribution, contribution
from app.statistics import cumulative_incidence, kaplan_meier
from app.tracks.domains import near_line
from app.tracks.events import Calendar
from tests.spec import oracle_2026_2 as second
from tests.spec.oracle import verdict as oracle
from tests.spec.timelines import INSTRUMENTS_WITH_RULE, ZONES, events, parameters, random_timeline

seeds = st.integers(0, 2**48)


def rule_of(code: str) -> Rule:
    rule = INSTRUMENTS[code].rule
    assert rule is not None
    return rule


def attainable(code: str) -> list[int]:
    return [INSTRUMENTS[code].severity(points) for points in INSTRUMENTS[code].points]


@run(max_examples=250, deadline=None)
@given(seeds)
def test_each_spell_contributes_to_an_outlook_what_the_second_engine_says(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = rule_of(code)
    infusions, scores, as_of = random_timeline(rng, code, zone)
    seen = [e for e in events(infusions, scores, zone, None) if e.day <= as_of]
    mine = [record.spell for record in records(fold(seen, rule)) if record.spell is not None]
    theirs = second.spells(parameters(rule), infusions, scores, zone, as_of)
    assert [(one.days, one.event) for one in mine] == [(one.days, one.event) for one in theirs]
    for one, other in zip(mine, theirs, strict=True):
        assert one.last_response_days == second.last_response(other)
        for held in range(other.days + 20):
            found = contribution(one.diary, one.days, is_event=one.event is not None, held=held)
            expected = second.matched(other, held)
            if expected is None:
                assert found is None, held
                continue
            assert found is not None, held
            assert (found.days, found.is_event) == (expected.days, expected.is_event)
            if rule.basis == "percent":
                assert found.is_deep == (4 * expected.severity <= other.baseline)
            for days in LOOKED_AHEAD_DAYS:
                boosted = [n is not None and n <= days for n in (found.next_course, expected.next_course)]
                assert boosted[0] == boosted[1], held


def random_spells(rng: random.Random, count: int) -> list[second.PlainSpell]:
    """Spells with readings every few days, of which the last responses, events and courses are drawn."""
    found = []
    for _ in range(count):
        days = sorted({0, *(rng.randrange(1, 120) for _ in range(rng.randrange(0, 14)))})
        event = rng.choice([None, None, "lost", "rescue"]) if len(days) > 1 else None
        shows = [True, *(rng.random() < 0.8 for _ in days[1:])]
        if event is not None:
            shows[-1] = False
        readings = tuple((day, rng.choice([2, 5, 9, 10]), shown) for day, shown in zip(days, shows, strict=True))
        courses = tuple(sorted(rng.randrange(0, 150) for _ in range(rng.choice([0, 1, 2]))))
        found.append(second.PlainSpell(days[-1], event, readings, courses, 20))
    return found


@run(max_examples=150, deadline=None)
@given(seeds)
def test_what_held_on_is_estimated_as_the_second_engine_estimates_it(seed: int) -> None:
    rng = random.Random(seed)
    held = rng.randrange(0, 80)
    theirs = [match for one in random_spells(rng, rng.choice([5, 11, 40])) if (match := second.matched(one, held))]
    if not theirs:
        return
    mine = [Contribution(one.days, one.is_event, False, one.next_course) for one in theirs]
    for row, days in zip(ahead(mine), LOOKED_AHEAD_DAYS, strict=True):
        by_hand, found = second.ahead(theirs, days), row.model_dump()
        assert {name: found[name] for name in ("lost", "followed", "boosted")} == {
            name: by_hand[name] for name in ("lost", "followed", "boosted")
        }
        assert found["held"] == pytest.approx(by_hand["held"], abs=1e-12)
        assert found["ci"] == pytest.approx(by_hand["ci"], abs=1e-9)


@run(max_examples=150, deadline=None)
@given(seeds)
def test_bounds_curves_and_incidence_are_those_of_the_second_engine(seed: int) -> None:
    rng = random.Random(seed)
    theirs = random_spells(rng, rng.choice([1, 4, 12, 30]))
    endpoint: Endpoint = rng.choice(["loss_or_rescue", "loss"])
    tallies = Tallies()
    for one in theirs:
        before = None if one.event != "rescue" else max(day for day, _, _ in one.readings)
        tallies.spells[Held("x", Outcome(one.days, one.event, second.last_response(one), before))] += 1
    mine = Spells(tallies, {"x"}, endpoint)
    counted = "lost" if endpoint == "loss" else None
    ends = [(one.days, one.event is not None and counted in (None, one.event)) for one in theirs]
    at_response = [(d if e else second.last_response(one), e) for (d, e), one in zip(ends, theirs, strict=True)]
    assert mine.censored_below == sum(
        not e and second.last_response(one) < d for (d, e), one in zip(ends, theirs, strict=True)
    )
    incidence = cumulative_incidence(mine.lost, mine.rescued, mine.unended)
    for day in rng.sample(range(130), 12):
        assert mine.lowest(day) == pytest.approx(second.lowest(theirs, day), abs=1e-12)
        kept = [
            one if e or one.event is None else replace(one, event=None)
            for one, (_, e) in zip(theirs, ends, strict=True)
        ]
        assert mine.highest(day) == pytest.approx(second.highest(kept, day), abs=1e-12)
        for times, expected in ((mine.times, ends), (mine.by_last_response, at_response)):
            step = [step for step in kaplan_meier(times) if step.time <= day][-1]
            assert step.survival == pytest.approx(second.curve(expected, day), abs=1e-12)
        lost = [step for step in incidence if step.time <= day][-1]
        found = (lost.incidence, lost.competing_incidence)
        assert found == pytest.approx(second.incidence(theirs, day), abs=1e-12)


@run(max_examples=250, deadline=None)
@given(seeds)
def test_one_more_reading_is_asked_for_when_the_second_engine_asks(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = rule_of(code)
    infusions, scores, last = random_timeline(rng, code, zone)
    every = events(infusions, scores, zone, None)
    seen = [event for event in every if event.day <= last]
    calendar = Calendar([], ZoneInfo(zone))
    calendar.__dict__["events"] = sorted((e for e in every if isinstance(e, Infusion)), key=lambda e: (e.at, e.id))
    mine = list(_due_days(code, seen, calendar))
    assert mine == second.confirming_days(parameters(rule), attainable(code), infusions, scores, zone, last)
    verdict = assess(seen, rule, last)
    due = confirm_on(verdict, rule.recall_days, near_line=bool(near_line(code, verdict)))
    if due is not None and not any(e.day > last for e in every if isinstance(e, Infusion)):
        assert due in mine, "what relief says of its latest reading is what is due"
    if verdict.response_severity is not None and verdict.latest is not None and verdict.baseline is not None:
        expected = second.is_near(
            parameters(rule), attainable(code), verdict.baseline.severity, verdict.latest.severity
        )
        assert bool(near_line(code, verdict)) == expected


def test_the_random_timelines_ask_for_readings_that_are_near_and_past_the_line() -> None:
    seen: Counter[str] = Counter()
    for seed in range(600):
        rng = random.Random(seed)
        infusions, scores, last = random_timeline(rng, "phq-9", "UTC")
        rule = rule_of("phq-9")
        for due in second.confirming_days(parameters(rule), attainable("phq-9"), infusions, scores, "UTC", last):
            on = date.fromordinal(due.toordinal() - 6)
            seen[assess((e for e in events(infusions, scores, "UTC", None) if e.day <= on), rule, on).status] += 1
    assert seen["holding"] > 20
    assert seen["fading"] > 20


@run(max_examples=250, deadline=None)
@given(seeds)
def test_the_instrument_that_answers_is_the_one_the_second_engine_names(seed: int) -> None:
    rng = random.Random(seed)
    domain = rng.choice(["mood", "anxiety", "pain"])
    order = DOMAINS[domain]
    infusions, _, as_of = random_timeline(rng, order[0], "UTC")
    theirs, candidates, scored = {}, {}, []
    for code in order:
        if rng.random() < 0.2:
            continue
        _, scores, _ = random_timeline(rng, code, "UTC")
        seen = [e for e in events(infusions, scores, "UTC", None) if e.day <= as_of]
        known = [event for event in seen if isinstance(event, Score)]
        if not known:
            continue
        scored.append(code)
        theirs[code] = oracle(parameters(rule_of(code)), infusions, scores, "UTC", as_of)
        candidates[code] = Candidate(assess(seen, rule_of(code), as_of), max(one.at for one in known))
    for version in ("2026.2", "2026.1"):
        expected = second.answering(order, theirs, scored, version)
        assert choose(order, candidates, None, version)[0] == expected
