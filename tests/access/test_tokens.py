"""Tokens: RFC 6749 answers, refresh that survives a lost answer and revokes on theft, enrolment used once."""

import base64
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access import store, tokens
from app.access.dependencies import DOOR_PARTS
from app.access.models import User
from app.access.tokens import digest
from app.audit.service import Origin
from app.clients import service as clients
from app.devices import service as devices
from app.errors import Invalid, InvalidToken
from app.people import service as people
from app.storage import Database, new_id
from tests.conftest import Api, app_of, new_client, new_device, new_person

PASSWORD = "correct horse battery"


def token(server: TestClient, **form: Any) -> Any:
    return server.post("/oauth/token", data=form)


def me(server: TestClient, access_token: str) -> Any:
    return server.get("/v1/me", headers={"Authorization": f"Bearer {access_token}"})


@pytest.fixture
def email(api: Api, database: Database) -> str:
    address = f"{new_id()}@Example.org"
    now = clock.now()
    database.writing(api.clinic_id, lambda db: people.add_user(db, api.clinic_id, address, "clinician", PASSWORD, now))
    return address


def test_a_person_logs_in_with_a_password(server: TestClient, email: str) -> None:
    answer = token(server, grant_type="password", username=email.upper(), password=PASSWORD)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    who = me(server, body["access_token"]).json()
    assert (who["kind"], who["role"]) == ("user", "clinician")
    assert who["clinic"]["time_zone"] == "America/New_York"
    assert "audit:read" not in who["scopes"]


@pytest.mark.parametrize(("form", "error"), [
    ({"grant_type": "password", "password": "wrong"}, "invalid_grant"),
    ({"grant_type": "password", "username": "nobody@example.org", "password": PASSWORD}, "invalid_grant"),
    ({"grant_type": "password", "username": "a\x00@b", "password": PASSWORD}, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, "invalid_grant"),
    ({"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}, "invalid_client"),
    ({"grant_type": "password"}, "invalid_request"),
    ({"grant_type": "password", "username": "", "password": PASSWORD}, "invalid_request"),
    ({"grant_type": "refresh_token"}, "invalid_request"),
    ({"grant_type": "implicit"}, "unsupported_grant_type"),
    ({}, "invalid_request"),
])  # fmt: skip
def test_what_is_not_accepted_is_said_as_rfc_6749_says_it(
    server: TestClient, email: str, form: dict[str, str], error: str
) -> None:
    answer = token(server, **({"username": email} | form))
    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error


def test_a_client_gets_the_scopes_it_asks_for_and_has(server: TestClient, api: Api, database: Database) -> None:
    now = clock.now()
    scope = "patients:read outcomes:read"
    client_id, secret = database.writing(
        api.clinic_id, lambda db: clients.add_client(db, api.clinic_id, "EHR", scope, now)
    )
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    answer = server.post(
        "/oauth/token",
        data={"grant_type": "client_credentials", "scope": "outcomes:read"},
        headers={"Authorization": f"Basic {basic}"},
    )
    assert answer.json()["scope"] == "outcomes:read"
    assert "refresh_token" not in answer.json()
    form = {"grant_type": "client_credentials", "client_id": str(client_id), "client_secret": secret}
    assert token(server, **form).json()["scope"] == scope
    assert token(server, **form, scope="audit:read").json()["error"] == "invalid_scope"
    assert token(server, **(form | {"client_secret": "x"})).status_code == 401


def refreshed(server: TestClient, refresh_token: str) -> Any:
    return token(server, grant_type="refresh_token", refresh_token=refresh_token)


@pytest.fixture
def first(server: TestClient, email: str) -> str:
    found: str = token(server, grant_type="password", username=email, password=PASSWORD).json()["refresh_token"]
    return found


def test_refresh_tokens_rotate_and_the_old_one_works_until_its_successor_is_used(
    server: TestClient, first: str
) -> None:
    second = refreshed(server, first).json()["refresh_token"]
    assert second != first
    retried = refreshed(server, first)  # the answer was lost
    assert retried.status_code == 200
    third = refreshed(server, retried.json()["refresh_token"])
    assert third.status_code == 200
    stolen = refreshed(server, first)
    assert stolen.json()["error"] == "invalid_grant"
    assert refreshed(server, third.json()["refresh_token"]).json()["error"] == "invalid_grant"


def test_of_two_refreshes_at_once_one_goes_on(server: TestClient, first: str) -> None:
    unused = refreshed(server, first).json()["refresh_token"]
    used = refreshed(server, first).json()["refresh_token"]
    third = refreshed(server, used)
    assert third.status_code == 200
    assert refreshed(server, unused).status_code == 400
    assert refreshed(server, third.json()["refresh_token"]).status_code == 200


def test_a_superseded_token_outlives_its_use_by_seven_days_at_most(
    server: TestClient, api: Api, database: Database, first: str
) -> None:
    refreshed(server, first)
    for days, works in ((6, True), (8, False)):
        later = clock.now() + timedelta(days=days)
        found = database.writing(
            api.clinic_id,
            lambda db, at=later: tokens.refresh(db, api.clinic_id, first, at),  # type: ignore[misc]
        )
        assert (found is not None) == works


def test_a_revoked_token_ends_its_family(server: TestClient, first: str) -> None:
    second = refreshed(server, first).json()["refresh_token"]
    assert server.post("/oauth/revoke", data={"token": first}).status_code == 200
    assert refreshed(server, second).status_code == 400
    assert server.post("/oauth/revoke", data={"token": "unknown"}).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"data": {"token": ""}},
        {"json": {"token": "FIRST"}},
        {"data": {"token": ["another", "FIRST"]}},
        {"data": {"token": ["FIRST", "another"]}},
    ],
    ids=["nothing", "an empty token", "JSON", "the token second", "the token first"],
)
def test_a_revocation_that_names_no_one_token_is_refused_not_passed_over(
    server: TestClient, first: str, sent: dict[str, Any]
) -> None:
    kind = next(iter(sent), None)
    filled = {} if kind is None else {kind: json.loads(json.dumps(sent[kind]).replace("FIRST", first))}
    refused = server.post("/oauth/revoke", **filled)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")
    assert first not in refused.text
    assert refreshed(server, first).status_code == 200


