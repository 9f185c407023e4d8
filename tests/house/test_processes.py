"""Real processes: two of them writing to the same patients, the command line, and the demo a newcomer sees."""

import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlmodel import select

from app import clock
from app.access import service as access
from app.access.models import User
from app.access.tokens import Claims
from app.audit.service import Act
from app.checkins import service as checkins
from app.checkins.deciding import Post
from app.checkins.models import CheckInIn, ResponseIn
from app.clinic import service as clinics
from app.migrating import upgrade
from app.patients import service as patients
from app.patients.models import PatientIn
from app.relief_answers import service as relief_answers
from app.settings import Settings
from app.storage import Database, new_id
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks.models import FoldRow, ScoreVersion
from tests.conftest import SECRET, free_port, fresh_settings, question
from tests.house.processes import HOLDFAST, PASSWORD, environment, run, serving, wait_for


def logged_in(address: str, email: str) -> httpx.Client:
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    answer = httpx.post(f"{address}/oauth/token", data=form, timeout=30)
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return httpx.Client(base_url=address, headers=headers, timeout=30)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_commands_of_the_contract(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = fresh_settings(kind, request, tmp_path)
    run(settings, "migrate")
    clinic = run(
        settings, "clinics", "add", "--name", "North", "--time-zone", "America/New_York", "--admin-email",
        "admin@example.org", "--admin-password-stdin", stdin=f"{PASSWORD}\n",
    )  # fmt: skip
    clinic_id = clinic["clinic_id"]
    run(settings, "users", "add", "--clinic", clinic_id, "--email", "c@example.org", "--role", "clinician",
        "--password-stdin", stdin=f"{PASSWORD}\n")  # fmt: skip
    client = run(settings, "clients", "add", "--clinic", clinic_id, "--name", "EHR", "--scope",
                 "patients:read patients:write")  # fmt: skip
    with serving(settings) as address:
        for email, role in (("admin@example.org", "admin"), ("C@Example.org", "clinician")):
            with logged_in(address, email) as api:
                assert api.get("/v1/me").json()["role"] == role
        form = {"grant_type": "client_credentials", **client}
        token = httpx.post(f"{address}/oauth/token", data=form, timeout=30).json()
        assert token["scope"] == "patients:read patients:write"
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        made = httpx.post(f"{address}/v1/patients", json={"external_id": "1"}, headers=headers)
        assert made.status_code == 201
    wrong = subprocess.run(
        [HOLDFAST, "clinics", "add", "--name", "X", "--time-zone", "Mars/Olympus", "--admin-email", "x@example.org",
         "--admin-password-stdin"],
        env=environment(settings), input=f"{PASSWORD}\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (wrong.returncode, wrong.stderr.strip()) == (2, "time_zone: must be an IANA time zone")


def test_a_key_is_made_once_beside_the_embedded_database(tmp_path: Path) -> None:
    one = Settings(database_url=f"sqlite:///{tmp_path}/data/h.db", secret_key=SecretStr(""))
    two = Settings(database_url=f"sqlite:///{tmp_path}/data/h.db", secret_key=SecretStr(""))
    assert one.secret_key == two.secret_key
    assert len(one.secret_key.get_secret_value()) >= 32
    assert (tmp_path / "data/h.db.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ValueError, match="HOLDFAST_SECRET_KEY"):
        Settings(database_url="postgresql://localhost/holdfast", secret_key=SecretStr(""))


@pytest.mark.postgresql
def test_two_processes_posting_to_the_same_patients_keep_every_score_once(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    run(settings, "clinics", "add", "--name", "N", "--time-zone", "America/New_York", "--admin-email",
        "a@example.org", "--admin-password-stdin", stdin=f"{PASSWORD}\n")  # fmt: skip
    start = clock.now() - timedelta(days=60)
    made = [str(new_id()) for _ in range(2_000)]
    with serving(settings) as one, serving(settings) as two:
        clients = [logged_in(one, "a@example.org"), logged_in(two, "a@example.org")]
        ids = [clients[0].post("/v1/patients", json={"external_id": str(n)}).json()["id"] for n in range(5)]
        for patient in ids:
            for day in (0, 3, 7):
                body = {"started_at": (start + timedelta(days=day)).isoformat()}
                assert clients[0].post(f"/v1/patients/{patient}/sessions", json=body).status_code == 201

        def post(number: int) -> httpx.Response:
            api, half = clients[number % 2], number // 2  # each body goes to both processes
            body = check_in(start, half // 5) | {"id": made[half]}
            if half % 4 == 3:  # a batch over all five, in an order of its own
                items = [
                    body | {"id": made[1000 + 5 * half + n], "patient_id": p, "taken_at": moved(start, half, p)}
                    for n, p in enumerate(reversed(ids))
                ]
                return api.post("/v1/check-ins/batch", json={"items": items})
            return api.post(f"/v1/patients/{ids[half % 5]}/check-ins", json=body)

        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(post, range(200)))
        for api in clients:
            api.close()
    assert {a.status_code for a in answers} == {200, 201}
    batches = [r for a in answers if a.status_code == 200 for r in a.json().get("results", [])]
    assert {r["http_status"] for r in batches} == {200, 201}
    kept = sum(a.status_code == 201 for a in answers) + sum(r["http_status"] == 201 for r in batches)
    assert kept == 75 + 5 * 25
    check_tracks(settings, expected=2 * kept)


def check_in(start: datetime, number: int) -> dict[str, Any]:
    taken_at = (start + timedelta(days=number, hours=1, minutes=7 * (number % 8))).isoformat()
    responses = [{"instrument": "nrs-pain", "score": number % 11}, {"instrument": "phq-9", "score": number % 28}]
    return {"taken_at": taken_at, "responses": responses}


def moved(start: datetime, number: int, patient: str) -> str:
    return (start + timedelta(days=number % 50, hours=3, seconds=number * 60 + int(patient[-2:], 16))).isoformat()


def check_tracks(settings: Settings, expected: int) -> None:
    """Stored tracks equal a refold, and no score is doubled or lost."""
    database = Database(settings.migration_database_url or settings.database_url, settings.secret)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("alter table clinics no force row level security")
        clinic_id = connection.exec_driver_sql("select id from clinics").scalar_one()
        connection.rollback()
    database.close()
    database = Database(settings.database_url, settings.secret)

    def compare(db: Any) -> int:
        scores = db.exec(select(ScoreVersion)).all()
        zone = ZoneInfo("America/New_York")
        for patient in db.exec(select(FoldRow.patient_id)).all():
            known = tracks.gather(db, clinic_id, [patient])[patient]
            folded, _ = answers.known_on(db, clinic_id, patient, zone, clock.now().date(), None)
            assert known.tracks == folded.tracks
        assert len({(s.patient_id, s.instrument, s.taken_at) for s in scores}) == len(scores)
        return len(scores)

    assert database.reading(clinic_id, compare) == expected
    database.close()


def test_a_service_told_to_stop_does_not_wait_for_half_a_request(tmp_path: Path) -> None:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/h.db", migration_database_url=None, secret_key=SecretStr(SECRET)
    )
    upgrade(settings)
    with ExitStack() as held:
        with serving(settings) as address:
            client = held.enter_context(socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1]))))
            form = "application/x-www-form-urlencoded"
            client.sendall(f"POST /oauth/token HTTP/1.1\r\nHost: h\r\nContent-Type: {form}\r\n".encode())
            client.sendall(b"Content-Length: 500\r\n\r\ngrant_type=")
            gives_up = held.enter_context(hanging_up(client, 18))
            time.sleep(0.5)
        assert gives_up.is_alive(), "the service waited until its client hung up"


