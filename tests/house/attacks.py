"""The attack list: what somebody would try against a running service, and what must come back.

Each attack is told with its answer in docs/attacks.md, which `make accuracy` writes. The suite tries all of them, on
both engines.
"""

import base64
import hmac
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import httpx
import jwt

from app.storage import derived_key
from tests.house.processes import PASSWORD, environment, run, serving

__all__ = ["ATTACKS", "Came", "Target", "environment", "target"]

RECENT = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@dataclass
class Target:
    """Two clinics on one running service: one that is attacked, and one whose people attack."""

    address: str
    admin: httpx.Client
    outsider: httpx.Client
    device: httpx.Client
    refresh_token: str
    patient: str
    other_patient: str
    own_patient: str
    client_id: str
    session: str
    check_in: str
    alert: str
    secret_key: str
    log: list[Path] = field(default_factory=list)

    @property
    def anyone(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, timeout=30)

    @property
    def token(self) -> str:
        return str(self.admin.headers["authorization"]).removeprefix("Bearer ")

    def bearing(self, token: str) -> httpx.Response:
        with self.anyone as client:
            return client.get("/v1/patients", headers={"Authorization": f"Bearer {token}"})


@dataclass(frozen=True)
class Came:
    """What came back: whether the attack failed as it must (`held`), and the result in words."""

    held: bool
    told: str


Attack = Callable[[Target], Came]
ATTACKS: dict[str, dict[str, Attack]] = {}


def attack(kind: str, tried: str) -> Callable[[Attack], Attack]:
    def keep(function: Attack) -> Attack:
        ATTACKS.setdefault(kind, {})[tried] = function
        return function

    return keep


def came(answers: list[httpx.Response], *statuses: int, without: tuple[str, ...] = ()) -> Came:
    """Every answer has one of these statuses and says none of `without`."""
    told = sorted({f"{a.status_code} {_code(a)}".strip() for a in answers})
    held = all(a.status_code in statuses for a in answers) and not any(w in a.text for w in without for a in answers)
    return Came(held, ", ".join(told))


