"""Reminders by Web Push: once for what is due, on one phone, in the daytime; and the clinic sees whom they do not
reach."""

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import http_ece
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.testclient import TestClient
from sqlmodel import col, select, update

from app import clock
from app.access.service import caller_of_token
from app.access.tokens import Claims
from app.audit.service import Act
from app.outgoing.sending import Sender
from app.patients.models import Patient
from app.reminders import keys, messages, store
from app.reminders import service as reminders
from app.reminders.keys import Destination, encoded
from app.reminders.models import PushSubscription, decoded
from app.reminders.reminding import Reminders
from app.sessions import service as sessions
from app.sessions.models import SessionIn
from app.speech.languages import LANGUAGES, translations
from app.storage import Database
from app.web.reminders.routes import PUSH_HOSTS
from app.webhooks.routes import ALLOWED_HOSTS
from tests.conftest import ZONE, Api, app_of, days_ago, new_clinic, new_device
from tests.web.pages import Browser, read

ALLOWED = frozenset({"127.0.0.1"})
ADDRESS = "https://clinic.example.org"


class PushService:
    """The push service of some browsers: what it took for each, and what it answers."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.asked: list[str] = []
        self.answers: dict[str, int] = {}
        self.seconds, self.retry_after = 0.0, ""
        self.on_asked: Callable[[], object] = lambda: None
        found = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                found.asked.append(self.path)
                status = found.answers.get(self.path, 201)
                if status < 300:
                    found.taken.append((self.path, {n.lower(): value for n, value in self.headers.items()}, body))
                found.on_asked()
                threading.Event().wait(found.seconds)
                self.send_response(status)
                if found.retry_after:
                    self.send_header("Retry-After", found.retry_after)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def push() -> Iterator[PushService]:
    found = PushService()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(autouse=True)
def allowed(server: TestClient) -> Iterator[None]:
    """The operator allows this machine."""
    app = app_of(server)
    PUSH_HOSTS.put(app, ALLOWED)
    yield
    PUSH_HOSTS.put(app, frozenset())


class Phone:
    """A patient's phone with a browser that takes reminders."""

    def __init__(self, api: Api, patient_id: str, push: PushService, name: str) -> None:
        self.browser = Browser(new_device(api, patient_id), "holdfast-check-in")
        self.path, self.url = f"/{name}", f"{push.url}/{name}"
        self.private, self.secret = ec.generate_private_key(ec.SECP256R1()), b"0123456789abcdef"

    def subscription(self) -> dict[str, Any]:
        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"endpoint": self.url, "public_key": encoded(point), "secret": encoded(self.secret)}

    def turned_on(self) -> "Phone":
        self.key = self.browser.post("/check-in/reminders/key").json()["public_key"]
        answer = self.browser.request("POST", "/check-in/reminders/on", json=self.subscription())
        assert answer.status_code == 204, answer.text
        return self

    def state(self) -> str:
        page = self.browser.get("/check-in/reminders").text
        return page.partition('data-state="')[2].partition('"')[0]

    def opened(self, body: bytes) -> dict[str, Any]:
        plain = http_ece.decrypt(body, private_key=self.private, auth_secret=self.secret, version="aes128gcm")
        found: dict[str, Any] = json.loads(plain)
        return found


class Jar(dict[str, str]):
    """A browser that keeps its cookies from one request to the next."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def enrolled(self, patient_id: str) -> None:
        """It becomes a patient's phone."""
        code = self._api.post(f"/v1/patients/{patient_id}/enrolments").json()["code"]
        assert self.asked("/check-in/enrol", data={"code": code}).status_code == 303

    def asked(self, path: str, **more: Any) -> Any:
        cookies = "; ".join(f"{name}={value}" for name, value in self.items())
        headers = {"Cookie": cookies, "Sec-Fetch-Site": "same-origin"}
        answer = self._api.server.request("POST", path, headers=headers, follow_redirects=False, **more)
        for cookie in answer.headers.get_list("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self[name] = value
        return answer


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient(label="Owner", external_id="MRN-0042")


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: moment.astimezone(UTC))
        yield


