"""People and integrations over the API: secrets once, passwords by code, rotation with overlap, no clinic without an
administrator, and nobody disabled who still gets in."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access import store, tokens
from app.clients import service as clients
from app.storage import Database, new_id
from tests.conftest import Api, new_clinic, new_device, new_person

PASSWORD = "a long sentence of my own"


def created(api: Api, role: str = "clinician") -> dict[str, Any]:
    answer = api.post("/v1/users", {"email": f"{new_id()}@Example.org", "role": role})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def login(server: TestClient, email: str, password: str = PASSWORD) -> Any:
    return server.post("/oauth/token", data={"grant_type": "password", "username": email, "password": password})


def test_a_new_person_sets_their_own_password_once(server: TestClient, api: Api) -> None:
    person = created(api)
    assert person["has_password"] is False
    assert login(server, person["email"], "").status_code == 400
    body = {"code": person["password_code"]["code"], "password": PASSWORD}
    assert server.post("/oauth/password", json=body).status_code == 204
    assert login(server, person["email"]).status_code == 200
    assert server.post("/oauth/password", json=body).status_code == 401
    shown = api.get(f"/v1/users/{person['id']}")
    assert shown.json()["has_password"] is True
    assert "password" not in shown.text.replace("has_password", "")


def test_an_email_is_one_login(api: Api) -> None:
    person = created(api)
    again = api.post("/v1/users", {"email": person["email"].upper(), "role": "admin"})
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    for bad in ("nobody", "a@b", "a b@example.org", ""):
        assert api.post("/v1/users", {"email": bad, "role": "admin"}).status_code == 422
    assert api.post("/v1/users", {"email": "x@example.org", "role": "owner"}).status_code == 422


def test_one_email_in_two_clinics_is_two_logins(server: TestClient, api: Api) -> None:
    """Each with its own password; one that is disabled stands in nobody's way, and what fails in between does not open
    the other one to more tries."""
    other, email = new_clinic(server), f"{new_id()}@example.org"
    people = []
    for clinic, password in ((api, PASSWORD), (other, PASSWORD + " too")):
        made = clinic.post("/v1/users", {"email": email, "role": "clinician"})
        assert made.status_code == 201, "nobody is told of another clinic's logins"
        people.append(made.json())
        body = {"code": people[-1]["password_code"]["code"], "password": password}
        assert server.post("/oauth/password", json=body).status_code == 204

    def who(password: str) -> str:
        token = login(server, email, password).json()["access_token"]
        found: str = Api(server, token, api.clinic_id, new_id()).get("/v1/me").json()["id"]
        return found

    assert [who(PASSWORD), who(PASSWORD + " too")] == [person["id"] for person in people]
    body = {"code": other.post(f"/v1/users/{people[1]['id']}/password-reset").json()["code"]}
    assert server.post("/oauth/password", json=body | {"password": PASSWORD}).status_code == 204
    api.patch(f"/v1/users/{people[0]['id']}", {"disabled": True}, people[0]["version"])
    assert who(PASSWORD) == people[1]["id"], "the disabled one has the same password"
    tries = [login(server, email, PASSWORD if n == 2 else "a wrong one").status_code for n in range(6)]
    assert tries == [400, 400, 200, 400, 400, 400]
    assert login(server, email).status_code == 429, "a success in between forgives no earlier try"


def test_a_reset_ends_the_password_and_every_session(server: TestClient, api: Api) -> None:
    person = created(api)
    server.post("/oauth/password", json={"code": person["password_code"]["code"], "password": PASSWORD})
    held = login(server, person["email"]).json()
    reset = api.post(f"/v1/users/{person['id']}/password-reset")
    assert reset.status_code == 201
    assert login(server, person["email"]).status_code == 400
    refreshed = {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}
    assert server.post("/oauth/token", data=refreshed).status_code == 400
    server.post("/oauth/password", json={"code": reset.json()["code"], "password": PASSWORD + "!"})
    assert login(server, person["email"], PASSWORD + "!").status_code == 200


def test_a_person_changes_their_password(server: TestClient, api: Api) -> None:
    person = created(api)
    server.post("/oauth/password", json={"code": person["password_code"]["code"], "password": PASSWORD})
    mine = Api(server, login(server, person["email"]).json()["access_token"], api.clinic_id, new_id())
    wrong = mine.post("/v1/me/password", {"current_password": "not this one", "password": "another sentence"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["pointer"] == "/current_password"
    short = mine.post("/v1/me/password", {"current_password": PASSWORD, "password": "short"})
    assert short.json()["errors"][0]["pointer"] == "/password"
    done = mine.post("/v1/me/password", {"current_password": PASSWORD, "password": "another sentence"})
    assert done.status_code == 204
    assert login(server, person["email"]).status_code == 400
    assert login(server, person["email"], "another sentence").status_code == 200


def test_a_disabled_person_is_refused_at_once_here(server: TestClient, api: Api) -> None:
    person = new_person(server, api.clinic_id, "clinician")
    assert person.get("/v1/patients").status_code == 200
    path = f"/v1/users/{person.caller_id}"
    assert api.patch(path, {"disabled": True}, 1).json()["disabled"] is True
    assert person.get("/v1/patients").status_code == 401
    assert api.patch(path, {"disabled": False}, 1).status_code == 412
    assert api.request("PATCH", path, json={"disabled": False}).status_code == 428
    assert api.patch(path, {"disabled": False}, 2).json()["version"] == 3


def test_a_clinic_keeps_an_administrator(server: TestClient, api: Api) -> None:
    other = created(api, "admin")
    mine = f"/v1/users/{api.caller_id}"
    for patch in ({"role": "clinician"}, {"disabled": True}):
        refused = api.patch(mine, patch, 1)
        assert (refused.status_code, refused.json()["code"]) == (409, "last_administrator"), "the other cannot log in"
    server.post("/oauth/password", json={"code": other["password_code"]["code"], "password": PASSWORD})
    assert api.patch(mine, {"role": "clinician"}, 1).status_code == 200
    assert api.get("/v1/users").status_code == 403


def test_people_are_listed_by_page_and_only_of_ones_own_clinic(server: TestClient, api: Api) -> None:
    mine = {created(api)["id"] for _ in range(4)} | {str(api.caller_id)}
    created(new_clinic(server))
    seen, params = set(), {"limit": 2}
    while True:
        page = api.get("/v1/users", params=params).json()
        seen |= {person["id"] for person in page["items"]}
        if page["next_cursor"] is None:
            break
        params = {"limit": 2, "cursor": page["next_cursor"]}
    assert seen == mine


def test_a_secret_is_shown_once_and_rotates_with_overlap(server: TestClient, api: Api, database: Database) -> None:
    made = api.post("/v1/clients", {"name": "EHR", "scope": "patients:read outcomes:read patients:read"}).json()
    assert made["scope"] == "patients:read outcomes:read"
    path = f"/v1/clients/{made['id']}"
    assert "client_secret" not in api.get(path).json()

    def works(secret: str) -> bool:
        form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": secret}
        return bool(server.post("/oauth/token", data=form).status_code == 200)

    rotated = api.post(f"{path}/secrets", {"overlap_hours": 1}).json()
    assert works(made["client_secret"])
    assert works(rotated["client_secret"])
    client = database.reading(api.clinic_id, lambda db: store.client(db, api.clinic_id, UUID(made["id"])))
    after = clock.now() + timedelta(hours=2)
    assert not clients.secret_fits(client, made["client_secret"], after)
    assert clients.secret_fits(client, rotated["client_secret"], after)
    again = api.post(f"{path}/secrets", {"overlap_hours": 1}).json()
    assert works(made["client_secret"]), "what was promised an hour keeps it, though its answer was lost"
    assert works(rotated["client_secret"])
    assert works(again["client_secret"])
    at_once = api.post(f"{path}/secrets", {"overlap_hours": 0}).json()
    assert not works(rotated["client_secret"])
    assert works(at_once["client_secret"])
    assert not works("")
    assert api.patch(path, {"disabled": True}, at_once["version"]).status_code == 200
    assert not works(at_once["client_secret"])


def test_a_secret_is_not_shown_again_under_its_key(api: Api) -> None:
    body = {"name": "EHR", "scope": "patients:read"}
    assert api.post("/v1/clients", body, headers={"Idempotency-Key": "c"}).status_code == 201
    assert api.post("/v1/clients", body, headers={"Idempotency-Key": "c"}).json()["code"] == "already_done"


def test_a_scope_that_is_taken_away_is_gone_from_tokens_that_are_out(server: TestClient, api: Api) -> None:
    made = api.post("/v1/clients", {"name": "EHR", "scope": "patients:read outcomes:read"}).json()
    form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["client_secret"]}
    token = server.post("/oauth/token", data=form).json()["access_token"]
    client = Api(server, token, api.clinic_id, new_id())
    assert client.get("/v1/patients").status_code == 200
    api.patch(f"/v1/clients/{made['id']}", {"scope": "outcomes:read"}, 1)
    assert client.get("/v1/patients").status_code == 403


def test_devices_are_listed_and_revoked(api: Api) -> None:
    patient_id = api.patient()
    first, second = new_device(api, patient_id), new_device(api, patient_id)
    path = f"/v1/patients/{patient_id}/devices"
    items = api.get(path).json()["items"]
    assert [item["name"] for item in items] == ["phone", "phone"]
    newest = items[0]["id"]
    assert api.request("DELETE", f"{path}/{newest}").status_code == 204
    assert api.request("DELETE", f"{path}/{newest}").status_code == 204
    assert first.get("/v1/me").status_code == 200
    assert second.get("/v1/me").status_code == 401
    assert api.get(path).json()["items"][0]["disabled_at"] is not None
    assert api.request("DELETE", f"/v1/patients/{api.patient()}/devices/{newest}").status_code == 404


@pytest.mark.parametrize("field", ["id", "version", "password_hash", "clinic_id", "scopes"])
def test_nothing_can_be_assigned_that_is_not_named(api: Api, field: str) -> None:
    assert api.post("/v1/users", {"email": "m@example.org", "role": "clinician", field: "x"}).status_code == 422
    assert api.patch(f"/v1/users/{api.caller_id}", {field: "x"}, 1).status_code == 422
    assert api.patch("/v1/clinic", {field: "x"}, 1).status_code == 422


@pytest.mark.postgresql
def test_a_refresh_beside_a_reset_does_not_outlive_it(server: TestClient, api: Api, database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")
    person = created(api)
    server.post("/oauth/password", json={"code": person["password_code"]["code"], "password": PASSWORD})
    held = login(server, person["email"]).json()
    begun, reset_sent = threading.Event(), threading.Event()

    def refresh(db: Any) -> Any:
        granted = tokens.refresh(db, api.clinic_id, held["refresh_token"], clock.now())
        begun.set()
        reset_sent.wait(5)
        time.sleep(0.5)
        return granted

    with ThreadPoolExecutor(2) as pool:
        refreshing = pool.submit(database.writing, api.clinic_id, refresh)
        begun.wait(5)
        resetting = pool.submit(api.post, f"/v1/users/{person['id']}/password-reset")
        reset_sent.set()
        granted = refreshing.result()
        assert resetting.result().status_code == 201
    form = {"grant_type": "refresh_token", "refresh_token": granted.refresh_token}
    assert server.post("/oauth/token", data=form).status_code == 400
    assert Api(server, granted.access_token, api.clinic_id, new_id()).get("/v1/patients").status_code == 401
