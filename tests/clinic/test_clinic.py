"""A clinic's settings: changed by version, checked, and felt where they matter."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access.dependencies import DOOR_PARTS
from app.tracks import explanation, explanation_for_patient
from tests.conftest import Api, app_of, days_ago, new_device, new_person


def test_settings_are_changed_by_version(server: TestClient, api: Api) -> None:
    shown = api.get("/v1/clinic")
    assert (shown.json()["version"], shown.headers["etag"]) == (1, '"1"')
    assert api.request("PATCH", "/v1/clinic", json={"name": "North"}).status_code == 428
    changed = api.patch("/v1/clinic", {"name": "North", "smallest_group": 5}, 1)
    assert (changed.json()["name"], changed.json()["smallest_group"], changed.json()["version"]) == ("North", 5, 2)
    assert api.patch("/v1/clinic", {"name": "South"}, 1).status_code == 412
    assert api.patch("/v1/clinic", {}, 2).json()["version"] == 2
    assert api.get("/v1/me").json()["clinic"]["name"] == "North"
    clinician = new_person(server, api.clinic_id, "clinician")
    assert clinician.get("/v1/clinic").status_code == 200
    assert clinician.patch("/v1/clinic", {"name": "South"}, 2).status_code == 403


@pytest.mark.parametrize("patch", [
    {"smallest_group": 4}, {"smallest_group": "11"}, {"patient_view": "everything"}, {"second_factor": None},
    {"alert_recipients": ["x@example.org", "X@example.org"]}, {"crisis_contacts": []}, {"name": ""}, {"id": "x"},
    {"crisis_contacts": [{"label": "Line", "contact": "988", "extra": 1}]}, {"time_zone": "Mars/Olympus"},
])  # fmt: skip
def test_what_a_setting_cannot_be_is_refused(api: Api, patch: dict[str, Any]) -> None:
    answer = api.patch("/v1/clinic", patch, 1)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"]
    assert api.get("/v1/clinic").json()["version"] == 1


def test_the_time_zone_is_fixed_once_a_check_in_is_recorded(api: Api) -> None:
    assert api.patch("/v1/clinic", {"time_zone": "Europe/Paris"}, 1).json()["time_zone"] == "Europe/Paris"
    api.check_in(api.patient(), days_ago(1), "nrs-pain", 4)
    fixed = api.patch("/v1/clinic", {"time_zone": "UTC"}, 2)
    assert fixed.json()["errors"][0]["pointer"] == "/time_zone"
    assert api.patch("/v1/clinic", {"time_zone": "Europe/Paris", "name": "N"}, 2).status_code == 200


def test_sessions_recorded_before_a_change_of_zone_count_on_the_days_of_the_new_one(api: Api) -> None:
    assert api.patch("/v1/clinic", {"time_zone": "UTC"}, 1).status_code == 200
    patient_id = api.patient()
    api.session(patient_id, "2025-01-06T20:00:00-08:00")
    assert api.patch("/v1/clinic", {"time_zone": "America/Los_Angeles"}, 2).status_code == 200
    DOOR_PARTS.in_app(app_of(api.server)).callers.clear()
    api.check_in(patient_id, "2025-01-07T09:00:00-08:00", "gad-7", 12)
    stored = api.relief(patient_id)
    afresh = api.get(f"/v1/patients/{patient_id}/relief", params={"known_at": clock.now().isoformat()}).json()
    assert stored["tracks"] == afresh["tracks"]
    assert stored["tracks"][0]["episode"]["first_session_on"] == "2025-01-06"


def test_crisis_contacts_are_the_clinics_own(api: Api) -> None:
    contacts = [{"label": "Lifeline", "contact": "988"}]
    api.patch("/v1/clinic", {"crisis_contacts": contacts}, 1)
    receipt = api.check_in(api.patient(), days_ago(1), "phq-9", 20)
    assert receipt["notice"]["crisis_contacts"] == contacts


@pytest.mark.parametrize(
    ("view", "trend", "relief"), [("scores", 403, 403), ("scores_and_trend", 200, 403), ("all", 200, 200)]
)
def test_patients_see_what_their_clinic_shows_them(api: Api, view: str, trend: int, relief: int) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(31), "gad-7", 16)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(20), "gad-7", 5)
    api.patch("/v1/clinic", {"patient_view": view}, 1)
    device = new_device(api, patient_id)
    path = f"/v1/patients/{patient_id}"
    assert device.get(f"{path}/check-ins").status_code == 200
    seen = device.get(f"{path}/trend", params={"instrument": "gad-7"})
    assert (seen.status_code, device.get(f"{path}/relief").status_code) == (trend, relief)
    posted = {"taken_at": days_ago(0.1), "responses": [{"instrument": "nrs-mood", "score": 4}]}
    receipt = device.post(f"{path}/check-ins", posted).json()
    assert len(receipt["relief"]) == (1 if view == "all" else 0)
    if view == "scores_and_trend":
        assert seen.json()["status"] is None
        assert {point["status"] for point in seen.json()["points"]} == {None}
        assert "holding" not in seen.text
    if view == "all":
        mine = device.get(f"{path}/relief").json()["tracks"][0]["explanation"]
        theirs = api.get(f"{path}/relief").json()["tracks"][0]["explanation"]
        assert mine.startswith("Your GAD-7 score is 5: 68.7% better than the 16")
        assert mine != theirs


def test_the_least_size_of_a_group_is_the_clinics(server: TestClient, api: Api) -> None:
    answer = api.get("/v1/cohorts/outcomes", params={"instrument": "phq-9"}).json()
    assert "fewer than 11" in answer["method"]["shown"]
    api.patch("/v1/clinic", {"smallest_group": 20}, 1)
    answer = api.get("/v1/cohorts/outcomes", params={"instrument": "phq-9"}).json()
    assert "fewer than 20" in answer["method"]["shown"]


def test_every_status_has_words_for_patients() -> None:
    patients = {*explanation_for_patient._WITHOUT_SCORE, *explanation_for_patient._OF_SCORE, "stale"}
    assert len(patients) == 10
    assert [one for one in patients if not hasattr(explanation._Explanation, f"_{one}")] == []