def test_a_grant_with_a_parameter_sent_twice_is_refused(server: TestClient, first: str) -> None:
    asked = {"grant_type": "refresh_token", "refresh_token": ["another", first]}
    refused = server.post("/oauth/token", data=asked)
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_request")


def test_a_disabled_person_is_refused_everywhere(server: TestClient, api: Api, database: Database) -> None:
    person = new_person(server, api.clinic_id, "clinician")
    assert person.get("/v1/patients").status_code == 200

    def disable(db: Any) -> None:
        user = db.get(User, (api.clinic_id, person.caller_id))
        user.disabled_at = clock.now()
        db.add(user)

    database.writing(api.clinic_id, disable)
    DOOR_PARTS.in_app(app_of(server)).callers.clear()
    assert person.get("/v1/patients").status_code == 401


def test_forged_expired_and_foreign_tokens_are_refused(server: TestClient, api: Api, database: Database) -> None:
    key = database.keyring.keys("access tokens")[0].hex()
    claims = jwt.decode(api.token, key, algorithms=["HS256"], audience="holdfast")
    wrong = [
        jwt.encode(claims, "another key of at least thirty-two bytes", "HS256"),
        jwt.encode(claims, key, "HS512"),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims | {"exp": 1}, key, "HS256"),
        jwt.encode(claims | {"aud": "other"}, key, "HS256"),
        jwt.encode(claims | {"iss": "other"}, key, "HS256"),
        jwt.encode(claims | {"sub": str(new_id())}, key, "HS256"),
        jwt.encode(claims | {"clinic": str(new_id())}, key, "HS256"),
        jwt.encode(claims | {"kind": "operator"}, key, "HS256"),
        jwt.encode({k: v for k, v in claims.items() if k != "exp"}, key, "HS256"),
        api.token[:-2],
    ]
    for forged in wrong:
        assert me(server, forged).status_code == 401


def test_an_enrolment_code_works_once(server: TestClient, api: Api) -> None:
    patient_id = api.patient()
    enrolment = api.post(f"/v1/patients/{patient_id}/enrolments").json()
    assert enrolment["link"].endswith("#" + enrolment["code"])
    redeem = {"code": enrolment["code"], "device_name": "phone"}
    answer = server.post("/v1/enrolments/redeem", json=redeem)
    assert answer.json()["patient_id"] == patient_id
    assert me(server, answer.json()["access_token"]).json()["patient_id"] == patient_id
    assert server.post("/v1/enrolments/redeem", json=redeem).status_code == 401
    assert refreshed(server, answer.json()["refresh_token"]).status_code == 200


def test_an_expired_enrolment_code_is_refused(server: TestClient, api: Api, database: Database) -> None:
    code = api.post(f"/v1/patients/{api.patient()}/enrolments").json()["code"]
    late = Origin("r", clock.now() + timedelta(hours=73), "")
    with pytest.raises(InvalidToken):
        database.writing(api.clinic_id, lambda db: devices.redeem(db, code, "phone", late))


def test_a_repeated_enrolment_under_a_key_is_not_shown_again(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/enrolments"
    assert api.post(path, headers={"Idempotency-Key": "a"}).status_code == 201
    again = api.post(path, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.json()["code"]) == (409, "already_done")


def test_an_integration_cannot_enrol_a_device(server: TestClient, api: Api) -> None:
    client = new_client(server, api.clinic_id, "patients:write")
    assert client.post(f"/v1/patients/{api.patient()}/enrolments").status_code == 403


def test_no_secret_is_stored_as_it_is(server: TestClient, api: Api, first: str, database: Database) -> None:
    held = database.writing(api.clinic_id, lambda db: store.relatives(db, api.clinic_id, digest(first)))
    assert held
    assert first not in str(held[0].model_dump())
    device = new_device(api, api.patient())
    assert device.token


def test_one_email_is_one_login(api: Api, email: str, database: Database) -> None:
    now = clock.now()
    with pytest.raises(Invalid):
        database.writing(
            api.clinic_id, lambda db: people.add_user(db, api.clinic_id, email, "clinician", PASSWORD, now)
        )