def _code(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    return str(body.get("code") or body.get("error") or "") if isinstance(body, dict) else ""


def _paths(t: Target) -> list[str]:
    patient = f"/v1/patients/{t.patient}"
    return [
        patient,
        f"{patient}/relief",
        f"{patient}/record",
        f"{patient}/check-ins",
        f"{patient}/check-ins/{t.check_in}",
        f"{patient}/sessions/{t.session}",
        f"{patient}/trend.png?instrument=phq-9",
        f"{patient}/plan/due",
        f"{patient}/devices",
    ]


@attack("Other people's data", "Read another clinic's patient, sessions, check-ins, record and pictures by id")
def _(t: Target) -> Came:
    theirs = came([t.admin.get(path) for path in _paths(t)], 200)  # they are there to be read
    found = came([t.outsider.get(path) for path in _paths(t)], 404, without=(t.check_in, "Marker"))
    return Came(found.held and theirs.held, found.told)


@attack("Other people's data", "Change, amend, acknowledge, enrol and erase in another clinic by id")
def _(t: Target) -> Came:
    patient, any_version = f"/v1/patients/{t.patient}", {"If-Match": "*"}
    amendment = {"reason": "x", "void": True}
    found = came(
        [
            t.outsider.patch(patient, json={"label": "x"}, headers=any_version),
            t.outsider.post(f"{patient}/check-ins/{t.check_in}/amendments", json=amendment, headers=any_version),
            t.outsider.post(f"/v1/alerts/{t.alert}/acknowledgement", json={"disposition": "contacted"}),
            t.outsider.post(f"{patient}/enrolments"),
            t.outsider.post(f"{patient}/erasure", json={"reason": "x", "external_id": "Marker"}),
        ],
        404,
    )
    stands = t.admin.get(patient).json()
    alerts = t.admin.get("/v1/alerts", params={"state": "open"}).json()["items"]
    unchanged = (
        (stands["version"], stands["erased_at"]) == (1, None)
        and t.admin.get(f"{patient}/check-ins/{t.check_in}").json()["version"] == 1
        and t.alert in [alert["id"] for alert in alerts]
    )
    return Came(found.held and unchanged, f"{found.told}; nothing changed")


@attack("Other people's data", "Post a check-in to another clinic's patient, singly and hidden in a batch")
def _(t: Target) -> Came:
    body = {"taken_at": RECENT, "responses": [{"instrument": "nrs-pain", "score": 3}]}
    single = t.outsider.post(f"/v1/patients/{t.patient}/check-ins", json=body)
    batch = t.outsider.post("/v1/check-ins/batch", json={"items": [body | {"patient_id": t.patient}]})
    refused = batch.json()["results"][0]["http_status"]
    return Came(single.status_code == 404 and refused == 404, f"{single.status_code}; in the batch {refused}")


@attack("Other people's data", "Take over another clinic's id for a patient of one's own")
def _(t: Target) -> Came:
    made = t.outsider.post("/v1/patients", json={"id": t.other_patient, "external_id": uuid4().hex})
    own = t.outsider.get(f"/v1/patients/{t.other_patient}")
    theirs = t.admin.get(f"/v1/patients/{t.other_patient}").json()["label"]
    held = made.status_code == 201 and own.json()["label"] is None and theirs == "Third"
    return Came(held, f"{made.status_code}: a patient of the attacker's own clinic; the other is untouched and unseen")


@attack("Other people's data", "Read the clinic's lists, and another patient, with a patient's device")
def _(t: Target) -> Came:
    lists = ["/v1/patients", "/v1/worklist", "/v1/alerts", "/v1/audit-events", "/v1/users", "/v1/clinic"]
    return came(
        [t.device.get(path) for path in lists] + [t.device.get(f"/v1/patients/{t.other_patient}/check-ins")], 403, 404
    )


@attack("Other people's data", "Reach another patient's check-in under one's own address with a device")
def _(t: Target) -> Came:
    mine = t.device.get("/v1/me").json()["patient_id"]
    paths = [f"/v1/patients/{mine}/check-ins/{t.check_in}", f"/v1/patients/{mine}/check-ins/{t.check_in}/versions"]
    return came([t.device.get(path) for path in paths], 404)


def _signed_with_nothing(claims: dict[str, Any], head: dict[str, str]) -> str:
    """A token that is signed with an empty key. It is made by hand, because the library refuses such a key."""

    def part(content: bytes) -> bytes:
        return base64.urlsafe_b64encode(content).rstrip(b"=")

    signed = part(json.dumps(head).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(hmac.digest(b"", signed, "sha256"))).decode()


@contextmanager
def asking() -> Iterator[tuple[str, list[str]]]:
    """A web server of ours: its address, and the paths that were requested from it."""
    asked: list[str] = []

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Asked)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def _claims(t: Target) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(t.token, options={"verify_signature": False})
    return found


@attack("Changes and webhooks", "Have the service call itself, its network and its cloud, by address and by a name")
def _(t: Target) -> Came:
    inside = ("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]")
    refused = came([_webhook(t.admin, f"https://{host}/x") for host in inside], 422)
    with asking() as (url, asked):
        named = _webhook(t.admin, f"https://localhost:{url.split(':')[2].split('/')[0]}/x")
        at = f"/v1/webhooks/{named.json()['id']}"
        t.admin.post(f"{at}/test")
        for _ in range(40):
            tries = t.admin.get(f"{at}/deliveries").json()["items"][0]["tries"]
            if tries:
                break
            time.sleep(0.25)
        t.admin.delete(at)
    told = f"{refused.told}; by name the try ends in {tries[0]['error']}, and nothing was called"
    return Came(refused.held and tries[0]["error"] == "refused_address" and not asked, told)


