"""What is shown to callers who may not see patients tells of no group under the limit, however it is combined."""

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, pairwise, product
from typing import Any, get_args

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st
from sqlmodel import Session, col, select

from app import clock
from app.cohorts.policies import groups_of, shown, shown_counts
from app.cohorts.tallies import BY_EPISODE, GroupBy, Trait
from app.patients.models import Patient
from app.relief import Boosters, Endpoint
from app.tracks.days import local_day
from app.tracks.models import EpisodeRow
from tests.cohorts.conftest import Demo, at
from tests.conftest import Api, new_client

SMALLEST_GROUP = 11
# What a caller may group by who may not see patients.
COARSE = [by for by in get_args(GroupBy) if by not in BY_EPISODE]

INSTRUMENTS = ("phq-9", "gad-7", "peg", "nrs-mood")
CODES = ("anxiety_disorder", "chronic_pain", "major_depressive_disorder", "ocd", "ptsd")
NESTED = ("patients", "with_baseline", "evaluable", "with_follow_up")
Name = tuple[str, ...]


@dataclass(frozen=True)
class Atom:
    """Somebody as a stranger can think of them: how far they came, and every trait. `extra` is a further episode of
    somebody counted already."""

    facts: frozenset[str]
    indications: tuple[str, ...]
    trials: int | None
    induction: int
    extra: bool = False

    def is_in(self, name: Name) -> bool:
        """Whether a number of this name counts them."""
        if len(name) == 1:
            return not self.extra and name[0] in self.facts
        fact = "responders" if name[0] == "durability" else "with_early_reading"
        traits: dict[str, Trait] = {
            "indication": json.dumps(self.indications),
            "treatment_resistant": self.trials,
            "induction_sessions": self.induction,
        }
        group_by: Any = name[1]
        return fact in self.facts and name[2] in groups_of(group_by, traits.get(group_by, "all"))


def universe(inductions: Collection[int]) -> list[Atom]:
    """Everybody a stranger must reckon with."""
    reached = [frozenset(NESTED[: n + 1]) for n in range(4)]
    ends = [
        frozenset({"responders"}),
        frozenset({"with_early_reading"}),
        frozenset({"responders", "with_early_reading"}),
    ]
    indications = [combo for size in range(3) for combo in combinations(CODES, size)]
    return [
        Atom(facts, combo, trials, induction, extra)
        for combo, trials, induction in product(indications, (None, 0, 2), inductions)
        for facts, extra in [
            *((f, False) for f in reached),
            *((reached[3] | e, False) for e in ends),
            *((e, True) for e in ends),
        ]
    ]


def truth(demo: Demo, instrument: str) -> Counter[Atom]:
    """Who is really there."""

    def read(db: Session) -> Counter[Atom]:
        mine = col(EpisodeRow.clinic_id) == demo.caller.clinic_id
        started = set(db.exec(select(EpisodeRow.patient_id).where(mine)))
        people = {p.id: p for p in db.exec(select(Patient).where(col(Patient.clinic_id) == demo.caller.clinic_id))}
        rows: dict[Any, list[EpisodeRow]] = {patient_id: [] for patient_id in started}
        for row in db.exec(select(EpisodeRow).where(mine, col(EpisodeRow.instrument) == instrument)):
            rows[row.patient_id].append(row)
        found: Counter[Atom] = Counter()
        for patient_id, episodes in rows.items():
            patient = people[patient_id]
            traits = (tuple(sorted(patient.indications)), patient.failed_antidepressant_trials)
            whole = {"patients"}.union(*(facts_of(row) for row in episodes))
            ends = [row for row in episodes if facts_of(row) & {"responders", "with_early_reading"}]
            first = (ends or episodes)[0].induction_sessions if episodes else 0
            found[Atom(frozenset(whole), *traits, first)] += 1
            for row in ends[1:]:
                extra = facts_of(row) & {"responders", "with_early_reading"}
                found[Atom(frozenset(extra), *traits, row.induction_sessions, extra=True)] += 1
        return found

    return demo.database.reading(demo.caller.clinic_id, read)


def facts_of(row: EpisodeRow) -> set[str]:
    facts = {
        "with_baseline": row.baseline is not None,
        "evaluable": row.evaluable,
        "with_follow_up": row.evaluable and row.followed,
        "responders": row.evaluable and row.days is not None,
        "with_early_reading": row.evaluable and row.early is not None,
    }
    return {fact for fact, is_so in facts.items() if is_so}


