"""Signing in to the pages, and out: by password, second factor, recovery code, a code for a password, and a link."""

import re
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pyotp
import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app import clock
from app.access import cookies, tokens
from app.api.parts import DATABASE
from app.clinic import service as clinics
from app.people import service as people
from app.storage import Database, new_id
from tests.conftest import Api, app_of, new_device
from tests.web.pages import FROM_HERE, Browser, fields_of, read

_PASSWORD = "a sentence of their own"


def person(api: Api) -> tuple[str, UUID]:
    """A clinician with a password: their e-mail and id."""
    database: Database = DATABASE.in_app(app_of(api.server))
    email = f"{new_id()}@example.org"

    def add(db: Any) -> UUID:
        return people.add_user(db, api.clinic_id, email, "clinician", _PASSWORD, clock.now())

    return email, database.writing(api.clinic_id, add)


def sent(server: TestClient, path: str, cookies: dict[str, str] | None = None, **fields: str) -> Response:
    headers = {**FROM_HERE, "Cookie": "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())}
    server.cookies.clear()
    answer = server.post(path, data=fields, headers=headers, follow_redirects=False)
    server.cookies.clear()
    return answer


def cookies_of(answer: Response) -> dict[str, str]:
    """The cookies that an answer sets; empty ones are taken away."""
    found = [line.split(";", 1)[0].split("=", 1) for line in answer.headers.get_list("set-cookie")]
    return {name: value for name, value in found if value.strip('"')}


def shown(server: TestClient, path: str, cookies: dict[str, str]) -> Response:
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    server.cookies.clear()
    answer = server.get(path, headers=headers, follow_redirects=False)
    server.cookies.clear()
    return answer


def test_who_is_not_signed_in_is_led_there_and_back(api: Api) -> None:
    email, _ = person(api)
    led = shown(api.server, "/cohorts?group_by=route", {})
    assert (led.status_code, led.headers["location"]) == (303, "/sign-in?next=%2Fcohorts%3Fgroup_by%3Droute")
    form = fields_of(shown(api.server, led.headers["location"], {}).text, "/sign-in")
    done = sent(api.server, "/sign-in", email=email.upper(), password=_PASSWORD, next=form["next"])
    assert (done.status_code, done.headers["location"]) == (303, "/cohorts?group_by=route")
    for line in done.headers.get_list("set-cookie"):
        assert "HttpOnly" in line
        assert "SameSite=Lax" in line
        assert "Path=/" in line
    assert shown(api.server, "/cohorts", cookies_of(done)).status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", ""])
def test_nobody_is_led_to_another_site(api: Api, elsewhere: str) -> None:
    email, _ = person(api)
    done = sent(api.server, "/sign-in", email=email, password=_PASSWORD, next=elsewhere)
    assert done.headers["location"] == "/"


def test_a_wrong_password_says_no_more_than_that(api: Api) -> None:
    email, _ = person(api)
    for name in (email, "nobody@example.org", "no\x00body"):
        refused = sent(api.server, "/sign-in", email=name, password="wrong")
        assert refused.status_code == 403
        assert "The e-mail, the password or the code is not right." in read(refused.text)
        assert cookies_of(refused) == {}
    for _ in range(12):
        refused = sent(api.server, "/sign-in", email=email, password="wrong")
    assert (refused.status_code, "Too many attempts" in read(refused.text)) == (429, True)
    assert int(refused.headers["retry-after"]) > 0


def test_a_session_is_renewed_by_whatever_page_is_opened(api: Api) -> None:
    email, _ = person(api)
    first = cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD))
    for held in ({"holdfast-refresh": first["holdfast-refresh"]}, first | {"holdfast-access": "expired"}):
        answer = shown(api.server, "/account", held)
        renewed = cookies_of(answer)
        assert answer.status_code == 200
        assert renewed["holdfast-refresh"] != first["holdfast-refresh"], "it is another one each time"
    assert cookies_of(shown(api.server, "/account", renewed)) == {}, "there is no need to renew it yet"
    assert shown(api.server, "/account", {"holdfast-refresh": "nonsense"}).status_code == 303


def test_a_session_in_a_browser_ends_when_it_rests_and_after_half_a_day(api: Api) -> None:
    database: Database = DATABASE.in_app(app_of(api.server))
    email, _ = person(api)
    first = cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD))["holdfast-refresh"]
    begun = clock.now()

    def renewed(token: str, after: timedelta) -> str | None:
        work = partial(tokens.refresh, clinic_id=api.clinic_id, token=token, now=begun + after)
        found = database.writing(api.clinic_id, work)
        return None if found is None else found.refresh_token

    assert renewed(first, timedelta(minutes=61)) is None, "it rested for more than an hour"
    held: str | None = first
    for hours in range(1, 13):
        held = renewed(str(held), timedelta(minutes=55 * hours))
        assert held is not None, hours
    held = renewed(str(held), timedelta(hours=11, minutes=59))
    assert renewed(str(held), timedelta(hours=12, minutes=1)) is None, "it has lasted for half a day"


def test_signing_out_ends_this_session_and_signing_out_everywhere_ends_all(api: Api) -> None:
    email, _ = person(api)
    one, two, three = (cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD)) for _ in range(3))
    out = sent(api.server, "/sign-out", one)
    assert (out.status_code, cookies_of(out)) == (303, {})
    assert shown(api.server, "/account", {"holdfast-refresh": one["holdfast-refresh"]}).status_code == 303
    assert sent(api.server, "/sign-out").status_code == 303
    assert sent(api.server, "/account/sign-out-everywhere", two).headers["location"] == "/sign-in"
    for held in (two, three):
        assert shown(api.server, "/account", held).status_code == 303


