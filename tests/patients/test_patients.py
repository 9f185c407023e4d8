"""Patients: created once, changed by merge patch with the version in hand, found without an identifier in a URL."""

from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app.access.dependencies import DOOR_PARTS
from tests.conftest import Api, app_of, new_clinic, new_device

FULL = {
    "external_id": "MRN-0042",
    "label": "A.B.",
    "birth_year": 1984,
    "indications": ["major_depressive_disorder", "chronic_pain"],
    "failed_treatments": ["psychotherapy", "antidepressant"],
    "failed_antidepressant_trials": 3,
    "primary_instruments": {"pain": "peg"},
    "care_status": "active",
}


def test_a_patient_is_created_and_read_back(api: Api) -> None:
    answer = api.post("/v1/patients", FULL)
    assert answer.status_code == 201
    patient = answer.json()
    assert answer.headers["location"] == f"/v1/patients/{patient['id']}"
    assert answer.headers["etag"] == '"1"'
    assert {name: patient[name] for name in FULL} == FULL
    read = api.get(f"/v1/patients/{patient['id']}")
    assert read.json() == patient
    assert (read.headers["etag"], read.headers["cache-control"]) == ('"1"', "no-store")


def test_only_the_external_id_is_required_and_it_is_unique_in_the_clinic(server: TestClient, api: Api) -> None:
    assert api.post("/v1/patients", {"external_id": "1"}).status_code == 201
    taken = api.post("/v1/patients", {"external_id": "1"})
    assert (taken.status_code, taken.json()["code"]) == (409, "external_id_taken")
    assert new_clinic(server).post("/v1/patients", {"external_id": "1"}).status_code == 201


def test_the_same_id_is_created_once(api: Api) -> None:
    posted = {"id": str(uuid4()), "external_id": "1", "label": "A"}
    assert api.post("/v1/patients", posted).status_code == 201
    assert api.patch(f"/v1/patients/{posted['id']}", {"label": "B"}, 1).status_code == 200
    again = api.post("/v1/patients", posted)
    assert (again.status_code, again.headers["replayed"], again.json()["label"]) == (200, "true", "B")
    other = api.post("/v1/patients", posted | {"label": "C"})
    assert (other.status_code, other.json()["code"]) == (409, "already_recorded")


def test_a_patch_merges_and_null_clears_only_what_may_be_null(api: Api) -> None:
    path = f"/v1/patients/{api.post('/v1/patients', FULL).json()['id']}"
    changed = api.patch(path, {"label": None, "primary_instruments": {"mood": "qids-sr16", "pain": None}}, 1)
    assert changed.status_code == 200
    assert (changed.headers["etag"], changed.json()["version"]) == ('"2"', 2)
    assert changed.json()["primary_instruments"] == {"mood": "qids-sr16"}
    assert (changed.json()["label"], changed.json()["birth_year"]) == (None, 1984)
    for name in ("external_id", "indications", "failed_treatments", "primary_instruments", "care_status"):
        refused = api.patch(path, {name: None}, 2)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, f"/{name}"), refused.text


def test_a_birth_year_in_the_future_is_refused_in_a_patch_too(api: Api) -> None:
    refused = api.patch(f"/v1/patients/{api.patient()}", {"birth_year": 2198}, 1)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/birth_year")


def test_an_empty_patch_makes_no_version(api: Api) -> None:
    path = f"/v1/patients/{api.post('/v1/patients', FULL).json()['id']}"
    assert api.patch(path, {}, 1).json()["version"] == 1
    assert api.patch(path, {"label": "A.B."}, 1).json()["version"] == 1


def test_a_change_needs_the_version_it_was_made_from(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}"
    assert api.patch(path, {"label": "x"}).status_code == 428
    assert api.patch(path, {"label": "x"}, 2).status_code == 412
    assert api.request("PATCH", path, json={"label": "x"}, headers={"If-Match": "*"}).json()["version"] == 2