def published(api: Api, instrument: str) -> dict[Name, int]:
    """Every number this caller can get, by its name."""
    found: dict[Name, int] = {}
    at_risk: dict[tuple[str, int], dict[str, int]] = {}
    scopes = api.get("/v1/me").json()["scopes"]
    for group_by in COARSE:
        for endpoint, boosters in product(get_args(Endpoint), get_args(Boosters)):
            params = {"instrument": instrument, "group_by": group_by, "endpoint": endpoint, "boosters": boosters}
            answer = api.get("/v1/cohorts/durability", params=params).json()
            for group in answer["groups"]:
                if not group["suppressed"]:
                    found["durability", group_by, group["group"]] = group["responders"]
                    for step in group["curve"] if (endpoint, boosters) == ("loss_or_rescue", "ignore") else ():
                        if "patients:read" not in scopes:
                            at_risk.setdefault((group_by, step["day"]), {})[group["group"]] = step["at_risk"]
                    if "patients:read" not in scopes:
                        check_coarse(group)
                else:
                    assert {v for k, v in group.items() if k not in ("group", "suppressed", "small")} == {None}
            found |= {(k,): v for k, v in answer["completeness"].items() if v is not None and k != "median_gap_days"}
        answer = api.get("/v1/cohorts/outcomes", params={"instrument": instrument, "group_by": group_by}).json()
        for group in answer["groups"]:
            if not group["suppressed"]:
                found["outcomes", group_by, group["group"]] = group["response"]["of"]
        found |= {(k,): v for k, v in answer["completeness"].items() if v is not None and k != "median_gap_days"}
    for (group_by, day), parts in at_risk.items():  # what is left of the whole, week by week
        whole = at_risk.get(("none", day), {}).get("all")
        if group_by in ("treatment_resistant", "induction_sessions") and whole is not None:
            for size in range(len(parts) + 1):
                for some in combinations(parts.values(), size):
                    assert whole - sum(some) == 0 or whole - sum(some) >= SMALLEST_GROUP, (group_by, day)
    return found


def check_coarse(group: dict[str, Any]) -> None:
    """Days come in weeks, no number is read where fewer than the limit are at risk, and all are those of the curve."""
    by_day = {step["day"]: step for step in group["curve"]}
    tau, mean = group["restricted_mean_days"]["tau"], group["restricted_mean_days"]["value"]
    if mean is not None:
        weeks = [by_day[day]["survival"] for day in range(0, tau + 1, 7)]
        assert mean == pytest.approx(sum(7 * (a + b) / 2 for a, b in pairwise(weeks)))
    for holding in group["still_holding"]:
        assert holding["survival"] is None or holding["survival"] == by_day[holding["day"]]["survival"]
    assert all(step["day"] % 7 == 0 and step["at_risk"] >= SMALLEST_GROUP for step in group["curve"])
    assert all(h["at_risk"] is None or h["at_risk"] >= SMALLEST_GROUP for h in group["still_holding"])
    assert all(day is None or day % 7 == 0 for day in (group["median_days"], *group["median_ci"]))
    assert group["restricted_mean_days"]["tau"] % 7 == 0


def revealed(names: Collection[Name], atoms: Counter[Atom]) -> list[Any]:
    """Sums and differences of what is shown that a stranger knows to be a group of people, and that come to somebody,
    but to fewer than the limit: of up to three numbers, and of a whole less any of its parts."""
    thinkable = universe({atom.induction for atom in atoms})
    vectors = {name: np.array([atom.is_in(name) for atom in thinkable], dtype=int) for name in names}
    sizes = {name: sum(n for atom, n in atoms.items() if atom.is_in(name)) for name in names}
    tried = [
        (c, signs) for size in (1, 2, 3) for c in combinations(names, size) for signs in product((1, -1), repeat=size)
    ]
    for kind, group_by in product(("durability", "outcomes"), COARSE):
        parts = [name for name in names if name[:2] == (kind, group_by)]
        whole: Name = (kind, "none", "all")
        if group_by != "none" and whole in names:
            tried += [
                ((whole, *some), (1, *[-1] * size))
                for size in range(len(parts) + 1)
                for some in combinations(parts, size)
            ]
    found = []
    for chosen, signs in tried:
        size = sum(sign * sizes[name] for sign, name in zip(signs, chosen, strict=True))
        if 0 < size < SMALLEST_GROUP:
            counted = np.array(signs) @ np.stack([vectors[name] for name in chosen])
            if counted.min() >= 0:
                found.append((chosen, signs, size))
    return found


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_no_combination_of_answers_tells_of_a_group_under_the_limit(demo: Demo, stranger: Api, instrument: str) -> None:
    numbers, atoms = published(stranger, instrument), truth(demo, instrument)
    for name, number in numbers.items():
        assert number == sum(n for atom, n in atoms.items() if atom.is_in(name)), name
    assert revealed(numbers, atoms) == []
    if instrument == "phq-9":
        assert len(numbers) >= 8, "so much is hidden that the test says nothing"
        everything = published(demo.api, instrument)
        assert revealed(everything, atoms), "the attack finds something where nothing is hidden"