def test_a_second_factor_is_set_up_and_asked_for(api: Api) -> None:
    email, _ = person(api)
    held = cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD))
    wrong = sent(api.server, "/account/second-factor", held, password="wrong")
    assert (wrong.status_code, "Nothing was recorded" in read(wrong.text)) == (422, True)
    begun = sent(api.server, "/account/second-factor", held, password=_PASSWORD)
    secret = re.findall(r'class="secret">([A-Z2-7]+)<', begun.text)[0]
    assert "<svg" in begun.text
    assert "style=" not in begun.text
    confirm = "/account/second-factor/confirmation"
    assert sent(api.server, confirm, held, otp="000000").status_code == 422
    on = sent(api.server, confirm, held, otp=pyotp.TOTP(secret).now())
    recovery = re.findall(r'class="secret">([0-9a-f]{8}-[0-9a-f]{8})<', on.text)
    assert len(recovery) == 10
    assert shown(api.server, "/account", cookies_of(on)).status_code == 200, "the session goes on"
    assert "each sign-in needs a code" in read(shown(api.server, "/account", cookies_of(on)).text)
    asked = sent(api.server, "/sign-in", email=email, password=_PASSWORD, next="/alerts")
    assert (asked.status_code, "Now type a code" in read(asked.text)) == (200, True)
    assert fields_of(asked.text, "/sign-in")["next"] == "/alerts"
    assert sent(api.server, "/sign-in", email=email, password=_PASSWORD, otp="123456").status_code == 403
    assert sent(api.server, "/sign-in", email=email, password=_PASSWORD, otp=recovery[0]).status_code == 303
    assert sent(api.server, "/sign-in", email=email, password=_PASSWORD, otp=recovery[0]).status_code == 403


def test_who_must_have_a_second_factor_is_led_to_it_and_sees_nothing_else(api: Api) -> None:
    assert api.patch("/v1/clinic", {"second_factor": "required"}, 1).status_code == 200
    email, _ = person(api)
    held = cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD))
    for path in ("/", "/patients", "/cohorts"):
        assert shown(api.server, path, held).headers["location"] == "/account/second-factor"
    assert "Your clinic requires a second factor" in read(shown(api.server, "/account/second-factor", held).text)


def test_a_password_is_changed_and_set_by_a_code(api: Api) -> None:
    email, user_id = person(api)
    held = cookies_of(sent(api.server, "/sign-in", email=email, password=_PASSWORD))
    changed = {"current_password": _PASSWORD, "password": "short"}
    assert sent(api.server, "/account/password", held, **changed).status_code == 422
    changed["password"] = "another sentence of theirs"
    assert sent(api.server, "/account/password", held, **changed).headers["location"] == "/sign-in"
    assert shown(api.server, "/account", held).status_code == 303
    code = api.post(f"/v1/users/{user_id}/password-reset").json()["code"]
    assert shown(api.server, "/password", {}).status_code == 200
    assert sent(api.server, "/password", code="nonsense", password=_PASSWORD).status_code == 422
    assert sent(api.server, "/password", code=code, password="short").status_code == 422
    assert sent(api.server, "/password", code=code, password="password").status_code == 422
    assert sent(api.server, "/password", code=code, password=_PASSWORD).headers["location"] == "/sign-in"
    assert sent(api.server, "/sign-in", email=email, password=_PASSWORD).status_code == 303


def test_a_link_signs_in_once_and_only_where_nobody_is_real(server: TestClient) -> None:
    database: Database = DATABASE.in_app(app_of(server))
    for synthetic in (True, False):
        clinic_id, now = new_id(), clock.now()
        made = partial(clinics.add_clinic, clinic_id=clinic_id, name="Demo", time_zone="UTC", contacts=[], now=now)
        database.writing(clinic_id, partial(made, synthetic=synthetic))
        added = partial(people.add_user, clinic_id=clinic_id, email=f"{new_id()}@example.org", role="admin", now=now)
        user_id = database.writing(clinic_id, partial(added, password=_PASSWORD))
        code = database.writing(clinic_id, partial(people.sign_in_code, clinic_id=clinic_id, user_id=user_id, now=now))
        first, again = (shown(server, f"/sign-in/link/{code}", {}) for _ in range(2))
        assert bool(cookies_of(first)) == synthetic
        assert (cookies_of(again), again.headers["location"]) == ({}, "/sign-in")
        if synthetic:
            assert "nobody in here is real" in read(shown(server, "/", cookies_of(first)).text)
    assert shown(server, "/sign-in/link/nonsense", {}).headers["location"] == "/sign-in"


def test_over_https_no_other_host_can_set_the_cookies() -> None:
    granted = tokens.Tokens("access", "refresh", "")
    [access, refresh] = cookies.holding(granted, "https://clinic.example", cookies.PERSON)
    for line in (access, refresh):
        assert line.startswith("__Host-holdfast-")
        assert "Secure" in line


def test_a_phone_is_no_console_and_a_person_no_phone(api: Api) -> None:
    device = new_device(api, api.patient())
    assert Browser(device).get("/").headers["location"].startswith("/sign-in")
    assert Browser(api, "holdfast-check-in").get("/check-in").headers["location"] == "/check-in/enrol"
    assert Browser(device, "holdfast-check-in").get("/check-in").status_code == 200
    nobody = replace(device, token="nonsense")
    assert Browser(nobody, "holdfast-check-in").get("/check-in").headers["location"] == "/check-in/enrol"