@attack("Changes and webhooks", "Read, test, replay, re-key and remove another clinic's webhook; read its feed")
def _(t: Target) -> Came:
    theirs = _webhook(t.admin, "https://receiver.invalid/x").json()
    at = f"/v1/webhooks/{theirs['id']}"
    found = came(
        [
            t.outsider.get(at),
            t.outsider.get(f"{at}/deliveries"),
            t.outsider.post(f"{at}/test"),
            t.outsider.post(f"{at}/secrets", json={}),
            t.outsider.post(f"{at}/deliveries/{uuid4()}/replay"),
            t.outsider.patch(at, json={"url": "https://attacker.invalid/x"}, headers={"If-Match": "*"}),
            t.outsider.delete(at),
        ],
        404,
        without=(theirs["secret"], "receiver.invalid"),
    )
    feed = t.outsider.get("/v1/changes", params={"limit": 200})
    stands = t.admin.get(at).json()["url"] == "https://receiver.invalid/x"
    t.admin.delete(at)
    return Came(
        found.held and stands and t.patient not in feed.text, f"{found.told}; the feed is the caller's clinic's"
    )


@attack("Changes and webhooks", "Be told, by the feed and by a webhook, of what one's scopes do not let one read")
def _(t: Target) -> Came:
    made = t.admin.post("/v1/clients", json={"name": "narrow", "scope": "patients:read webhooks:write"}).json()
    form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["client_secret"]}
    with t.anyone as anyone:
        token = anyone.post("/oauth/token", data=form).json()["access_token"]
    with httpx.Client(base_url=t.address, headers={"Authorization": f"Bearer {token}"}, timeout=30) as narrow:
        refused = came([_webhook(narrow, "https://receiver.invalid/x", "alert.raised")], 422)
        items = narrow.get("/v1/changes", params={"limit": 200}).json()["items"]
    kinds = {item["kind"] for item in items}
    told = f"{refused.told}; the feed tells of {', '.join(sorted(kinds))} alone"
    return Came(refused.held and kinds == {"patient.changed"} and t.alert not in str(items), told)


def _webhook(client: httpx.Client, url: str, event: str = "patient.changed") -> httpx.Response:
    return client.post("/v1/webhooks", json={"url": url, "events": [event]})


@attack("Tokens", "alg none, alg HS512, an empty key, a guessed key, and a signature cut short")
def _(t: Target) -> Came:
    claims = _claims(t)
    head = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    forged = [
        f"{head}.{body}.",
        f"{head}.{body}.{t.token.rsplit('.', 1)[1]}",
        jwt.encode(claims, derived_key(t.secret_key, "access tokens").hex(), "HS512"),
        jwt.encode(claims, t.secret_key, "HS256"),
        jwt.encode(claims, "secret" * 8, "HS256"),
        _signed_with_nothing(claims, {"alg": "HS256"}),
        t.token[:-3],
    ]
    return came([t.bearing(token) for token in forged], 401)


@attack("Tokens", "Headers that name a key of the attacker's (jwk, jku, kid as a path and as SQL)")
def _(t: Target) -> Came:
    claims, key = _claims(t), "A" * 40
    named = base64.urlsafe_b64encode(key.encode()).rstrip(b"=").decode()
    # A service that trusted one of these headers would get the key that the token is signed with.
    forged = [
        jwt.encode(claims, key, "HS256", headers={"jwk": {"kty": "oct", "k": named}}),
        jwt.encode(claims, key, "HS256", headers={"kid": f"x' union select '{key}"}),
        _signed_with_nothing(claims, {"alg": "HS256", "kid": "../../../../dev/null"}),
    ]
    with asking() as (address, asked):
        forged.append(jwt.encode(claims, key, "HS256", headers={"jku": f"{address}/keys"}))
        found = came([t.bearing(token) for token in forged], 401)
    return Came(found.held and not asked, f"{found.told}; the named address was not asked")


@attack("Tokens", "With the right key: expired, another audience or issuer, another clinic, an operator, nobody")
def _(t: Target) -> Came:
    claims, key = _claims(t), derived_key(t.secret_key, "access tokens").hex()  # as if the key had leaked
    is_right = t.bearing(jwt.encode(claims, key, "HS256")).status_code == 200
    changed: list[dict[str, Any]] = [
        {"exp": 1},
        {"aud": "other"},
        {"iss": "other"},
        {"clinic": str(uuid4())},
        {"kind": "operator"},
        {"sub": str(uuid4())},
    ]
    found = came([t.bearing(jwt.encode(claims | change, key, "HS256")) for change in changed], 401)
    return Came(found.held and is_right, found.told)