@pytest.mark.parametrize("wrong", [
    {"external_id": ""}, {"external_id": "x" * 201}, {"external_id": 7}, {"external_id": "x", "birth_year": "1984"},
    {"external_id": "x", "birth_year": 1984.0}, {"external_id": "x", "birth_year": True},
    {"external_id": "x", "indications": ["sadness"]}, {"external_id": "x", "indications": ["ptsd", "ptsd"]},
    {"external_id": "x", "primary_instruments": {"mood": "gad-7"}},
    {"external_id": "x", "primary_instruments": {"mood": "phq-2"}},
    {"external_id": "x", "primary_instruments": {"joy": "phq-9"}},
    {"external_id": "x", "primary_instruments": {"mood": None}},
    {"external_id": "x", "failed_antidepressant_trials": -1}, {"external_id": "x", "care_status": "gone"},
    {"external_id": "x\u0000"}, {"external_id": "x", "version": 3}, {"external_id": "   "}, {"external_id": "a\nb"},
    {"external_id": "x", "birth_year": 2198},
])  # fmt: skip
def test_what_cannot_be_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    answer = api.post("/v1/patients", wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert answer.json()["errors"][0]["pointer"]
    assert api.get("/v1/patients").json()["items"] == []


def test_lists_are_stable_under_inserts_and_filtered(api: Api) -> None:
    ids = [api.patient(indications=["ptsd"] if n % 2 else []) for n in range(7)]
    api.patch(f"/v1/patients/{ids[1]}", {"care_status": "paused"}, 1)
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/v1/patients", params={"limit": 3, **cursor}).json()
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert found == ids[::-1]
    listed = api.get("/v1/patients", params={"indication": "ptsd", "care_status": "active"}).json()["items"]
    assert {item["id"] for item in listed} == {ids[3], ids[5]}


def test_search_finds_by_external_id_and_by_part(api: Api) -> None:
    one = api.patient(external_id="MRN-1", label="Ada_L")
    two = api.patient(external_id="MRN-12", label="Bo%")

    def found(**body: str) -> set[str]:
        return {item["id"] for item in api.post("/v1/patients/search", body).json()["items"]}

    assert found(external_id="MRN-1") == {one}
    assert found(q="mrn-1") == {one, two}
    assert found(q="bo%") == {two}
    assert found(q="%") == {two}
    assert found(q="a_l") == {one}
    assert found(q="nobody") == set()


def test_the_end_of_care_revokes_the_patients_devices(server: TestClient, api: Api) -> None:
    patient_id = api.patient()
    device = new_device(api, patient_id)
    assert device.get(f"/v1/patients/{patient_id}/relief").status_code == 200
    before = api.relief(patient_id)
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "discharged"}, 1)
    DOOR_PARTS.in_app(app_of(server)).callers.clear()
    assert device.get(f"/v1/patients/{patient_id}/relief").status_code == 401
    assert api.relief(patient_id)["domains"] == before["domains"]


def test_the_end_of_care_ends_its_enrolment_codes(server: TestClient, api: Api) -> None:
    patient_id = api.patient()
    code = api.post(f"/v1/patients/{patient_id}/enrolments").json()["code"]
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "discharged"}, 1)
    redeem = {"code": code, "device_name": "phone"}
    assert server.post("/v1/enrolments/redeem", json=redeem).status_code == 401
    assert api.post(f"/v1/patients/{patient_id}/enrolments").status_code == 422


def test_what_was_known_before_a_change_of_instrument_can_be_asked(api: Api) -> None:
    patient_id = api.patient()
    api.patch(f"/v1/patients/{patient_id}", {"primary_instruments": {"mood": "nrs-mood"}}, 1)
    api.patch(f"/v1/patients/{patient_id}", {"primary_instruments": {"mood": "madrs"}}, 2)
    early = api.relief(patient_id, known_at="2000-01-01T00:00:00Z")
    assert (early["domains"][0]["instrument"], early["known_at"]) == ("phq-9", None)
    assert api.relief(patient_id)["domains"][0]["instrument"] == "madrs"
