"""The console's pages and forms, as a browser without scripts sees them."""

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import col, delete, select

from app import clock
from app.alerts.mailing import Mail
from app.alerts.routes import MAIL
from app.outbox.models import Change
from app.storage import Database
from app.web import places
from tests.alerts.test_mailing import Mailbox, mailbox
from tests.conftest import Api, app_of, days_ago, free_port, new_clinic, new_person
from tests.exchange.files import carried
from tests.web.pages import Browser, fields_of, read
from tests.wording.test_wording import questionnaire

__all__ = ["mailbox"]


@pytest.fixture
def browser(api: Api) -> Browser:
    return Browser(api)


def held(api: Api) -> str:
    """A patient whose relief is holding: a baseline, three sessions, and two scores at the response line or past it."""
    patient = api.patient(label="A.B.", birth_year=1980, indications=["major_depressive_disorder"])
    api.check_in(patient, days_ago(40), "phq-9", 20)
    for day in (39, 36, 33):
        api.session(patient, days_ago(day), dose_mg=40.0, weight_kg=80.0)
    for day, score in ((20, 8), (3, 5)):
        api.check_in(patient, days_ago(day), "phq-9", score)
    return patient


def local(days: float) -> str:
    """A moment in the past as a form of a day and a time has it."""
    return (clock.now() - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")


def test_the_patients_page_answers_the_question_first(api: Api, browser: Browser) -> None:
    patient = held(api)
    said = browser.text(f"/patients/{patient}")
    assert "Mood: relief is holding, at every reading since" in said
    assert "The latest reading is clear of the response line by more than measurement error." in said
    assert "Pain: there is no score from before the first infusion" in said
    assert "PHQ-9 : 20 → 5" in said.replace("PHQ-9:", "PHQ-9 :")
    assert "Others who held this long:" in said
    assert said.index("Is relief holding?") < said.index("Sessions and what each did")


def test_it_can_be_asked_for_another_day_and_as_it_was_known(api: Api, browser: Browser) -> None:
    patient, today = held(api), clock.now().date()
    then = browser.text(f"/patients/{patient}?as_of={today - timedelta(days=35)}&known_on=")
    assert "Mood: there is no score since the latest infusion yet." in then
    before = browser.text(f"/patients/{patient}?as_of=&known_on={today - timedelta(days=2)}")
    assert "as it was known at the end of" in before
    assert "Mood: no infusion is recorded yet." in before
    later = browser.get(f"/patients/{patient}?as_of={today + timedelta(days=2)}")
    assert (later.status_code, "must not be after today" in read(later.text)) == (422, True)
    wrong = browser.get(f"/patients/{patient}?as_of=yesterday")
    assert (wrong.status_code, "yesterday" in read(wrong.text)) == (422, False)


def changed(browser: Browser, path: str = "/") -> str:
    return browser.text(path).partition("Changed since yesterday")[2].partition("Patients by urgency")[0]


def test_what_changed_longer_ago_is_not_told_as_changed(api: Api, browser: Browser, database: Database) -> None:
    held(api)
    assert "A.B." in changed(browser)

    def made_old(db: Any) -> None:
        rows = [one.model_dump() for one in db.exec(select(Change).where(col(Change.clinic_id) == api.clinic_id))]
        db.execute(delete(Change).where(col(Change.clinic_id) == api.clinic_id))
        for row in rows:  # ids begin with their time
            db.add(Change(**{**row, "id": UUID(int=row["id"].int - (3 * 86_400_000 << 80))}))

    database.writing(api.clinic_id, made_old)
    assert changed(browser) == ""
    assert "A.B." in browser.text("/")


def test_what_changed_is_told_of_that_domain_alone(api: Api, browser: Browser, database: Database) -> None:
    patient = held(api)
    api.check_in(patient, days_ago(40), "nrs-pain", 8)
    gone = delete(Change).where(col(Change.clinic_id) == api.clinic_id)
    database.writing(api.clinic_id, lambda db: db.execute(gone))
    api.check_in(patient, days_ago(1), "nrs-pain", 2)
    assert "A.B. : Pain Holding" in changed(browser)
    assert "Mood" not in changed(browser)
    assert changed(browser, "/?domain=mood") == ""


def test_the_worklist_is_filtered_and_says_what_changed(api: Api, browser: Browser) -> None:
    held(api)
    lost = api.patient(label="C.D.")
    api.check_in(lost, days_ago(40), "gad-7", 18)
    api.session(lost, days_ago(39))
    for day, score in ((30, 6), (12, 15), (1, 16)):
        api.check_in(lost, days_ago(day), "gad-7", score)
    said = browser.text("/")
    assert said.index("C.D.") < said.index("A.B."), "lost goes before holding"
    assert "A.B." not in browser.text("/?show=lost&domain=anxiety&assigned_to=").partition("Patients by urgency")[2]
    assert "C.D." not in browser.text("/?show=holding").partition("Patients by urgency")[2]
    assert "Nobody." in browser.text("/?assigned_to=me")
    told = changed(browser)
    assert "C.D. : Anxiety Lost since" in told, "today's reading made it lost, though the loss began days ago"
    assert "A.B. : Mood Holding" in told
    assert changed(browser, "/?domain=mood").count("Anxiety") == 0
    assert changed(browser, "/?assigned_to=me") == ""
    for number in range(51):
        api.patient(external_id=f"N{number}")
    page = browser.get("/patients").text
    more = re.findall(r'href="(\?cursor=[^"]+)"', page)
    assert len(more) == 1
    assert "A.B." in browser.text(f"/patients{more[0]}")


def test_patients_are_found_without_their_number_in_an_address(api: Api, browser: Browser) -> None:
    patient = api.patient(external_id="MRN-77", label="E.F.")
    assert browser.post("/patients/search", q="mrn-77").headers["location"] == f"/patients/{patient}"
    api.patient(external_id="MRN-78")
    assert "MRN-77" in read(browser.post("/patients/search", q="MRN").text)
    assert browser.post("/patients/search").headers["location"] == "/patients"


def test_a_patient_is_added_and_changed_and_nothing_typed_is_lost(api: Api, browser: Browser) -> None:
    form = fields_of(browser.get("/patients/new").text, "/patients")
    sent = form | {"external_id": "MRN-9", "label": "<b>G.H.</b>", "birth_year": "nineteen", "indications": "ocd"}
    refused = browser.post("/patients", **sent)
    assert refused.status_code == 422
    assert "Year of birth: must be a number" in read(refused.text)
    assert 'value="nineteen"' in refused.text
    assert "&lt;b&gt;G.H.&lt;/b&gt;" in refused.text
    made = browser.post("/patients", **(sent | {"birth_year": "1975", "primary.pain": "peg"}))
    again = browser.post("/patients", **(sent | {"birth_year": "1975", "primary.pain": "peg"}))
    assert made.status_code == 303
    assert again.headers["location"] == made.headers["location"], "sent twice, added once"
    taken = browser.post("/patients", **(sent | {"id": str(uuid4()), "birth_year": "1975"}))
    assert (taken.status_code, "Nothing was recorded" in read(taken.text)) == (409, True)
    where = made.headers["location"]
    edit = fields_of(browser.get(f"{where}/edit").text, f"{where}/edit") | {"primary.pain": "peg"}
    died = edit | {"care_status": "deceased", "indications": "ocd"}
    assert "is required" in read(browser.post(f"{where}/edit", **died).text)
    assert browser.post(f"{where}/edit", **(died | {"reason": "told by the family"})).status_code == 303
    stale = browser.post(f"{where}/edit", **(died | {"reason": "once more", "label": "G."}))
    assert (stale.status_code, "has changed" in read(stale.text)) == (412, True)
    found = api.get(f"/v1{where}").json()
    assert (found["care_status"], found["birth_year"], found["primary_instruments"]) == (
        "deceased",
        1975,
        {"pain": "peg"},
    )
    history = browser.text(f"{where}/history")
    assert "told by the family" in history


def test_a_session_is_recorded_and_changed(api: Api, browser: Browser) -> None:
    patient = held(api)
    where = f"/patients/{patient}/sessions"
    form = fields_of(browser.get(f"{where}/new").text, where)
    assert (form["dose_mg"], form["weight_kg"], form["drug"]) == ("40.0", "80.0", "ketamine")
    full = form | {
        "started_at": local(1), "status": "completed", "route": "iv", "effect.0": "nausea", "severity.0": "severe",
        "minutes.0": "20", "after.0": "10", "systolic.0": "150", "heart_rate.0": "90", "sedating_medication": "no",
        "notes": "Calm.",
    }  # fmt: skip
    for wrong, said in (({"weight_kg": "heavy"}, "must be a number"), ({"started_at": "soon"}, "a day and a time"),
                        ({"after.0": ""}, "minutes after the session"), ({"after.0": "1e9"}, "must be a number"),
                        ({"started_at": "2026-01-05"}, "a day and a time"),
                        ({"weight_kg": "1,000"}, "must be a number"),
                        ({"started_at": "2026-01-05T10:00+09:00"}, "a day and a time"),
                        ({"dose_mg": "90", "dose_mg_per_kg": "0.5"}, "5%")):  # fmt: skip
        refused = browser.post(where, **(full | wrong))
        assert (refused.status_code, said in read(refused.text)) == (422, True), wrong
        assert 'value="20"' in refused.text
    assert browser.post(where, **full).status_code == 303
    assert browser.post(where, **full).status_code == 303, "sent twice, recorded once"
    sessions = api.get(f"/v1{where}").json()["items"]
    assert len(sessions) == 4
    latest = sessions[0]
    assert [(e["effect"], e["severity"], e["minutes_after_start"]) for e in latest["side_effects"]] == [
        ("nausea", "severe", 20)
    ]
    assert (latest["vitals"][0]["systolic"], latest["sedating_medication"], latest["notes"]) == (150, False, "Calm.")
    one = f"{where}/{latest['id']}"
    edit = fields_of(browser.get(one).text, one) | {"status": "stopped_early"}
    assert "is required when times or status change" in read(browser.post(one, **edit).text)
    assert browser.post(one, **(edit | {"reason": "she felt sick"})).status_code == 303
    assert browser.post(one, **(edit | {"reason": "again"})).status_code == 412
    assert "she felt sick" in browser.text(one)
    stands = api.get(f"/v1{one}").json()
    assert stands["side_effects"], "what the form does not show stays"
    edit = fields_of(browser.get(one).text, one)
    assert browser.post(one, **(edit | {"notes": "", "dose_mg": "44", "reason": "typed wrong"})).status_code == 303
    now = api.get(f"/v1{one}").json()
    assert (now["notes"], now["dose_mg"], now["dose_mg_per_kg"]) == (None, 44, 0.55)
    assert now["started_at"] == stands["started_at"]


def test_an_hour_that_a_change_of_clocks_makes_twice_or_never_is_refused(api: Api, browser: Browser) -> None:
    patient = api.patient()
    for moment in ("2025-11-02T01:30", "2026-03-08T02:30"):
        refused = browser.post(f"/patients/{patient}/sessions", started_at=moment)
        assert (refused.status_code, "makes twice or never" in read(refused.text)) == (422, True)


def test_a_refused_paper_form_raises_its_alert_and_shows_whom_to_call(api: Api, browser: Browser) -> None:
    contacts = [{"label": "Crisis line", "contact": "call or text 988"}]
    assert api.patch("/v1/clinic", {"crisis_contacts": contacts}, 1).status_code == 200
    patient = api.patient()
    where = f"/patients/{patient}/check-ins"
    answers = {f"phq-9.{item}": "1" for item in range(1, 9)} | {"phq-9.9": "3"}
    sent: dict[str, Any] = {"instrument": "phq-9", "taken_at": local(1), **answers, "phq-9.total": "27"}
    refused = browser.post(where, **sent)
    assert refused.status_code == 422
    assert "Nothing was recorded" in read(refused.text)
    assert 'href="tel:988"' in refused.text
    [alert] = api.get("/v1/alerts", params={"patient_id": patient}).json()["items"]
    assert (alert["kind"], alert["score_refused"], alert["state"]) == ("self_harm_item", True, "open")
    assert browser.post(where, **(sent | {"phq-9.total": "11"})).status_code == 303
    [alert] = api.get("/v1/alerts", params={"patient_id": patient}).json()["items"]
    assert alert["score_refused"] is False, "the accepted form has taken it over"
    for wrong in ({"phq-9.1": "x"}, {"phq-9.1": "9"}, {"taken_at": ""}, {"taken_at": "2025-11-02T01:30"},
                  {"instrument": ["phq-9", "nonsense"]}):  # fmt: skip
        other = api.patient()
        assert browser.post(f"/patients/{other}/check-ins", **(sent | wrong)).status_code == 422, wrong
        [raised] = api.get("/v1/alerts", params={"patient_id": other}).json()["items"]
        assert raised["score_refused"] is True, wrong
    assert "at least one answer" in read(browser.post(where, instrument="phq-9", taken_at=local(1)).text)
    assert browser.post(where, instrument="nonsense", taken_at=local(1)).status_code == 422


def test_a_check_in_is_amended_taken_out_and_taken_back_in(api: Api, browser: Browser) -> None:
    patient = api.patient()
    made = api.post(f"/v1/patients/{patient}/check-ins", {
        "taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": [1] * 8 + [0]},
                                               {"instrument": "nrs-pain", "score": 4}],
    }).json()  # fmt: skip
    where = f"/patients/{patient}/check-ins/{made['id']}"
    form = fields_of(browser.get(where).text, where)
    change = {"version": "1", "instrument": "phq-9", "taken_at": "", "reason": "keying error"}
    answers = {f"phq-9.{item}": "2" for item in range(1, 9)} | {"phq-9.9": "0"}
    assert form["version"] == "1"
    assert browser.post(where, **(change | answers | {"reason": ""})).status_code == 422
    assert browser.post(where, **change, **answers).status_code == 303
    assert browser.post(where, **change, **answers).status_code == 412
    assert browser.post(where, version="2", void="yes", reason="another patient's").status_code == 303
    assert "Take it back in" in browser.text(where)
    assert browser.post(where, version="3", void="no", reason="it was right").status_code == 303
    assert browser.post(where, version="x", void="no", reason="it was right").status_code == 422
    versions = api.get(f"/v1{where}/versions").json()["items"]
    assert [version["status"] for version in versions] == ["recorded", "recorded", "voided", "recorded"]
    assert [score["value"] for score in versions[1]["scores"]] == [16, 4]


