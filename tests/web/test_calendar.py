"""A patient's calendar of what is due, by a link that can be ended; it says neither what is asked nor of whom."""

import re
from datetime import date

import pytest
from icalendar import Calendar

from app import clock
from tests.conftest import Api, new_device
from tests.web.pages import Browser, read


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient(label="Owner", external_id="MRN-0042")


@pytest.fixture
def phone(api: Api, patient: str) -> Browser:
    return Browser(new_device(api, patient), "holdfast-check-in")


def made(phone: Browser) -> str:
    """The address of a new link, as a calendar asks for it."""
    page = phone.post("/check-in/calendar")
    assert page.status_code == 200
    [link] = re.findall(r'id="link">([^<]+)<', page.text)
    assert "webcal://" in page.text
    found: str = link.removeprefix("http://127.0.0.1:8000")
    return found


def test_a_calendar_shows_the_days_and_nothing_else(api: Api, patient: str, phone: Browser) -> None:
    assert "whoever has the link sees those days" in phone.text("/check-in/reminders")
    api.session(patient, clock.now().isoformat())
    link = made(phone)
    answer = api.server.get(link)
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    calendar = Calendar.from_ical(answer.content)
    due = api.get(f"/v1/patients/{patient}/plan/due").json()["items"]
    days = [date.fromisoformat(one["due_on"]) for one in due if one["state"] in ("upcoming", "due", "overdue")]
    events = calendar.walk("VEVENT")
    assert [event.decoded("dtstart") for event in events] == days
    assert {str(event["summary"]) for event in events} == {"Check-in"}
    assert len({str(event["uid"]) for event in events}) == len(events)
    assert all(event.walk("VALARM") for event in events)
    assert "REFRESH-INTERVAL;VALUE=DURATION:PT12H" in answer.text
    for told in ("Owner", "MRN", "phq", "PHQ", patient, "Test"):
        assert told not in answer.text
    again = Calendar.from_ical(api.server.get(link).content)
    assert [event["uid"] for event in again.walk("VEVENT")] == [event["uid"] for event in events]
    shown = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    assert [one["operation"] for one in shown].count("read_calendar") == 2


def test_a_link_ends_with_the_next_one_by_wish_and_with_the_phone(api: Api, patient: str, phone: Browser) -> None:
    first = made(phone)
    second = made(phone)
    assert (api.server.get(first).status_code, api.server.get(second).status_code) == (404, 200)
    assert phone.post("/check-in/calendar/end").status_code == 303
    assert api.server.get(second).status_code == 404
    third = made(phone)
    [device] = api.get(f"/v1/patients/{patient}/devices").json()["items"]
    assert api.request("DELETE", f"/v1/patients/{patient}/devices/{device['id']}").status_code == 204
    assert api.server.get(third, follow_redirects=False).status_code == 404
    assert api.server.get("/check-in/calendar/nonsense.ics").status_code == 404


def test_titles_are_in_the_language_in_which_the_link_was_made(api: Api, phone: Browser) -> None:
    phone.language = "es"
    calendar = Calendar.from_ical(api.server.get(made(phone)).content)
    assert {str(event["summary"]) for event in calendar.walk("VEVENT")} == {"Registro"}
    assert "Recordatorios" in read(phone.get("/check-in/reminders").text)