@attack("Tokens", "Replay a refresh token after its successor was used")
def _(t: Target) -> Came:
    def refresh(token: str) -> httpx.Response:
        with t.anyone as client:
            return client.post("/oauth/token", data={"grant_type": "refresh_token", "refresh_token": token})

    second = refresh(t.refresh_token).json()["refresh_token"]
    third = refresh(second).json()["refresh_token"]
    replayed, ended = refresh(t.refresh_token), refresh(third)
    held = replayed.status_code == 400 and ended.status_code == 400
    return Came(held, f"{replayed.status_code} {_code(replayed)}; the whole family has ended: {ended.status_code}")


@attack("Guessing", "Passwords of one account, then the right one")
def _(t: Target) -> Came:
    with t.anyone as client:
        form = {"grant_type": "password", "username": "victim@example.org"}
        statuses = [client.post("/oauth/token", data=form | {"password": f"guess {n}"}).status_code for n in range(8)]
        right = client.post("/oauth/token", data=form | {"password": PASSWORD})
    return Came(set(statuses) == {400, 429} and right.status_code == 429, f"{statuses}, then {right.status_code}")


@attack("Guessing", "Tell by the time of a login whether an account exists")
def _(t: Target) -> Came:
    answers: list[httpx.Response] = []

    def seconds(name: str) -> float:
        with t.anyone as client:
            form = {"grant_type": "password", "username": name, "password": "wrong password"}
            started = time.perf_counter()
            answers.append(client.post("/oauth/token", data=form))
            return time.perf_counter() - started

    seconds("warm@example.org")
    # Alternately, and the fastest of each counts: other work on the machine makes a login slower, never faster.
    pairs = [(seconds(f"known{n}@example.org"), seconds(f"{uuid4().hex}@example.org")) for n in range(5)]
    known, unknown = (min(times) for times in zip(*pairs, strict=True))
    alike = {(answer.status_code, answer.text) for answer in answers}
    told = f"{1000 * known:.0f} ms and {1000 * unknown:.0f} ms, the same answer"
    return Came(0.6 < known / unknown < 1.67 and len(alike) == 1 and answers[0].status_code == 400, told)


@attack("Guessing", "A secret for an unknown client, for a known one, and for no id at all")
def _(t: Target) -> Came:
    with t.anyone as client:
        form = {"grant_type": "client_credentials", "client_secret": "x"}
        ids = [str(uuid4()), t.client_id, "not an id"]
        return came([client.post("/oauth/token", data=form | {"client_id": one}) for one in ids], 401)


@attack("Bodies", "Assign what is not the caller's to set: version, clinic, role, timestamps, scores' severities")
def _(t: Target) -> Came:
    patient = f"/v1/patients/{t.patient}"
    score = {"instrument": "nrs-pain", "score": 3, "severity": "none"}
    own = {"taken_at": RECENT, "responses": [{"instrument": "nrs-pain", "score": 3}]}
    return came(
        [
            t.admin.post("/v1/patients", json={"external_id": uuid4().hex, "clinic_id": str(uuid4())}),
            t.admin.post("/v1/patients", json={"external_id": uuid4().hex, "version": 9}),
            t.admin.patch(patient, json={"created_at": RECENT}, headers={"If-Match": "*"}),
            t.admin.post(f"{patient}/check-ins", json={"taken_at": RECENT, "responses": [score]}),
            t.device.post(f"/v1/patients/{t.own_patient}/check-ins", json=own | {"recorded_by": {"kind": "user"}}),
            t.device.post(f"/v1/patients/{t.own_patient}/check-ins", json=own | {"status": "voided"}),
            t.admin.patch("/v1/clinic", json={"synthetic": True}, headers={"If-Match": "*"}),
            t.admin.post("/v1/users", json={"email": "x@example.org", "role": "operator"}),
        ],
        422,
    )


