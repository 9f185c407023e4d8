"""One patient's whole record, and erasing who they are: nothing that names them is left anywhere."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect, text

from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import open_engine
from tests.alerts.test_alerts import item_9
from tests.conftest import ENGINES, Api, days_ago, fresh_settings, new_clinic, new_device, new_person

MARKER = "Zanzibar-7319"


def everything_stored(settings: Settings) -> str:
    """Every value of every row of every table, as whoever took the database would see it."""
    engine = open_engine(settings.migration_database_url or settings.database_url)
    found = []
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            if engine.dialect.name == "postgresql" and table != "alembic_version":
                connection.execute(text(f"alter table {table} no force row level security"))
            found += [repr(tuple(row)) for row in connection.execute(text(f"select * from {table}"))]
        connection.rollback()
    engine.dispose()
    return "\n".join(found)


@pytest.fixture(params=ENGINES)
def clinic(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    settings = fresh_settings(request.param, request, tmp_path)
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        yield settings, new_clinic(server)


def erase(api: Api, patient_id: str, external_id: str) -> Any:
    return api.post(f"/v1/patients/{patient_id}/erasure", {"reason": "asked for it", "external_id": external_id})


def test_identifiers_are_stored_encrypted(clinic: tuple[Settings, Api]) -> None:
    settings, api = clinic
    api.patient(external_id=MARKER, label=f"{MARKER} Anna", birth_year=1971)
    assert MARKER not in everything_stored(settings)
    assert "Anna" not in everything_stored(settings)


def test_erasing_leaves_the_clinical_record_and_no_identifier(clinic: tuple[Settings, Api]) -> None:
    settings, api = clinic
    body = {"external_id": MARKER, "label": "Anna", "birth_year": 1971}
    made = api.post("/v1/patients", body, headers={"Idempotency-Key": "made"}).json()
    patient_id, path = made["id"], f"/v1/patients/{made['id']}"
    api.check_in(patient_id, days_ago(31), "gad-7", 16)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(20), "gad-7", 5)
    code = api.post(f"{path}/enrolments").json()["code"]
    redeem = {"code": code, "device_name": f"{MARKER} phone"}
    token = api.server.post("/v1/enrolments/redeem", json=redeem).json()["access_token"]
    relief = api.get(f"{path}/relief").json()
    assert MARKER not in everything_stored(settings), "the device's name is sealed too"
    assert api.get(f"{path}/devices").json()["items"][0]["name"] == f"{MARKER} phone"
    assert erase(api, patient_id, "not this one").status_code == 422
    erased = erase(api, patient_id, MARKER)
    assert erased.status_code == 200, erased.text
    assert (erased.json()["label"], erased.json()["birth_year"]) == (None, None)
    assert erased.json()["external_id"].startswith("erased-")
    assert erased.json()["erased_at"] is not None
    assert MARKER not in everything_stored(settings)
    if settings.database_url.startswith("sqlite"):
        file = Path(settings.database_url.removeprefix("sqlite:///"))
        written = file.read_bytes() + file.with_name(f"{file.name}-wal").read_bytes()
        assert MARKER.encode() not in written, "nor what lies about in the file and its journal"
    again = erase(api, patient_id, MARKER)
    assert (again.status_code, again.json()) == (200, erased.json()), "its answer may have been lost"
    assert api.get(f"{path}/relief").json() == relief
    assert api.server.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert api.post("/v1/patients/search", {"external_id": MARKER}).json()["items"] == []
    assert api.get("/v1/worklist").json()["items"][0]["patient"]["external_id"].startswith("erased-")
    assert api.patch(path, {"label": "Anna"}, erased.json()["version"]).json()["code"] == "erased"
    assert api.patch(path, {"care_status": "discharged"}, erased.json()["version"]).status_code == 200
    assert api.post(f"{path}/enrolments").json()["code"] == "erased"
    assert api.patient(external_id=MARKER) != patient_id, "the number is free for another"
    assert api.post("/v1/patients", body, headers={"Idempotency-Key": "made"}).status_code == 409


def test_erasing_forgets_stored_responses_that_only_refused_something_about_them(clinic: tuple[Settings, Api]) -> None:
    _, api = clinic
    patient_id, key = api.patient(external_id=MARKER), {"Idempotency-Key": "refused"}
    items = [{"patient_id": patient_id, "taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "score": 99}]}]
    first = api.post("/v1/check-ins/batch", {"items": items}, headers=key)
    assert first.json()["results"][0]["http_status"] == 422
    assert "idempotency-replayed" in api.post("/v1/check-ins/batch", {"items": items}, headers=key).headers
    assert erase(api, patient_id, MARKER).status_code == 200
    assert "idempotency-replayed" not in api.post("/v1/check-ins/batch", {"items": items}, headers=key).headers


def test_only_an_administrator_erases(server: TestClient, api: Api) -> None:
    patient_id = api.patient(external_id="MRN-1")
    assert erase(new_person(server, api.clinic_id, "clinician"), patient_id, "MRN-1").status_code == 403
    assert erase(new_clinic(server), patient_id, "MRN-1").status_code == 404


def test_a_record_holds_every_version_of_everything(api: Api) -> None:
    patient_id, other = api.patient(label="Anna"), api.patient()
    path = f"/v1/patients/{patient_id}"
    session = api.session(patient_id, days_ago(3))
    api.patch(f"{path}/sessions/{session['id']}", {"notes": "Settled."}, 1)
    check_in = api.post(f"{path}/check-ins", {"taken_at": days_ago(1), "responses": item_9(2)}).json()
    amended = {"reason": "keying error", "responses": item_9(1)}
    api.post(f"{path}/check-ins/{check_in['id']}/amendments", amended, headers={"If-Match": '"1"'})
    api.patch(path, {"primary_instruments": {"pain": "peg"}}, 1)
    api.request("PUT", f"{path}/plan", json={"items": []}, headers={"If-Match": '"1"'})
    new_device(api, patient_id)
    api.get("/v1/patients")
    record = api.get(f"{path}/record").json()
    assert record["patient"]["label"] == "Anna"
    assert [v["version"] for v in record["basis"]] == [1, 2]
    assert [(v["version"], v["notes"]) for v in record["sessions"]] == [(1, None), (2, "Settled.")]
    assert [(v["version"], v["scores"][0]["self_harm_item"]) for v in record["check_ins"]] == [(1, 2), (2, 1)]
    assert [alert["kind"] for alert in record["alerts"]] == ["self_harm_item"]
    assert len(record["devices"]) == 1
    assert record["plan"]["source"] == "patient"
    assert [plan["version"] for plan in record["plan_versions"]] == [2]
    assert other not in str(record)
    events = api.get("/v1/audit-events", params={"patient_id": patient_id}).json()["items"]
    assert "get_patient_record" in [event["operation"] for event in events]


def test_a_search_finds_sealed_text_by_a_part_of_it(api: Api) -> None:
    ids = [api.patient(external_id=f"MRN-{n:03}", label="Änne" if n % 2 else None) for n in range(7)]
    found = api.post("/v1/patients/search", {"q": "mrn-00"}, params={"limit": 3}).json()
    assert [p["id"] for p in found["items"]] == ids[:3:-1]
    rest = api.post("/v1/patients/search", {"q": "mrn-00"}, params={"limit": 9, "cursor": found["next_cursor"]})
    assert [p["id"] for p in rest.json()["items"]] == ids[3::-1]
    assert [p["id"] for p in api.post("/v1/patients/search", {"q": "ÄNN"}).json()["items"]] == ids[5::-2]
    both = {"q": "änne", "external_id": "MRN-003"}
    assert [p["id"] for p in api.post("/v1/patients/search", both).json()["items"]] == [ids[3]]
    assert [p["id"] for p in api.post("/v1/patients/search", {"external_id": "mrn-003"}).json()["items"]] == [ids[3]]
    assert api.post("/v1/patients/search", {"external_id": "mrn-00"}).json()["items"] == []