def test_alerts_are_acknowledged_where_they_are_seen(api: Api, browser: Browser) -> None:
    patient = api.patient(label="A.B.")
    api.post(f"/v1/patients/{patient}/check-ins", {
        "taken_at": days_ago(0.1), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]})  # fmt: skip
    [alert] = api.get("/v1/alerts").json()["items"]
    assert "A.B." in browser.text("/alerts?state=open&assigned_to=")
    where = f"/alerts/{alert['id']}/acknowledgement"
    assert browser.post(where, disposition="forgotten").status_code == 422
    done = browser.post(where, disposition="contacted", note="Spoke.", next="https://elsewhere.example")
    assert done.headers["location"] == "/alerts"
    assert "A.B." not in browser.text("/alerts")
    assert "Spoke." in browser.text("/alerts?state=acknowledged")
    assert "Spoke." in browser.text(f"/patients/{patient}")


def test_events_plans_and_phones(api: Api, browser: Browser) -> None:
    patient = held(api)
    where = f"/patients/{patient}"
    day = clock.now().date().isoformat()
    assert browser.post(f"{where}/events", kind="tms", on=day, label="left side").status_code == 303
    assert browser.post(f"{where}/events", kind="tms", on="").status_code == 422
    assert "left side" in browser.text(where)
    plan = fields_of(browser.get(f"{where}/plan").text, f"{where}/plan")
    row = {"version": plan["version"], "after.0": "session", "offset.0": "3", "window.0": "2", "early.0": "1"}
    assert browser.post(f"{where}/plan", **row, **{"instruments.0": "nonsense"}).status_code == 422
    assert browser.post(f"{where}/plan", **(row | {"offset.0": "soon", "instruments.0": "gad-7"})).status_code == 422
    assert browser.post(f"{where}/plan", **row, **{"instruments.0": "gad-7, phq-9"}).status_code == 303
    found = api.get(f"/v1{where}/plan").json()
    assert (found["source"], found["items"][0]["instruments"], found["confirm"]) == (
        "patient",
        ["gad-7", "phq-9"],
        False,
    )
    assert browser.post(f"{where}/plan", version=str(found["version"]), source="clinic").status_code == 303
    assert api.get(f"/v1{where}/plan").json()["source"] == "default"
    shown = browser.post(f"{where}/enrolments")
    assert (shown.status_code, "<svg" in shown.text, "style=" in shown.text) == (200, True, False)
    code = re.findall(r'id="code">([^<]+)<', shown.text)[0]
    redeemed = api.server.post("/v1/enrolments/redeem", json={"code": code, "device_name": "phone"})
    assert redeemed.status_code == 200
    [device] = api.get(f"/v1{where}/devices").json()["items"]
    assert browser.post(f"{where}/devices/{device['id']}/revocation").status_code == 303
    assert api.get(f"/v1{where}/devices").json()["items"][0]["disabled_at"] is not None


