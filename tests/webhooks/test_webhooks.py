"""Webhooks: signed, thin, in order, until received; to public addresses alone; each receiver for itself."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from app import clock
from app.alerts.mailing import Mail
from app.outgoing.addresses import is_public, why_not
from app.outgoing.sending import Sender
from app.storage import Database
from app.webhooks import delivering
from app.webhooks.delivering import WAITS, Courier
from app.webhooks.routes import ALLOWED_HOSTS
from tests.conftest import Api, app_of, days_ago, new_client, new_person

ALLOWED = frozenset({"localhost", "127.0.0.1"})


class Receiver:
    """A receiver: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.messages: list[tuple[dict[str, str], bytes]] = []
        self.status, self.seconds = 204, 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                threading.Event().wait(receiver.seconds)
                if receiver.status < 300:
                    receiver.messages.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/in"

    def kinds(self) -> list[str]:
        return [json.loads(body)["type"] for _, body in self.messages]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(autouse=True)
def allowed(server: TestClient) -> Iterator[None]:
    """The operator allows this machine."""
    app = app_of(server)
    ALLOWED_HOSTS.put(app, ALLOWED)
    yield
    ALLOWED_HOSTS.put(app, frozenset())


class Mailbox(Mail):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__("smtp://localhost", "http://localhost")
        object.__setattr__(self, "sent", [])

    def send(self, to: str, subject: str, body: str, identifier: str) -> None:
        self.sent.append((to, body))  # type: ignore[attr-defined]


def deliver(database: Database, mail: Mail | None = None, rounds: int = 1, seconds: float = 5) -> None:
    """Lets the job run."""

    async def ran() -> None:
        courier = Courier(database, Sender(ALLOWED, seconds), mail)
        for _ in range(rounds):
            await courier.round()
            await courier.finish()

    asyncio.run(ran())


def hook(api: Api, url: str, *events: str) -> dict[str, Any]:
    answer = api.post("/v1/webhooks", {"url": url, "events": list(events or ("check_in.recorded",))})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def pain(api: Api, patient_id: str, days: float, score: int = 5) -> str:
    found: str = api.check_in(patient_id, days_ago(days), "nrs-pain", score)["id"]
    return found


