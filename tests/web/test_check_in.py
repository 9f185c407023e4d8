"""The patient's check-in, as a phone without scripts sees it, and as the page's script sends it."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.web.check_in.questions import ENDS
from app.web.telephones import telephone
from tests.conftest import Api, days_ago, new_device
from tests.web.pages import Browser, fields_of, read


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient()


@pytest.fixture
def phone(api: Api, patient: str) -> Browser:
    return Browser(new_device(api, patient), "holdfast-check-in")


def asked(page: str) -> list[str]:
    """The instruments that a page asks for."""
    return re.findall(r'name="instrument" value="([^"]+)"', page)


@pytest.mark.parametrize("path", ["/check-in", "/check-in/scores", "/check-in/reminders"])
def test_whom_to_call_is_one_tap_away_in_the_readers_language(phone: Browser, path: str) -> None:
    assert "Emergency: your local emergency number" in phone.text(path)
    phone.language = "es"
    assert "Emergencias: el número de emergencias de su zona" in phone.text(path)


def test_every_refusal_on_a_phone_says_whom_to_call_and_nothing_of_the_console(api: Api, phone: Browser) -> None:
    nobody = Browser(replace(api, token="nonsense"), "holdfast-check-in")
    answers = {
        401: nobody.post("/check-in", **{"phq-9.9": "3"}),
        403: phone.request("POST", "/check-in", headers={"Sec-Fetch-Site": "cross-site"}),
        413: phone.request("POST", "/check-in", content=b"x" * 3_000_000),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        text = read(answer.text)
        assert "emergency number" in text, status
        assert "Nothing was recorded" in text
        for told in ("Worklist", "Urgent alerts reach nobody", "Sign in", "Patients"):
            assert told not in text, (status, told)
    assert "Ask your clinic for a new link" in read(answers[401].text)


def test_a_form_without_scripts_that_is_refused_comes_back_as_it_was_filled_in(phone: Browser) -> None:
    page = phone.get("/check-in").text
    fields = fields_of(page, "/check-in")
    given = {**fields, "instrument": ["phq-9", "nrs-pain"], "phq-9.1": "2", "phq-9.9": "1", "nrs-pain.total": "7"}
    refused = phone.post("/check-in", **{**given, "id": "nonsense"})
    assert refused.status_code == 422
    assert re.search(r'name="phq-9.1" value="2" checked', refused.text)
    assert re.search(r'name="phq-9.9" value="1" checked', refused.text)
    assert '<option value="7" selected>' in refused.text
    assert "Your answers were not recorded" in read(refused.text)


def test_a_phone_is_removed_where_it_is_known_what_waits_on_it(phone: Browser) -> None:
    """The page of what is due says how many check-ins were not sent; another page would delete them without a word."""
    assert "Remove this phone" in phone.text("/check-in")
    assert "Remove this phone" not in phone.text("/check-in/scores") + phone.text("/check-in/reminders")


def test_only_what_is_due_is_asked_with_whom_to_call(api: Api, patient: str, phone: Browser) -> None:
    contacts = [{"label": "Crisis line", "contact": "call or text 988"}, {"label": "Desk", "contact": "at the clinic"}]
    assert api.patch("/v1/clinic", {"crisis_contacts": contacts}, 1).status_code == 200
    page = phone.get("/check-in").text
    due = api.get(f"/v1/patients/{patient}/plan/due").json()["items"]
    assert set(asked(page)) == {
        code for one in due if one["state"] in ("due", "overdue") for code in one["instruments"]
    }
    assert 'href="tel:988"' in page
    assert "Desk: at the clinic" in read(page)
    assert "short labels stand in its place" in read(page)
    assert page.count("Prefer not to answer") >= 16
    api.session(patient, days_ago(5))
    assert "phq-9" not in asked(phone.get("/check-in").text), "its window is not open"


def test_a_form_without_scripts_is_recorded_once(api: Api, patient: str, phone: Browser) -> None:
    form = fields_of(phone.get("/check-in").text, "/check-in") | {"instrument": ["phq-9", "nrs-pain"]}
    answers = {f"phq-9.{item}": "1" for item in range(1, 9)} | {"phq-9.9": "", "nrs-pain.total": "6"}
    for _ in range(2):
        done = phone.post("/check-in", **form, **answers)
        assert (done.status_code, "Received by your clinic." in read(done.text)) == (200, True)
    [check_in] = api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    found = {score["instrument"]: (score["value"], score["answers"]) for score in check_in["scores"]}
    assert found == {"phq-9": (None, [1] * 8 + [None]), "nrs-pain": (6, None)}
    assert check_in["recorded_by"]["kind"] == "device"
    assert "phq-9" not in asked(phone.get("/check-in").text), "what was answered is not asked again"


def test_an_alarming_answer_shows_whom_to_call_and_a_refused_one_too(api: Api, patient: str, phone: Browser) -> None:
    answers = {f"phq-9.{item}": "0" for item in range(1, 9)} | {"phq-9.9": "2", "instrument": "phq-9"}
    refused = phone.post("/check-in", **(answers | {"phq-9.1": "x"}))
    assert refused.status_code == 422
    assert "Your answers were not recorded." in read(refused.text)
    assert len(api.get("/v1/alerts").json()["items"]) == 1
    done = phone.post("/check-in", **answers)
    assert "If you or someone else is in danger" in read(done.text)
    assert phone.post("/check-in", instrument="phq-9").status_code == 422


@pytest.mark.parametrize(("begun", "counts"), [(50, 50), (70, 0), (-60, 0)])
def test_without_scripts_a_page_that_was_opened_within_the_hour_counts_from_then(
    api: Api, patient: str, phone: Browser, begun: int, counts: int
) -> None:
    at = clock.now() - timedelta(minutes=begun)
    assert phone.post("/check-in", begun_at=at.isoformat(), instrument="nrs-pain", **{"nrs-pain.total": "3"}).is_success
    [check_in] = api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    ago = clock.now() - _moment(check_in["taken_at"])
    assert abs(ago - timedelta(minutes=counts)) < timedelta(minutes=1)


def test_the_page_sends_as_to_the_api(api: Api, patient: str, phone: Browser) -> None:
    where = f"/check-in/patients/{patient}/check-ins"
    body: dict[str, Any] = {
        "id": "0198e0c4-0000-7000-8000-000000000001", "taken_at": days_ago(0.01), "sent_at": clock.now().isoformat(),
        "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}],
    }  # fmt: skip
    first, again = (phone.request("POST", where, json=body) for _ in range(2))
    assert (first.status_code, again.status_code, again.headers["replayed"]) == (201, 200, "true")
    assert first.json()["notice"] is not None
    other = phone.request("POST", f"/check-in/patients/{api.patient()}/check-ins", json=body)
    assert (other.status_code, other.headers["content-type"]) == (404, "application/problem+json")
    wrong = phone.request("POST", where, json={"taken_at": "yesterday", "responses": [
        {"instrument": "phq-9", "answers": [0] * 8 + [3]}]})  # fmt: skip
    assert (wrong.status_code, wrong.json()["notice"] is not None) == (422, True)
    nobody = Browser(Api(api.server, "nonsense", api.clinic_id, api.caller_id), "holdfast-check-in")
    assert nobody.request("POST", where, json=body).status_code == 401
    elsewhere = phone.request("POST", where, json=body, headers={"Sec-Fetch-Site": "cross-site"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (403, "not_from_here")


def test_a_phone_is_enrolled_once_and_removed(api: Api, patient: str) -> None:
    code = api.post(f"/v1/patients/{patient}/enrolments").json()["code"]
    browser = Browser(Api(api.server, "", api.clinic_id, api.caller_id))
    page = browser.get("/check-in/enrol")
    assert "Your clinic gave you a link or a code" in read(page.text)
    done = browser.post("/check-in/enrol", code=code, device_name="My phone")
    cookies = [line for line in done.headers.get_list("set-cookie") if line.startswith("holdfast-check-in-")]
    assert (done.headers["location"], len(cookies)) == ("/check-in", 2)
    again = browser.post("/check-in/enrol", code=code)
    assert (again.status_code, "Ask your clinic for a new one" in read(again.text)) == (422, True)
    assert browser.post("/check-in/enrol").status_code == 422
    refresh = next(line for line in cookies if "refresh" in line).split(";")[0]
    headers = {"Cookie": refresh, "Sec-Fetch-Site": "same-origin"}
    api.server.cookies.clear()
    assert api.server.get("/check-in", headers=headers, follow_redirects=False).status_code == 200
    api.server.cookies.clear()
    out = api.server.post("/check-in/sign-out", headers=headers, follow_redirects=False)
    assert out.headers["clear-site-data"] == '"cache", "storage"'
    api.server.cookies.clear()
    assert api.server.get("/check-in", headers=headers, follow_redirects=False).status_code == 303
    assert browser.post("/check-in/sign-out").status_code == 303


@pytest.mark.parametrize("view", ["scores", "scores_and_trend", "all"])
def test_patients_see_what_their_clinic_shows(api: Api, patient: str, view: str) -> None:
    assert api.patch("/v1/clinic", {"patient_view": view}, 1).status_code == 200
    api.check_in(patient, days_ago(40), "gad-7", 16)
    api.session(patient, days_ago(39))
    api.check_in(patient, days_ago(3), "gad-7", 5)
    phone = Browser(new_device(api, patient), "holdfast-check-in")
    said = phone.text("/check-in/scores")
    assert "GAD-7 5" in said
    assert ("Your GAD-7 score is 5: 68.7% better than the 16" in said) == (view == "all")
    curve = phone.get("/check-in/overview.svg")
    assert curve.status_code == (403 if view == "scores" else 200)
    if view == "all":
        phone.language = "es"
        dicho = phone.text("/check-in/scores")
        assert "Su puntuación de GAD-7 es 5: un 68.7% mejor que la de 16" in dicho
        assert "Your" not in dicho


def test_the_page_can_be_installed_and_kept(api: Api, phone: Browser) -> None:
    manifest = phone.get("/check-in/app.webmanifest")
    assert manifest.headers["content-type"].startswith("application/manifest+json")
    assert (manifest.json()["scope"], manifest.json()["start_url"]) == ("/check-in", "/check-in")
    assert phone.get(manifest.json()["icons"][0]["src"]).status_code == 200
    worker = phone.get("/check-in/worker.js")
    assert worker.headers["service-worker-allowed"] == "/check-in"
    for address in re.findall(r"/static/[0-9a-f]+/[a-z.-]+", worker.text):
        assert phone.get(address).status_code == 200


@pytest.mark.parametrize(("contact", "number"), [
    ("call or text 988", "988"), ("112 (from any phone)", "112"), ("116 123 (24 hours)", "116123"),
    ("1-800-273-8255 (24/7)", "18002738255"), ("24-hour line 555-0100", "5550100"), ("24/7: 555-0100", "5550100"),
    ("988 - 24 h", "988"), ("+1 (555) 010-9999 at night", "+15550109999"), ("(212) 555-0100", "2125550100"),
    ("+34 900 123 456", "+34900123456"), ("0800 111 0 111", "08001110111"),
    ("at the clinic", None), ("3rd floor desk, 555-0100", None), ("Mon-Fri 9-17 555-0100", None),
    ("10-17 555-0100", None), ("555 0100 or 555 0200", None), ("555-0100 ext. 12", None), ("1 800 273 TALK", None),
    ("open 9:00, 555-0100", None), ("2nd desk", None),
])  # fmt: skip
def test_the_number_to_dial_is_found_in_a_contact_and_no_wrong_one(contact: str, number: str | None) -> None:
    assert telephone(contact) == number


def test_scales_about_now_have_words_for_their_ends() -> None:
    assert set(ENDS) == {"nrs-mood", "nrs-anxiety", "nrs-pain"}


def _moment(text: str) -> Any:
    return clock.now().fromisoformat(text)
