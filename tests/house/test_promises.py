"""Promises that would break silently: a 201 leaves after the commit, and no value leaks."""

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.checkins.routes import RECORDING
from app.main import create_app
from app.settings import Settings
from app.storage import open_engine
from tests.conftest import Api, new_clinic, new_device

MARKER = "Zanzibar-7319"


class SeenAtStart:
    """Looks, from a connection of its own, at what is committed at the moment an answer starts to leave."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        url = settings.migration_database_url or settings.database_url
        self.engine = open_engine(url)
        self.audited: list[int] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["type"] == "http":
                self.audited.append(self.count(scope["request_id"]))
            await send(message)

        await self.app(scope, receive, watched)

    def count(self, request_id: str) -> int:
        clinic = self.clinic
        with self.engine.connect().execution_options(holdfast_begin=("BEGIN",)) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("select set_config('holdfast.clinic_id', :id, true)"), {"id": clinic})
            query = text("select count(*) from audit_events where request_id = :id")
            return int(connection.execute(query, {"id": request_id}).scalar() or 0)

    clinic = ""


@pytest.fixture
def watched(settings: Settings) -> Iterator[tuple[SeenAtStart, TestClient]]:
    app = SeenAtStart(create_app(settings), settings)
    with TestClient(app) as client:
        client.app = app
        yield app, client
    app.engine.dispose()


def test_what_was_done_is_committed_before_its_answer_leaves(watched: tuple[SeenAtStart, TestClient]) -> None:
    app, client = watched
    api = new_clinic(client)
    app.clinic = str(api.clinic_id)
    patient_id = api.patient()
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    check_in = api.check_in(patient_id, "2025-01-20T09:00:00-05:00", "phq-9", 26)
    path = f"/v1/patients/{patient_id}"
    answers = [
        api.patch(path, {"care_status": "paused"}, 1),
        api.post(
            f"{path}/check-ins/{check_in['id']}/amendments",
            {"reason": "keying error", "responses": [{"instrument": "phq-9", "score": 9}]},
            headers={"If-Match": '"1"'},
        ),
        api.post(f"/v1/alerts/{check_in['alerts'][0]['id']}/acknowledgement", {"disposition": "contacted"}),
        api.post(
            f"{path}/check-ins",
            {"taken_at": "2025-01-21T09:00:00Z", "responses": [{"instrument": "nrs-pain", "score": 3}]},
            headers={"Idempotency-Key": "one"},
        ),
        api.get(f"{path}/relief"),
        api.get(f"{path}/relief", params={"as_of": "2025-01-10"}),
        api.get(f"{path}/relief", params={"known_at": "2025-01-10T00:00:00Z"}),
        api.get(f"{path}/check-ins"),
        api.get(path),
    ]
    assert all(answer.status_code < 300 for answer in answers), [a.text for a in answers]
    assert app.audited == [1] * (3 + len(answers))


def test_no_value_of_a_patient_reaches_a_log_an_error_or_a_url(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with TestClient(create_app(settings), raise_server_exceptions=False) as server:
        api = new_clinic(server)
        refused = list(_refusals(api))
        device = new_device(api, api.patient(label=MARKER, external_id=MARKER))
        seen = [api.get("/v1/patients"), device.get("/v1/patients")]
    for answer in refused:
        assert answer.status_code >= 400, answer.text
        assert MARKER not in answer.text
        assert MARKER not in str(answer.headers)
        assert "73190" not in _without_ids(answer.text)
    assert MARKER in seen[0].text
    # The test's own HTTP client logs the address it asks for; the service must not.
    logged = " ".join(r.getMessage() for r in caplog.records if not r.name.startswith("httpx"))
    assert "GET /v1/patients/{patient_id}/relief 422" in logged
    assert MARKER not in logged
    assert "73190" not in _without_ids(logged)


def _without_ids(text: str) -> str:
    """The text without UUIDs, whose digits are random and may spell any number."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", text)


def _refusals(api: Api) -> Iterator[Any]:
    """Everything a client can send, wrong, with the marker in it."""
    patient_id = api.patient(external_id=f"{MARKER}-taken")
    path = f"/v1/patients/{patient_id}"
    yield api.post("/v1/patients", {"external_id": f"{MARKER}-taken", "label": MARKER})
    yield api.post("/v1/patients", {"external_id": "x", "indications": [MARKER]})
    yield api.post("/v1/patients", {"external_id": "x", MARKER: MARKER, "birth_year": 73190})
    yield api.post("/v1/patients", {"external_id": "x", "primary_instruments": {MARKER: MARKER}})
    yield api.post("/v1/patients", {"external_id": "x", "primary_instruments": {MARKER: "y" * 60}})
    yield api.post("/v1/patients", {"external_id": f"{MARKER}\u0000"})
    yield api.post("/v1/patients", {"id": MARKER, "external_id": "x"})
    yield api.patch(path, {"care_status": MARKER}, 1)
    yield api.post(f"{path}/sessions", {"started_at": MARKER, "notes": MARKER, "route": MARKER})
    yield api.post(f"{path}/sessions", {"started_at": "2025-01-06T10:00:00Z", "weight_kg": 73190, "notes": MARKER})
    yield api.post(f"{path}/check-ins", {"taken_at": MARKER, "responses": [{"instrument": MARKER, "score": 73190}]})
    yield api.post(
        f"{path}/check-ins",
        {"taken_at": "2025-01-06T10:00:00Z", "responses": [{"instrument": "phq-9", "answers": [73190] * 9}]},
    )
    yield api.post(f"{path}/check-ins", {"taken_at": "2025-01-06T10:00:00Z", "responses": MARKER})
    yield api.post("/v1/check-ins/batch", {"items": [], MARKER: 1})
    yield api.get(f"{path}/relief", params={"as_of": MARKER, "known_at": MARKER, "rule": MARKER})
    yield api.get("/v1/patients", params={"cursor": MARKER})
    yield api.get("/v1/patients", params={"indication": MARKER})
    yield api.get(f"/v1/patients/{MARKER}")
    yield api.request(
        "POST", "/v1/patients", content=f'{{"external_id": "{MARKER}",', headers={"Content-Type": "application/json"}
    )
    yield api.request("POST", "/v1/patients", content=MARKER, headers={"Content-Type": MARKER})
    yield api.server.post("/oauth/token", data={"grant_type": "password", "username": MARKER, "password": MARKER})
    yield api.server.post("/v1/enrolments/redeem", json={"code": MARKER, "device_name": MARKER})


def test_an_unexpected_fault_says_nothing_of_the_data(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(settings)
    # The test client raises whatever reaches the server that runs the app, which would print it: nothing may.
    with TestClient(app, raise_server_exceptions=True) as server:
        api = new_clinic(server)
        patient_id = api.patient()
        engine = create_engine("sqlite://")

        def broken(*_: Any) -> Any:
            with engine.connect() as connection:
                connection.execute(text("select :value from nowhere"), {"value": MARKER})

        RECORDING.in_app(app)._work = broken
        answer = api.post(
            f"/v1/patients/{patient_id}/check-ins",
            {"taken_at": "2025-01-06T10:00:00Z", "responses": [{"instrument": "nrs-pain", "score": 3}]},
        )
        engine.dispose()
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers["cache-control"] == "no-store"
    assert "OperationalError" in caplog.text
    assert MARKER not in caplog.text + answer.text
