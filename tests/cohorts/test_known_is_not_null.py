"""Durability that bounds and says what is known; outcomes in which remission never exceeds response; finer groups."""

from datetime import date
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.cohorts.kept import kept_record
from app.cohorts.policies import Sight
from app.cohorts.rates import rates
from app.cohorts.tallies import BY_EPISODE, Question, Tallies
from tests.cohorts.conftest import Demo, at
from tests.cohorts.test_durability import durability, post_spells
from tests.conftest import Api, new_client, new_clinic


def on(group: dict[str, Any], day: int) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in group["still_holding"] if one["day"] == day)
    return found


def post_readings(api: Api, *patients: tuple[tuple[float, float], ...], code: str = "phq-9", **fields: Any) -> None:
    """Patients infused on day 0, with these readings."""
    items = []
    for readings in patients:
        patient_id = api.patient(**fields)
        api.session(patient_id, at(0, 1))
        items += [
            {"patient_id": patient_id, "taken_at": at(int(day)), "responses": [{"instrument": code, "score": score}]}
            for day, score in readings
        ]
    for first in range(0, len(items), 500):
        results = api.post("/v1/check-ins/batch", {"items": items[first : first + 500]}).json()["results"]
        assert {r["http_status"] for r in results} == {201}


def test_the_lowest_bound_counts_a_spell_as_lost_from_the_day_after_its_last_response(server: TestClient) -> None:
    """Twelve patients: 20 before, 8 on day 1, 18 on day 91. One reading past the line is no loss."""
    api = new_clinic(server)
    post_readings(api, *[((0, 20), (1, 8), (91, 18))] * 12)
    [group] = durability(api)["groups"]
    assert (group["responders"], group["events"], group["censored"], group["censored_below"]) == (12, 0, 12, 12)
    end = on(group, 90)
    assert (end["survival"], end["at_risk"], end["lowest"], end["highest"]) == (1.0, 12, 0.0, 1.0)
    assert end["by_last_response"] is None, "nobody is known to have held so long"
    assert group["by_last_response"][-1]["survival"] == 1.0
    assert (group["followed_to_day"], group["median_follow_up_days"]) == (90, 90)


def test_once_nobody_holds_that_stays_known(server: TestClient) -> None:
    api = new_clinic(server)
    post_spells(api, ",".join(str(days) for days in range(7, 27)))
    [group] = durability(api)["groups"]
    for day in (28, 56, 90, 180):
        told = on(group, day)
        assert (told["survival"], told["at_risk"], told["lowest"], told["highest"]) == (0.0, 0, 0.0, 0.0)
    assert group["median_follow_up_days"] is None, "none was censored"


def test_a_group_of_four_says_how_many_and_its_bounds(server: TestClient) -> None:
    api = new_clinic(server)
    post_spells(api, "5,9,30+,40+")
    [group] = durability(api)["groups"]
    assert (group["responders"], group["events"], group["followed_to_day"], group["curve"]) == (4, 2, None, [])
    told = on(group, 14)
    assert (told["at_risk"], told["survival"], told["lowest"], told["highest"]) == (2, None, 0.5, 0.5)


def test_rescue_competes_with_loss(server: TestClient) -> None:
    """Six lose response on day 10; six are below from day 10 and infused again before a second reading."""
    api = new_clinic(server)
    post_spells(api, "10,10,10,10,10,10")
    for _ in range(6):
        patient_id = api.patient()
        api.session(patient_id, at(0, 1))
        for day, score in ((0, 20), (1, 5), (11, 15)):
            api.check_in(patient_id, at(day), "phq-9", score)
        api.session(patient_id, at(60))
    [loss] = durability(api, endpoint="loss")["groups"]
    assert [(one["day"], one["events"], one["competing"]) for one in loss["incidence"]] == [(0, 0, 0), (10, 6, 6)]
    assert (loss["incidence"][-1]["loss"], loss["incidence"][-1]["rescue"]) == (0.5, 0.5)
    assert loss["incidence"][-1]["standard_error"] == pytest.approx((0.25 / 12) ** 0.5)
    answer = durability(api, endpoint="loss")
    assert any("Aalen" in source for source in answer["method"]["statistics"])
    assert durability(api)["groups"][0]["incidence"] is None
    assert any("needs two readings" in caution for caution in answer["method"]["cautions"])


def test_a_median_on_a_flat_half_may_be_read_as_r_does(server: TestClient) -> None:
    api = new_clinic(server)
    post_spells(api, "6,10,20+,30")
    [first], [middle] = (durability(api, median=read)["groups"] for read in ("first_day", "midpoint"))
    assert (first["median_days"], middle["median_days"]) == (10, 20)
    answer = durability(api, median="midpoint")
    assert answer["median"] == "midpoint"
    assert any("as R and SAS take it" in source for source in answer["method"]["statistics"])
    assert api.get("/v1/cohorts/durability", params={"instrument": "phq-9", "median": "x"}).status_code == 422


def test_a_restricted_mean_has_its_error(server: TestClient) -> None:
    """Freireich's treated arm to day 23: R's survival 3.5.3 gives the mean 17.909 with the standard error 1.553."""
    api = new_clinic(server)
    post_spells(api, "6,6,6,6+,7,9+,10,10+,11+,13,16,17+,19+,20+,22,23,25+,32+,32+,34+,35+")
    mean = durability(api, tau=23)["groups"][0]["restricted_mean_days"]
    assert (round(mean["value"], 3), round(mean["se"], 3)) == (17.909, 1.553)
    assert mean["ci"] == pytest.approx([mean["value"] - 1.96 * mean["se"], mean["value"] + 1.96 * mean["se"]], abs=1e-3)


