"""Every protected operation leaves exactly one audit event for its request, with exactly the patients it showed. It is
committed before the response starts. Refusals leave one too.

The operations are read from the OpenAPI document, so a new one is tested at once. The patients that an operation showed
are read from its response and its address, not from the code that records them.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyotp
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import clock
from app.access.dependencies import GuardedRoute
from app.access.policies import OPEN_OPERATIONS, OPEN_PAGES, PAGES, PERMISSIONS, Permission
from app.api.documents import router as served_documents
from app.api.parts import DATABASE
from app.audit import recording
from app.audit.models import EVERYONE, AuditEvent, AuditSubject
from app.errors import Busy
from app.main import create_app
from app.people import service as people
from app.settings import Settings
from app.storage import new_id, open_engine
from tests.conftest import Api, app_of, new_client, new_clinic, new_device
from tests.house.test_routes import FILE, OWN, PROTECTED, World, body_of

Call = tuple[str, str, dict[str, Any]]

CALLS: dict[str, Call] = {call[2]["operationId"]: call for call in PROTECTED}
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_PASSWORD = "a sentence of their own"
by_operation = pytest.mark.parametrize("name", list(CALLS))


@dataclass(frozen=True)
class Event:
    """An audit event as it is stored: its outcome, the patients it showed, and those it asked for and did not get."""

    outcome: str
    showed: frozenset[str]
    attempted: frozenset[str]


class Witness:
    """Reads, over a connection of its own, which events of a request are committed when its response starts."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.engine = open_engine(settings.migration_database_url or settings.database_url)
        self.clinic = ""
        self.at_start: dict[str, list[Event]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.at_start[scope["request_id"]] = self.events(scope["request_id"])
            await send(message)

        await self.app(scope, receive, watched)

    def events(self, request_id: str) -> list[Event]:
        """Every event of a request that is committed now."""
        found: dict[str, tuple[str, set[str], set[str]]] = {}
        query = (
            "select e.id, e.outcome, coalesce(e.patient_id, s.patient_id), coalesce(s.attempted, e.patient_attempted) "
            "from audit_events e left join audit_subjects s on s.clinic_id = e.clinic_id and s.event_id = e.id "
            "where e.request_id = :id"
        )
        for event_id, outcome, patient, attempted in self.rows(query, id=request_id):
            _, showed, asked = found.setdefault(str(event_id), (outcome, set(), set()))
            if patient is not None:
                (asked if attempted else showed).add(_text(patient))
        return [Event(outcome, frozenset(showed), frozenset(asked)) for outcome, showed, asked in found.values()]

    def patients(self) -> set[str]:
        """Every patient of every clinic of this engine that the witness may see."""
        return {_text(row[0]) for row in self.rows("select id from patients")}

    def rows(self, query: str, **values: str) -> list[Any]:
        with self.engine.connect().execution_options(holdfast_begin=("BEGIN",)) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("select set_config('holdfast.clinic_id', :id, true)"), {"id": self.clinic})
            return list(connection.execute(text(query), values))


def _text(some: Any) -> str:
    """An id as the driver gives it."""
    return str(UUID(bytes=some) if isinstance(some, bytes) else some)