def in_days(days: int, hour: time = time(10)) -> datetime:
    """An hour in the clinic, some days from now."""
    zone = ZoneInfo(ZONE)
    return datetime.combine(clock.now().astimezone(zone).date() + timedelta(days=days), hour, zone)


def remind(database: Database, monkeypatch: pytest.MonkeyPatch, moment: datetime, seconds: float = 5) -> None:
    """Lets the job run once at a moment."""
    with at(monkeypatch, moment):
        titles = lambda language: translations(language).gettext("Check-in")  # noqa: E731
        asyncio.run(Reminders(database, Sender(ALLOWED, seconds), ADDRESS, titles).round())


def due_days(api: Api, patient_id: str) -> list[date]:
    items = api.get(f"/v1/patients/{patient_id}/plan/due").json()["items"]
    return [date.fromisoformat(one["due_on"]) for one in items]


def test_what_is_due_is_told_once_encrypted_signed_and_without_a_word_of_whom_or_what(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    assert due_days(api, patient)[0] == in_days(0).date()  # the baseline
    remind(database, monkeypatch, in_days(1))
    [(path, headers, body)] = push.taken
    assert path == phone.path
    assert phone.opened(body) == {
        "web_push": 8030,
        "notification": {
            "title": "Check-in", "lang": "en", "dir": "auto", "navigate": f"{ADDRESS}/check-in", "tag": "check-in",
        },
    }  # fmt: skip
    assert headers["content-encoding"] == "aes128gcm"
    assert headers["content-type"] == "application/notification+json"
    assert (headers["topic"], headers["ttl"]) == ("check-in", str(10 * 3_600)), "until eight in the evening"
    scheme, token, key = headers["authorization"].replace(",", "").split()
    assert (scheme, key) == ("vapid", f"k={phone.key}")
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(phone.key))
    claims = jwt.decode(token.removeprefix("t="), public, ["ES256"], audience=push.url, options={"verify_exp": False})
    assert claims["sub"] == ADDRESS
    assert claims["exp"] - in_days(1).timestamp() == 12 * 3_600
    for moment in (in_days(1, time(10, 5)), in_days(1, time(19)), in_days(2), in_days(5)):
        remind(database, monkeypatch, moment)
    assert len(push.taken) == 1
    assert "Reminders are turned on, since" in Browser(api).text(f"/patients/{patient}")


def test_a_reminder_speaks_the_language_in_which_it_was_wished(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "a")
    phone.browser.language = "es"
    phone.turned_on()
    remind(database, monkeypatch, in_days(1))
    assert phone.opened(push.taken[0][2])["notification"]["title"] == "Registro"