def test_pages_for_paper_say_what_is_missing(api: Api, browser: Browser) -> None:
    patient = held(api)
    api.session(patient, days_ago(30))
    letter = browser.text(f"/patients/{patient}/letter")
    assert "4 infusions" in letter
    assert "Mood: relief is holding" in letter
    for said in (
        "No failed treatment is recorded.",
        "The number of failed antidepressant trials is not recorded.",
        "Pain: no score from the four weeks before the first infusion.",
        "Sessions without a dose: 1.",
    ):
        assert said in letter
    payer = browser.text(f"/patients/{patient}/authorisation")
    assert "20 (" in payer
    assert "75% better" in payer
    nobody = browser.text(f"/patients/{api.patient()}/authorisation")
    assert "No session is recorded." in nobody
    assert "No indication is recorded." in nobody


def test_the_cohort_page_says_how_long_relief_lasts(api: Api, browser: Browser) -> None:
    held(api)
    said = browser.text("/cohorts?instrument=phq-9&group_by=indication&endpoint=loss&boosters=censor")
    assert "small group" in said
    assert "too few followed" in said
    assert "How long relief lasts" in browser.text("/cohorts?instrument=nonsense&group_by=nonsense")


def test_a_record_that_was_merged_leads_to_the_one_in_which_it_goes_on(api: Api, browser: Browser) -> None:
    one, two = api.patient(), api.patient()
    assert api.post(f"/v1/patients/{one}/merge", {"into": two, "reason": "twice"}).status_code == 201
    assert browser.get(f"/patients/{one}").headers["location"] == f"/patients/{two}"


