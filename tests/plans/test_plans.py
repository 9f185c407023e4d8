"""Plans over HTTP: set with a version, in force from tomorrow, and what is due of a patient, who sees their own."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.tracks.days import local_day
from tests.conftest import ZONE, Api, days_ago, new_clinic, new_device

ITEM = {"after": "session", "offset": "P3D", "window": "P2D", "instruments": ["nrs-pain"]}


def put(api: Api, path: str, items: Any, version: int = 1) -> Any:
    return api.request("PUT", path, json={"items": items}, headers={"If-Match": f'"{version}"'})


def test_a_plan_is_set_with_its_version_and_counts_from_tomorrow(api: Api) -> None:
    patient_id = api.patient()
    path = f"/v1/patients/{patient_id}/plan"
    shown = api.get(path)
    assert (shown.json()["source"], shown.json()["version"], shown.headers["etag"]) == ("default", 1, '"1"')
    assert api.request("PUT", path, json={"items": [ITEM]}).status_code == 428
    made = put(api, path, [ITEM | {"offset": "P2W"}])
    assert (made.status_code, made.json()["source"], made.json()["version"]) == (200, "patient", 2)
    assert made.json()["items"][0]["offset"] == "P14D"
    tomorrow = local_day(clock.now(), ZoneInfo(ZONE)) + timedelta(days=1)
    assert made.json()["from_on"] == tomorrow.isoformat()
    assert put(api, path, [ITEM]).status_code == 412
    assert put(api, path, [ITEM | {"offset": "P14D"}], 2).json()["version"] == 2, "the same makes no version"
    back = put(api, path, None, 2).json()
    assert (back["source"], back["version"]) == ("default", 3)


def test_the_clinics_plan_is_everybodys_who_has_none(server: TestClient, api: Api) -> None:
    patient_id = api.patient()
    assert put(api, "/v1/clinic/plan", [ITEM]).json()["source"] == "clinic"
    assert api.get(f"/v1/patients/{patient_id}/plan").json()["items"] == [{"early": "P1D", **ITEM}]
    assert new_clinic(server).get("/v1/clinic/plan").json()["source"] == "default"


@pytest.mark.parametrize(("field", "value"), [
    ("offset", "3 days"), ("offset", "P1M"), ("offset", "-P1D"), ("offset", "P9999D"), ("offset", 3),
    ("window", "P61D"), ("after", "booster"), ("instruments", []), ("instruments", ["phq-99"]),
    ("instruments", ["phq-9", "phq-9"]), ("extra", 1),
])  # fmt: skip
def test_what_a_plan_cannot_say_is_refused_by_its_place(api: Api, field: str, value: Any) -> None:
    answer = put(api, f"/v1/patients/{api.patient()}/plan", [ITEM | {field: value}])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/items")


def due(api: Api, patient_id: str, **params: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/v1/patients/{patient_id}/plan/due", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_what_is_due_follows_from_sessions_and_check_ins(api: Api) -> None:
    patient_id = api.patient()
    baseline = due(api, patient_id)
    assert [one["instruments"] for one in baseline] == [["phq-9", "gad-7", "nrs-pain"]] * 3, (
        "until there is an infusion"
    )
    assert (baseline[0]["state"], baseline[0]["session_id"]) == ("due", None)
    session = api.session(patient_id, days_ago(8))
    for code in ("nrs-mood", "nrs-anxiety", "nrs-pain"):
        api.check_in(patient_id, days_ago(5), code, 4)
    found = due(api, patient_id)
    assert [one["state"] for one in found[:4]] == ["missed", "done", "overdue", "upcoming"]
    assert {one["session_id"] for one in found} == {session["id"]}
    assert found[2]["missing"] == ["nrs-mood", "nrs-anxiety", "nrs-pain"]
    check_in = api.check_in(patient_id, days_ago(0.01), "nrs-pain", 4)
    assert due(api, patient_id)[2]["missing"] == ["nrs-mood", "nrs-anxiety"]
    path = f"/v1/patients/{patient_id}/check-ins/{check_in['id']}/amendments"
    api.post(path, {"reason": "wrong", "void": True}, headers={"If-Match": '"1"'})
    assert len(due(api, patient_id)[2]["missing"]) == 3, "what was taken back answers nothing"


def test_a_change_today_leaves_what_is_due_until_today(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(8))
    until = local_day(clock.now(), ZoneInfo(ZONE)).isoformat()
    before = due(api, patient_id, to=until)
    assert len(before) == 3
    put(api, f"/v1/patients/{patient_id}/plan", [ITEM | {"offset": "P20D"}])
    assert due(api, patient_id, to=until) == before
    assert [one["instruments"] for one in due(api, patient_id) if one["due_on"] > until] == [["nrs-pain"]]


def test_nothing_is_asked_of_who_is_not_in_care(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(8))
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "paused"}, 1)
    assert due(api, patient_id) == []


def test_patients_see_what_is_due_of_them_and_rate_themselves(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(0.5))
    device = new_device(api, patient_id)
    mine = device.get("/v1/me/due").json()["items"]
    assert mine == due(api, patient_id)
    items = [ITEM | {"offset": "P9D", "instruments": ["madrs", "phq-9"]}, ITEM | {"instruments": ["madrs"]}]
    put(api, f"/v1/patients/{patient_id}/plan", items)
    after = device.get("/v1/me/due", params={"from": (clock.now() + timedelta(days=2)).date().isoformat()})
    assert [one["instruments"] for one in after.json()["items"]] == [["phq-9"]]
    assert api.get("/v1/me/due").status_code == 403
    assert device.get(f"/v1/patients/{api.patient()}/plan/due").status_code == 404


def test_days_are_checked(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/plan/due"
    for params in (
        {"from": "2025-02-02", "to": "2025-02-01"},
        {"from": "2020-01-01", "to": "2025-01-01"},
        {"from": "x"},
    ):
        assert api.get(path, params=params).status_code == 422, params
    assert api.get(path, params={"to": "2020-01-01"}).status_code == 200
    assert api.get(path, params={"from": "2190-01-01"}).status_code == 200


def test_an_answer_the_evening_before_is_not_asked_again(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(2))
    device = new_device(api, patient_id)
    for days in (1, 0.001):  # what was asked for on day 1, and the evening before day 3
        for code in ("nrs-mood", "nrs-anxiety", "nrs-pain"):
            posted = {"taken_at": days_ago(days), "responses": [{"instrument": code, "score": 4}]}
            assert device.post(f"/v1/patients/{patient_id}/check-ins", posted).status_code == 201
    found = device.get("/v1/me/due").json()["items"]
    tomorrow = (clock.now() + timedelta(days=1)).astimezone(ZoneInfo(ZONE)).date().isoformat()
    [day_3] = [one for one in found if one["due_on"] == tomorrow]
    assert (day_3["state"], day_3["missing"]) == ("done", [])


def test_a_declined_item_is_not_asked_again(api: Api) -> None:
    patient_id = api.patient()
    posted = {"taken_at": days_ago(0.001), "responses": [
        {"instrument": "phq-9", "answers": [None] * 9}, {"instrument": "gad-7", "answers": [0] * 7},
        {"instrument": "nrs-pain", "score": 3},
    ]}  # fmt: skip
    assert api.post(f"/v1/patients/{patient_id}/check-ins", posted).status_code == 201
    first = due(api, patient_id)[0]
    assert (first["state"], first["missing"]) == ("declined", [])


def test_a_plan_says_how_early_an_answer_may_be(api: Api) -> None:
    items = [ITEM | {"early": "P2D"}, ITEM | {"after": "enrolment", "offset": "P0D"}]
    made = put(api, f"/v1/patients/{api.patient()}/plan", items).json()
    assert [(one["after"], one["early"]) for one in made["items"]] == [("session", "P2D"), ("enrolment", "P1D")]
