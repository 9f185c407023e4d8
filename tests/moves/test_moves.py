"""What was entered for the wrong person goes on with the right one: both records answer as then, and alerts come
along."""

from typing import Any

import pytest

from app import clock
from tests.conftest import Api, days_ago, new_client, new_device

URGENT = [0] * 8 + [3]


@pytest.fixture
def wrong(api: Api) -> str:
    return api.patient()


@pytest.fixture
def right(api: Api) -> str:
    return api.patient()


def moved(api: Api, patient: str, kind: str, of: str, to: str, version: int = 1, **more: Any) -> Any:
    body = {"to_patient_id": to, "reason": "entered for the wrong person"}
    headers = {"If-Match": f'"{version}"', **more.pop("headers", {})}
    return api.post(f"/v1/patients/{patient}/{kind}/{of}/move", body, headers=headers, **more)


def test_a_check_in_ends_here_and_goes_on_there(api: Api, wrong: str, right: str) -> None:
    for patient in (wrong, right):
        api.check_in(patient, days_ago(41), "phq-9", 20)
        api.session(patient, days_ago(40))
    held = api.check_in(wrong, days_ago(5), "phq-9", 8)
    before, was = clock.now().isoformat(), {p: api.relief(p) for p in (wrong, right)}
    answer = moved(api, wrong, "check-ins", held["id"], right)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert new["id"] != held["id"]
    assert (new["patient_id"], new["moved_from"], new["version"], new["taken_at"]) == (
        right, held["id"], 1, held["taken_at"],
    )  # fmt: skip
    assert answer.headers["location"] == f"/v1/patients/{right}/check-ins/{new['id']}"
    ended = api.get(f"/v1/patients/{wrong}/check-ins/{held['id']}").json()
    assert (ended["status"], ended["moved_to"], ended["scores"], ended["version"]) == ("moved", new["id"], [], 2)
    assert ended["reason"] == "entered for the wrong person"
    assert api.track(wrong, "phq-9")["latest"] is None
    assert api.track(right, "phq-9")["latest"]["value"] == 8
    for patient in (wrong, right):
        assert api.relief(patient, known_at=before) == was[patient], "as it was known then"


def test_an_alert_about_it_is_open_and_timely_for_the_right_patient(api: Api, wrong: str, right: str) -> None:
    form = {"taken_at": days_ago(30), "responses": [{"instrument": "phq-9", "answers": URGENT}]}
    held = api.post(f"/v1/patients/{wrong}/check-ins", form).json()
    [alert] = held["alerts"]
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    new = moved(api, wrong, "check-ins", held["id"], right).json()
    [now] = api.get("/v1/alerts").json()["items"]
    assert (now["id"], now["patient_id"], now["check_in_id"]) == (alert["id"], right, new["id"])
    assert (now["state"], now["late"], len(now["acknowledgements"])) == ("open", False, 1)
    assert api.get("/v1/alerts", params={"patient_id": wrong}).json()["items"] == []


def test_a_loss_that_rested_on_it_is_taken_back_as_moved(api: Api, wrong: str, right: str) -> None:
    api.check_in(wrong, days_ago(91), "gad-7", 16)
    api.session(wrong, days_ago(90))
    for days, score in ((60, 5), (9, 12)):
        api.check_in(wrong, days_ago(days), "gad-7", score)
    held = api.check_in(wrong, days_ago(1), "gad-7", 13)
    assert moved(api, wrong, "check-ins", held["id"], right).status_code == 201
    [alert] = api.get("/v1/alerts").json()["items"]
    assert (alert["state"], alert["withdrawn_because"], alert["patient_id"]) == ("withdrawn", "moved", wrong)


def test_a_session_moves_with_its_severe_side_effect(api: Api, wrong: str, right: str) -> None:
    severe = [{"effect": "hypertension", "severity": "severe"}]
    held = api.session(wrong, days_ago(10), side_effects=severe, notes="All well.")
    answer = moved(api, wrong, "sessions", held["id"], right)
    assert answer.status_code == 201, answer.text
    new = answer.json()
    assert (new["patient_id"], new["moved_from"], new["number"], new["notes"]) == (right, held["id"], 1, "All well.")
    ended = api.get(f"/v1/patients/{wrong}/sessions/{held['id']}").json()
    assert (ended["status"], ended["moved_to"], ended["number"]) == ("moved", new["id"], None)
    [alert] = api.get("/v1/alerts").json()["items"]
    assert (alert["patient_id"], alert["session_id"]) == (right, new["id"])
    changed = api.patch(f"/v1/patients/{wrong}/sessions/{held['id']}", {"notes": "x"}, 2)
    assert changed.status_code == 422
    assert api.patch(f"/v1/patients/{right}/sessions/{new['id']}", {"notes": "x"}, 1).json()["moved_from"] == held["id"]


def test_its_replay_tells_the_id_and_that_it_was_moved_and_nothing_else(api: Api, wrong: str, right: str) -> None:
    device = new_device(api, wrong)
    posted = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": URGENT}]}
    path = f"/v1/patients/{wrong}/check-ins"
    held = device.post(path, posted).json()
    new = moved(api, wrong, "check-ins", held["id"], right).json()
    again = device.post(path, posted)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, held["id"], "moved")
    assert (again.json()["scores"], again.json()["relief"], again.json()["notice"]) == ([], [], None)
    assert right not in again.text
    assert new["id"] not in again.text
    assert new["id"] not in device.get(f"{path}/{held['id']}").text
    versions = device.get(f"{path}/{held['id']}/versions").json()["items"]
    assert [(v["scores"], v["notice"]) for v in versions] == [([], None), ([], None)], "another person's answers"
    assert api.get(f"{path}/{held['id']}/versions").json()["items"][0]["scores"]


