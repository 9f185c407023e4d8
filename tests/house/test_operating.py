"""What an operator sees: mail that is sent within a minute, a log that is sealed and verified, metrics, and a service
that refuses to start with a role that can get around row-level security."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, make_url, text

from app import work
from app.migrating import upgrade
from app.settings import Settings
from tests.alerts.test_mailing import Mailbox, mailbox
from tests.conftest import ENGINES, days_ago, free_port, fresh_settings
from tests.house.processes import HOLDFAST, PASSWORD, environment, run, serving

__all__ = ["mailbox"]


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    found = fresh_settings(request.param, request, tmp_path)
    upgrade(found)
    return found


def add_clinic(settings: Settings, *more: str) -> dict[str, str]:
    return run(
        settings, "clinics", "add", "--name", "North", "--time-zone", "UTC", "--admin-email", "a@example.org",
        "--admin-password-stdin", *more, stdin=f"{PASSWORD}\n",
    )  # fmt: skip


def login(address: str) -> httpx.Client:
    form = {"grant_type": "password", "username": "a@example.org", "password": PASSWORD}
    token = httpx.post(f"{address}/oauth/token", data=form, timeout=30).json()["access_token"]
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def soon(seconds: float, happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)


def urgent(api: httpx.Client, number: str) -> None:
    patient = api.post("/v1/patients", json={"external_id": number}).json()["id"]
    responses = [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]
    posted = {"taken_at": days_ago(0.01), "responses": responses}
    assert api.post(f"/v1/patients/{patient}/check-ins", json=posted).status_code == 201


def test_mail_leaves_within_the_minute_the_log_is_sealed_and_verified(
    settings: Settings, tmp_path: Path, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    clinic_id, log, metrics = add_clinic(settings)["clinic_id"], tmp_path / "log", str(free_port())
    variables = {"HOLDFAST_SMTP_URL": url, "HOLDFAST_METRICS_PORT": metrics}
    with serving(settings, log=log, **variables) as address, login(address) as api:
        api.patch("/v1/clinic", json={"alert_recipients": ["oncall@example.org"]}, headers={"If-Match": '"1"'})
        urgent(api, "one")
        soon(60, lambda: box.told == ["oncall@example.org"])
        soon(50, lambda: f"sealed {clinic_id}" in log.read_text())
        told = httpx.get(f"http://127.0.0.1:{metrics}/metrics").text
        assert re.search(r"^holdfast_audit_unsealed_age_seconds \d", told, re.MULTILINE)
        assert 'route="/v1/patients/{patient_id}/check-ins"' in told
        assert clinic_id not in told
    verified = verify(settings, 0)
    assert "as it was sealed" in verified
    assert re.search(r"; not sealed yet: \d+ events", verified)
    # A seal that is in the service's log but no longer in the database shows that the newest events were deleted.
    last = re.findall(rf"sealed ({clinic_id}:\d+:[0-9a-f]+)", log.read_text())[-1]
    assert last in verified
    beyond = re.sub(r":(\d+):", lambda m: f":{int(m[1]) + 1}:", last)
    assert "cut_tail" in verify(settings, 1, "--seal", beyond)
    assert str(run(settings, "alerts", "backfill", "--clinic", clinic_id)["raised"]) == "0"


def verify(settings: Settings, code: int, *words: str) -> str:
    found = subprocess.run(
        [HOLDFAST, "audit", "verify", *words], env=environment(settings), capture_output=True, text=True, check=False
    )
    assert found.returncode == code, found.stderr
    return found.stdout


@pytest.mark.postgresql
def test_work_of_its_own_does_what_serve_leaves(
    request: pytest.FixtureRequest, tmp_path: Path, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    add_clinic(settings)
    with serving(settings, "--no-work", HOLDFAST_SMTP_URL=url) as address, login(address) as api:
        api.patch("/v1/clinic", json={"alert_recipients": ["oncall@example.org"]}, headers={"If-Match": '"1"'})
        urgent(api, "one")
        time.sleep(6)
        assert box.told == []
        jobs = [
            subprocess.Popen([HOLDFAST, "work"], env=environment(settings) | {"HOLDFAST_SMTP_URL": url})
            for _ in range(2)
        ]
        try:
            soon(60, lambda: len(box.told) == 1)
            urgent(api, "two")
            soon(60, lambda: len(box.told) == 2)
            time.sleep(2 * work._MAIL_SECONDS)
            assert len(box.told) == 2, "of two processes one sends"
        finally:
            for job in jobs:
                job.terminate()
                job.wait(timeout=20)


def test_a_clinic_is_added_with_a_required_second_factor_and_a_password_is_reset(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings = fresh_settings("sqlite", request, tmp_path)
    upgrade(settings)
    add_clinic(settings, "--second-factor", "required")
    with serving(settings) as address:
        with login(address) as api:
            assert api.get("/v1/me").json()["second_factor"] == "required"
            assert api.get("/v1/patients").status_code == 403
        code = run(settings, "users", "reset-password", "--email", "A@example.org")["code"]
        body = {"code": code, "password": "another sentence"}
        assert httpx.post(f"{address}/oauth/password", json=body).status_code == 204
        form = {"grant_type": "password", "username": "a@example.org", "password": "another sentence"}
        assert httpx.post(f"{address}/oauth/token", data=form).status_code == 200


def test_what_is_wrong_with_the_environment_is_said_without_its_values(tmp_path: Path) -> None:
    variables = {"HOLDFAST_SECRET_KEY": "short-and-secret", "HOLDFAST_DATABASE_URL": f"sqlite:///{tmp_path}/h.db"}
    found = subprocess.run(
        [HOLDFAST, "migrate"], env={"PATH": ""} | variables, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "HOLDFAST_SECRET_KEY must have at least 32 characters" in found.stderr
    assert "short-and-secret" not in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.postgresql
def test_serve_refuses_a_role_that_row_security_does_not_hold(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    database = make_url(settings.database_url).database
    admin = make_url(request.getfixturevalue("postgres_owner_url")).set(database=database, drivername="postgresql")
    bypassing = f"{database}_bypassing"
    engine = create_engine(admin.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"create role {bypassing} login bypassrls password '{bypassing}'"))
    engine.dispose()
    owner = settings.migration_database_url or ""
    by_bypass = admin.set(username=bypassing, password=bypassing).render_as_string(hide_password=False)
    superuser = admin.render_as_string(hide_password=False)
    for url, why in ((owner, "owns the table"), (superuser, "is a superuser"), (by_bypass, "bypasses")):
        for command in (["serve", "--port", str(free_port())], ["work"])[: 2 if url == owner else 1]:
            refused = subprocess.run(
                [HOLDFAST, *command], env=environment(settings) | {"HOLDFAST_DATABASE_URL": url},
                capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert refused.returncode == 2, (command, why)
            assert why in refused.stderr


def test_a_trusted_proxy_names_the_address_and_cors_the_origins(settings: Settings) -> None:
    add_clinic(settings)
    variables = {"HOLDFAST_TRUSTED_PROXIES": "127.0.0.1", "HOLDFAST_CORS_ORIGINS": "https://app.example.org"}
    with serving(settings, log=None, **variables) as address, login(address) as api:
        api.get("/v1/patients", headers={"X-Forwarded-For": "203.0.113.7"})
        seen: list[dict[str, Any]] = api.get("/v1/audit-events").json()["items"]
        assert "203.0.113.7" in [event["address"] for event in seen]
        for origin, allowed in (("https://app.example.org", True), ("https://elsewhere.example", False)):
            asked = {"Origin": origin, "Access-Control-Request-Method": "POST",
                     "Access-Control-Request-Headers": "Authorization,If-Match,Idempotency-Key"}  # fmt: skip
            answer = httpx.options(f"{address}/v1/patients", headers=asked)
            assert (answer.headers.get("access-control-allow-origin") == origin) == allowed
            given = api.get("/v1/me", headers={"Origin": origin}).headers
            assert (given.get("access-control-allow-origin") == origin) == allowed
            assert "ETag" in given["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in given
        patient_id = api.post("/v1/patients", json={"external_id": "cors"}).json()["id"]
        for headers in ({}, {"Origin": "https://app.example.org"}):
            given = api.get(f"/v1/patients/{patient_id}/relief", headers=headers).headers
            assert given["vary"] == "Origin", "a plain request is told so too"
