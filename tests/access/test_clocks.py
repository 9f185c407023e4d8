"""A clock that was ahead and is right again leaves nothing behind that waits until tomorrow."""

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.access import throttling, tokens
from app.access.models import User
from app.access.tokens import read_token
from app.errors import InvalidToken
from app.people import passwords
from app.storage import NO_CLINIC, Database, new_id
from tests.conftest import Api, days_ago, new_clinic

AHEAD = timedelta(days=1)
PASSWORD = "correct horse battery"


def test_a_token_of_a_process_whose_clock_is_a_little_ahead_is_taken(api: Api, database: Database) -> None:
    def token(seconds: float) -> str:
        at = clock.now() + timedelta(seconds=seconds)
        user = database.reading(api.clinic_id, lambda db: db.get(User, (api.clinic_id, api.caller_id)))
        assert user is not None
        return database.writing(api.clinic_id, lambda db: tokens.sign_in(db, user, at).access_token)

    assert read_token(database.keyring, token(3)).id == api.caller_id
    with pytest.raises(InvalidToken):
        read_token(database.keyring, token(120))


def test_attempts_counted_ahead_do_not_lock_anybody_out(database: Database) -> None:
    account, ahead = f"{new_id()}@example.org", clock.now() + AHEAD

    def take(at: Any) -> int | None:
        return database.writing(NO_CLINIC, lambda db: throttling.take(db, account, "192.0.2.9", at))

    waits = [take(ahead) for _ in range(8)]
    assert waits[-1] is not None
    assert take(clock.now()) is None


def test_a_person_who_was_signed_out_ahead_can_sign_in_now(api: Api, database: Database) -> None:
    email = f"{new_id()}@example.org"

    def add(db: Any) -> None:
        db.add(User(clinic_id=api.clinic_id, id=new_id(), email=email, role="clinician", created_at=clock.now(),
                    password_hash=passwords.hashed_now(PASSWORD), disabled_at=None,
                    signed_out_at=clock.now() + AHEAD))  # fmt: skip

    database.writing(api.clinic_id, add)
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    token = api.server.post("/oauth/token", data=form).json()["access_token"]
    me = api.server.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert me.status_code == 200


def test_a_known_at_from_a_clock_that_was_ahead_answers_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = api.patient()
    ahead = clock.now() + AHEAD
    monkeypatch.setattr(clock, "now", lambda: ahead)
    api.check_in(patient, days_ago(1.5), "phq-9", 12)
    monkeypatch.undo()
    answer = api.relief(patient)
    assert answer["known_at"] > clock.now().isoformat()
    again = api.get(f"/v1/patients/{patient}/relief", params={"known_at": answer["known_at"]})
    assert (again.status_code, again.json()) == (200, answer)
    late = (ahead + AHEAD).isoformat()
    assert api.get(f"/v1/patients/{patient}/relief", params={"known_at": late}).status_code == 422
    cohort = {"instrument": "phq-9", "known_at": answer["known_at"]}
    assert api.get("/v1/cohorts/durability", params=cohort).status_code == 200


def test_one_e_mail_is_a_login_in_several_clinics_and_none_is_told_of_another(api: Api) -> None:
    other, email = new_clinic(api.server), f"{new_id()}@example.org"
    made = [clinic.post("/v1/users", {"email": email, "role": "clinician"}) for clinic in (api, other)]
    assert [answer.status_code for answer in made] == [201, 201]
    assert api.post("/v1/users", {"email": email.upper(), "role": "admin"}).json()["code"] == "email_taken"
    for answer, secret in zip(made, (PASSWORD, "another battery horse"), strict=True):
        body = {"code": answer.json()["password_code"]["code"], "password": secret}
        assert api.server.post("/oauth/password", json=body).status_code == 204
    for clinic, secret in ((api, PASSWORD), (other, "another battery horse")):
        form = {"grant_type": "password", "username": email, "password": secret}
        token = api.server.post("/oauth/token", data=form).json()["access_token"]
        me = api.server.get("/v1/me", headers={"Authorization": f"Bearer {token}"}).json()
        assert me["clinic"]["id"] == str(clinic.clinic_id)


def test_a_guessable_password_is_refused_and_the_code_can_be_used_again(api: Api) -> None:
    made = api.post("/v1/users", {"email": f"{new_id()}@example.org", "role": "clinician"}).json()
    code = made["password_code"]["code"]
    refused = api.server.post("/oauth/password", json={"code": code, "password": "password123"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/password")
    assert api.server.post("/oauth/password", json={"code": code, "password": PASSWORD}).status_code == 204
