"""What people do with the pages, in a real browser, against a real service."""

import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Playwright, Route

from app import clock
from app.migrating import upgrade
from tests.conftest import days_ago, fresh_settings
from tests.web.browser import DESK, PHONE, Clinic, Service, launched, pages_of, playing, signed_in

_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")


@pytest.fixture(scope="module")
def play() -> Iterator[Playwright]:
    with playing() as found:
        yield found


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = fresh_settings("sqlite", request, tmp_path_factory.mktemp("pages"))
    upgrade(settings)
    found = Service(settings)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def clinic(service: Service) -> Iterator[Clinic]:
    """A clinic with two patients: one who is well, and one whose self-harm item is answered."""
    found = Clinic(service)
    for number, label, scores in (("MRN-1", "Well", (20, 18, 8, 7)), ("MRN-2", "Not well", (20, 19, 18, 19))):
        patient = found.made("/v1/patients", {
            "external_id": number, "label": label, "birth_year": 1980, "indications": ["major_depressive_disorder"],
        })["id"]  # fmt: skip
        setattr(found, label.lower().replace(" ", "_"), patient)
        for day, score in zip((40, 35, 20, 3), scores, strict=True):
            if day == 35:
                for back in (39, 36, 33):
                    session = {"started_at": days_ago(back), "dose_mg": 40, "weight_kg": 80}
                    found.made(f"/v1/patients/{patient}/sessions", session)
            answers = [score // 9 + (1 if item < score % 9 else 0) for item in range(9)]
            answers[8], missing = (0, answers[8]) if label == "Well" else (2, 0)
            answers[0] = min(3, answers[0] + missing)
            found.made(f"/v1/patients/{patient}/check-ins", {
                "taken_at": days_ago(day), "responses": [{"instrument": "phq-9", "answers": answers}],
            })  # fmt: skip
    yield found
    found.api.close()


def test_a_clinicians_morning(play: Playwright, clinic: Clinic, tmp_path: Path) -> None:
    """Sign in, worst first, read, acknowledge, record, print."""
    context = launched(play, **DESK)
    watched = signed_in(context, clinic.service.address)
    page = watched.page
    first = page.locator("[data-rows] tbody tr").first
    assert "Not well" in first.inner_text()
    assert "Urgent: Self-harm item answered" in first.inner_text()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("figure[data-drawn] svg", state="attached")
    assert page.locator("h1").inner_text().startswith("Not well")
    assert "there is no response" in page.locator(".answer").first.inner_text()
    told = page.locator(".alert", has_text="Self-harm item").count()
    for _ in range(told):
        alert = page.locator("section[aria-labelledby=open-alerts] .alert").first
        alert.get_by_text("Say what was done").click()
        alert.get_by_label("What was done").select_option("contacted")
        alert.get_by_label("Note").fill("Spoke by phone.")
        alert.get_by_role("button", name="Acknowledge").click()
        page.wait_for_load_state()
    assert page.locator("section[aria-labelledby=open-alerts]").count() == 0
    page.get_by_role("link", name="Record a session").click()
    assert page.get_by_label("Dose in mg", exact=True).input_value() == "40.0"
    page.get_by_label("Effect 1").select_option("dizziness")
    page.get_by_role("button", name="Record").click()
    page.wait_for_url("**/patients/*?done=recorded#sessions")
    assert "Dizziness" in page.locator("table", has_text="Sessions and what each did").inner_text()
    for name in ("Letter", "Authorisation"):
        page.goto(f"{clinic.service.address}/patients/{clinic.not_well}")  # type: ignore[attr-defined]
        page.get_by_role("link", name=name).click()
        page.wait_for_load_state("networkidle")
        assert "MRN-2" in page.locator("main").inner_text()
        for paper in ("A4", "Letter"):
            assert pages_of(page.pdf(format=paper)) == 1, (name, paper)
    page.get_by_role("button", name="Sign out").click()
    page.go_back()
    page.reload()
    assert "/sign-in" in page.url, "what was seen is not to be seen again"
    assert watched.faults == []
    context.close()


def test_the_nurses_paper_entry(play: Playwright, clinic: Clinic) -> None:
    """Item by item without the mouse; the total is checked as it is typed; nothing typed is lost by a refusal."""
    context = launched(play, **DESK)
    watched = signed_in(context, clinic.service.address)
    page, patient = watched.page, clinic.well  # type: ignore[attr-defined]
    page.goto(f"{clinic.service.address}/patients/{patient}/check-ins/new?instrument=phq-9&instrument=nrs-pain")
    page.get_by_label("1. interest").focus()
    page.keyboard.type("121101100")
    assert "Total: 7" in page.locator("[data-total]").first.inner_text()
    page.keyboard.type("8")
    assert "Look again" in page.locator("[data-total]").first.inner_text()
    page.get_by_role("button", name="Record").click()
    assert "Nothing was recorded" in page.locator("#faults").inner_text()
    assert page.get_by_label("2. low mood").input_value() == "2"
    page.get_by_label("Total on the paper").fill("7")
    page.get_by_label("Score").fill("4")
    page.get_by_role("button", name="Record").click()
    page.wait_for_url(f"**/patients/{patient}?done=recorded")
    [latest, *_] = clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    found = {score["instrument"]: (score["value"], score["answers"]) for score in latest["scores"]}
    assert found == {"phq-9": (7, [1, 2, 1, 1, 0, 1, 1, 0, 0]), "nrs-pain": (4, None)}
    assert watched.faults == []
    context.close()


def test_the_patients_story(play: Playwright, clinic: Clinic, tmp_path: Path) -> None:
    """Enrolled by the link. The network is cut in the middle, the phone is restarted, the service is killed during the
    send: one check-in, and none lost."""
    service = clinic.service
    patient = clinic.made("/v1/patients", {"external_id": "MRN-3"})["id"]
    link = clinic.made(f"/v1/patients/{patient}/enrolments", {})["link"]
    page = _phone(play, tmp_path)
    page.goto(f"{service.address}/check-in#{link.split('#')[1]}")
    page.get_by_role("button", name="Add this phone").click()
    page.wait_for_selector("#check-in [data-question]:not([hidden])")
    page.wait_for_timeout(1_500)  # the worker keeps the page
    page.context.set_offline(True)
    asked = page.locator("[data-question]").count()
    sliders = page.locator("[data-slider]")
    assert sliders.count() == 1
    assert sliders.first.locator("output").inner_text() == "–", "no value until it is touched"
    sliders.first.locator("input[type=range]").fill("7")
    page.get_by_role("button", name="Next").click()
    page.locator("[data-question]:not([hidden]) label").nth(1).click()
    page.wait_for_timeout(600)
    page.context.close()  # the phone is restarted, without a network
    service.stop()
    page = _phone(play, tmp_path)
    page.goto(f"{service.address}/check-in")
    page.wait_for_selector("#check-in [data-question]:not([hidden])")
    page.wait_for_timeout(300)
    assert f"Question 3 of {asked}" in page.locator("p[data-place]").inner_text(), "what was answered is still there"
    while page.get_by_role("button", name="Next").is_visible():
        question = page.locator("[data-question]:not([hidden])")
        harm = question.get_attribute("data-harm") is not None
        question.locator("label").nth(1 if harm else 0).click()
        if harm:
            assert page.locator(".at-once").first.is_visible(), "whom to call, at once and without a network"
            page.get_by_role("button", name="Next").click()
        page.wait_for_timeout(300)
    page.locator("[data-question]:not([hidden]) label").first.click()
    page.get_by_role("button", name="Send").click()
    page.wait_for_selector("#state:not([hidden])")
    assert "Saved on this phone" in page.locator("#state").inner_text()
    page.context.close()
    service.start()
    page = _phone(play, tmp_path)

    def cut(route: Route) -> None:
        """The service has it, and is killed before its answer arrives."""
        route.fetch()
        service.stop(signal.SIGKILL)
        route.abort()

    page.route("**/check-ins", cut, times=1)
    page.goto(f"{service.address}/check-in")
    page.locator("#state", has_text="Saved on this phone").wait_for(timeout=20_000)
    service.start()
    page.reload()
    page.locator("#state", has_text="Received by your clinic").wait_for(timeout=20_000)
    items = clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    assert len(items) == 1
    [check_in] = items
    by_code = {score["instrument"]: score for score in check_in["scores"]}
    assert by_code["nrs-pain"]["value"] == 7
    assert by_code["phq-9"]["self_harm_item"] == 1
    assert [alert["kind"] for alert in check_in["alerts"]] == ["self_harm_item"]
    page.context.close()


def test_three_scales_about_now_in_one_view_say_nothing_until_they_are_touched(
    play: Playwright, clinic: Clinic, tmp_path: Path
) -> None:
    """With scripts they are sliders; without them a form that does the same."""
    service, patient = clinic.service, clinic.made("/v1/patients", {"external_id": "MRN-4"})["id"]
    clinic.made(f"/v1/patients/{patient}/sessions", {"started_at": days_ago(1.1)})
    for scripts in (True, False):
        link = clinic.made(f"/v1/patients/{patient}/enrolments", {})["link"]
        context = launched(play, java_script_enabled=scripts, **PHONE)
        page = context.new_page()
        page.goto(f"{service.address}/check-in/enrol")
        page.get_by_label("Code").fill(link.split("#")[1])
        page.get_by_role("button", name="Add this phone").click()
        page.wait_for_url("**/check-in")
        assert page.locator("[data-slider]").count() == (3 if scripts else 2), "what was answered is not asked again"
        if scripts:
            assert page.locator("[data-slider] output").all_inner_texts() == ["–", "–", "–"]
            page.locator("[data-slider] input[type=range]").nth(0).fill("6")
            page.wait_for_timeout(300)
            page.get_by_role("button", name="Send").click()
            page.locator("#state", has_text="Received by your clinic").wait_for()
        else:
            page.locator("select").nth(1).select_option("2")
            page.get_by_role("button", name="Send").click()
            assert "Received by your clinic" in page.locator("main").inner_text()
        context.close()
    items = clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    found = [[(score["instrument"], score["value"]) for score in item["scores"]] for item in items]
    assert sorted(found) == [[("nrs-mood", 6)], [("nrs-pain", 2)]]


def test_a_phone_that_changes_hands_mixes_nobody_up(play: Playwright, clinic: Clinic, tmp_path: Path) -> None:
    """What one patient has begun, or not yet sent, is neither shown to the next one nor sent as theirs, and keeps
    nothing of theirs back. Whom to call is shown when the clinic has the answers, too."""
    one, two = (clinic.made("/v1/patients", {"external_id": number})["id"] for number in ("MRN-5", "MRN-6"))
    page = _phone(play, tmp_path)
    _enrolled(page, clinic, one)
    page.context.set_offline(True)
    _answered(page, 1)
    page.get_by_role("button", name="Send").click()
    page.locator("#state", has_text="Saved on this phone").wait_for()
    page.reload()
    page.locator("#state", has_text="Saved on this phone").wait_for(timeout=20_000)
    assert not page.locator("#check-in").is_visible(), "what waits is not asked once more"
    page.context.clear_cookies()
    page.context.set_offline(False)
    _enrolled(page, clinic, two)
    assert "Question 1 of" in page.locator("p[data-place]").inner_text()
    assert page.locator("#check-in input:checked").count() == 0
    _answered(page, 2)
    page.get_by_role("button", name="Send").click()
    page.locator("#state", has_text="Received by your clinic").wait_for(timeout=20_000)
    assert page.locator(".help").get_attribute("open") is not None
    page.reload()
    page.wait_for_timeout(500)
    assert not page.locator("#check-in").is_visible(), "what was received is not asked once more"
    page.context.clear_cookies()
    _enrolled(page, clinic, one)
    page.locator("#state", has_text="Received by your clinic").wait_for(timeout=20_000)
    for patient, harm in ((one, 1), (two, 2)):
        [check_in] = clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
        [phq] = [score for score in check_in["scores"] if score["instrument"] == "phq-9"]
        assert phq["self_harm_item"] == harm
    page.context.close()


def test_what_is_no_receipt_and_what_is_refused_keeps_the_answers(
    play: Playwright, clinic: Clinic, tmp_path: Path
) -> None:
    """The page of somebody in between, as a proxy that wants a sign-in, is no receipt; two taps are one check-in; what
    the clinic refuses stays on the phone, is said, and is not sent again."""
    patient = clinic.made("/v1/patients", {"external_id": "MRN-7"})["id"]
    page = _phone(play, tmp_path)
    _enrolled(page, clinic, patient)
    sent = list[str]()
    page.on("request", lambda request: sent.append(request.url) if request.url.endswith("/check-ins") else None)
    page.route("**/check-ins", lambda route: route.fulfill(content_type="text/html", body="<h1>Sign in</h1>"), times=1)
    _answered(page, 0)
    page.get_by_role("button", name="Send").dblclick(no_wait_after=True)
    page.locator("#state", has_text="Saved on this phone").wait_for(timeout=20_000)
    assert clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"] == []
    page.reload()
    page.locator("#state", has_text="Received by your clinic").wait_for(timeout=20_000)
    assert len(clinic.api.get(f"/v1/patients/{patient}/check-ins").json()["items"]) == 1
    other = clinic.made("/v1/patients", {"external_id": "MRN-8"})["id"]
    page.context.clear_cookies()
    _enrolled(page, clinic, other)
    refusal = {"code": "invalid", "notice": None}
    page.route("**/check-ins", lambda route: route.fulfill(status=422, json=refusal), times=1)
    _answered(page, 0)
    page.get_by_role("button", name="Send").click()
    page.locator("#state", has_text="did not accept").wait_for(timeout=20_000)
    count = len(sent)
    page.reload()
    page.locator("#state", has_text="did not accept").wait_for(timeout=20_000)
    assert page.locator("#check-in").is_visible(), "what was refused is still asked"
    assert len(sent) == count, "and not sent again"
    page.context.close()


# A machine without a network has no push service, so the browser is told of one. All else is the browser's own.
_A_PUSH_SERVICE = """
  const key = await crypto.subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, true, ['deriveBits']);
  const text = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const p256dh = text(await crypto.subtle.exportKey('raw', key.publicKey));
  const auth = text(crypto.getRandomValues(new Uint8Array(16)));
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    if (!applicationServerKey) throw new Error('no key');
    return { toJSON: () => ({ endpoint: 'https://push.example.org/1', expirationTime: null, keys: { p256dh, auth } }) };
  };
"""


def test_reminders_are_turned_on_by_a_tap_shown_and_turned_off(
    play: Playwright, clinic: Clinic, tmp_path: Path
) -> None:
    patient = clinic.made("/v1/patients", {"external_id": "MRN-PUSH"})["id"]
    page = _phone(play, tmp_path)
    address = clinic.service.address
    page.context.grant_permissions(["notifications"], origin=address)
    _enrolled(page, clinic, patient)
    page.goto(f"{address}/check-in/reminders")
    assert page.get_by_text("add this page to the home screen").count() == 0, "this browser can"
    page.evaluate("void (PushManager.prototype.subscribe = () => Promise.reject(new DOMException('none')))")
    page.get_by_role("button", name="Turn on").click()
    page.get_by_text("Reminders could not be turned on").wait_for()
    page.evaluate(f"(async () => {{ {_A_PUSH_SERVICE} }})()")
    page.get_by_role("button", name="Turn on").click()
    page.get_by_text("Reminders are on for this phone").wait_for()
    asked = page.context.new_cdp_session(page)
    found: list[str] = []
    asked.on("ServiceWorker.workerRegistrationUpdated", lambda told: found.extend(
        one["registrationId"] for one in told["registrations"] if one["scopeURL"].startswith(address)
    ))  # fmt: skip
    asked.send("ServiceWorker.enable")
    page.wait_for_timeout(500)
    message = {"web_push": 8030, "notification": {"title": "Check-in", "lang": "en", "tag": "check-in"}}
    for _ in range(2):
        told = {"origin": address, "registrationId": found[-1], "data": json.dumps(message)}
        asked.send("ServiceWorker.deliverPushMessage", told)
    page.wait_for_timeout(500)
    shown = page.evaluate(
        "navigator.serviceWorker.ready.then((held) => held.getNotifications())"
        ".then((all) => all.map(({ title, tag, lang, body }) => ({ title, tag, lang, body })))"
    )
    assert shown == [{"title": "Check-in", "tag": "check-in", "lang": "en", "body": ""}], "one, however often it comes"
    page.get_by_role("button", name="Turn off").click()
    page.get_by_role("button", name="Turn on").wait_for()
    page.context.close()


def _enrolled(page: Page, clinic: Clinic, patient: str) -> None:
    link = clinic.made(f"/v1/patients/{patient}/enrolments", {})["link"]
    page.goto(f"{clinic.service.address}/check-in/enrol")
    page.get_by_label("Code").fill(link.split("#")[1])
    page.get_by_role("button", name="Add this phone").click()
    page.wait_for_url("**/check-in")
    page.wait_for_timeout(1_500)  # the worker keeps the page


def _answered(page: Page, harm: int) -> None:
    """Answers the scale, and each question by a tap; the one about self-harm with a number."""
    page.locator("[data-slider] input[type=range]").first.fill("3")
    page.get_by_role("button", name="Next").click()
    while True:
        question = page.locator("[data-question]:not([hidden])")
        alarming = question.get_attribute("data-harm") is not None
        question.locator("label").nth(harm if alarming else 0).click()
        page.wait_for_timeout(300)
        if alarming:
            page.get_by_role("button", name="Next").click()
        if page.get_by_role("button", name="Send").is_visible():
            page.locator("[data-question]:not([hidden]) label").first.click()
            return


def _phone(play: Playwright, folder: Path) -> Page:
    context = launched(play, folder / "profile", **PHONE)
    return context.pages[0] if context.pages else context.new_page()


def test_the_admins_import(play: Playwright, clinic: Clinic, tmp_path: Path) -> None:
    """One bad line refuses the file, and is named; the mended file comes in."""
    context = launched(play, **DESK)
    watched = signed_in(context, clinic.service.address)
    page, file = watched.page, tmp_path / "scores.csv"
    day = (clock.now() - timedelta(days=60)).date().isoformat()
    head = "external_id,taken_at,instrument,score\n"
    for lines, said in ((f"MRN-1,{day}T10:00:00Z,nrs-pain,11\n", "Line"), (f"MRN-1,{day}T10:00:00Z,nrs-pain,5\n", "")):
        file.write_text(head + lines)
        page.goto(f"{clinic.service.address}/admin/imports")
        page.get_by_label("File").set_input_files(file)
        page.get_by_role("button", name="Import", exact=True).click()
        page.wait_for_url("**/admin/imports/*-*")
        page.locator(".status", has_text="refused" if said else "done").wait_for(timeout=30_000)
        assert page.locator("table", has_text="Rule").count() == (1 if said else 0)
    assert watched.faults == []
    context.close()


@pytest.mark.parametrize("how", [DESK, {"viewport": {"width": 320, "height": 640}}], ids=["desk", "320px"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits(play: Playwright, clinic: Clinic, how: Any, scheme: Any) -> None:
    """WCAG 2.2 AA as far as a machine can tell; nothing scrolls sideways but what is in a frame of its own."""
    context = launched(play, color_scheme=scheme, reduced_motion="reduce", **how)
    watched = signed_in(context, clinic.service.address)
    page, wrong = watched.page, list[tuple[Any, ...]]()
    base = f"/patients/{clinic.not_well}"  # type: ignore[attr-defined]
    latest = clinic.api.get(f"/v1{base}/check-ins").json()["items"][0]["id"]
    session = clinic.api.get(f"/v1{base}/sessions").json()["items"][0]["id"]
    own = ("", "/history", "/plan", "/edit", "/sessions/new", "/check-ins/new", "/letter", "/authorisation",
           f"/check-ins/{latest}", f"/sessions/{session}")  # fmt: skip
    admin = ("", "/people", "/integrations", "/plan", "/imports", "/audit", "/webhooks", "/wording")
    paths = ["/", "/alerts", "/patients", "/patients/new", "/cohorts", "/account", "/account/second-factor", "/sign-in",
             "/password", "/check-in/enrol", "/patients/nobody", *(base + more for more in own),
             *("/admin" + more for more in admin)]  # fmt: skip
    for path in paths:
        page.goto(clinic.service.address + path)
        if page.locator("figure[data-chart]").count():
            page.wait_for_selector("figure[data-drawn]", state="attached")
        options = {"runOnly": {"type": "tag", "values": list(_RULES)}, "resultTypes": ["violations"]}
        for violation in Axe().run(page, options=options).response["violations"]:
            wrong.append((path, violation["id"], violation["nodes"][0]["html"][:200]))
        if page.evaluate("document.documentElement.scrollWidth - innerWidth") > 1:
            wrong.append((path, "is wider than the window"))
    assert wrong == []
    assert watched.faults == []
    context.close()
