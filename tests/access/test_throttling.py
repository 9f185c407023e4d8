"""Guessing is slowed down by account and by address, without locking an account's owner out."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access import throttling
from app.people import service as people
from app.storage import NO_CLINIC, Database, new_id
from tests.conftest import Api

PASSWORD = "correct horse battery"


@pytest.fixture
def email(api: Api, database: Database) -> str:
    address, now = f"{new_id()}@example.org", clock.now()
    database.writing(api.clinic_id, lambda db: people.add_user(db, api.clinic_id, address, "admin", PASSWORD, now))
    return address


def login(server: TestClient, email: str, password: str) -> Any:
    return server.post("/oauth/token", data={"grant_type": "password", "username": email, "password": password})


def test_an_account_closes_after_five_wrong_passwords_from_one_address(server: TestClient, email: str) -> None:
    assert [login(server, email, "wrong").status_code for _ in range(5)] == [400] * 5
    closed = login(server, email, PASSWORD)
    assert (closed.status_code, closed.json()["error"]) == (429, "rate_limited")
    assert 0 < int(closed.headers["retry-after"]) <= 900


def test_a_right_password_is_no_attempt(server: TestClient, email: str) -> None:
    for _ in range(3):
        assert [login(server, email, "wrong").status_code for _ in range(4)] == [400] * 4
        assert login(server, email, PASSWORD).status_code == 200


def test_the_same_is_said_of_a_login_that_does_not_exist(server: TestClient) -> None:
    nobody = f"{new_id()}@example.org"
    assert [login(server, nobody, "wrong").status_code for _ in range(6)] == [400] * 5 + [429]


def test_addresses_and_accounts_are_counted_apart(database: Database) -> None:
    now = clock.now()

    def tries(account: str, address: str, times: int) -> list[bool]:
        taken = [
            database.writing(NO_CLINIC, lambda db: throttling.take(db, account, address, now)) for _ in range(times)
        ]
        return [wait is None for wait in taken]

    mine, theirs = str(new_id()), str(new_id())
    assert tries("a" + mine, "1" + mine, 6) == [True] * 5 + [False]
    assert tries("a" + mine, "2" + mine, 1) == [True], "its owner comes from elsewhere"
    assert all(tries("a" + mine, f"{n}{theirs}", 1)[0] for n in range(23))
    assert tries("a" + mine, "last" + theirs, 1) == [False], "many addresses, one account"
    assert sum(all(tries(f"{n}{theirs}", "3" + mine, 1)) for n in range(105)) == 100, "one address, many accounts"


def test_a_window_ends_by_itself_and_is_forgotten(database: Database) -> None:
    now, who = clock.now(), str(new_id())

    def take(minutes: int) -> int | None:
        at = now + timedelta(minutes=minutes)
        return database.writing(NO_CLINIC, lambda db: throttling.take(db, who, who, at))

    assert [take(0) is None for _ in range(6)] == [True] * 5 + [False]
    assert take(14) == 60
    assert take(15) is None
    database.writing(NO_CLINIC, lambda db: throttling.purge(db, now + timedelta(minutes=40)))
    assert take(16) is None


def test_many_attempts_at_once_cannot_slip_past(database: Database) -> None:
    now, who = clock.now(), str(new_id())
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(lambda _: database.writing(NO_CLINIC, lambda db: throttling.take(db, who, who, now)), range(20))
        )
    assert sum(wait is None for wait in taken) == 5


def test_codes_cannot_be_guessed_by_the_thousand(server: TestClient, database: Database) -> None:
    address = f"10.0.0.{new_id()}"  # of its own, so that other tests' attempts are not counted here
    now = clock.now()
    for _ in range(100):
        assert database.writing(NO_CLINIC, lambda db: throttling.take(db, "", address, now)) is None
    assert database.writing(NO_CLINIC, lambda db: throttling.take(db, "", address, now)) is not None
    assert server.post("/v1/enrolments/redeem", json={"code": "guess", "device_name": "x"}).status_code == 401