def test_what_cannot_be_moved_is_refused_and_stays(api: Api, wrong: str, right: str) -> None:
    at = days_ago(5)
    held = api.check_in(wrong, at, "phq-9", 8)
    assert moved(api, wrong, "check-ins", held["id"], right, headers={"If-Match": '"9"'}).status_code == 412
    assert moved(api, wrong, "check-ins", held["id"], wrong).json()["errors"][0]["pointer"] == "/to_patient_id"
    nobody = "0198e0c4-0000-7000-8000-000000000000"
    assert moved(api, wrong, "check-ins", held["id"], nobody).json()["code"] == "reference_not_found"
    assert moved(api, right, "check-ins", held["id"], wrong).status_code == 404
    for score in (8, 9):
        other = api.check_in(right, at, "phq-9", score)
        refused = moved(api, wrong, "check-ins", held["id"], right)
        assert (refused.status_code, refused.json()["code"]) == (409, "already_recorded")
        void = {"reason": "again", "void": True}
        api.post(f"/v1/patients/{right}/check-ins/{other['id']}/amendments", void, headers={"If-Match": '"1"'})
    assert moved(api, wrong, "check-ins", held["id"], right).status_code == 201
    assert moved(api, wrong, "check-ins", held["id"], right, 2).status_code == 422, "it was moved already"
    amendment = {"reason": "back", "void": False}
    path = f"/v1/patients/{wrong}/check-ins/{held['id']}/amendments"
    assert api.post(path, amendment, headers={"If-Match": '"2"'}).status_code == 422
    session = api.session(wrong, days_ago(3))
    api.session(right, days_ago(3))
    assert moved(api, wrong, "sessions", session["id"], right).status_code == 409
    narrow = new_client(api.server, api.clinic_id, "checkins:read patients:read")
    assert moved(narrow, wrong, "check-ins", held["id"], right).status_code == 403


def test_a_statement_before_the_infusion_holds_where_both_move(api: Api, wrong: str, right: str) -> None:
    session = api.session(wrong, "2025-01-06T10:00:00-05:00")
    body = {"taken_at": "2025-01-06T10:20:00-05:00", "before_infusion": True,
            "responses": [{"instrument": "nrs-pain", "score": 8}]}  # fmt: skip
    held = api.post(f"/v1/patients/{wrong}/check-ins", body).json()
    api.check_in(right, "2025-01-08T10:00:00-05:00", "nrs-pain", 2)
    assert moved(api, wrong, "check-ins", held["id"], right).status_code == 201
    assert moved(api, wrong, "sessions", session["id"], right).status_code == 201
    assert api.track(right, "nrs-pain", as_of="2025-01-08")["baseline"]["value"] == 8


def test_it_may_move_back_and_on(api: Api, wrong: str, right: str) -> None:
    held = api.check_in(wrong, days_ago(5), "phq-9", 8)
    there = moved(api, wrong, "check-ins", held["id"], right).json()
    back = moved(api, right, "check-ins", there["id"], wrong).json()
    assert (back["patient_id"], back["moved_from"]) == (wrong, there["id"])
    shown = api.get(f"/v1/patients/{wrong}/check-ins").json()["items"]
    assert sorted((c["status"], c["id"] == back["id"]) for c in shown) == [("moved", False), ("recorded", True)]


def test_moves_are_audited_for_both(api: Api, wrong: str, right: str) -> None:
    held = api.check_in(wrong, days_ago(5), "phq-9", 8)
    moved(api, wrong, "check-ins", held["id"], right)
    for patient in (wrong, right):
        events = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
        assert "move_check_in" in [event["operation"] for event in events]


def test_what_the_right_record_lacks_moves_and_the_rest_stays_behind(api: Api, wrong: str, right: str) -> None:
    pain, at = {"instrument": "nrs-pain", "score": 6}, days_ago(1)
    both = {"taken_at": at, "responses": [{"instrument": "phq-9", "answers": URGENT}, pain]}
    held = api.post(f"/v1/patients/{wrong}/check-ins", both).json()
    api.post(f"/v1/patients/{right}/check-ins", {"taken_at": at, "responses": [pain]})
    new = moved(api, wrong, "check-ins", held["id"], right)
    assert (new.status_code, [s["instrument"] for s in new.json()["scores"]]) == (201, ["phq-9"])
    [alert] = api.get("/v1/alerts").json()["items"]
    assert (alert["patient_id"], alert["check_in_id"]) == (right, new.json()["id"])


def test_what_was_refused_stays_the_first_patients(api: Api, wrong: str, right: str) -> None:
    refused = {"responses": [{"instrument": "phq-9", "answers": URGENT}]}
    assert api.post(f"/v1/patients/{wrong}/check-ins", refused).status_code == 422
    held = api.post(f"/v1/patients/{wrong}/check-ins", refused | {"taken_at": days_ago(0.01)}).json()
    assert len(api.get("/v1/alerts").json()["items"]) == 1, "taken over"
    assert moved(api, wrong, "check-ins", held["id"], right).status_code == 201
    found = {
        a["patient_id"]: a["score_refused"] for a in api.get("/v1/alerts", params={"state": "open"}).json()["items"]
    }
    assert found == {wrong: True, right: False}
