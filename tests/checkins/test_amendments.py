"""Amending and voiding: a new version each, nothing overwritten, relief folded again, alerts kept."""

from typing import Any

import pytest

from tests.conftest import Api

AT = "2025-01-20T09:00:00-05:00"


@pytest.fixture
def patient(api: Api) -> str:
    patient_id = api.patient()
    api.check_in(patient_id, "2025-01-06T09:00:00-05:00", "phq-9", 20)
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    return patient_id


@pytest.fixture
def path(api: Api, patient: str) -> str:
    posted = {"taken_at": AT, "responses": [{"instrument": "phq-9", "score": 8}, {"instrument": "gad-7", "score": 4}]}
    answer = api.post(f"/v1/patients/{patient}/check-ins", posted)
    return f"/v1/patients/{patient}/check-ins/{answer.json()['id']}"


def amend(api: Api, path: str, version: int = 1, **fields: Any) -> Any:
    headers = {"If-Match": f'"{version}"'}
    return api.post(f"{path}/amendments", {"reason": "keying error", **fields}, headers=headers)


def scores(answer: Any) -> dict[str, Any]:
    return {score["instrument"]: score["value"] for score in answer.json()["scores"]}


def test_given_responses_replace_and_the_others_stay(api: Api, patient: str, path: str) -> None:
    amended = amend(api, path, responses=[{"instrument": "phq-9", "score": 11}, {"instrument": "nrs-pain", "score": 2}])
    assert amended.status_code == 201
    assert amended.headers["etag"] == '"2"'
    assert scores(amended) == {"phq-9": 11, "gad-7": 4, "nrs-pain": 2}
    assert amended.json()["reason"] == "keying error"
    assert api.track(patient, "phq-9", as_of="2025-01-20")["latest"]["value"] == 11
    versions = api.get(f"{path}/versions").json()["items"]
    assert [v["version"] for v in versions] == [1, 2]
    assert {s["instrument"]: s["value"] for s in versions[0]["scores"]} == {"phq-9": 8, "gad-7": 4}


def test_a_response_can_be_removed_but_not_the_last(api: Api, patient: str, path: str) -> None:
    removed = amend(api, path, responses=[{"instrument": "gad-7", "remove": True}])
    assert scores(removed) == {"phq-9": 8}
    assert [t["instrument"] for t in api.relief(patient)["tracks"]] == ["phq-9"]
    last = amend(api, path, 2, responses=[{"instrument": "phq-9", "remove": True}])
    assert (last.status_code, last.json()["errors"][0]["pointer"]) == (422, "/responses")
    absent = amend(api, path, 2, responses=[{"instrument": "peg", "remove": True}])
    assert absent.json()["errors"][0]["pointer"] == "/responses/0/instrument"


def test_a_moved_reading_counts_where_it_now_stands(api: Api, patient: str, path: str) -> None:
    moved = amend(api, path, taken_at="2025-01-05T09:00:00-05:00")
    assert moved.status_code == 201
    track = api.track(patient, "phq-9", as_of="2025-01-20")
    assert (track["status"], track["baseline"]["value"]) == ("awaiting_follow_up", 20)


def test_a_void_takes_it_back_frees_its_place_and_can_be_undone(api: Api, patient: str, path: str) -> None:
    voided = amend(api, path, void=True)
    assert (voided.json()["status"], voided.json()["scores"]) == ("voided", [])
    assert api.track(patient, "phq-9", as_of="2025-01-20")["status"] == "awaiting_follow_up"
    assert amend(api, path, 2, responses=[{"instrument": "phq-9", "score": 1}]).status_code == 422
    restored = amend(api, path, 2, void=False)
    assert scores(restored) == {"phq-9": 8, "gad-7": 4}
    amend(api, path, 3, void=True)
    api.check_in(patient, AT, "phq-9", 9)
    blocked = amend(api, path, 4, void=False)
    assert (blocked.status_code, blocked.json()["code"]) == (409, "already_recorded")