class Walk:
    """A clinic with objects of two patients, a caller for each operation, and a witness."""

    def __init__(self, witness: Witness, server: TestClient) -> None:
        self.witness = witness
        self.world = World(new_clinic(server))
        witness.clinic = str(self.world.api.clinic_id)
        self.other = World.of_patient(self.world.api)["patient_id"]
        self.device = new_device(self.world.api, self.world.api.patient())
        self.secret = ""
        self.leaving = self.survivor = ""

    def call(self, name: str, caller: Api | None = None, **change: Any) -> tuple[Response, list[Event], set[str]]:
        """Does an operation: its response, the events committed when that started, and the patients whom the response
        and the address name."""
        method, path, operation = CALLS[name]
        request_id = f"{name}-{secrets.token_hex(6)}"
        known = {p["name"] for p in operation.get("parameters", [])}
        params = {
            p["name"]: p["schema"]["examples"][0]
            for p in operation.get("parameters", [])
            if p["in"] == "query" and p["required"]
        }
        params |= {"limit": 1} if "limit" in known else {}  # so that there is more than what is shown
        headers = {"If-Match": "*", "X-Request-Id": request_id} | change.pop("headers", {})
        asked = {"params": params | change.pop("params", {}), "headers": {k: v for k, v in headers.items() if v}}
        caller = caller or self.caller(name)
        address = change.pop("address", None) or path.format(**self.ids_for(name))
        if name == "create_import" and "content" not in change:
            change["content"] = FILE["content"]
            asked["headers"] = FILE["headers"] | asked["headers"]
        if "content" not in change:
            asked["json"] = change.pop("json", None) or self.body(name)
        answer = caller.request(method, address, **asked, **change)
        said = address if answer.headers.get("content-type", "").startswith("image/") else f"{address} {answer.text}"
        events = self.witness.at_start[request_id]
        assert self.witness.events(request_id) == events, "nothing is recorded after the response started"
        return answer, events, set(_ID.findall(said)) & self.witness.patients()

    def ids_for(self, name: str) -> dict[str, str]:
        """The ids for the path. Erasing and moving get a new patient each time, so that the other operations keep
        theirs."""
        if name in ("move_check_in", "move_session", "merge_patient", "undo_merge"):
            api, self.survivor = self.world.api, self.world.api.patient()
            mine = api.patient()
            session = api.session(mine, "2025-01-06T10:00:00-05:00")
            check_in = api.check_in(mine, "2025-01-20T09:00:00-05:00", "nrs-pain", 4)
            if name == "undo_merge":
                merged = api.post(f"/v1/patients/{mine}/merge", {"into": self.survivor, "reason": "twice"})
                assert merged.status_code == 201, merged.text
            return {"patient_id": mine, "session_id": session["id"], "check_in_id": check_in["id"]}
        if name == "delete_webhook":
            return {"webhook_id": self.world.webhook()}
        if name == "delete_import_mapping":
            return {"name": self.world.mapping()}
        if name == "delete_wording":
            return self.world.ids | {"language": self.world.wording(self.world.api) or ""}
        if name != "erase_patient":
            return self.world.ids
        self.leaving = self.world.api.patient()
        return {"patient_id": self.leaving}

    def caller(self, name: str) -> Api:
        """A caller who may do the operation; a new person if doing it once prevents doing it again."""
        if name == "list_my_due":
            return self.device
        if name in ("change_password", "start_second_factor", "confirm_second_factor", "sign_out_everywhere"):
            return self.person(begun=name == "confirm_second_factor")
        return self.world.api

    def person(self, *, begun: bool) -> Api:
        """A person who signed in with a password, and perhaps has begun to set up a second factor."""
        server, clinic_id, email = self.world.api.server, self.world.api.clinic_id, f"{new_id()}@example.org"
        database = DATABASE.in_app(app_of(server))
        user_id = database.writing(
            clinic_id, lambda db: people.add_user(db, clinic_id, email, "clinician", _PASSWORD, clock.now())
        )
        form = {"grant_type": "password", "username": email, "password": _PASSWORD}
        found = Api(server, server.post("/oauth/token", data=form).json()["access_token"], clinic_id, user_id)
        if begun:
            self.secret = found.post("/v1/me/second-factor", {"password": _PASSWORD}).json()["secret"]
        return found

    def body(self, name: str) -> Any:
        """A body that is accepted, again and again."""
        ids, world = self.world.ids, self.world.api
        if name == "erase_patient":
            external_id = world.get(f"/v1/patients/{self.leaving}").json()["external_id"]
            return {"reason": "asked", "external_id": external_id}
        if name == "confirm_second_factor":
            return {"otp": pyotp.TOTP(self.secret).now() if self.secret else "000000"}
        pain = {"responses": [{"instrument": "nrs-pain", "score": 3}]}
        moment = f"2024-0{1 + secrets.randbelow(9)}-1{secrets.randbelow(10)}T1{secrets.randbelow(10)}:00:00"
        fresh: dict[str, Any] = {
            "move_check_in": {"to_patient_id": self.survivor, "reason": "the wrong person"},
            "move_session": {"to_patient_id": self.survivor, "reason": "the wrong person"},
            "merge_patient": {"into": self.survivor, "reason": "registered twice"},
            "create_patient": {"external_id": secrets.token_hex(6)},
            "record_session": {"started_at": f"{2000 + secrets.randbelow(20)}{moment[4:]}Z"},
            "record_check_in": {"taken_at": f"{moment}.{secrets.randbelow(10**6):06}Z", **pain},
            "record_check_ins": {
                "items": [
                    {"patient_id": patient, "taken_at": f"{moment}.{secrets.randbelow(10**6):06}Z", **pain}
                    for patient in (ids["patient_id"], self.other)
                ]
            },
            "amend_check_in": {"reason": "keying error", "taken_at": f"{moment}.{secrets.randbelow(10**6):06}Z"},
            "search_patients": {"q": "Owner"},
            "update_session": {"notes": secrets.token_hex(4)},
            "change_password": {"current_password": _PASSWORD, "password": "another sentence"},
            "start_second_factor": {"password": _PASSWORD},
            "create_user": {"email": f"{new_id()}@example.org", "role": "clinician"},
        }
        return fresh.get(name) or body_of(CALLS[name][2])

    def done(self, name: str, **change: Any) -> None:
        """Does an operation that is permitted. Raises AssertionError unless it left what it must."""
        answer, events, named = self.call(name, **change)
        assert answer.status_code < 300, answer.text
        if name.startswith("export_"):
            named = {str(EVERYONE)}  # a file of all of them
        if name == "list_audit_events":  # its events also name patients who were only asked for; those were not shown
            named = {patient for event in answer.json()["items"] for patient in event["patient_ids"]}
        if name == "list_my_due":  # it shows the caller's own patient, but the response contains no patient id
            named = {str(self.device.caller_id)}
        assert events == [Event("done", frozenset(named), frozenset())]

    def refused(self, name: str, status: int, outcome: str, caller: Api | None = None, **change: Any) -> None:
        """Does an operation that is refused. Raises AssertionError unless it left what it must."""
        answer, events, _ = self.call(name, caller, **change)
        assert answer.status_code == status, (name, answer.text)
        asked_for = re.search(rf"/patients/({_ID.pattern})", str(answer.request.url))
        assert events == [Event(outcome, frozenset(), frozenset(asked_for.groups() if asked_for else ()))]