@attack("Bodies", "A body over 1 MiB, with and without saying how long it is")
def _(t: Target) -> Came:
    def chunks() -> Iterator[bytes]:
        yield b'{"external_id": "'
        for _ in range(40):
            yield b"x" * 65_536
        yield b'"}'

    json_type = {"Content-Type": "application/json"}
    told = t.admin.post("/v1/patients", content=b'{"external_id": "' + b"x" * 2_000_000 + b'"}', headers=json_type)
    try:
        untold = t.admin.post("/v1/patients", content=chunks(), headers=json_type)
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        untold = told  # it hung up before everything was sent
    return came([told, untold], 413)


@attack("Bodies", "100,000 brackets, 10,000 keys, a repeated key, NaN, a huge number, lone surrogates, NUL")
def _(t: Target) -> Came:
    bodies = [
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
        json.dumps({f"k{n}": n for n in range(10_000)}).encode(),
        b'{"external_id": "a", "external_id": "b"}',
        b'{"external_id": "a", "birth_year": NaN}',
        b'{"external_id": "a", "birth_year": 1e400}',
        b'{"external_id": "a", "birth_year": ' + b"9" * 5_000 + b"}",
        b'{"external_id": "\\ud800"}',
        b'{"external_id": "a\\u0000"}',
        b"\xff\xfe",
    ]
    headers = {"Content-Type": "application/json"}
    return came([t.admin.post("/v1/patients", content=body, headers=headers) for body in bodies], 422)


@attack("Bodies", "Another media type, a form, and no type at all")
def _(t: Target) -> Came:
    types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
    return came([t.admin.post("/v1/patients", content=b"{}", headers={"Content-Type": kind}) for kind in types], 415)


@attack("Addresses and headers", "A cursor that was changed, of another list, of another caller, of other filters")
def _(t: Target) -> Came:
    cursor = t.admin.get("/v1/patients", params={"limit": 1}).json()["next_cursor"]
    alerts = {"cursor": cursor}
    return came(
        [
            t.admin.get("/v1/patients", params={"cursor": cursor[:-4] + "AAAA"}),
            t.admin.get("/v1/patients", params={"cursor": "x"}),
            t.admin.get("/v1/alerts", params=alerts),
            t.admin.get("/v1/patients", params={"cursor": cursor, "care_status": "paused"}),
            t.outsider.get("/v1/patients", params={"cursor": cursor}),
        ],
        400,
    )


@attack("Addresses and headers", "SQL in every place that takes text")
def _(t: Target) -> Came:
    sql = "x' or 1=1; drop table patients; --"
    answers = [
        t.admin.get("/v1/patients", params={"care_status": sql}),
        t.admin.get(f"/v1/patients/{t.patient}/trend", params={"instrument": sql}),
        t.admin.get("/v1/worklist", params={"status": sql}),
        t.admin.get("/v1/audit-events", params={"actor": sql}),
        t.admin.get(f"/v1/patients/{sql}"),
    ]
    searched = t.admin.post("/v1/patients/search", json={"q": sql})
    found = came(answers, 404, 422, without=("drop",))
    # Where text is free, it is stored and comes back as it was sent.
    external_id = f"{sql} {uuid4().hex}"
    made = t.admin.post("/v1/patients", json={"external_id": external_id, "label": sql}).json()
    amendment = {"reason": sql, "taken_at": RECENT}
    score = {"taken_at": RECENT, "responses": [{"instrument": "nrs-pain", "score": 3}]}
    check_in = f"/v1/patients/{made['id']}/check-ins"
    posted = t.admin.post(check_in, json=score).json()["id"]
    amended = t.admin.post(f"{check_in}/{posted}/amendments", json=amendment, headers={"If-Match": "*"})
    again = t.admin.post("/v1/patients/search", json={"q": sql}).json()["items"]
    with t.anyone as client:
        login = client.post("/oauth/token", data={"grant_type": "password", "username": sql, "password": sql})
    held = (
        searched.json()["items"] == []
        and [(one["external_id"], one["label"]) for one in again] == [(external_id, sql)]
        and amended.json()["reason"] == sql
        and login.status_code == 400
    )
    return Came(found.held and held, f"{found.told}; as a name, a label and a reason it comes back as it was sent")