@contextmanager
def hanging_up(client: socket.socket, seconds: float) -> Iterator[threading.Timer]:
    timer = threading.Timer(seconds, client.close)
    timer.start()
    yield timer
    timer.cancel()


@pytest.mark.postgresql
def test_an_answer_stays_reproducible_across_a_slow_commit(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "S", "UTC", [], now))
    user = User(clinic_id=clinic_id, id=new_id(), email="s@example.org", role="admin", password_hash="none",
                created_at=now, disabled_at=None)  # fmt: skip
    database.writing(clinic_id, lambda db: db.add(user))
    caller = database.reading(
        clinic_id, lambda db: access.caller_of_token(db, Claims("user", user.id, clinic_id, "", 0))
    )
    patient_id = new_id()

    def act() -> Act:
        return Act(clinic_id, "user", user.id, "test", "test", clock.now())

    database.writing(
        clinic_id, lambda db: patients.create(db, caller, act(), PatientIn(id=patient_id, external_id="slow"))
    )

    recorded, may_commit = threading.Event(), threading.Event()

    def post(db: Any, day: int, *, slowly: bool = False) -> Any:
        taken_at = clock.now() - timedelta(days=day)
        responses = [ResponseIn(instrument="nrs-pain", score=day)]
        made = checkins.record_many(
            db, clinic_id, [Post(caller, act(), patient_id, CheckInIn(taken_at=taken_at, responses=responses))]
        )
        if slowly:
            recorded.set()
            assert may_commit.wait(30)
        return made

    def relief(known_at: datetime | None) -> Any:
        return database.reading(
            clinic_id,
            lambda db: relief_answers.relief_of(db, question(caller, patient_id, clock.now(), known_at=known_at)).value,
        )

    def someone_waits() -> bool:
        waiting = text("select count(*) from pg_locks where not granted")
        return bool(database.reading(clinic_id, lambda db: db.connection().execute(waiting).scalar()))

    database.writing(clinic_id, lambda db: post(db, 9))
    with ThreadPoolExecutor(2) as pool:
        try:
            slow = pool.submit(database.writing, clinic_id, lambda db: post(db, 8, slowly=True))
            assert recorded.wait(30)
            during = relief(None)
            behind = pool.submit(database.writing, clinic_id, lambda db: post(db, 7))
            deadline = time.monotonic() + 30
            while not someone_waits():
                assert time.monotonic() < deadline, "the second post does not wait for the first"
                time.sleep(0.01)
        finally:
            may_commit.set()
        slow.result()
        behind.result()
    after = relief(None)
    assert during.known_at is not None
    assert relief(during.known_at) == during
    assert relief(after.known_at) == after
    assert after.known_at > during.known_at
    database.close()