def test_what_is_not_there_and_what_is_not_theirs_look_the_same(api: Api, browser: Browser) -> None:
    other = new_clinic(api.server).patient()
    for patient in (other, str(uuid4())):
        answer = browser.get(f"/patients/{patient}")
        assert (answer.status_code, "Not found" in read(answer.text)) == (404, True)
    assert browser.get("/patients/nobody").status_code == 422
    clinician = Browser(new_person(api.server, api.clinic_id, "clinician"))
    denied = clinician.get("/admin")
    assert (denied.status_code, "Not permitted" in read(denied.text)) == (403, True)
    assert "Administration" not in clinician.text("/")


def test_settings_of_the_clinic(api: Api, browser: Browser) -> None:
    form = fields_of(browser.get("/admin").text, "/admin/clinic")
    change = form | {
        "alert_recipients": "a@example.org, b@example.org", "crisis_contacts": "Crisis line: 988\nnonsense\n: x",
        "patient_view": "scores", "second_factor": "optional", "smallest_group": "12",
    }  # fmt: skip
    refused = browser.post("/admin/clinic", **(change | {"alert_recipients": "nobody"}))
    assert refused.status_code == 422
    whole = change | {"crisis_contacts": "Crisis line: 988"}
    assert browser.post("/admin/clinic", **whole).status_code == 303
    found = api.get("/v1/clinic").json()
    assert found["alert_recipients"] == ["a@example.org", "b@example.org"]
    assert (found["crisis_contacts"], found["smallest_group"]) == ([{"label": "Crisis line", "contact": "988"}], 12)
    assert browser.post("/admin/clinic", **whole).status_code == 412
    assert browser.post("/admin/mail-test").headers["location"] == "/admin?mail=none"
    assert "the service has no mail server" in browser.text("/admin?mail=none")


