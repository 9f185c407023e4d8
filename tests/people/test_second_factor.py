"""Second factors: required by a clinic, asked for at each login, each code accepted once, and a way back in."""

from typing import Any

import pyotp
import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access import service, store
from app.access.tokens import Claims
from app.audit.service import Act
from app.errors import Invalid
from app.main import create_app
from app.people import service as people
from app.people.passwords import NewPassword
from app.settings import Settings
from app.storage import Database, new_id
from tests.conftest import Api

PASSWORD = "correct horse battery"


class Person:
    """Somebody who logs in with a password."""

    def __init__(self, server: TestClient, api: Api, database: Database, role: str = "clinician") -> None:
        self.server, self.email, now = server, f"{new_id()}@example.org", clock.now()
        self.id = database.writing(
            api.clinic_id, lambda db: people.add_user(db, api.clinic_id, self.email, role, PASSWORD, now)
        )
        self.clinic_id = api.clinic_id

    def login(self, otp: str | None = None, password: str = PASSWORD) -> Any:
        form = {"grant_type": "password", "username": self.email, "password": password}
        return self.server.post("/oauth/token", data=form | ({} if otp is None else {"otp": otp}))

    def api(self, otp: str | None = None) -> Api:
        return Api(self.server, self.login(otp).json()["access_token"], self.clinic_id, self.id)


@pytest.fixture
def person(server: TestClient, api: Api, database: Database) -> Person:
    return Person(server, api, database)


def set_up(person: Person, otp: str | None = None) -> tuple[pyotp.TOTP, list[str]]:
    api = person.api(otp)
    begun = api.post("/v1/me/second-factor", {"password": PASSWORD})
    assert begun.status_code == 201, begun.text
    totp = pyotp.TOTP(begun.json()["secret"])
    assert pyotp.parse_uri(begun.json()["uri"]).secret == totp.secret
    done = api.post("/v1/me/second-factor/confirmation", {"otp": totp.now()})
    assert done.status_code == 200, done.text
    return totp, done.json()["recovery_codes"]


def later(totp: pyotp.TOTP, steps: int = 1) -> str:
    """The code of a later step, which the server accepts for clocks that differ."""
    return totp.at(clock.now(), counter_offset=steps)


def test_a_login_asks_for_a_code_once_the_factor_is_on(person: Person) -> None:
    totp, _ = set_up(person)
    assert person.login().json()["error"] == "mfa_required"
    assert person.login(password="wrong password").json()["error"] == "invalid_grant"
    assert person.login("000000").json()["error"] == "invalid_grant"
    code = later(totp)
    assert person.login(code).status_code == 200
    assert person.login(code).json()["error"] == "invalid_grant", "a code is accepted once"
    assert person.login(totp.at(clock.now(), counter_offset=-20)).json()["error"] == "invalid_grant"


def test_the_code_that_confirmed_it_does_not_also_log_in(person: Person) -> None:
    api = person.api()
    code = pyotp.TOTP(api.post("/v1/me/second-factor", {"password": PASSWORD}).json()["secret"]).now()
    assert api.post("/v1/me/second-factor/confirmation", {"otp": code}).status_code == 200
    assert person.login(code).json()["error"] == "invalid_grant"


def test_a_recovery_code_works_once(person: Person) -> None:
    _, codes = set_up(person)
    assert len(set(codes)) == 10
    assert person.login(codes[3]).status_code == 200
    assert person.login(codes[3]).json()["error"] == "invalid_grant"
    assert person.login(codes[4].upper()).status_code == 200


def test_another_authenticator_needs_a_code_of_the_one_that_is_on(person: Person) -> None:
    _, codes = set_up(person)
    api = person.api(codes[0])
    assert api.post("/v1/me/second-factor", {"password": PASSWORD}).status_code == 422
    assert api.post("/v1/me/second-factor", {"password": "wrong password"}).status_code == 422
    begun = api.post("/v1/me/second-factor", {"password": PASSWORD, "otp": codes[1]})
    assert begun.status_code == 201
    assert person.login(codes[2]).status_code == 200, "the one before counts until the new one is confirmed"
    assert api.post("/v1/me/second-factor/confirmation", {"otp": "123456"}).status_code == 422


def test_a_clinic_that_requires_one_permits_nothing_else_until_it_is_on(api: Api, person: Person) -> None:
    before = person.api()
    assert before.get("/v1/patients").status_code == 200
    assert before.get("/v1/me").json()["second_factor"] == "off"
    assert api.patch("/v1/clinic", {"second_factor": "required"}, 1).status_code == 200
    refused = before.get("/v1/patients")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert "second factor" in refused.json()["detail"]
    assert before.get("/v1/me").json()["second_factor"] == "required"
    totp, _ = set_up(person)
    assert before.get("/v1/me").json()["second_factor"] == "on"
    assert before.get("/v1/patients").status_code == 403, "that session has shown a password alone"
    assert person.api(later(totp)).get("/v1/patients").status_code == 200