def log(api: Api, webhook_id: str, **query: Any) -> list[dict[str, Any]]:
    answer = api.get(f"/v1/webhooks/{webhook_id}/deliveries", params={"limit": 200, **query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


@contextmanager
def later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> Iterator[None]:
    now = clock.now
    with monkeypatch.context() as patched:
        patched.setattr(clock, "now", lambda: now() + by)
        yield


def test_what_happened_is_sent_signed_and_thin(api: Api, database: Database, receiver: Receiver) -> None:
    made = hook(api, receiver.url)
    patient_id = api.patient(label="Secret")
    check_in_id = pain(api, patient_id, 1, 7)
    deliver(database)
    [(headers, body)] = receiver.messages
    event = Verifier(made["secret"]).verify(body, headers)
    assert event["type"] == "check_in.recorded"
    assert event["data"] == {
        "patient_id": patient_id, "check_in_id": check_in_id, "session_id": None, "alert_id": None
    }  # fmt: skip
    assert set(event) == {"type", "timestamp", "data"}
    [delivered] = log(api, made["id"])
    assert delivered["state"] == "delivered"
    assert delivered["change_id"] == headers["webhook-id"]
    assert [one["status"] for one in delivered["tries"]] == [204]
    deliver(database)
    assert len(receiver.messages) == 1
    with pytest.raises(WebhookVerificationError):
        Verifier("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").verify(body, headers)


def test_only_kinds_that_were_asked_for_are_sent(api: Api, database: Database, receiver: Receiver) -> None:
    pain(api, before := api.patient(), 2)
    hook(api, receiver.url, "patient.changed")
    pain(api, before, 1)
    api.patient()
    deliver(database)
    assert receiver.kinds() == ["patient.changed"]


def test_a_receiver_that_was_down_for_a_day_gets_everything_in_order(
    api: Api, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = hook(api, receiver.url)
    patients = [api.patient() for _ in range(3)]
    expected = {patient: [pain(api, patient, 10 - n) for n in range(4)] for patient in patients}
    receiver.status = 503
    for hours in range(0, 24, 3):
        with later(monkeypatch, timedelta(hours=hours)):
            deliver(database)
    assert receiver.messages == []
    assert all(item["state"] == "waiting" for item in log(api, made["id"]))
    receiver.status = 204
    for hours in (24, 30, 36):
        with later(monkeypatch, timedelta(hours=hours)):
            deliver(database, rounds=3)
    found: dict[str, list[str]] = {}
    for _, body in receiver.messages:
        data = json.loads(body)["data"]
        found.setdefault(data["patient_id"], []).append(data["check_in_id"])
    assert found == expected
    assert api.get(f"/v1/webhooks/{made['id']}").json()["waiting"] == 0


def test_after_a_day_of_failed_tries_it_is_off_the_owner_is_told_and_nothing_is_lost(
    api: Api, database: Database, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, mail = new_person(api.server, api.clinic_id, "admin"), Mailbox()
    made = hook(owner, receiver.url)
    patient_id = api.patient()
    sent = [pain(api, patient_id, 3), pain(api, patient_id, 2)]
    receiver.status = 500
    waited, tries = timedelta(), 0
    for wait in (timedelta(), *WAITS):
        waited += wait * 1.2
        with later(monkeypatch, waited):
            deliver(database, mail)
        tries += 1
    assert waited > timedelta(hours=24)
    off = owner.get(f"/v1/webhooks/{made['id']}").json()
    assert (off["disabled"], off["disabled_because"]) == (True, "failing")
    [(_, told)] = mail.sent  # type: ignore[attr-defined]
    assert receiver.url in told
    assert "check_in" not in told
    assert len(log(owner, made["id"], state="failed")[0]["tries"]) == tries == len(WAITS) + 1
    receiver.status = 204
    sent.append(pain(api, patient_id, 1))
    deliver(database)
    assert receiver.messages == []
    on = owner.patch(f"/v1/webhooks/{made['id']}", {"disabled": False}, off["version"])
    assert on.status_code == 200, on.text
    deliver(database, rounds=4)
    assert [json.loads(body)["data"]["check_in_id"] for _, body in receiver.messages] == sent


def test_a_receiver_that_is_gone_is_switched_off_at_once(api: Api, database: Database, receiver: Receiver) -> None:
    made = hook(api, receiver.url)
    pain(api, api.patient(), 1)
    receiver.status = 410
    deliver(database)
    assert api.get(f"/v1/webhooks/{made['id']}").json()["disabled_because"] == "gone"


def test_a_slow_receiver_delays_only_itself(api: Api, database: Database, receiver: Receiver) -> None:
    slow = Receiver()
    slow.seconds = 3
    hook(api, slow.url)
    hook(api, receiver.url)
    pain(api, api.patient(), 1)

    async def ran() -> None:
        courier = Courier(database, Sender(ALLOWED, 1), None)
        await courier.round()
        for _ in range(40):
            await asyncio.sleep(0.02)
            if receiver.messages:
                break
        assert receiver.messages
        await courier.finish()

    asyncio.run(ran())
    assert slow.messages == [] or len(slow.messages) == 1
    slow.server.shutdown()
    slow.server.server_close()


def test_no_redirect_is_followed_and_a_long_answer_is_not_read(
    api: Api, database: Database, receiver: Receiver
) -> None:
    made = hook(api, receiver.url)
    pain(api, api.patient(), 1)
    receiver.status = 302
    deliver(database)
    assert log(api, made["id"])[0]["tries"][0]["status"] == 302
    assert log(api, made["id"])[0]["state"] == "waiting"


def test_a_secret_rotates_with_an_overlap(api: Api, database: Database, receiver: Receiver) -> None:
    made = hook(api, receiver.url)
    new = api.post(f"/v1/webhooks/{made['id']}/secrets", {"overlap_hours": 1}).json()
    pain(api, api.patient(), 1)
    deliver(database)
    headers, body = receiver.messages[0]
    for secret in (made["secret"], new["secret"]):
        Verifier(secret).verify(body, headers)
    last = api.post(f"/v1/webhooks/{made['id']}/secrets", {"overlap_hours": 0}).json()
    pain(api, api.patient(), 1)
    deliver(database)
    headers, body = receiver.messages[1]
    Verifier(last["secret"]).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(new["secret"]).verify(body, headers)


def test_what_the_owner_may_not_read_any_more_is_not_sent(
    server: TestClient, api: Api, database: Database, receiver: Receiver
) -> None:
    client = new_client(server, api.clinic_id, "webhooks:write checkins:read")
    refused = client.post("/v1/webhooks", {"url": receiver.url, "events": ["alert.raised"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/events/0")
    made = hook(client, receiver.url)
    pain(api, api.patient(), 1)
    held = api.get(f"/v1/clients/{client.caller_id}")
    changed = api.patch(f"/v1/clients/{client.caller_id}", {"scope": "webhooks:write"}, held.json()["version"])
    assert changed.status_code == 200
    deliver(database)
    assert receiver.messages == []
    assert log(api, made["id"])[0]["state"] == "not_allowed"


def test_a_test_event_and_a_replay(api: Api, database: Database, receiver: Receiver) -> None:
    made = hook(api, receiver.url)
    assert api.post(f"/v1/webhooks/{made['id']}/test").status_code == 201
    deliver(database)
    assert receiver.kinds() == ["test"]
    pain(api, api.patient(), 1)
    deliver(database)
    [first, _] = log(api, made["id"])
    again = api.post(f"/v1/webhooks/{made['id']}/deliveries/{first['id']}/replay")
    assert (again.status_code, again.json()["state"]) == (201, "waiting")
    deliver(database)
    assert receiver.messages[2][0]["webhook-id"] == receiver.messages[1][0]["webhook-id"]


@pytest.mark.parametrize("status", [204, 410])
def test_deliveries_are_kept_for_90_days_received_or_not(
    api: Api, database: Database, receiver: Receiver, status: int
) -> None:
    made = hook(api, receiver.url)
    pain(api, api.patient(), 1)
    receiver.status = status
    deliver(database)
    for days, left in ((89, 1), (91, 0)):
        later = clock.now() + timedelta(days=days)
        database.writing(api.clinic_id, lambda db, at=later: delivering.purge(db, api.clinic_id, at))  # type: ignore[misc]
        assert len(api.get(f"/v1/webhooks/{made['id']}/deliveries").json()["items"]) == left


def test_a_webhook_that_is_removed_is_told_nothing_more(api: Api, database: Database, receiver: Receiver) -> None:
    made = hook(api, receiver.url)
    pain(api, api.patient(), 1)
    deliver(database)
    assert api.request("DELETE", f"/v1/webhooks/{made['id']}").status_code == 204
    pain(api, api.patient(), 1)
    deliver(database)
    assert len(receiver.messages) == 1
    assert api.get(f"/v1/webhooks/{made['id']}").status_code == 404


INSIDE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "fe80::1%eth0", "192.0.2.1", "198.18.0.1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)
    if "%" not in address:
        literal = f"[{address}]" if ":" in address else address
        assert why_not(f"https://{literal}/in", ()) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    ["http://ehr.example.org/in", "ftp://ehr.example.org/in", "https://", "https://user:word@ehr.example.org/",
     "nonsense", "https://ehr.example.org/#part", "https://ehr.example.org:0/", "https://exa mple.org/", "https://[::1"],
)  # fmt: skip
def test_an_address_that_cannot_be_a_receiver_is_refused(api: Api, url: str) -> None:
    refused = api.post("/v1/webhooks", {"url": url, "events": ["alert.raised"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/url")


def test_the_name_is_resolved_once_and_an_address_inside_gets_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that stood for a public address when the webhook was made, and for one inside now."""
    port, asked = receiver.server.server_port, []

    async def inside(_: Any, host: str, *args: Any, **more: Any) -> Any:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", inside)
    refused = asyncio.run(Sender(()).send(f"https://ehr.example.org:{port}/in", b"{}", {}))
    assert (refused.error, refused.status) == ("refused_address", None)
    assert asked == ["ehr.example.org"]
    sent = asyncio.run(Sender({"ehr.example.org"}).send(f"http://ehr.example.org:{port}/in", b"{}", {}))
    assert sent.status == 204
    assert asked == ["ehr.example.org"] * 2, "once for each try: the connection goes to the address that was checked"
    assert receiver.messages[0][0]["host"] == f"ehr.example.org:{port}"


def test_what_takes_too_long_or_is_not_there_is_a_failed_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/in"
        assert asyncio.run(Sender(ALLOWED, 0.3).send(url, b"{}", {})).error == "timed_out"
    assert asyncio.run(Sender(ALLOWED, 2).send(url, b"{}", {})).error == "unreachable"


def test_a_clinic_has_so_many_webhooks_and_no_more(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.webhooks.service._MOST", 2)
    for _ in range(2):
        hook(api, receiver.url)
    refused = api.post("/v1/webhooks", {"url": receiver.url, "events": ["alert.raised"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_webhooks")