def test_people_and_integrations_with_secrets_shown_once(api: Api, browser: Browser) -> None:
    made = browser.post("/admin/people", email="kim@example.org", role="clinician")
    assert 'id="secret"' in made.text
    assert browser.post("/admin/people", email="kim@example.org", role="clinician").status_code == 409
    [kim] = [user for user in api.get("/v1/users").json()["items"] if user["email"] == "kim@example.org"]
    where = f"/admin/people/{kim['id']}"
    assert browser.post(where, version="1", role="admin").status_code == 303
    assert browser.post(where, version="1", role="admin", disabled="yes").status_code == 412
    assert browser.post(f"{where}/password-reset").status_code == 200
    assert browser.post(f"{where}/second-factor-removal").status_code == 303
    assert browser.post("/admin/integrations", name="EHR").status_code == 422
    assert 'id="secret"' in browser.post("/admin/integrations", name="EHR", scope="patients:read").text
    [client] = api.get("/v1/clients").json()["items"]
    where = f"/admin/integrations/{client['id']}"
    assert browser.post(where, version="1", disabled="yes").status_code == 303
    assert 'id="secret"' in browser.post(f"{where}/secrets").text
    assert "EHR" in browser.text("/admin/integrations")


def test_the_clinics_plan_webhooks_and_the_audit_log(api: Api, browser: Browser) -> None:
    row = {"version": "1", "after.0": "course", "offset.0": "30", "window.0": "5", "early.0": "1",
           "instruments.0": "phq-9", "confirm": "yes"}  # fmt: skip
    assert browser.post("/admin/plan", **row).status_code == 303
    assert browser.post("/admin/plan", **row).status_code == 412
    assert api.get("/v1/clinic/plan").json()["items"][0]["offset"] == "P30D"
    assert browser.post("/admin/webhooks", url="http://10.0.0.1/", events="alert.raised").status_code == 422
    made = browser.post("/admin/webhooks", url="https://ehr.example.org/in", events="alert.raised")
    assert 'id="secret"' in made.text
    [hook] = api.get("/v1/webhooks").json()["items"]
    where = f"/admin/webhooks/{hook['id']}"
    assert browser.post(f"{where}/test").status_code == 303
    [delivery] = api.get(f"/v1/webhooks/{hook['id']}/deliveries").json()["items"]
    assert "Deliver again" in browser.text(where)
    assert browser.post(f"{where}/deliveries/{delivery['id']}/replay").status_code == 303
    patient = api.patient()
    said = browser.text(f"/admin/audit?patient_id={patient}&actor=")
    assert "create_patient" in said
    assert "Nothing." in browser.text(f"/admin/audit?patient_id={patient}&actor={uuid4()}")
    assert browser.post(f"{where}/removal").status_code == 303