@pytest.fixture(scope="module")
def walk(settings: Settings) -> Iterator[Walk]:
    witness = Witness(create_app(settings), settings)
    with TestClient(witness, raise_server_exceptions=False) as server:
        yield Walk(witness, server)
    witness.engine.dispose()


@by_operation
def test_an_operation_leaves_one_event_with_exactly_the_patients_it_showed(walk: Walk, name: str) -> None:
    walk.done(name)


@by_operation
def test_the_walk_notices_a_missing_a_second_and_an_empty_event(
    walk: Walk, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above can fail for each operation: if its event is missing, doubled, or names no patient."""
    insert = recording.insert  # type: ignore[attr-defined]

    def without(db: Any, rows: Any) -> None:
        left = {event["id"] for event in rows[AuditEvent] if event["operation"] != name}
        insert(db, {table: [row for row in some if (row.get("event_id") or row["id"]) in left]
                    for table, some in rows.items()})  # fmt: skip

    def twice(db: Any, rows: Any) -> None:
        insert(db, rows)
        again = [event | {"id": new_id()} for event in rows[AuditEvent] if event["operation"] == name]
        insert(db, {AuditEvent: again})

    def of_nobody(db: Any, rows: Any) -> None:
        mine = {event["id"] for event in rows[AuditEvent] if event["operation"] == name}
        nobody = {"patient_id": None, "patient_attempted": False}
        events = [event | (nobody if event["id"] in mine else {}) for event in rows[AuditEvent]]
        kept = [s for s in rows[AuditSubject] if s["event_id"] not in mine]
        insert(db, rows | {AuditEvent: events, AuditSubject: kept})

    for mutation in (without, twice, of_nobody):
        answer, events, _ = walk.call(name)
        assert answer.status_code < 300, answer.text
        if mutation is of_nobody and not events[0].showed:
            continue
        monkeypatch.setattr(recording, "insert", mutation)
        with pytest.raises(AssertionError, match=r"Event|recorded after"):
            walk.done(name)
        monkeypatch.setattr(recording, "insert", insert)


@by_operation
def test_a_refusal_leaves_one_event_and_shows_nobody(walk: Walk, name: str) -> None:
    _, path, operation = CALLS[name]
    parameters = {p["name"].lower(): p for p in operation.get("parameters", [])}
    everybodys = (Permission(patients=True), Permission(patients=True, unfinished=True))
    if PERMISSIONS[name] not in everybodys:
        stranger = (
            walk.device
            if name in ("list_patients", "list_changes")
            else new_client(walk.world.api.server, walk.world.api.clinic_id, "fhir:read")
        )
        walk.refused(name, 403, "denied", stranger)
    walk.refused(name, 422, "refused", params={"nonsense": "1"})
    if "{" in path and name not in OWN:
        nowhere = path.format(**dict.fromkeys(walk.world.ids, str(new_id())) | {"language": "en-x-none"})
        walk.refused(name, 404, "not_found", address=nowhere)
    if name == "create_import":
        walk.refused(name, 415, "refused", content=b"x", headers={"Content-Type": "text/plain"})
        walk.refused(name, 422, "refused", content=b"", headers={"Content-Type": "text/csv"})
    elif "requestBody" in operation:
        json_type = {"Content-Type": "application/json"}
        walk.refused(name, 415, "refused", content=b"x", headers={"Content-Type": "text/plain"})
        walk.refused(name, 422, "refused", content=b"{", headers=json_type)
        walk.refused(name, 422, "refused", content=b'{"nonsense": 1}', headers=json_type)
        walk.refused(name, 413, "refused", content=b" " * 4_200_000, headers=json_type)
    if "if-match" in parameters:
        if name != "merge_patient":  # two ids and a reason are enough
            walk.refused(name, 428, "refused", headers={"If-Match": ""})
        walk.refused(name, 412, "refused", headers={"If-Match": '"99"'})
    if "cursor" in parameters:
        walk.refused(name, 400, "refused", params={"cursor": "x"})


@pytest.mark.parametrize("name", ["create_patient", "record_session", "record_check_in", "put_plan", "put_clinic_plan"])
def test_a_repeat_leaves_an_event_of_its_own(walk: Walk, name: str) -> None:
    body = walk.body(name) | ({} if name.startswith("put") else {"id": str(new_id())})
    for _ in range(2):
        walk.done(name, json=body)


@pytest.mark.parametrize("name", ["update_patient", "update_session", "update_clinic", "update_client", "update_user"])
def test_a_change_of_nothing_leaves_an_event(walk: Walk, name: str) -> None:
    json_type = {"Content-Type": "application/json"}
    walk.done(name, content=b"{}", headers=json_type)


@pytest.mark.parametrize("name", ["get_me", "list_my_due"])
def test_what_a_device_is_told_of_itself_is_about_its_patient(walk: Walk, name: str) -> None:
    _, events, _ = walk.call(name, walk.device)
    assert events == [Event("done", frozenset({str(walk.device.caller_id)}), frozenset())]


def test_a_response_that_is_given_again_leaves_one_event_with_whom_it_shows(walk: Walk) -> None:
    body = {"external_id": secrets.token_hex(6)}
    first, again = (
        walk.world.api.post(
            "/v1/patients", body, headers={"Idempotency-Key": "once-more", "X-Request-Id": f"{body['external_id']}-{n}"}
        )
        for n in (1, 2)
    )
    assert again.headers["idempotency-replayed"] == "true"
    shown = frozenset({first.json()["id"]})
    assert walk.witness.at_start[f"{body['external_id']}-2"] == [Event("done", shown, frozenset())]


def test_a_batch_tells_whom_it_recorded_and_whom_it_did_not_find(walk: Walk) -> None:
    mine, nobody = walk.world.ids["patient_id"], str(new_id())
    items = [
        {
            "patient_id": patient,
            "taken_at": "2025-03-01T10:00:00Z",
            "responses": [{"instrument": "nrs-pain", "score": 1}],
        }
        for patient in (mine, nobody)
    ]
    cases = [
        (items, Event("partly_refused", frozenset({mine}), frozenset({nobody}))),
        (items[1:], Event("not_found", frozenset(), frozenset({nobody}))),
        ([items[0] | {"responses": [{"instrument": "nrs-pain", "score": 99}]}],
         Event("refused", frozenset(), frozenset({mine}))),
        ([{"patient_id": mine}, {"patient_id": 3}, "x"], Event("refused", frozenset(), frozenset({mine}))),
    ]  # fmt: skip
    for sent, expected in cases:
        key = secrets.token_hex(6)
        for time in ("first", "again"):
            headers = {"X-Request-Id": f"{key}-{time}", "Idempotency-Key": key}
            answer = walk.world.api.post("/v1/check-ins/batch", {"items": sent}, headers=headers)
            assert (answer.status_code, "idempotency-replayed" in answer.headers) == (200, time == "again")
            assert walk.witness.at_start[f"{key}-{time}"] == [expected]


def test_a_caller_who_proves_who_they_are_leaves_one_event(walk: Walk) -> None:
    api = walk.world.api
    server, email = api.server, f"{new_id()}@example.org"
    made = api.post("/v1/users", {"email": email, "role": "clinician"}).json()
    client = api.post("/v1/clients", {"name": "EHR", "scope": "patients:read"}).json()
    patient = walk.other
    code = api.post(f"/v1/patients/{patient}/enrolments").json()["code"]
    person = {"grant_type": "password", "username": email, "password": _PASSWORD}
    integration = {
        "grant_type": "client_credentials", "client_id": client["id"], "client_secret": client["client_secret"],
    }  # fmt: skip
    none: frozenset[str] = frozenset()
    steps: list[tuple[str, dict[str, Any], int, Event]] = [
        ("/oauth/password", {"json": {"code": made["password_code"]["code"], "password": _PASSWORD}}, 204,
         Event("done", none, none)),
        ("/oauth/token", {"data": person}, 200, Event("done", none, none)),
        ("/oauth/token", {"data": person | {"password": "wrong password"}}, 400, Event("denied", none, none)),
        ("/oauth/token", {"data": integration}, 200, Event("done", none, none)),
        ("/oauth/token", {"data": integration | {"client_secret": "x"}}, 401, Event("denied", none, none)),
        ("/oauth/token", {"data": integration | {"scope": "patients:write"}}, 400, Event("denied", none, none)),
        ("/v1/enrolments/redeem", {"json": {"code": code, "device_name": "phone"}}, 200,
         Event("done", frozenset({patient}), none)),
    ]  # fmt: skip
    for path, sent, status, expected in steps:
        request_id = f"proof-{secrets.token_hex(6)}"
        answer = server.post(path, headers={"X-Request-Id": request_id}, **sent)
        assert answer.status_code == status, answer.text
        assert walk.witness.at_start[request_id] == [expected], path
        [[address]] = walk.witness.rows("select address from audit_events where request_id = :id", id=request_id)
        assert address == "testclient"


def test_an_export_that_cannot_begin_is_not_recorded_as_shown(walk: Walk) -> None:
    database, clinic_id = DATABASE.in_app(app_of(walk.world.api.server)), walk.world.api.clinic_id
    database._streaming.add(clinic_id)  # as if another export of the clinic were running
    try:
        answer, events, _ = walk.call("export_scores_csv")
    finally:
        database._streaming.discard(clinic_id)
    assert (answer.status_code, events) == (503, [])


def test_an_export_whose_event_cannot_be_recorded_is_not_given_and_keeps_no_place(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, clinic_id = DATABASE.in_app(app_of(walk.world.api.server)), walk.world.api.clinic_id

    def broken(*_: Any) -> None:
        raise Busy

    monkeypatch.setattr(recording, "insert", broken)
    answer, events, _ = walk.call("export_scores_csv")
    assert (answer.status_code, events) == (503, [])
    assert clinic_id not in database._streaming


def routes_of(router: Any) -> Iterator[APIRoute]:
    """Every route of an application or a router. FastAPI keeps the routers it includes as they are, one in another."""
    for route in router.routes:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from routes_of(route.original_router)


def test_every_route_but_the_open_ones_is_guarded_and_in_the_document(walk: Walk) -> None:
    routes = list(routes_of(app_of(walk.world.api.server)))
    documents = {route.path for route in served_documents.routes if isinstance(route, APIRoute)}
    assert len(routes) > 60
    for route in routes:
        if route.path not in documents:
            assert isinstance(route, GuardedRoute) or route.name in OPEN_OPERATIONS, route.path
            assert route.name in {*CALLS, *PAGES, *OPEN_OPERATIONS, *OPEN_PAGES}, "it is walked through"


def test_a_route_that_does_not_go_through_the_door_gives_no_answer(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PERMISSIONS, "peek", Permission())
    router = APIRouter(route_class=GuardedRoute)

    @router.get("/v1/peek")
    async def peek() -> dict[str, str]:
        return {"told": "something of a patient"}

    app = create_app(settings)
    app.include_router(router)
    with TestClient(app) as server:
        answer = new_clinic(server).get("/v1/peek")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "something" not in answer.text
    assert "NotThroughTheDoorError" in caplog.text
