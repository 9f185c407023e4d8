"""Durability over a clinic's patients: published figures come back through the API, and both ways of counting agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import clock
from app.access.service import Caller
from app.cohorts import service, store
from app.cohorts.tallies import BY_EPISODE, GroupBy, Question, Tallies
from app.relief import Boosters, Endpoint
from app.tracks.days import local_day
from tests.cohorts.conftest import START, Demo, at
from tests.conftest import Api, new_clinic
from tests.statistics.test_statistics import PLACEBO, TREATED


def post_spells(api: Api, written: str, **fields: Any) -> None:
    """Patients whose relief lasts these days: a first response the day after one infusion, then a loss or a last
    response. A plus sign is a censored time."""
    items = []
    for time in written.split(","):
        patient_id = api.patient(**fields)
        api.session(patient_id, at(0, 1))
        days = int(time.rstrip("+"))
        scores = [(0, 20), (1, 5), (1 + days, 5)] if "+" in time else [(0, 20), (1, 5), (1 + days, 15), (6 + days, 16)]
        items += [
            {"patient_id": patient_id, "taken_at": at(day), "responses": [{"instrument": "phq-9", "score": score}]}
            for day, score in scores
        ]
    results = api.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    assert {r["http_status"] for r in results} == {201}


def durability(api: Api, **params: Any) -> dict[str, Any]:
    answer = api.get("/v1/cohorts/durability", params={"instrument": "phq-9", **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture(scope="module")
def freireich(server: TestClient) -> Api:
    api = new_clinic(server)
    post_spells(api, TREATED, failed_antidepressant_trials=3)
    post_spells(api, PLACEBO, failed_antidepressant_trials=0)
    return api


def test_freireich_1963_posted_as_patients_comes_back_as_printed(freireich: Api) -> None:
    answer = durability(freireich, group_by="treatment_resistant")
    placebo, treated = answer["groups"]
    assert (treated["group"], placebo["group"]) == ("treatment_resistant", "not_treatment_resistant")
    assert (treated["responders"], treated["events"], treated["censored"]) == (21, 9, 12)
    found = [
        (
            s["day"],
            s["at_risk"],
            s["events"],
            *(round(s[name], 4) for name in ("survival", "standard_error", "ci_low", "ci_high")),
        )
        for s in treated["curve"][1:]
    ]
    assert found == [
        (6, 21, 3, 0.8571, 0.0764, 0.6197, 0.9516),
        (7, 17, 1, 0.8067, 0.0869, 0.5631, 0.9228),
        (10, 15, 1, 0.7529, 0.0963, 0.5032, 0.8894),
        (13, 12, 1, 0.6902, 0.1068, 0.4316, 0.8491),
        (16, 11, 1, 0.6275, 0.1141, 0.3675, 0.8049),
        (22, 7, 1, 0.5378, 0.1282, 0.2678, 0.7468),
        (23, 6, 1, 0.4482, 0.1346, 0.1881, 0.6801),
    ]
    assert treated["curve"][0] == {
        "day": 0, "at_risk": 21, "events": 0, "survival": 1.0, "standard_error": None, "ci_low": None, "ci_high": None,
    }  # fmt: skip
    assert (treated["median_days"], treated["median_ci"]) == (23, [13, None])
    assert (placebo["median_days"], placebo["median_ci"]) == (8, [4, 11])
    test = answer["log_rank"]
    assert (round(test["chi_square"], 4), test["df"], f"{test['p_value']:.2e}") == (16.7929, 1, "4.17e-05")
    assert answer["reason"] is None
    for tau, means in {12: (10.7832, 7.2857), 23: (17.9092, 8.6667), 35: (23.2874, 8.6667)}.items():
        groups = durability(freireich, group_by="treatment_resistant", tau=tau)["groups"]
        assert tuple(round(g["restricted_mean_days"]["value"], 4) for g in reversed(groups)) == means
    assert treated["restricted_mean_days"]["tau"] == 23


def test_the_curve_is_cut_where_fewer_than_five_are_at_risk(freireich: Api) -> None:
    placebo, treated = durability(freireich, group_by="treatment_resistant")["groups"]
    assert [s["day"] for s in placebo["curve"]][-1] == 12  # from day 15 on four are left
    assert [h["survival"] for h in treated["still_holding"]][:2] == pytest.approx([0.8067, 0.6902], abs=5e-5)
    four_left = treated["still_holding"][2]  # on day 28
    assert (four_left["at_risk"], four_left["survival"]) == (4, None)
    assert placebo["still_holding"][1]["survival"] is None


def test_the_bounds_take_every_censored_spell_as_lost_or_as_holding(freireich: Api) -> None:
    treated = durability(freireich, group_by="treatment_resistant")["groups"][1]
    fortnight = treated["still_holding"][1]
    assert fortnight["day"] == 14
    # Lost from the day after its last response: 9 that ended with an event (it came at the next reading), and 4 that
    # were censored before day 14.
    assert fortnight["lowest"] == pytest.approx((21 - 9 - 4) / 21, abs=1e-6)
    assert fortnight["highest"] == pytest.approx((21 - 6) / 21, abs=1e-6)


def test_the_answer_names_its_method_and_what_it_rests_on(freireich: Api) -> None:
    answer = durability(freireich)
    completeness = answer["completeness"]
    for name in ("patients", "with_baseline", "evaluable", "with_follow_up", "responders"):
        assert completeness[name] == 42
    assert completeness["median_gap_days"] > 0
    assert answer["reason"] == "one_group"
    assert "two readings" in answer["method"]["event"]
    assert any("Kaplan" in source for source in answer["method"]["statistics"])
    assert any("more than the grouping" in caution for caution in answer["method"]["cautions"])


def test_groups_that_share_a_patient_are_not_compared(api: Api) -> None:
    post_spells(api, "3,5", indications=["ptsd", "ocd"])
    post_spells(api, "4,8+", indications=["ptsd"])
    post_spells(api, "9")
    answer = durability(api, group_by="indication")
    assert [(g["group"], g["responders"], g["small"]) for g in answer["groups"]] == [
        ("none_recorded", 1, True), ("ocd", 2, True), ("ptsd", 4, True),
    ]  # fmt: skip
    assert (answer["log_rank"], answer["reason"]) == (None, "groups_overlap")


def story(api: Api, scores: Sequence[tuple[int, int]], sessions: Sequence[int]) -> None:
    patient_id = api.patient()
    for day in sessions:
        api.session(patient_id, at(day, 1))
    for day, score in scores:
        api.check_in(patient_id, at(day), "phq-9", score)


@pytest.mark.parametrize(("endpoint", "boosters", "said"), [
    ("loss_or_rescue", "ignore", (1, 39)),
    ("loss", "ignore", (0, 39)),
    ("loss_or_rescue", "censor", (0, 9)),
    ("loss", "censor", (0, 9)),
])  # fmt: skip
def test_endpoint_and_boosters_decide_where_a_spell_ends(
    api: Api, endpoint: str, boosters: str, said: tuple[int, int]
) -> None:
    """Response from day 1; a booster on day 20 while it holds (last reading day 10); below response from day 40; a
    rescue on day 42 (last reading day 40)."""
    story(api, [(0, 20), (1, 5), (10, 6), (30, 6), (40, 15)], [0, 20, 42])
    answer = durability(api, endpoint=endpoint, boosters=boosters)
    [group] = answer["groups"]
    assert group["events"] == said[0]
    mean = durability(api, endpoint=endpoint, boosters=boosters, tau=said[1])["groups"][0]["restricted_mean_days"]
    assert mean["value"] == said[1]
    beyond = durability(api, endpoint=endpoint, boosters=boosters, tau=said[1] + 1)["groups"][0]
    assert (beyond["restricted_mean_days"]["value"] is None) == (said[0] == 0)
    assert (answer["endpoint"], answer["boosters"]) == (endpoint, boosters)


def test_a_patient_entered_in_error_is_in_no_cohort(api: Api) -> None:
    post_spells(api, "3,5,8")
    patient_id = api.get("/v1/patients").json()["items"][0]["id"]
    assert durability(api)["groups"][0]["responders"] == 3
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "entered_in_error", "reason": "a test"}, 1)
    answer = durability(api)
    assert (answer["groups"][0]["responders"], answer["completeness"]["patients"]) == (2, 2)


def test_an_empty_clinic_has_an_answer(api: Api) -> None:
    answer = durability(api)
    [group] = answer["groups"]
    assert (group["group"], group["responders"], group["median_days"]) == ("all", 0, None)
    assert durability(api, group_by="indication")["groups"] == []
    assert api.get("/v1/cohorts/outcomes", params={"instrument": "phq-9"}).json()["groups"][0]["response"] == {
        "n": 0, "of": 0, "percent": None, "ci": None,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [
    {"instrument": "phq-2"}, {"instrument": "nonsense"}, {"as_of": "2999-01-01"}, {"known_at": "2199-01-01T00:00:00Z"},
    {"tau": 0}, {"endpoint": "relapse"}, {"boosters": "count"}, {"group_by": "age"},
])  # fmt: skip
def test_a_question_that_cannot_be_asked_names_its_parameter(api: Api, wrong: dict[str, Any]) -> None:
    answer = api.get("/v1/cohorts/durability", params={"instrument": "phq-9", **wrong})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == next(iter(wrong))


def test_past_days_and_moments_are_folded_afresh(api: Api) -> None:
    post_spells(api, "3,5,8,13+")
    known_at = clock.now().isoformat()
    before = durability(api)
    post_spells(api, "21,34+")
    assert durability(api)["groups"][0]["responders"] == 6
    then = durability(api, known_at=known_at)
    assert then["groups"] == before["groups"]
    assert then["completeness"] == before["completeness"]
    early = durability(api, as_of=(START + timedelta(days=4)).date().isoformat())["groups"][0]
    assert (early["responders"], early["events"]) == (6, 0)  # a loss on day 4 is not confirmed yet


def stored_tallies(caller: Caller, question: Question, db: Session) -> Tallies:
    """Both halves of what is stored, which agree on what they share."""
    spells, early = (read(db, caller.clinic_id, question) for read in (store.spells, store.early))
    if question.group_by in BY_EPISODE:
        return service._one_by_one(db, caller.clinic_id, question)
    whole = replace(
        early,
        spells=spells.spells,
        people=spells.people,
        people_overlap=spells.people_overlap,
        held_mix=spells.held_mix,
    )
    nothing: dict[str, Any] = {"early": Counter(), "early_people": Counter(), "early_missing": Counter()}
    assert replace(whole, **nothing, early_overlap=False, early_mix={}) == spells
    return whole


def folded_tallies(caller: Caller, question: Question, db: Session) -> Tallies:
    return service._folded(db, caller, question, None)


@pytest.mark.parametrize("group_by", get_args(GroupBy))
@pytest.mark.parametrize("instrument", ["phq-9", "peg"])
def test_stored_episodes_count_as_folding_afresh_does(demo: Demo, group_by: GroupBy, instrument: str) -> None:
    database, caller = demo.database, demo.caller
    today: date = local_day(clock.now(), caller.time_zone)
    for endpoint in get_args(Endpoint):
        for boosters in get_args(Boosters):
            question = Question(instrument, group_by, today, endpoint, boosters)
            stored = database.reading(caller.clinic_id, partial(stored_tallies, caller, question))
            folded = database.reading(caller.clinic_id, partial(folded_tallies, caller, question))
            assert stored == folded
            assert stored.responders >= 3