def test_an_import_by_a_form(api: Api, browser: Browser, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")

    def sent(lines: str, **fields: str) -> str:
        content = f"external_id,taken_at,instrument,score\n{lines}".encode()
        answer = browser.request("POST", "/admin/imports", files={"file": ("a.csv", content)}, data=fields)
        assert answer.status_code == 303, answer.text
        found: str = answer.headers["location"]
        return found

    where = sent("MRN-1,2026-01-05T10:00:00Z,nrs-pain,11\n")
    assert "This page renews itself." in browser.text(where)
    carried(api, database, {"id": where.rpartition("/")[2]})
    said = browser.text(where)
    assert "must be" in said
    assert "11" not in said.partition("Rule")[2]
    where = sent("MRN-1,2026-01-05T10:00:00Z,nrs-pain,5\n", dry_run="")
    carried(api, database, {"id": where.rpartition("/")[2]})
    assert len(api.get(f"/v1/patients/{patient}/check-ins").json()["items"]) == 1
    assert browser.post(f"{where}/end").status_code == 303
    carried(api, database, {"id": where.rpartition("/")[2]})
    assert [c["status"] for c in api.get(f"/v1/patients/{patient}/check-ins").json()["items"]] == ["voided"]
    assert browser.post("/admin/imports").status_code == 422
    empty = browser.request("POST", "/admin/imports", files={"file": ("a.csv", b"")})
    assert (empty.status_code, "must hold a file" in read(empty.text)) == (422, True)
    wrong = browser.request("POST", "/admin/imports", files={"file": ("a.csv", b"x")}, data={"mapping": "none such"})
    assert wrong.status_code in (404, 422)
    assert len(re.findall(r'/admin/imports/[0-9a-f-]{36}"', browser.get("/admin/imports").text)) == 2


def test_every_page_has_a_policy_that_lets_nothing_in(api: Api, browser: Browser) -> None:
    for path in ("/", "/sign-in", "/patients/nobody", "/check-in/enrol", "/admin"):
        policy = browser.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert browser.get(path).headers["cache-control"] == "no-store"


def test_files_of_pages_are_kept_for_good_and_small(api: Api, browser: Browser) -> None:
    page = browser.get("/").text
    addresses = re.findall(r'"(/static/[^"]+)"', page)
    assert len(addresses) >= 3
    for address in addresses:
        answer = browser.get(address, headers={"Accept-Encoding": "gzip"})
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    old = browser.get("/static/000000000000/style.css", headers={"Accept-Encoding": "identity"})
    assert (old.headers["cache-control"], "content-encoding" in old.headers) == ("no-cache", False)
    assert browser.get("/static/1/nothing.css").status_code == 404
    drawing = browser.get("/static/1/drawing.js")
    assert drawing.headers["content-type"].startswith("text/javascript")
    assert "as default" in drawing.text
    own = sum(len(browser.get(f"/static/1/{name}").content) for name in
              ("console.js", "chart.js", "check-in.js", "enrol.js", "worker.js"))  # fmt: skip
    assert own < 22 * 1024, "docs/pages.md says how much it is"


def test_a_rule_is_told_by_the_words_of_the_form(api: Api, browser: Browser) -> None:
    patient = api.patient()
    where = f"/patients/{patient}/check-ins"
    answers = {f"phq-9.{item}": "1" for item in range(1, 10)}
    sent: dict[str, Any] = {"instrument": "phq-9", "taken_at": local(1), **answers}
    assert "Item 3: must be from 0 to 3" in read(browser.post(where, **(sent | {"phq-9.3": "7"})).text)
    assert "Item 4: must be a whole number" in read(browser.post(where, **(sent | {"phq-9.4": "x"})).text)
    assert "Filled in at:" in read(browser.post(where, **(sent | {"taken_at": ""})).text)


def test_who_is_signed_out_while_typing_loses_nothing(api: Api) -> None:
    gone = Browser(Api(api.server, "expired", api.clinic_id, api.caller_id))
    answer = gone.post(f"/patients/{uuid4()}/check-ins", instrument="phq-9")
    assert (answer.status_code, "What you typed is still there" in read(answer.text)) == (401, True)


def test_after_somebody_elses_change_what_was_typed_can_be_saved_again(api: Api, browser: Browser) -> None:
    patient = api.patient(external_id="MRN-5", label="A.")
    where = f"/patients/{patient}/edit"
    first, second = (fields_of(browser.get(where).text, where) for _ in range(2))
    assert browser.post(where, **(first | {"label": "B."})).status_code == 303
    stale = browser.post(where, **(second | {"label": "C."}))
    assert (stale.status_code, "Somebody else has changed it" in read(stale.text)) == (412, True)
    again = fields_of(stale.text, where)
    assert again["label"] == "C."
    assert browser.post(where, **again).status_code == 303
    assert api.get(f"/v1/patients/{patient}").json()["label"] == "C."


def test_the_wording_is_loaded_by_a_form(api: Api, browser: Browser) -> None:
    def sent(content: bytes, **fields: str) -> Any:
        return browser.request("POST", "/admin/wording", files={"file": ("q.json", content)}, data=fields)

    whole = json.dumps(questionnaire("phq-9")).encode()
    assert sent(whole, instrument="phq-9", language="en").status_code == 303
    assert "PHQ-9" in browser.text("/admin/wording").partition("What is loaded")[2]
    for content, fields in ((b"{", {"instrument": "phq-9", "language": "en"}), (b"", {}),
                            (whole, {"instrument": "gad-7", "language": "en"})):  # fmt: skip
        assert sent(content, **fields).status_code == 422
    assert browser.post("/admin/wording/phq-9/en/removal").status_code == 303
    assert api.get("/v1/clinic/wording").json()["items"] == []


def test_a_test_mail_reaches_every_recipient_or_the_page_says_so(
    api: Api, browser: Browser, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    assert api.patch("/v1/clinic", {"alert_recipients": ["a@example.org", "b@example.org"]}, 1).status_code == 200
    app = app_of(api.server)
    before = MAIL.in_app(app)
    try:
        for server, told in (
            (Mail(url, "http://x"), "sent"),
            (Mail(f"smtp://127.0.0.1:{free_port()}", "http://x"), "failed"),
        ):
            MAIL.put(app, server)
            assert browser.post("/admin/mail-test").headers["location"] == f"/admin?mail={told}"
    finally:
        MAIL.put(app, before)
    assert box.told == ["a@example.org", "b@example.org"]
    assert "A test mail was sent" in browser.text("/admin?mail=sent")
    assert "No test mail was sent to everybody" in browser.text("/admin?mail=failed")


def test_paper_says_how_old_the_latest_score_is(api: Api, browser: Browser) -> None:
    patient = api.patient(indications=["ptsd"], failed_treatments=["antidepressant"], failed_antidepressant_trials=3)
    api.check_in(patient, days_ago(60), "phq-9", 20)
    api.check_in(patient, days_ago(60), "gad-7", 15)
    for day in (59, 50):
        api.session(patient, days_ago(day), dose_mg=40.0)
    api.check_in(patient, days_ago(30), "phq-9", 6)
    said = browser.text(f"/patients/{patient}/authorisation")
    assert "Mood: the latest score (PHQ-9) is 30 days old." in said
    assert "Anxiety: no score since the latest infusion that counts (GAD-7)." in said
    assert "Failed: Antidepressant (3 trials)" in said
    assert "No indication is recorded." not in said


def test_the_place_of_a_rule_is_told_in_words() -> None:
    for pointer, told in (
        ("/responses/0/answers/8", "Item 9"), ("/phq-9.3", "PHQ-9, Item 3"), ("/external_id", "Number in your system"),
        ("phq-9.total", "PHQ-9, Total"), ("nrs-pain.total", "Pain 0-10"), ("/offset.0", "Days later, row 1"),
        ("/side_effects/0/minutes_after_start", "Side effects, 1, minutes after start"), ("", ""),
    ):  # fmt: skip
        assert places.place(str, pointer) == told, pointer


def test_a_refused_paper_form_names_instrument_and_item(api: Api, browser: Browser) -> None:
    patient = api.patient()
    fields = {"instrument": ["phq-9", "gad-7"], "taken_at": local(1), "gad-7.2": "9", "phq-9.1": "1"}
    refused = browser.post(f"/patients/{patient}/check-ins", **fields)
    assert "GAD-7, Item 2: must be from 0 to 3" in read(refused.text)
    beside = {"instrument": "gad-7", "taken_at": local(1), "gad-7.1": "1", "gad-7.total": "5"}
    refused = browser.post(f"/patients/{patient}/check-ins", **beside)
    assert refused.status_code == 422, "a total beside blank items would be left out without a word"
    assert "GAD-7, Total: must stand alone, or beside all items" in read(refused.text)
    harm = {"instrument": "phq-9", "taken_at": local(1), "phq-9.9": "1", "phq-9.total": "5"}
    assert browser.post(f"/patients/{patient}/check-ins", **harm).status_code == 422
    assert len(api.get("/v1/alerts", params={"patient_id": patient}).json()["items"]) == 1, "it is heard all the same"


def test_a_side_effect_without_its_name_is_not_dropped(api: Api, browser: Browser) -> None:
    patient = api.patient()
    for more in ({"severity.1": "severe"}, {"minutes.1": "20"}):
        fields = {"started_at": local(1), "effect.0": "nausea", **more}
        refused = browser.post(f"/patients/{patient}/sessions", **fields)
        assert refused.status_code == 422
        assert "must name the effect" in read(refused.text)
    fields = {"started_at": local(1), "effect.0": "nausea", "severity.1": "mild"}
    assert browser.post(f"/patients/{patient}/sessions", **fields).status_code == 303


def test_a_refused_correction_repeats_no_alarm_that_was_told(api: Api, browser: Browser) -> None:
    patient = api.patient()
    answers = {"taken_at": days_ago(3), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}]}
    check_in = api.post(f"/v1/patients/{patient}/check-ins", answers).json()
    [alert] = check_in["alerts"]
    told = {"disposition": "contacted", "note": ""}
    assert api.post(f"/v1/alerts/{alert['id']}/acknowledgement", told).is_success

    def corrected(harm: int) -> int:
        given = {f"phq-9.{number}": "0" for number in range(2, 9)}
        page = browser.post(
            f"/patients/{patient}/check-ins/{check_in['id']}", version="1", instrument="phq-9", reason="typed wrong",
            **{**given, "phq-9.1": "9", "phq-9.9": str(harm)},
        )  # fmt: skip
        assert page.status_code == 422
        assert "your local emergency number" in page.text
        return len(api.get("/v1/alerts", params={"patient_id": patient, "state": "open"}).json()["items"])

    assert corrected(1) == 0, "it was told, and somebody has dealt with it"
    assert corrected(2) == 1, "more than was told is news"