def test_the_demo_fills_serves_and_says_what_to_try(tmp_path: Path) -> None:
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    command = [HOLDFAST, "demo", "--port", str(port), "--patients", "12", "--days", "120"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}", process)
            assert process.stdout
            told = ""
            while "Stop with" not in told:
                line = process.stdout.readline()
                assert line, "the demo ended"
                told += line
            password = re.search(r"Password  (\S+)", told)
            patient = re.search(r"/v1/patients/([0-9a-f-]{36})/relief", told)
            assert password
            assert patient
            form = {"grant_type": "password", "username": "demo@holdfast.example", "password": password[1]}
            token = httpx.post(f"http://127.0.0.1:{port}/oauth/token", data=form).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}"}
            me = httpx.get(f"http://127.0.0.1:{port}/v1/me", headers=headers).json()
            assert me["clinic"]["synthetic"] is True
            answer = httpx.get(f"http://127.0.0.1:{port}/v1/patients/{patient[1]}/relief", headers=headers).json()
            mood = answer["domains"][0]
            explained = next(t["explanation"] for t in answer["tracks"] if t["instrument"] == mood["instrument"])
            assert f"Mood: {mood['status']}. {explained}" in told
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_a_reader_who_waits_for_changes_gets_an_answer_when_the_service_stops(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = fresh_settings("sqlite", request, tmp_path)
    run(settings, "migrate")
    words = ("--name", "North", "--time-zone", "America/New_York", "--admin-email", "admin@example.org")
    run(settings, "clinics", "add", *words, "--admin-password-stdin", stdin=f"{PASSWORD}\n")
    with ThreadPoolExecutor(1) as pool:
        with serving(settings) as address:
            reader = logged_in(address, "admin@example.org")
            waiting = pool.submit(reader.get, "/v1/changes", params={"wait": 30})
            time.sleep(1)
            assert not waiting.done()
            began = time.monotonic()
        answer = waiting.result(timeout=10)
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_after": 0})
    assert time.monotonic() - began < 5
