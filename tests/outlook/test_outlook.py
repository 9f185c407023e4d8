"""What happened to others who held this long: over HTTP, from stored spells and folded anew, and for whom it is."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.outlook.models import AheadOut, OutlookOut
from app.outlook.words import explain
from app.storage import new_id
from tests.conftest import Api, days_ago, new_client, new_clinic, new_device

# Readings of comparators: days after the infusion, and PHQ-9 from a baseline of 20.
HELD = [(1, 5), (29, 6), (43, 6), (57, 6), (90, 6)]
LOST = [(1, 5), (29, 6), (50, 15), (56, 16)]
DEEP = [(1, 3), (29, 3), (60, 4)]


def spell(api: Api, readings: list[tuple[int, int]], *, boosted_on: int | None = None, code: str = "phq-9") -> str:
    """A patient infused 100 days ago, with these readings after it."""
    patient_id = api.patient()
    items: list[tuple[float, int]] = [(0.01, 20), *((-day, score) for day, score in readings)]
    api.session(patient_id, days_ago(100))
    if boosted_on is not None:
        api.session(patient_id, days_ago(100 - boosted_on))
    posts = [
        {"patient_id": patient_id, "taken_at": days_ago(100 + day), "responses": [{"instrument": code, "score": score}]}
        for day, score in items
    ]
    results = api.post("/v1/check-ins/batch", {"items": posts}).json()["results"]
    assert {result["http_status"] for result in results} == {201}
    return patient_id


def holder(api: Api) -> str:
    """A patient whose relief has held for 28 days, up to today."""
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(29.1), "phq-9", 20)
    api.session(patient_id, days_ago(29))
    api.check_in(patient_id, days_ago(28), "phq-9", 5)
    api.check_in(patient_id, days_ago(0.001), "phq-9", 8)
    return patient_id


def outlook(api: Api, patient_id: str, **params: Any) -> Any:
    answer = api.get(f"/v1/patients/{patient_id}/relief/outlook", params={"instrument": "phq-9", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def clinic(server: TestClient) -> tuple[Api, str]:
    """Eight others whose relief held, four who lost it, three of whose readings were deep, and the one who asks."""
    api = new_clinic(server, zone="UTC")
    for number in range(8):
        spell(api, HELD, boosted_on=40 if number < 2 else None)
    for _ in range(4):
        spell(api, LOST)
    for _ in range(3):
        spell(api, DEEP)
    return api, holder(api)


def test_it_counts_what_became_of_others_after_as_long(clinic: tuple[Api, str]) -> None:
    api, mine = clinic
    found = outlook(api, mine)
    assert (found["days_held"], found["n"], found["patients"], found["reason"]) == (28, 15, 15, None)
    assert (found["rule"], found["instrument"], found["smallest_group"]) == ("2026.2", "phq-9", 11)
    fortnight, month, two_months = found["ahead"]
    # From day 28: losses on day 49, that is 21 days on; the last readings 32 (deep) and 61 days on.
    assert (fortnight["days"], fortnight["held"], fortnight["lost"], fortnight["followed"]) == (14, 1.0, 0, 15)
    assert fortnight["ci"] == [pytest.approx(0.7961, abs=1e-4), 1.0]
    assert (month["held"], month["lost"], month["followed"], month["boosted"]) == (pytest.approx(11 / 15), 4, 11, 2)
    assert month["ci"] == [pytest.approx(0.4805, abs=1e-4), pytest.approx(0.8910, abs=1e-4)]
    assert (two_months["lost"], two_months["followed"]) == (4, 8)
    assert found["by_depth"] is not None
    assert (found["by_depth"]["side"], found["by_depth"]["n"]) == ("shallow", 12)
    assert found["explanation"] == (
        "Of 15 earlier spells here in response about 28 days in, 73% (48 to 89%) held 28 days more; 2 of them had a "
        "booster in that time. This is what happened, not a forecast. Fewer than 50 spells say little more than the "
        "clinic's durability curve."
    )


def test_folded_anew_it_says_the_same_and_the_past_is_answered_as_it_was(clinic: tuple[Api, str]) -> None:
    api, mine = clinic
    now = outlook(api, mine)
    then = outlook(api, mine, known_at=now["known_at"])
    assert then == now
    today = clock.now().date()
    before = outlook(api, mine, as_of=(today - timedelta(days=1)).isoformat())
    assert (before["days_held"], before["as_of"]) == (0, (today - timedelta(days=1)).isoformat())
    assert before["n"] == 15


def test_without_a_spell_to_compare_it_says_why_not(clinic: tuple[Api, str]) -> None:
    api, _ = clinic
    lost = spell(api, LOST)
    assert outlook(api, lost)["reason"] == "not_holding"
    again = holder(api)
    api.check_in(again, days_ago(20), "phq-9", 15)
    api.check_in(again, days_ago(14), "phq-9", 15)
    ended = outlook(api, again)
    assert (ended["reason"], ended["ahead"], ended["n"], ended["by_depth"]) == ("spell_ended", [], None, None)
    between = api.patient()
    api.check_in(between, days_ago(10.1), "phq-9", 20)
    for ago in (10, 4):
        api.session(between, days_ago(ago))
    api.check_in(between, days_ago(8), "phq-9", 5)  # a response, and then one more infusion of the same course
    assert outlook(api, between)["reason"] == "no_spell"
    assert outlook(api, api.patient())["reason"] == "not_holding"
    assert all(outlook(api, one)["explanation"] for one in (lost, again, between))


def test_with_too_few_others_nothing_is_told(api: Api) -> None:
    mine = holder(api)
    for _ in range(3):
        spell(api, HELD)
    found = outlook(api, mine)
    assert (found["reason"], found["ahead"], found["by_depth"], found["patients"]) == ("too_few", [], None, 3)
    assert "Spells of 3 other patients here were in response about 28 days in; at least 11" in found["explanation"]


def test_it_is_for_those_who_may_see_patients(clinic: tuple[Api, str], server: TestClient) -> None:
    api, mine = clinic
    path = f"/v1/patients/{mine}/relief/outlook?instrument=phq-9"
    assert new_device(api, mine).get(path).status_code == 403
    assert new_client(server, api.clinic_id, "outcomes:read").get(path).status_code == 403
    assert new_client(server, api.clinic_id, "outcomes:read patients:read").get(path).status_code == 200
    for wrong in ("phq-2", "x"):
        refused = api.get(f"/v1/patients/{mine}/relief/outlook", params={"instrument": wrong})
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "instrument")
    future = api.get(path, params={"as_of": "2100-01-01"})
    assert future.status_code == 422


def test_scales_in_points_have_no_depth(server: TestClient) -> None:
    api = new_clinic(server, zone="UTC")
    code = "promis-depression-4a"
    for _ in range(11):
        patient_id = api.patient()
        api.check_in(patient_id, days_ago(100.01), code, 71.2)
        api.session(patient_id, days_ago(100))
        for day in (1, 29, 60):
            api.check_in(patient_id, days_ago(100 - day), code, 51.8)
    mine = api.patient()
    api.check_in(mine, days_ago(29.01), code, 71.2)
    api.session(mine, days_ago(29))
    for ago in (28, 0.001):
        api.check_in(mine, days_ago(ago), code, 51.8)
    found = outlook(api, mine, instrument=code)
    assert (found["n"], found["by_depth"], found["reason"]) == (11, None, None)


@pytest.mark.parametrize(("held", "n", "words"), [
    (((14, 0.9, 1), (28, None, 0), (56, None, 0)), 60, "60 earlier spells here in response about 1 day in, 90% (80 to "
     "95%) held 14 days more; 1 of them had a booster in that time. This is what happened, not a forecast."),
    (((14, 0.9, 0), (28, 0.8, 0), (56, None, 0)), 60,
     "80% (70 to 85%) held 28 days more; none had a booster meanwhile."),
    (((14, None, 0), (28, None, 0), (56, None, 0)), 12, "too few were followed for two weeks more."),
])  # fmt: skip
def test_the_words(held: tuple[tuple[int, float | None, int], ...], n: int, words: str) -> None:
    ahead = [
        AheadOut(days=days, held=share, ci=None if share is None else [share - 0.1, share + 0.05], lost=0, followed=0,
                 boosted=boosted)
        for days, share, boosted in held
    ]  # fmt: skip
    assert words in explain(_answer(n, ahead, None))
    assert "1 other patient here" in explain(_answer(1, [], "too_few"))


def _answer(n: int, ahead: list[AheadOut], reason: str | None) -> OutlookOut:
    return OutlookOut(
        patient_id=new_id(), instrument="phq-9", as_of=clock.now().date(), known_at=clock.now(), rule="2026.2",
        days_held=1, n=n, patients=n, smallest_group=11, reason=reason, ahead=ahead, by_depth=None, explanation="",
    )  # fmt: skip


def test_before_a_merge_it_answers_as_then(server: TestClient) -> None:
    api = new_clinic(server, zone="UTC")
    mine, other = holder(api), api.patient()
    then = clock.now().isoformat()
    merged = api.post(f"/v1/patients/{mine}/merge", {"into": other, "reason": "twice"}, headers={"If-Match": '"1"'})
    assert merged.status_code == 201
    assert outlook(api, mine, known_at=then)["reason"] == "too_few"
    gone = api.get(f"/v1/patients/{mine}/relief/outlook", params={"instrument": "phq-9"})
    assert (gone.status_code, gone.json()["into"]) == (410, other)