def test_a_refused_acknowledgement_keeps_its_note(api: Api, browser: Browser) -> None:
    patient = api.patient(label="A.B.")
    answers = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}]}
    [alert] = api.post(f"/v1/patients/{patient}/check-ins", answers).json()["alerts"]
    path = f"/alerts/{alert['id']}/acknowledgement"
    page = browser.post(path, disposition="", note="called twice", next=f"/patients/{patient}")
    assert page.status_code == 422
    assert "called twice</textarea>" in page.text
    assert "What was done: must be chosen" in read(page.text)
    again = fields_of(page.text, path)
    done = browser.post(path, **{**again, "disposition": "contacted", "note": "called twice"})
    assert (done.status_code, done.headers["location"]) == (303, f"/patients/{patient}")
    assert browser.post(f"/alerts/{uuid4()}/acknowledgement", disposition="contacted", next="/").status_code == 404


def test_the_language_cannot_be_changed_where_it_would_lose_what_was_typed(api: Api, browser: Browser) -> None:
    assert 'action="/language"' in browser.get("/patients/new").text
    refused = browser.post("/patients", external_id="", label="typed")
    assert refused.status_code == 422
    assert 'action="/language"' not in refused.text


def test_what_a_form_does_not_change_keeps_its_seconds(api: Api, browser: Browser) -> None:
    patient = api.patient()
    at = "2026-01-05T10:00:30.250000Z"
    session = api.session(patient, at, notes="a")
    where = f"/patients/{patient}/sessions/{session['id']}"
    form = fields_of(browser.get(where).text, where) | {"notes": "b"}
    assert browser.post(where, **form).status_code == 303, "no reason is asked for: no time has changed"
    assert api.get(f"/v1{where}").json()["started_at"] == at
    check_in = api.check_in(patient, at, "nrs-pain", 4)
    where = f"/patients/{patient}/check-ins/{check_in['id']}"
    form = fields_of(browser.get(where).text, where)
    form.pop("void")  # of the other form there
    form |= {"nrs-pain.total": "5", "instrument": "nrs-pain", "reason": "x"}
    assert browser.post(where, **form).status_code == 303
    stands = api.get(f"/v1{where}").json()
    assert (stands["taken_at"], stands["scores"][0]["value"]) == (check_in["taken_at"], 5)