@attack("Addresses and headers", "Line breaks and markup in X-Request-Id, Idempotency-Key and If-Match")
def _(t: Target) -> Came:
    echoed = [
        t.admin.get("/v1/me", headers={"X-Request-Id": sent}).headers["x-request-id"] for sent in ("a\tb", "<script>")
    ]
    keys = [
        t.admin.post("/v1/patients", json={"external_id": uuid4().hex}, headers={"Idempotency-Key": key})
        for key in ("a b", "k" * 256)
    ]
    match = t.admin.patch(f"/v1/patients/{t.patient}", json={}, headers={"If-Match": '"1", "2"'})
    broken = _raw(t, "GET /livez HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\nSet-Cookie: b=c\r\n\r\n")
    held = (
        all(re.fullmatch(r"[0-9a-f-]{36}", one) for one in echoed)
        and all(key.status_code == 422 for key in keys)
        and match.status_code == 422
        and "set-cookie" not in broken.lower()
    )
    return Came(held, f"another request id is made; {keys[0].status_code}; {match.status_code}")


@attack("Addresses and headers", "Line breaks in a clinic's name, which stands in the subject of its mail")
def _(t: Target) -> Came:
    name = {"name": "North\r\nBcc: everyone@example.org"}
    return came([t.admin.patch("/v1/clinic", json=name, headers={"If-Match": "*"})], 422)


@attack("Addresses and headers", "X-Forwarded-For to look like another address, from somebody who is no trusted proxy")
def _(t: Target) -> Came:
    with t.anyone as client:
        form = {"grant_type": "password", "username": "forwarded@example.org", "password": "wrong password"}
        statuses = [
            client.post("/oauth/token", data=form, headers={"X-Forwarded-For": f"10.0.0.{n}"}).status_code
            for n in range(8)
        ]
    return Came(statuses == [400] * 5 + [429] * 3, f"counted as one address: {statuses}")


@attack("Addresses and headers", "A page of another origin calls with the browser's help")
def _(t: Target) -> Came:
    answer = t.admin.get("/v1/me", headers={"Origin": "https://elsewhere.example"})
    allowed = answer.headers.get("access-control-allow-origin")
    return Came(
        answer.status_code == 200 and allowed is None, "no Access-Control-Allow-Origin: the browser keeps the answer"
    )


