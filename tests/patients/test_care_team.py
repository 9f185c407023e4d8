"""Care teams: people of the clinic, on patients, and the worklist of those one cares for."""

from typing import Any

from fastapi.testclient import TestClient

from app.storage import new_id
from tests.conftest import Api, days_ago, new_client, new_clinic, new_person
from tests.house.test_queries import counted


def worklist(api: Api, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = api.get("/v1/worklist", params=params).json()
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


def test_a_care_team_is_set_changed_and_shown(server: TestClient, api: Api) -> None:
    one, two = (str(new_person(server, api.clinic_id, "clinician").caller_id) for _ in range(2))
    patient_id = api.patient(care_team=[two, one])
    path = f"/v1/patients/{patient_id}"
    assert api.get(path).json()["care_team"] == sorted([one, two])
    assert api.patch(path, {"care_team": [two, one]}, 1).json()["version"] == 1, "the order says nothing"
    assert api.patch(path, {"care_team": [two]}, 1).json()["care_team"] == [two]
    assert api.get("/v1/patients").json()["items"][0]["care_team"] == [two]
    assert api.patch(path, {"care_team": []}, 2).json()["care_team"] == []
    assert api.patch(path, {"care_team": None}, 3).status_code == 422


def test_only_people_of_the_clinic_can_be_on_it(server: TestClient, api: Api) -> None:
    stranger = str(new_clinic(server).caller_id)
    for team in ([stranger], [str(api.caller_id), str(new_id())]):
        answer = api.post("/v1/patients", {"external_id": str(new_id()), "care_team": team})
        assert (answer.status_code, answer.json()["code"]) == (422, "reference_not_found")
        assert answer.json()["errors"][0]["pointer"] == f"/care_team/{len(team) - 1}"
    assert api.patch(f"/v1/patients/{api.patient()}", {"care_team": [stranger]}, 1).status_code == 422


def test_my_worklist_is_the_whole_one_less_the_others_patients(api: Api) -> None:
    mine = set()
    for number in range(12):
        team = [str(api.caller_id)] if number % 3 else []
        patient_id = api.patient(care_team=team)
        if team:
            mine.add(patient_id)
        api.check_in(patient_id, days_ago(41), "phq-9", 20)
        api.session(patient_id, days_ago(40))
        for days, score in ((30, 8 if number % 2 else 18), (20, 14), (2 + number, 15)):
            api.check_in(patient_id, days_ago(days), "phq-9", score)
        if number % 4 == 0:
            posted = [{"instrument": "phq-9", "answers": [0] * 8 + [2]}]
            api.post(f"/v1/patients/{patient_id}/check-ins", {"taken_at": days_ago(0.1), "responses": posted})
    everybody = worklist(api, limit=200)
    expected = [row for row in everybody if row["patient"]["id"] in mine]
    for limit in (200, 5, 1):
        assert worklist(api, assigned_to="me", limit=limit) == expected
    statuses = {row["status"] for row in expected}
    assert len(statuses) >= 2
    for status in statuses:
        asked = worklist(api, assigned_to="me", status=status, limit=2)
        assert asked == [row for row in expected if row["status"] == status], status


def test_an_integration_is_on_no_care_team_and_is_told_so(server: TestClient, api: Api) -> None:
    client = new_client(server, api.clinic_id, "outcomes:read patients:read alerts:read")
    for path in ("/v1/worklist", "/v1/alerts"):
        refused = client.get(path, params={"assigned_to": "me"})
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "assigned_to")


def test_my_worklist_takes_as_many_queries_as_any(api: Api, database: Any) -> None:
    api.patient(care_team=[str(api.caller_id)])
    with counted(database) as statements:
        api.get("/v1/worklist", params={"assigned_to": "me"})
    assert len(statements) <= 8