def test_a_refused_form_leaves_no_doing_of_its_own_name(api: Api, browser: Browser) -> None:
    patient = api.patient()
    refused = {"X-Request-Id": "refused-1"}
    answer = browser.request("POST", f"/patients/{patient}/sessions", data={"started_at": "soon"}, headers=refused)
    assert answer.status_code == 422
    found = [one for one in api.get("/v1/audit-events").json()["items"] if one["request_id"] == "refused-1"]
    assert {(one["operation"], one["outcome"]) for one in found} == {
        ("record_session", "refused"), ("show_refused_form", "done"),
    }  # fmt: skip


def test_colleagues_are_named_to_whom_the_api_names_them(api: Api, browser: Browser) -> None:
    email = next(user["email"] for user in api.get("/v1/users").json()["items"])
    patient = api.patient()
    clinician = Browser(new_person(api.server, api.clinic_id, "clinician"))
    for path in (f"/patients/{patient}/history", f"/patients/{patient}/edit"):
        assert email in browser.get(path).text
        assert email not in clinician.get(path).text


def test_an_address_at_which_nothing_stands_is_a_page_for_a_browser_alone(api: Api, browser: Browser) -> None:
    html = {"Accept": "text/html,application/xhtml+xml"}
    answer = browser.get("/nowhere", headers=html)
    assert (answer.status_code, "Not found" in read(answer.text)) == (404, True)
    for path, headers in (("/v1/nowhere", html), ("/nowhere", {})):
        assert browser.get(path, headers=headers).headers["content-type"] == "application/problem+json"


def test_a_field_that_is_wrong_says_so_to_a_screen_reader(api: Api, browser: Browser) -> None:
    page = browser.post("/patients", external_id="", label="typed", birth_year="1700").text
    field = re.search(r'<input id="birth_year"[^>]*>', page)
    assert field is not None
    assert 'aria-invalid="true"' in field[0]
    assert "faults" in field[0]
    assert 'id="faults"' in page
    right = re.search(r'<input id="label"[^>]*>', page)
    assert right is not None
    assert "aria-invalid" not in right[0]