def outcomes(api: Api, **params: Any) -> dict[str, Any]:
    answer = api.get("/v1/cohorts/outcomes", params={"instrument": "pcl-5", **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_remission_needs_a_response_and_for_pcl_5_a_reliable_change(server: TestClient) -> None:
    api = new_clinic(server)
    post_readings(api, ((0, 31), (20, 28)), ((0, 36), (20, 24)), ((0, 60), (20, 28)), code="pcl-5")
    [group] = outcomes(api)["groups"]
    assert (group["response"]["n"], group["remission"]["n"]) == (2, 1), "36 to 24 is a response, but falls by 12 only"
    # PCL-5 asks about a month: on day 20 its window reaches back to the infusion.
    assert (group["overlapping"]["n"], group["provisional"]["n"]) == (3, 1)
    post_readings(api, ((0, 20), (20, 4)), code="phq-9")
    [group] = outcomes(api, instrument="phq-9")["groups"]
    assert (group["remission"]["n"], group["overlapping"]["n"]) == (1, 0)


@pytest.fixture(scope="module")
def grouped(server: TestClient) -> Api:
    api = new_clinic(server)
    for route, dose, year, trials in (
        ("iv", {"dose_mg_per_kg": 0.5}, 1990, 3),
        ("im", {"dose_mg": 84, "weight_kg": 80}, 1950, 0),
        (None, {}, None, None),
        (None, {}, 2026, None),  # recorded as born after the session: no age
    ):
        patient_id = api.patient(birth_year=year, failed_antidepressant_trials=trials)
        api.session(patient_id, at(0, 1), **({"route": route} if route else {}), **dose)
        for day, score in ((0, 20), (4, 5), (20, 4)):
            api.check_in(patient_id, at(day), "phq-9", score)
    return api


@pytest.mark.parametrize(("group_by", "names"), [
    ("route", ["im", "iv"]),
    ("dose_band", ["0.4_to_under_0.6", "1.0_or_more", "unknown"]),
    ("quarter", ["2025-Q1"]),
    ("age_band", ["30_to_under_45", "75_or_more", "unknown"]),
])  # fmt: skip
def test_groups_by_how_an_episode_began(grouped: Api, group_by: str, names: list[str]) -> None:
    answer = durability(grouped, group_by=group_by)
    assert [group["group"] for group in answer["groups"]] == names
    assert sum(group["responders"] for group in answer["groups"]) == 4
    rates = grouped.get("/v1/cohorts/outcomes", params={"instrument": "phq-9", "group_by": group_by}).json()
    assert [group["group"] for group in rates["groups"]] == names
    assert all(group["besides"]["mean_baseline"] == 20 for group in (*answer["groups"], *rates["groups"]))


def test_the_answer_says_what_groups_differ_in_besides(grouped: Api) -> None:
    answer = durability(grouped, group_by="route")
    iv = next(group for group in answer["groups"] if group["group"] == "iv")
    assert iv["besides"] == {"episodes": 3, "mean_baseline": 20, "resistance_known": 1, "treatment_resistant": 1}
    assert any("besides" in caution for caution in answer["method"]["cautions"])
    assert durability(grouped)["groups"][0]["besides"] is None


@pytest.mark.parametrize("group_by", BY_EPISODE)
def test_finer_groups_are_for_those_who_may_see_patients(demo: Demo, group_by: str) -> None:
    stranger = new_client(demo.api.server, demo.api.clinic_id, "cohorts:read")
    for answer in ("durability", "outcomes"):
        refused = stranger.get(f"/v1/cohorts/{answer}", params={"instrument": "phq-9", "group_by": group_by})
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")


def test_who_may_not_see_patients_gets_no_bound_and_no_second_curve(demo: Demo, stranger: Api) -> None:
    [group] = stranger.get("/v1/cohorts/durability", params={"instrument": "phq-9", "endpoint": "loss"}).json()[
        "groups"
    ]
    for name in ("censored_below", "by_last_response", "incidence", "median_follow_up_days", "besides"):
        assert group[name] is None, name
    assert group["followed_to_day"] == group["curve"][-1]["day"]
    assert [one["at_risk"] for one in group["numbers_at_risk"]] == [step["at_risk"] for step in group["curve"]]
    assert {one["lowest"] for one in group["still_holding"]} == {None}


def test_what_an_earlier_release_did_not_keep_is_not_known() -> None:
    """A snapshot of the release before holds no days of early readings, and no last responses."""
    values = [1, 6, "2025-01-17", 40, True, True, 20, 7.0, 30, None, None, None]
    record = kept_record(values)
    assert (record.early_days, record.spell and record.spell.days) == (None, 30)
    found = Tallies()
    found.add(Question("pcl-5", "none", date(2025, 6, 1)), lambda _: "pcl-5", [record], None)
    [group] = rates(Question("pcl-5", "none", date(2025, 6, 1)), found, clock.now(), sight=Sight(True, 5)).groups
    assert (group.overlapping, group.provisional) == (None, None)
    assert group.response is not None
    assert group.response.n == 1
