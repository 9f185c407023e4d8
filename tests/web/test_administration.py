"""Lists of the administration have no end that is not said, and a refused form keeps what was typed."""

import re
from html import unescape

import pytest

from app import clock
from tests.conftest import Api, days_ago, new_person
from tests.web.pages import Browser, fields_of, read


@pytest.fixture
def browser(api: Api) -> Browser:
    return Browser(api)


def walked(browser: Browser, path: str) -> list[str]:
    """The pages of a list, one after the other, two rows each."""
    pages = []
    address = f"{path}?limit=2"
    while True:
        page = browser.get(address).text
        pages.append(page)
        following = re.search(r'href="(\?[^"]+)">Show more', page)
        if following is None:
            return pages
        address = path + unescape(following[1])


def test_lists_go_on_to_their_end(api: Api, browser: Browser) -> None:
    for number in range(4):
        new_person(api.server, api.clinic_id, "clinician")
        api.post("/v1/clients", {"name": f"EHR {number}", "scope": "patients:read"})
        made = api.post("/v1/webhooks", {"url": f"https://ehr.example.org/{number}", "events": ["plan.due"]})
        assert made.status_code == 201
    people = walked(browser, "/admin/people")
    assert len(people) == 3
    emails = {one["email"] for one in api.get("/v1/users").json()["items"]}
    assert {email for email in emails if any(email in page for page in people)} == emails
    integrations = walked(browser, "/admin/integrations")
    assert [sum(f"EHR {number}" in page for page in integrations) for number in range(4)] == [1, 1, 1, 1]
    hooks = walked(browser, "/admin/webhooks")
    assert [sum(f"example.org/{number}<" in page for page in hooks) for number in range(4)] == [1, 1, 1, 1]


@pytest.mark.parametrize("query", ["", "?show=&domain=&assigned_to=", "?domain=mood", "?domain=mood&limit=50"])
def test_the_worklist_goes_on_whatever_it_was_asked_for(api: Api, browser: Browser, query: str) -> None:
    for number in range(60):
        patient = api.patient(label=f"P{number:02}")
        api.check_in(patient, days_ago(1), "phq-9", 15)
    page = browser.get(f"/{query}").text
    shown, pages = page.partition("Patients by urgency")[2], 1
    while (following := re.search(r'href="(\?[^"]+)">Show more', page)) is not None:
        rest = browser.get(f"/{unescape(following[1])}")
        assert rest.status_code == 200
        page, pages = rest.text, pages + 1
        shown += page
    assert pages > 1
    assert [number for number in range(60) if f"P{number:02}" not in shown] == []


def test_other_lists_go_on_from_where_they_begin(api: Api, browser: Browser) -> None:
    for _ in range(3):
        patient = api.patient()
        body = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}]}
        api.post(f"/v1/patients/{patient}/check-ins", body)
    for path in ("/alerts?limit=2", "/admin/audit?limit=2", "/patients?limit=2", "/alerts?state=open&limit=2"):
        following = re.search(r'href="(\?[^"]+)">Show more', browser.get(path).text)
        assert following is not None, path
        assert browser.get(path.partition("?")[0] + unescape(following[1])).status_code == 200


def test_settings_that_are_refused_come_back_as_typed(api: Api, browser: Browser) -> None:
    version = api.get("/v1/clinic").json()["version"]
    page = browser.post(
        "/admin/clinic", version=version, name="North Clinic", alert_recipients="nobody", smallest_group="many",
        crisis_contacts="Line: 988\nDesk: 555 0100", patient_view="all", second_factor="required",
    )  # fmt: skip
    assert page.status_code == 422
    assert fields_of(page.text, "/admin/clinic") == {
        "version": str(version), "name": "North Clinic", "alert_recipients": "nobody", "smallest_group": "many",
    }  # fmt: skip
    assert "Line: 988\nDesk: 555 0100" in page.text
    assert '<option value="all" selected>' in page.text
    assert '<option value="required" selected>' in page.text
    assert api.get("/v1/clinic").json()["name"] == "Test"