def test_a_change_needs_the_version_it_was_made_from(api: Api, path: str) -> None:
    without = api.post(f"{path}/amendments", {"reason": "x", "void": True})
    assert (without.status_code, without.json()["code"]) == (428, "precondition_required")
    assert amend(api, path, 2, void=True).status_code == 412
    for bad in ("3", 'W/"1"', '"1", "2"', '"one"'):
        answer = api.post(f"{path}/amendments", {"reason": "x", "void": True}, headers={"If-Match": bad})
        assert (answer.status_code, answer.json()["errors"][0]["header"]) == (422, "If-Match")
    assert api.get(path).headers["etag"] == '"1"'


@pytest.mark.parametrize(("fields", "pointer"), [
    ({"reason": None, "void": True}, "/reason"),
    ({"reason": "", "void": True}, "/reason"),
    ({}, ""),
    ({"void": None}, "/void"),
    ({"taken_at": None}, "/taken_at"),
    ({"void": True, "responses": [{"instrument": "phq-9", "score": 1}]}, "/void"),
    ({"responses": []}, "/responses"),
    ({"responses": [{"instrument": "phq-9", "score": 99}]}, "/responses/0/score"),
    ({"taken_at": "2999-01-01T00:00:00Z"}, "/taken_at"),
    ({"reason": "   ", "void": True}, "/reason"),
    ({"void": False}, "/void"),
    ({"responses": [{"instrument": "phq-9", "remove": True, "score": 4}]}, "/responses/0/remove"),
    ({"responses": [{"instrument": "phq-9", "score": 4}, {"instrument": "phq-9", "remove": True}]},
     "/responses/1/instrument"),
])  # fmt: skip
def test_what_cannot_be_amended_is_refused(api: Api, path: str, fields: dict[str, Any], pointer: str) -> None:
    answer = amend(api, path, **fields)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert api.get(path).json()["version"] == 1


def test_a_place_held_by_another_check_in_is_refused(api: Api, patient: str, path: str) -> None:
    api.check_in(patient, "2025-01-21T09:00:00-05:00", "phq-9", 8)
    answer = amend(api, path, taken_at="2025-01-21T09:00:00-05:00")
    assert (answer.status_code, answer.json()["code"]) == (409, "already_recorded")


def test_an_amended_answer_never_erases_its_alert(api: Api, patient: str) -> None:
    answers = [0, 0, 0, 0, 0, 0, 0, 0, 1]
    posted = {"taken_at": AT, "responses": [{"instrument": "phq-9", "answers": answers}]}
    check_in = api.post(f"/v1/patients/{patient}/check-ins", posted).json()
    assert [a["priority"] for a in check_in["alerts"]] == ["high"]
    path = f"/v1/patients/{patient}/check-ins/{check_in['id']}"
    zero = amend(api, path, responses=[{"instrument": "phq-9", "answers": [0] * 9}]).json()
    assert [(a["priority"], a["state"]) for a in zero["alerts"]] == [("high", "open")]
    assert zero["alerts"][0]["amended_at"] == zero["recorded_at"]
    assert zero["notice"] is None
    worse = amend(api, path, 2, responses=[{"instrument": "phq-9", "answers": [0] * 8 + [3]}]).json()
    assert [a["priority"] for a in worse["alerts"]] == ["high", "urgent"]
    same = amend(api, path, 3, responses=[{"instrument": "phq-9", "answers": [1] + [0] * 7 + [3]}]).json()
    assert len(same["alerts"]) == 2


def test_an_answer_whose_session_moved_can_still_be_taken_back(api: Api) -> None:
    patient_id = api.patient()
    session = api.session(patient_id, "2025-01-06T10:00:00-05:00")
    check_in = api.check_in(patient_id, "2025-01-06T10:30:00-05:00", "nrs-pain", 8, before_infusion=True)
    path = f"/v1/patients/{patient_id}"
    moved = {"started_at": "2025-01-06T08:00:00-05:00", "reason": "typed wrong"}
    assert api.patch(f"{path}/sessions/{session['id']}", moved, 1).status_code == 200
    path = f"{path}/check-ins/{check_in['id']}"
    changed = amend(api, path, responses=[{"instrument": "nrs-pain", "score": 7}])
    assert (changed.status_code, amend(api, path, 2, void=True).status_code) == (201, 201)