def test_a_small_clinic_shows_nothing_to_a_stranger(api: Api, server: TestClient) -> None:
    patient_id = api.patient()
    api.session(patient_id, at(0, 1))
    for day, score in ((0, 20), (1, 5), (20, 15)):
        api.check_in(patient_id, at(day), "phq-9", score)
    outsider = new_client(server, api.clinic_id, "cohorts:read")
    answer = outsider.get("/v1/cohorts/durability", params={"instrument": "phq-9"}).json()
    assert answer["groups"][0]["suppressed"]
    assert {v for k, v in answer["completeness"].items()} == {None}
    insider = api.get("/v1/cohorts/durability", params={"instrument": "phq-9"}).json()
    assert (insider["groups"][0]["suppressed"], insider["groups"][0]["small"]) == (False, True)


def test_a_stranger_may_not_choose_moments_that_differ_by_a_patient(demo: Demo, stranger: Api) -> None:
    yesterday = local_day(clock.now(), demo.caller.time_zone) - timedelta(days=1)
    for params in ({"as_of": "2025-06-01"}, {"as_of": yesterday.isoformat()}, {"known_at": "2025-06-01T00:00:00Z"}):
        for path in ("durability", "outcomes"):
            answer = stranger.get(f"/v1/cohorts/{path}", params={"instrument": "phq-9", **params})
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
            assert demo.api.get(f"/v1/cohorts/{path}", params={"instrument": "phq-9", **params}).status_code == 200
        # The refusal tells nothing: it does not depend on what is recorded.
        assert stranger.get("/v1/cohorts/durability", params={"instrument": "y-bocs", **params}).status_code == 403
    assert stranger.get("/v1/cohorts/durability", params={"instrument": "phq-9", "tau": 30}).status_code == 422


def test_an_answer_over_many_patients_is_one_audit_event_without_ids(demo: Demo, stranger: Api) -> None:
    stranger.get("/v1/cohorts/outcomes", params={"instrument": "phq-9"})
    event = demo.api.get("/v1/audit-events").json()["items"][0]
    assert (event["operation"], event["patient_ids"]) == ("get_outcome_rates", [])


@run(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(['["a"]', '["b"]', '["a", "b"]', '["a", "c"]', '["b", "c"]', "[]", '["c"]']),
                    st.integers(0, 40), min_size=1),
)  # fmt: skip
def test_groups_shown_cut_the_cohort_into_cells_of_at_least_the_limit(people: dict[Trait, int]) -> None:
    groups: dict[str, set[Trait]] = {}
    for trait in people:
        for group in groups_of("indication", trait):
            groups.setdefault(group, set()).add(trait)
    visible = shown(groups, people, 11, traits_overlap=False)
    cells: Counter[tuple[bool, ...]] = Counter()
    for trait, count in people.items():
        cells[tuple(trait in groups[name] for name in sorted(visible))] += count
    assert not visible or all(count == 0 or count >= 11 for count in cells.values())


def test_a_group_that_could_be_subtracted_hides_another_with_it() -> None:
    people: dict[Trait, int] = {"6": 100, "4": 12, "2": 3}
    groups = {name: {name} for name in ("6", "4", "2")}
    assert shown(groups, people, 11, traits_overlap=False) == {"6"}  # type: ignore[arg-type]
    assert shown_counts({"with_baseline": 45, "evaluable": 40, "with_follow_up": 30, "responders": 12},
                        ["responders"], 11) == {"with_baseline", "with_follow_up", "responders"}  # fmt: skip


def test_spells_of_the_same_patient_do_not_make_a_group(api: Api, server: TestClient) -> None:
    """14 patients, 5 of them with two spells: 11 spells still held on day 7 are those of 6 patients."""
    items = []
    for number in range(14):
        patient_id = api.patient()
        starts = [0, 350] if number < 5 else [350]
        for start in starts:
            api.session(patient_id, at(start, 1))
            held = [(20, 5), (40, 5), (60, 5)] if number < 6 else [(6, 18), (12, 18)]
            items += [
                {"patient_id": patient_id, "taken_at": at(start + day),
                 "responses": [{"instrument": "phq-9", "score": score}]}
                for day, score in [(0, 20), (4, 5), *held]
            ]  # fmt: skip
    assert {r["http_status"] for r in api.post("/v1/check-ins/batch", {"items": items}).json()["results"]} == {201}
    insider = api.get("/v1/cohorts/durability", params={"instrument": "phq-9"}).json()
    assert (insider["groups"][0]["responders"], insider["completeness"]["responders"]) == (19, 14)
    stranger = new_client(server, api.clinic_id, "cohorts:read")
    answer = stranger.get("/v1/cohorts/durability", params={"instrument": "phq-9"}).json()
    assert [step["at_risk"] for step in answer["groups"][0]["curve"]] == [19]
    assert set(answer["completeness"].values()) == {None}


def test_patients_counted_under_two_traits_are_not_taken_for_two() -> None:
    people: dict[Trait, int] = {5: 60, 6: 6, 7: 6}
    groups: dict[str, set[Trait]] = {"5": {5}, "6": {6}, "7": {7}}
    assert shown(groups, people, 11, traits_overlap=False) == {"5"}
    assert shown(groups, people, 11, traits_overlap=True) == set()