def test_an_administrator_takes_a_lost_one_off(api: Api, person: Person) -> None:
    set_up(person)
    assert api.request("DELETE", f"/v1/users/{person.id}/second-factor").status_code == 204
    assert person.login().status_code == 200


def test_the_secret_is_stored_encrypted(api: Api, person: Person, database: Database) -> None:
    totp, codes = set_up(person)
    user = database.reading(api.clinic_id, lambda db: store.user(db, api.clinic_id, person.id))
    assert user is not None
    assert totp.secret not in str(user.model_dump())
    assert codes[0] not in str(user.model_dump())


def test_codes_cannot_be_guessed_by_asking_in_between_without_one(person: Person) -> None:
    set_up(person)
    for _ in range(5):
        assert person.login("000000").json()["error"] == "invalid_grant"
        last = person.login()
    assert (last.status_code, person.login("000000").status_code) == (429, 429)


def test_what_is_shown_once_is_not_shown_again_under_its_key(person: Person) -> None:
    api, key = person.api(), {"Idempotency-Key": "once"}
    assert api.post("/v1/me/second-factor", {"password": PASSWORD}, headers=key).status_code == 201
    again = api.post("/v1/me/second-factor", {"password": PASSWORD}, headers=key)
    assert (again.status_code, again.json()["code"]) == (409, "already_done")


def test_a_session_opened_with_a_password_alone_never_becomes_more(api: Api, person: Person) -> None:
    api.patch("/v1/clinic", {"second_factor": "required"}, 1)
    thief = person.login().json()
    mine = person.api()
    secret = mine.post("/v1/me/second-factor", {"password": PASSWORD}).json()["secret"]
    done = mine.post("/v1/me/second-factor/confirmation", {"otp": pyotp.TOTP(secret).now()}).json()
    assert Api(api.server, thief["access_token"], api.clinic_id, person.id).get("/v1/patients").status_code == 403
    form = {"grant_type": "refresh_token", "refresh_token": thief["refresh_token"]}
    assert api.server.post("/oauth/token", data=form).status_code == 400
    assert Api(api.server, done["access_token"], api.clinic_id, person.id).get("/v1/patients").status_code == 200
    form["refresh_token"] = done["refresh_token"]
    on = api.server.post("/oauth/token", data=form).json()
    assert Api(api.server, on["access_token"], api.clinic_id, person.id).get("/v1/patients").status_code == 200


def test_codes_of_a_factor_that_is_on_cannot_be_guessed_to_replace_it(api: Api, person: Person) -> None:
    _, codes = set_up(person)
    mine = person.api(codes[0])
    wrong = [mine.post("/v1/me/second-factor", {"password": PASSWORD, "otp": "000000"}).status_code for _ in range(6)]
    assert wrong == [422] * 5 + [429]
    events = api.get("/v1/audit-events", params={"actor": str(person.id)}).json()["items"]
    assert [e["outcome"] for e in events if e["operation"] == "start_second_factor"][:5] == ["denied"] * 5


def test_a_session_that_was_ended_confirms_nothing(api: Api, person: Person, settings: Settings) -> None:
    """Another process may let it in for some seconds yet."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as elsewhere:
        thief = Api(elsewhere, person.login().json()["access_token"], api.clinic_id, person.id)
        secret = thief.post("/v1/me/second-factor", {"password": PASSWORD}).json()["secret"]
        assert api.post(f"/v1/users/{person.id}/password-reset").status_code == 201
        confirmed = thief.post("/v1/me/second-factor/confirmation", {"otp": pyotp.TOTP(secret).now()})
        assert confirmed.status_code == 401
        change = {"current_password": PASSWORD, "password": "another sentence"}
        assert thief.post("/v1/me/password", change).status_code in (401, 422)
    assert person.login().status_code == 400


def test_a_change_in_flight_does_not_undo_a_reset(api: Api, person: Person, database: Database) -> None:
    caller = database.reading(
        api.clinic_id, lambda db: service.caller_of_token(db, Claims("user", person.id, api.clinic_id, "", 0))
    )
    user = database.reading(api.clinic_id, lambda db: people.find(db, api.clinic_id, person.id))
    assert user.password_hash
    checked, act = user.password_hash, Act(api.clinic_id, "user", person.id, "change_password", "r", clock.now())
    assert api.post(f"/v1/users/{person.id}/password-reset").status_code == 201
    other = NewPassword("other", "its hash")
    with pytest.raises(Invalid):
        database.writing(api.clinic_id, lambda db: people.change_password(db, caller, act, checked, other))