def test_nobody_is_reminded_at_night_and_what_came_due_is_told_in_the_morning(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    for hour in (time(0), time(8, 59), time(20), time(23, 59)):
        remind(database, monkeypatch, in_days(1, hour))
    assert push.taken == []
    remind(database, monkeypatch, in_days(2, time(9)))
    assert len(push.taken) == 1


def test_whoever_turns_reminders_on_sees_what_is_due_and_is_not_told_at_once(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = clock.now()
    Phone(api, patient, push, "a").turned_on()
    [row] = held(database, api)
    assert row.looked_at >= before
    morning = update(PushSubscription).where(col(PushSubscription.clinic_id) == api.clinic_id)
    database.writing(api.clinic_id, lambda db: db.execute(morning.values(looked_at=in_days(1))))
    remind(database, monkeypatch, in_days(1, time(10, 1)))
    assert push.asked == []
    remind(database, monkeypatch, in_days(2))
    assert len(push.asked) == 1


def test_what_is_answered_is_not_reminded_of_and_each_next_item_is(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    session = api.session(patient, clock.now().isoformat())
    items = api.get(f"/v1/patients/{patient}/plan/due").json()["items"]
    asked = [one for one in items if one["session_id"] == session["id"] and one["state"] == "upcoming"]
    [day, next_day] = [(date.fromisoformat(one["due_on"]) - in_days(0).date()).days for one in asked[:2]]
    remind(database, monkeypatch, in_days(day))
    assert len(push.taken) == 1
    remind(database, monkeypatch, in_days(next_day))
    assert len(push.taken) == 2
    other = api.patient()
    Phone(api, other, push, "b").turned_on()
    for code in {code for one in api.get(f"/v1/patients/{other}/plan/due").json()["items"] for code in one["missing"]}:
        answered(api, other, code)
    remind(database, monkeypatch, in_days(1))
    assert [path for path, *_ in push.taken].count("/b") == 0


def answered(api: Api, patient_id: str, code: str) -> None:
    instrument = api.get(f"/v1/instruments/{code}").json()
    items = instrument["items"]
    response = {"instrument": code, **({"answers": [item["min"] for item in items]} if items else {"score": 5})}
    body = {"taken_at": days_ago(0), "responses": [response]}
    assert api.post(f"/v1/patients/{patient_id}/check-ins", body).status_code == 201


def test_of_two_phones_one_reminds_and_the_other_where_the_first_is_gone(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Phone(api, patient, push, "older").turned_on()
    newer = Phone(api, patient, push, "newer").turned_on()
    push.answers["/newer"] = 410
    remind(database, monkeypatch, in_days(1))
    assert push.asked == ["/newer", "/older"]
    assert [path for path, *_ in push.taken] == ["/older"]
    assert (older.state(), newer.state()) == ("on", "lost")
    assert "Reminders are turned on, since" in Browser(api).text(f"/patients/{patient}")


@pytest.mark.parametrize("status", [404, 410])
def test_a_phone_that_is_gone_is_not_asked_again_and_the_clinic_sees_whom_nothing_reaches(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    push.answers["/a"] = status
    for moment in (in_days(1), in_days(1, time(15)), in_days(2)):
        remind(database, monkeypatch, moment)
    assert push.asked == ["/a"]
    assert phone.state() == "lost"
    assert "Reminders no longer reach this phone" in phone.browser.text("/check-in")
    assert "Reminders no longer reach this patient" in Browser(api).text(f"/patients/{patient}")
    assert "Reminders do not reach this patient" in Browser(api).text("/")
    push.answers.clear()
    phone.turned_on()
    assert phone.state() == "on"
    remind(database, monkeypatch, in_days(3))
    assert len(push.taken) == 1  # nobody was reminded of it yet


@pytest.mark.parametrize("status", [400, 401, 403, 413, 307])
def test_a_refusal_that_may_be_our_fault_ends_nothing_and_is_seen_when_it_lasts(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    push.answers["/a"] = status
    remind(database, monkeypatch, in_days(-2))
    assert (len(push.asked), phone.state()) == (0, "on"), "nothing is due before it was wished"
    long_ago = update(PushSubscription).where(col(PushSubscription.clinic_id) == api.clinic_id)
    database.writing(api.clinic_id, lambda db: db.execute(long_ago.values(looked_at=in_days(-3))))
    remind(database, monkeypatch, in_days(1))
    assert (len(push.asked), phone.state()) == (1, "on")
    database.writing(
        api.clinic_id, lambda db: db.execute(long_ago.values(failing_since=clock.now() - timedelta(days=2)))
    )
    assert phone.state() == "lost"
    assert "Reminders no longer reach this patient" in Browser(api).text(f"/patients/{patient}")
    push.answers.clear()
    remind(database, monkeypatch, in_days(3))
    assert (len(push.taken), phone.state()) == (1, "on"), "it was told, once it could be"


def test_a_failure_that_has_passed_is_not_told_as_lost(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    push.answers["/a"] = 503
    remind(database, monkeypatch, in_days(1))
    for code in ("phq-9", "gad-7", "nrs-pain"):
        answered(api, patient, code)
    for day in range(2, 9):
        remind(database, monkeypatch, in_days(day))
    assert (len(push.asked), phone.state()) == (1, "on")


def test_a_phone_that_fails_stands_behind_one_that_does_not(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "older").turned_on()
    Phone(api, patient, push, "newer").turned_on()
    push.answers["/newer"] = 403
    remind(database, monkeypatch, in_days(1))
    remind(database, monkeypatch, in_days(1, time(11)))
    assert push.asked == ["/newer", "/older"]
    assert [path for path, *_ in push.taken] == ["/older"]


def test_a_push_service_that_never_answers_is_seen(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    push.answers["/a"] = 503
    remind(database, monkeypatch, in_days(1))
    push.seconds = 0.6
    remind(database, monkeypatch, in_days(2, time(11)), seconds=0.2)
    push.seconds = 0
    assert "Reminders no longer reach this patient" in Browser(api).text(f"/patients/{patient}")


def test_a_wait_that_the_push_service_asks_for_is_kept(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    push.answers["/a"], push.retry_after = 429, "9" * 5_000  # nobody waits for ever
    remind(database, monkeypatch, in_days(1, time(9, 50)))
    push.retry_after = "3600"
    remind(database, monkeypatch, in_days(1))
    push.answers.clear()
    remind(database, monkeypatch, in_days(1, time(10, 59)))
    assert len(push.asked) == 2
    remind(database, monkeypatch, in_days(1, time(11)))
    assert len(push.taken) == 1


# A handshake that is cut short leaves its socket to the garbage collector (httpcore 1.0).
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_has_not_left_is_known_to_have_arrived_nowhere() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/in"
        sent = asyncio.run(Sender(ALLOWED, 0.3).send(url, b"{}", {}))
        assert (sent.error, sent.has_left) == ("timed_out", False), "no handshake, no request"
        url = url.replace("https", "http")
        sent = asyncio.run(Sender(ALLOWED, 0.3).send(url, b"{}", {}))
        assert (sent.error, sent.has_left) == ("timed_out", True)
    gc.collect()


def test_one_patient_whose_address_nobody_can_read_holds_up_nobody(
    api: Api, database: Database, push: PushService, monkeypatch: pytest.MonkeyPatch
) -> None:
    phones = [Phone(api, api.patient(), push, str(number)).turned_on() for number in range(4)]
    device = held(database, api)[1].device_id
    spoilt = update(PushSubscription).where(col(PushSubscription.device_id) == device)
    database.writing(api.clinic_id, lambda db: db.execute(spoilt.values(sealed="nonsense")))
    remind(database, monkeypatch, in_days(1))
    assert len({path for path, *_ in push.taken}) == len(phones) - 1
    [row] = [one for one in held(database, api) if one.device_id == device]
    assert row.failing_since is not None


def test_a_phone_that_is_renewed_while_it_is_sent_to_stays(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "old").turned_on()
    push.answers["/old"] = 410
    renewed = {**phone.subscription(), "endpoint": f"{push.url}/new"}

    def renew() -> None:
        push.on_asked = lambda: None
        with monkeypatch.context() as now:
            now.setattr(clock, "now", lambda: datetime.now(UTC))
            answer = phone.browser.request("POST", "/check-in/reminders/renewal", json=renewed)
        assert answer.status_code == 204

    push.on_asked = renew
    remind(database, monkeypatch, in_days(1))
    assert push.asked == ["/old", "/new"]
    assert phone.state() == "on"


def test_a_change_of_the_push_service_turns_nothing_on_that_was_turned_off(
    api: Api, database: Database, push: PushService, patient: str
) -> None:
    phone = Phone(api, patient, push, "a")
    renewal = "/check-in/reminders/renewal"
    assert phone.browser.request("POST", renewal, json=phone.subscription()).status_code == 204
    assert phone.state() == "off", "it was never wished"
    phone.turned_on()
    [before] = held(database, api)
    assert phone.browser.request("POST", renewal, json=phone.subscription()).status_code == 204
    [after] = held(database, api)
    assert after.looked_at == before.looked_at, "nobody has seen what is due"
    phone.browser.post("/check-in/reminders/off")
    assert held(database, api)[0].sealed is None, "where it went is forgotten"
    assert phone.browser.request("POST", renewal, json=phone.subscription()).status_code == 204
    assert phone.state() == "off"


def test_a_record_that_goes_on_in_another_is_not_reminded_of_the_same_again(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    into = api.patient()
    remind(database, monkeypatch, in_days(1))
    assert len(push.taken) == 1
    version = api.get(f"/v1/patients/{patient}").json()["version"]
    merged = api.request(
        "POST", f"/v1/patients/{patient}/merge", json={"into": into, "reason": "twice"},
        headers={"If-Match": f'"{version}"'},
    )  # fmt: skip
    assert merged.status_code in (200, 201), merged.text
    remind(database, monkeypatch, in_days(2))
    assert len(push.taken) == 1


def test_what_another_record_asks_for_on_other_days_is_still_reminded_of(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record in which it goes on began later: its own baselines are due on days of its own."""
    Phone(api, patient, push, "a").turned_on()
    earlier = update(Patient).where(col(Patient.clinic_id) == api.clinic_id, col(Patient.id) == UUID(patient))
    database.writing(api.clinic_id, lambda db: db.execute(earlier.values(created_at=in_days(-28))))
    into = api.patient()
    remind(database, monkeypatch, in_days(1))
    assert len(push.taken) == 1, "the second baseline of the older record"
    version = api.get(f"/v1/patients/{patient}").json()["version"]
    body = {"into": into, "reason": "twice"}
    assert api.request(
        "POST", f"/v1/patients/{patient}/merge", json=body, headers={"If-Match": f'"{version}"'}
    ).is_success
    remind(database, monkeypatch, in_days(2))
    assert len(push.taken) == 1, "of today's baseline it was told"
    remind(database, monkeypatch, in_days(29))
    assert len(push.taken) == 2, "that of four weeks on is another one"


def test_a_session_that_was_on_another_day_asks_for_the_same_once(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for code in ("phq-9", "gad-7", "nrs-pain"):
        answered(api, patient, code)  # nothing is left of the baseline
    session = api.session(patient, days_ago(2))
    Phone(api, patient, push, "a").turned_on()
    remind(database, monkeypatch, in_days(1))
    assert len(push.taken) == 1, "three days after it"
    body = {"started_at": days_ago(1), "reason": "the wrong day"}
    changed = api.patch(f"/v1/patients/{patient}/sessions/{session['id']}", body, session["version"])
    assert changed.status_code == 200, changed.text
    remind(database, monkeypatch, in_days(2))
    assert len(push.taken) == 1, "three days after it, as before"


def test_what_a_session_of_today_asks_for_today_is_told_an_hour_later(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    remind(database, monkeypatch, in_days(1))
    push.taken.clear()
    plan = {"items": [{"after": "session", "offset": "P0D", "window": "P0D", "instruments": ["nrs-mood"]}]}
    assert api.request("PUT", f"/v1/patients/{patient}/plan", json=plan, headers={"If-Match": '"1"'}).status_code == 200
    noon = in_days(1, time(12))
    add = SessionIn.model_validate({"started_at": noon.isoformat()})
    with at(monkeypatch, noon):
        act = Act(api.clinic_id, "user", api.caller_id, "record_session", "test", clock.now())
        claims = Claims("user", api.caller_id, api.clinic_id, "", 0)
        caller = database.reading(api.clinic_id, lambda db: caller_of_token(db, claims))
        database.writing(api.clinic_id, lambda db: sessions.record(db, caller, act, UUID(patient), add))
    remind(database, monkeypatch, in_days(1, time(12, 30)))
    assert push.taken == [], "the patient is still there"
    remind(database, monkeypatch, in_days(1, time(13, 1)))
    assert len(push.taken) == 1


def test_who_enrols_a_browser_anew_ends_the_reminders_of_whoever_had_it(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, jar = Phone(api, patient, push, "a"), Jar(api)
    jar.enrolled(patient)
    assert jar.asked("/check-in/reminders/on", json=phone.subscription()).status_code == 204
    jar.enrolled(api.patient())
    remind(database, monkeypatch, in_days(1))
    assert push.asked == []
    told = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    assert "sign_out" in {one["operation"] for one in told}


def test_what_the_operator_opened_for_webhooks_is_not_open_for_patients(
    api: Api, push: PushService, patient: str
) -> None:
    app = app_of(api.server)
    ALLOWED_HOSTS.put(app, ALLOWED)
    PUSH_HOSTS.put(app, ())
    phone = Phone(api, patient, push, "a")
    answer = phone.browser.request("POST", "/check-in/reminders/on", json=phone.subscription())
    ALLOWED_HOSTS.put(app, frozenset())
    assert answer.status_code == 422


def test_what_the_push_service_has_not_taken_is_tried_again_and_what_it_may_have_taken_is_not(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    push.answers["/a"] = 503
    remind(database, monkeypatch, in_days(1))
    remind(database, monkeypatch, in_days(1, time(10, 4)))
    assert len(push.asked) == 1
    push.answers["/a"] = 429
    remind(database, monkeypatch, in_days(1, time(10, 5)))
    assert len(push.asked) == 2
    push.answers.clear()
    push.seconds = 0.6
    remind(database, monkeypatch, in_days(1, time(11)), seconds=0.2)  # it took it and did not say so in time
    push.seconds = 0
    assert len(push.asked) == 3
    remind(database, monkeypatch, in_days(1, time(19)))
    remind(database, monkeypatch, in_days(2))
    assert len(push.asked) == 3


def test_a_process_that_dies_while_it_sends_reminds_nobody_twice(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()

    class Dying(Sender):
        async def send(self, *sent: Any) -> Any:
            await super().send(*sent)
            raise SystemExit

    with at(monkeypatch, in_days(1)), pytest.raises(SystemExit):
        asyncio.run(Reminders(database, Dying(ALLOWED), ADDRESS, str).round())
    remind(database, monkeypatch, in_days(1, time(12)))
    assert len(push.taken) == 1


def test_two_workers_at_once_remind_once(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Phone(api, patient, push, "a").turned_on()
    Phone(api, patient, push, "b").turned_on()

    async def both() -> None:
        worker = Reminders(database, Sender(ALLOWED), ADDRESS, str)
        await asyncio.gather(worker.round(), worker.round(), worker.round())

    with at(monkeypatch, in_days(1)):
        asyncio.run(both())
    assert len(push.asked) == 1


@pytest.mark.parametrize("care_status", ["paused", "discharged", "deceased"])
def test_who_is_not_in_active_care_is_not_reminded(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch, care_status: str
) -> None:
    Phone(api, patient, push, "a").turned_on()
    version = api.get(f"/v1/patients/{patient}").json()["version"]
    changed = api.patch(f"/v1/patients/{patient}", {"care_status": care_status, "reason": "for a test"}, version)
    assert changed.status_code == 200, changed.text
    remind(database, monkeypatch, in_days(1))
    assert push.asked == []


def test_reminders_end_by_wish_with_the_phone_and_when_it_is_removed(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    assert phone.browser.post("/check-in/reminders/off").status_code == 303
    assert phone.state() == "off"
    revoked = Phone(api, patient, push, "b").turned_on()
    for device in api.get(f"/v1/patients/{patient}/devices").json()["items"]:
        assert api.request("DELETE", f"/v1/patients/{patient}/devices/{device['id']}").status_code == 204
    assert revoked.browser.get("/check-in/reminders").status_code == 303
    remind(database, monkeypatch, in_days(1))
    assert push.asked == []
    database.writing(api.clinic_id, lambda db: reminders.purge(db, api.clinic_id, clock.now()))
    assert held(database, api) == []


def held(database: Database, api: Api) -> list[PushSubscription]:
    query = select(PushSubscription).where(col(PushSubscription.clinic_id) == api.clinic_id)
    return database.reading(api.clinic_id, lambda db: list(db.exec(query)))


def test_whoever_signs_the_phone_out_takes_its_reminders_along(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, jar = Phone(api, patient, push, "a"), Jar(api)
    jar.enrolled(patient)
    assert jar.asked("/check-in/reminders/key").status_code == 200
    assert jar.asked("/check-in/reminders/on", json=phone.subscription()).status_code == 204
    assert jar.asked("/check-in/sign-out").status_code == 303
    remind(database, monkeypatch, in_days(1))
    assert push.asked == []
    assert "no longer reach" not in Browser(api).text(f"/patients/{patient}")  # nobody lost them


def test_a_browser_that_becomes_another_patients_phone_reminds_that_one_alone(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Phone(api, patient, push, "shared").turned_on()
    other = api.patient()
    second = Phone(api, other, push, "shared").turned_on()
    assert (first.state(), second.state()) == ("off", "on")
    remind(database, monkeypatch, in_days(1))
    assert len(push.taken) == 1
    second.opened(push.taken[0][2])


def test_who_erases_a_patient_erases_where_their_reminders_went(
    api: Api, database: Database, push: PushService, patient: str
) -> None:
    Phone(api, patient, push, "a").turned_on()
    assert len(held(database, api)) == 1
    body = {"reason": "the patient's request", "external_id": "MRN-0042"}
    assert api.post(f"/v1/patients/{patient}/erasure", body).status_code == 200
    assert held(database, api) == []


def test_where_a_phone_is_reached_is_stored_encrypted(
    api: Api, database: Database, push: PushService, patient: str
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()
    [row] = [one.model_dump_json() for one in held(database, api)]
    assert phone.url not in row
    assert phone.subscription()["secret"] not in row


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"endpoint": "http://push.example.org/a"}, "/endpoint"),
        ({"endpoint": "https://10.0.0.1/a"}, "/endpoint"),
        ({"endpoint": "nonsense"}, "/endpoint"),
        ({"endpoint": "https://a..b/x"}, "/endpoint"),
        ({"endpoint": f"https://{'a' * 64}.example.org/"}, "/endpoint"),
        ({"public_key": "AAAA"}, "/public_key"),
        ({"public_key": "é"}, "/public_key"),
        ({"secret": "AAAA"}, "/secret"),
        ({"secret": None}, "/secret"),
        ({"more": 1}, "/more"),
    ],
)
def test_what_is_no_subscription_is_refused_by_its_field(
    api: Api, push: PushService, patient: str, change: dict[str, Any], pointer: str
) -> None:
    phone = Phone(api, patient, push, "a")
    answer = phone.browser.request("POST", "/check-in/reminders/on", json={**phone.subscription(), **change})
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert "10.0.0.1" not in answer.text


def test_an_address_inside_is_never_asked(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address was allowed when it was given, and is not any more."""
    Phone(api, patient, push, "a").turned_on()
    with at(monkeypatch, in_days(1)):
        asyncio.run(Reminders(database, Sender(()), ADDRESS, str).round())
    assert push.asked == []


def test_the_secret_is_replaced_and_reminders_go_on(
    api: Api, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = Phone(api, patient, push, "a").turned_on()

    def resealed(db: Any) -> list[str]:
        rows = store.sealed_otherwise(db, api.clinic_id, "another")
        before = [str(one.sealed) for one in rows]
        for one in rows:
            keys.reseal(db, one)
        assert all(str(one.sealed) != was for one, was in zip(rows, before, strict=True))
        return before

    assert len(database.writing(api.clinic_id, resealed)) == 2
    remind(database, monkeypatch, in_days(1))
    phone.opened(push.taken[0][2])
    spoilt = update(PushSubscription).where(col(PushSubscription.clinic_id) == api.clinic_id)
    database.writing(api.clinic_id, lambda db: db.execute(spoilt.values(sealed="nonsense")))
    query = select(PushSubscription).where(col(PushSubscription.clinic_id) == api.clinic_id)

    def once_more(db: Any) -> None:
        for one in db.exec(query):
            keys.reseal(db, one)

    database.writing(api.clinic_id, once_more)
    assert [one.sealed for one in held(database, api)] == ["nonsense"], "what nobody can read is not lost for good"


def test_clinics_are_apart(
    api: Api, server: TestClient, database: Database, push: PushService, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Phone(api, patient, push, "a").turned_on()
    other = new_clinic(server)
    theirs = Phone(other, other.patient(), push, "a").turned_on()
    assert mine.key != theirs.key
    assert mine.state() == "on"  # one clinic does not end what another holds
    remind(database, monkeypatch, in_days(1))
    assert len(push.taken) == 2


def test_the_page_says_how_without_scripts(api: Api, push: PushService, patient: str) -> None:
    phone = Phone(api, patient, push, "a")
    text = read(phone.browser.get("/check-in/reminders").text)
    assert "add this page to the home screen" in text
    assert "whoever has the link sees those days" in text


def test_a_message_is_one_record_in_every_language() -> None:
    """RFC 8291, 4; and push services need not take more than 4,096 bytes (RFC 8030, 7.2)."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    to = Destination(ADDRESS, point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), bytes(16))
    for language in LANGUAGES:
        title = translations(language).gettext("Check-in")
        made = messages.encrypted(messages.content(title, language, f"https://{'a' * 253}/check-in"), to)
        assert len(made) < 4_096
        assert int.from_bytes(made[16:20], "big") >= len(made) - 21 - made[20]