@pytest.mark.parametrize("whose", ["clinic", "patient"])
def test_a_plan_that_is_refused_comes_back_as_typed(api: Api, browser: Browser, whose: str) -> None:
    path = "/admin/plan" if whose == "clinic" else f"/patients/{api.patient()}/plan"
    typed = {
        "version": "1", "after.0": "course", "offset.0": "3.5", "window.0": "2", "early.0": "0",
        "instruments.0": "phq-9 nonsense", "after.5": "session", "offset.5": "soon", "instruments.5": "gad-7",
    }  # fmt: skip
    page = browser.post(path, **typed)
    assert page.status_code == 422
    shown = fields_of(page.text, path)
    assert (shown["offset.0"], shown["early.0"], shown["instruments.0"]) == ("3.5", "0", "phq-9 nonsense")
    assert (shown["offset.5"], shown["instruments.5"]) == ("soon", "gad-7"), "each row keeps its place"
    assert '<option value="course" selected>' in page.text
    assert "confirm" not in shown, "it was not ticked"


def test_an_event_that_is_refused_comes_back_as_typed(api: Api, browser: Browser) -> None:
    patient = api.patient()
    fields = fields_of(browser.get(f"/patients/{patient}").text, f"/patients/{patient}/events")
    tomorrow = str(clock.now().year + 2) + "-01-01"
    page = browser.post(
        f"/patients/{patient}/events", **{**fields, "kind": "tms", "on": tomorrow, "label": "series of ten"}
    )
    assert page.status_code == 422
    shown = fields_of(page.text, f"/patients/{patient}/events")
    assert shown == {"id": fields["id"], "on": tomorrow, "label": "series of ten"}
    assert '<option value="tms" selected>' in page.text
    assert "Nothing was recorded." in read(page.text)
    again = browser.post(f"/patients/{patient}/events", **{**shown, "kind": "tms", "on": "2025-01-06"})
    assert again.status_code == 303
    [event] = api.get(f"/v1/patients/{patient}/events").json()["items"]
    assert (event["id"], event["label"]) == (fields["id"], "series of ten")


def test_a_change_of_an_integration_that_came_too_late_says_so(api: Api, browser: Browser) -> None:
    client = api.post("/v1/clients", {"name": "EHR", "scope": "patients:read"}).json()
    page = browser.post(f"/admin/integrations/{client['id']}", version="7", disabled="yes")
    assert page.status_code == 412
    assert "Somebody else has changed it meanwhile." in read(page.text)


def test_a_row_of_a_plan_is_named_where_it_stands(api: Api, browser: Browser) -> None:
    typed = {"version": "1", "after.3": "session", "offset.3": "14", "window.3": "9", "after.4": "session",
             "offset.4": "1.5", "window.4": "2", "early.4": "0", "instruments.4": "phq-9"}  # fmt: skip
    page = browser.post("/admin/plan", **typed)
    assert "Plan, 5: needs whole days" in read(page.text)
    shown = fields_of(page.text, "/admin/plan")
    assert (shown["offset.3"], shown["window.3"], shown["offset.4"]) == ("14", "9", "1.5"), "without an instrument too"


def test_after_somebody_elses_change_the_settings_show_what_stands(api: Api, browser: Browser) -> None:
    version = api.get("/v1/clinic").json()["version"]
    contacts = [{"label": "New line", "contact": "988"}]
    assert api.patch("/v1/clinic", {"crisis_contacts": contacts}, version).status_code == 200
    fields = {"name": "Renamed", "crisis_contacts": "Old line: 911", "smallest_group": "11"}
    page = browser.post("/admin/clinic", version=version, patient_view="all", second_factor="optional", **fields)
    assert page.status_code == 412
    text = read(page.text)
    assert "What stands now" in text
    assert "New line: 988" in text
    assert "Old line: 911" in page.text


def test_a_crisis_contact_without_a_name_is_refused_and_not_dropped(api: Api, browser: Browser) -> None:
    version = api.get("/v1/clinic").json()["version"]
    fields = {"name": "Test", "crisis_contacts": "Line: 988\n\n: 555 0100", "smallest_group": "11"}
    page = browser.post("/admin/clinic", version=version, patient_view="all", second_factor="optional", **fields)
    assert page.status_code == 422
    assert "Crisis contacts, 2" in read(page.text)


def test_a_list_under_a_refused_form_leads_nowhere_wrong(api: Api, browser: Browser) -> None:
    for _ in range(3):
        new_person(api.server, api.clinic_id, "clinician")
    user = api.get("/v1/users").json()["items"][0]
    page = browser.post(f"/admin/people/{user['id']}?limit=2", version="99", role="clinician")
    assert page.status_code == 412
    assert "Show more" not in page.text


def test_a_refused_import_keeps_what_was_chosen(api: Api, browser: Browser) -> None:
    page = browser.post("/admin/imports", mapping="redcap", dry_run="yes")
    assert page.status_code == 422
    assert 'value="yes" checked' in page.text