@attack("Addresses and headers", "Paths that climb out of /docs, and methods that nothing answers")
def _(t: Target) -> Came:
    up = "../" * 12
    paths = [
        f"/docs/{up}etc/passwd",
        f"/docs/{'%2e%2e%2f' * 12}etc%2fpasswd",
        "/docs/../docs.py",
        "/docs/%2e%2e/__init__.py",
    ]
    climbed = [_raw(t, f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n") for path in paths]
    found = came([t.admin.request("TRACE", "/v1/me"), t.admin.delete("/v1/me")], 405)
    stayed = all(" 404 " in answer.split("\r\n")[0] and "root:" not in answer for answer in climbed)
    return Came(found.held and stayed, f"404; {found.told}")


@attack("Flooding", "A hundred and twenty enrolment codes from one address")
def _(t: Target) -> Came:
    with t.anyone as client:
        answers = [
            client.post("/v1/enrolments/redeem", json={"code": uuid4().hex, "device_name": "x"}) for _ in range(120)
        ]
    statuses = [answer.status_code for answer in answers]
    held = set(statuses) == {401, 429} and statuses[-1] == 429
    return Came(
        held, f"{statuses.count(401)} times 401, then 429 with Retry-After {answers[-1].headers['retry-after']}"
    )


@attack("What is left behind", "Anything of a patient, a token or a password in the service's log")
def _(t: Target) -> Came:
    for path in (*_paths(t), "/v1/patients?care_status=drop table", f"/v1/patients/{t.patient}/relief?as_of=Marker"):
        t.admin.get(path)
    with t.anyone as client:
        client.post("/oauth/token", data={"grant_type": "password", "username": "victim@x", "password": PASSWORD})
    text = unquote_plus("".join(path.read_text(encoding="utf-8", errors="replace") for path in t.log))
    secrets = ("Marker", t.patient, t.token, t.refresh_token, PASSWORD, "victim@", "drop table")
    leaked = [word for word in (*secrets, *_bearers(t)) if word in text]
    lines = text.count("\n")
    return Came(not leaked and lines >= len(_paths(t)), f"nothing of it in {lines} lines")


def _bearers(t: Target) -> list[str]:
    return [str(client.headers["authorization"]).removeprefix("Bearer ") for client in (t.device, t.outsider)]


def _raw(t: Target, request: str) -> str:
    """The response to a request that is sent exactly as written, because an HTTP client would correct it."""
    with socket.create_connection(("127.0.0.1", int(t.address.rsplit(":", 1)[1])), timeout=10) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65_536):
            said += part
    return said.decode(errors="replace")


def target(settings: Any, folder: Path) -> Iterator[Target]:
    """A running service with the two clinics in it."""
    run(settings, "migrate")
    for name in ("attacked", "attacker"):
        run(
            settings, "clinics", "add", "--name", name, "--time-zone", "UTC", "--admin-email", f"{name}@example.org",
            "--admin-password-stdin", stdin=f"{PASSWORD}\n",
        )  # fmt: skip
    log = folder / "service.log"
    with serving(settings, log=log) as address, httpx.Client(base_url=address, timeout=30) as anyone:

        def login(name: str) -> tuple[httpx.Client, str]:
            form = {"grant_type": "password", "username": f"{name}@example.org", "password": PASSWORD}
            held = anyone.post("/oauth/token", data=form).json()
            headers = {"Authorization": f"Bearer {held['access_token']}"}
            return httpx.Client(base_url=address, headers=headers, timeout=30), held["refresh_token"]

        (admin, refresh_token), (outsider, _) = login("attacked"), login("attacker")
        patient = admin.post("/v1/patients", json={"external_id": "Marker", "label": "Marker"}).json()["id"]
        other = admin.post("/v1/patients", json={"external_id": "other"}).json()["id"]
        third = admin.post("/v1/patients", json={"external_id": "third", "label": "Third"}).json()["id"]
        path = f"/v1/patients/{patient}"
        session = admin.post(f"{path}/sessions", json={"started_at": "2025-01-06T10:00:00Z"}).json()["id"]
        responses = [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]
        posted = admin.post(f"{path}/check-ins", json={"taken_at": RECENT, "responses": responses}).json()
        code = admin.post(f"/v1/patients/{other}/enrolments").json()["code"]
        redeemed = anyone.post("/v1/enrolments/redeem", json={"code": code, "device_name": "phone"}).json()
        bearer = {"Authorization": f"Bearer {redeemed['access_token']}"}
        device = httpx.Client(base_url=address, headers=bearer, timeout=30)
        client_id = admin.post("/v1/clients", json={"name": "EHR", "scope": "patients:read"}).json()["id"]
        for name in ("victim", *(f"known{number}" for number in range(5))):
            made = admin.post("/v1/users", json={"email": f"{name}@example.org", "role": "clinician"}).json()
            code = made["password_code"]["code"]
            set_to = anyone.post("/oauth/password", json={"code": code, "password": PASSWORD})
            assert set_to.status_code == 204, set_to.text
        yield Target(
            address=address,
            admin=admin,
            outsider=outsider,
            device=device,
            refresh_token=refresh_token,
            patient=patient,
            other_patient=third,
            own_patient=other,
            client_id=client_id,
            session=session,
            check_in=posted["id"],
            alert=posted["alerts"][0]["id"],
            secret_key=settings.secret,
            log=[log],
        )
        for client in (admin, outsider, device):
            client.close()
