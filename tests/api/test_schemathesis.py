"""The service against its OpenAPI document, by Schemathesis: it makes requests to every operation, right ones and wrong
ones. None may end in a 5xx, in a status or a body that the document does not know, or be taken though it is wrong.

The seed is fixed, so that a run finds what the last one found. More: FUZZ_EXAMPLES=50 python -m pytest <this file>. A
caller's run must end within the 15 minutes for which a token is good.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.access.policies import ROLE_SCOPES
from tests.conftest import fresh_settings
from tests.house.processes import PASSWORD, run, serving

ROOT, HERE = Path(__file__).parents[2], Path(__file__).parent / "fuzz"
BIN = ROOT / "clients/tools/.venv/bin"
ADMIN, CLINICIAN = "admin@example.org", "clinician@example.org"
# Pictures are slow; the others would end the caller's own sign-in.
LEFT_OUT = r"\.(png|svg|vl\.json)$|^/v1/me/(password|second-factor|sign-out)|^/oauth/password"
_EVERY_PHASE = ("--phases", "examples,coverage,fuzzing,stateful")
_RIGHT_ONES = ("--phases", "examples,fuzzing", "-m", "positive")
# How many operations must succeed for each caller, how many requests each makes of a kind at least, and how.
TRIALS: dict[str, tuple[Any, ...]] = {
    "device": (15, 5, *_RIGHT_ONES),
    "integration": (
        1,
        8,
        *_RIGHT_ONES,
        *(w for method in ("POST", "PUT", "PATCH") for w in ("--include-method", method)),
    ),
    "clinician": (40, 3, *_RIGHT_ONES),
    "admin": (65, 6, *_EVERY_PHASE),
}

pytestmark = pytest.mark.skipif(not (BIN / "st").exists(), reason="NOTHING WAS FUZZED: run `make tools`")


class Clinic(NamedTuple):
    """A service with a clinic: where it is, a token for each caller, and ids for the parameters of paths."""

    address: str
    tokens: dict[str, str]
    ids: list[dict[str, str]]


@pytest.fixture(scope="module")
def clinic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    settings = fresh_settings("sqlite", request, tmp_path_factory.mktemp("fuzzed"))
    run(settings, "migrate")
    words: tuple[str, ...] = (
        "--name",
        "Clinic",
        "--time-zone",
        "America/New_York",
        "--admin-email",
        ADMIN,
        "--admin-password-stdin",
    )
    clinic_id = run(settings, "clinics", "add", *words, stdin=f"{PASSWORD}\n")["clinic_id"]
    words = ("--clinic", clinic_id, "--email", CLINICIAN, "--role", "clinician", "--password-stdin")
    run(settings, "users", "add", *words, stdin=f"{PASSWORD}\n")
    words = ("--clinic", clinic_id, "--name", "EHR", "--scope", " ".join(sorted(ROLE_SCOPES["clinician"])))
    client = run(settings, "clients", "add", *words)
    with serving(settings, HOLDFAST_RATE_LIMIT="0") as address, httpx.Client(base_url=address) as http:

        def token(**form: str) -> str:
            found: str = http.post("/oauth/token", data=form).raise_for_status().json()["access_token"]
            return found

        admin, clinician = (
            token(grant_type="password", username=name, password=PASSWORD) for name in (ADMIN, CLINICIAN)
        )
        integration = token(grant_type="client_credentials", **{n: client[n] for n in ("client_id", "client_secret")})
        http.headers["Authorization"] = f"Bearer {admin}"
        ids, device = _filled(http)
        others = {"user_id": _made(http, "/v1/users", email="other@example.org", role="clinician")}
        others["client_id"] = _made(http, "/v1/clients", name="Other", scope="patients:read")
        spare, _ = _filled(http)
        tokens = {"admin": admin, "clinician": clinician, "integration": integration, "device": device}
        yield Clinic(address, tokens, [ids | others, spare | others])


def _made(http: httpx.Client, path: str, **body: Any) -> str:
    answer = http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    found: str = answer.json().get("id") or answer.json()["client_id"]
    return found


def _filled(http: httpx.Client) -> tuple[dict[str, str], str]:
    """A patient with everything that a path can name, and the token of their device."""
    now = datetime.now(UTC)

    def ago(days: float) -> str:
        return (now - timedelta(days=days)).isoformat()

    patient_id = _made(http, "/v1/patients", external_id=os.urandom(4).hex(), label="A", indications=["chronic_pain"])
    at, found = f"/v1/patients/{patient_id}", {"patient_id": patient_id}
    for days, answers in ((100, 2), (85, 0), (55, 1), (5, 2)):
        scores = [{"instrument": "phq-9", "answers": [answers] * 8 + [1]}, {"instrument": "nrs-pain", "score": answers}]
        found["check_in_id"] = _made(http, f"{at}/check-ins", taken_at=ago(days), responses=scores)
        if days == 100:
            found["session_id"] = _made(http, f"{at}/sessions", started_at=ago(99), dose_mg=38.5, weight_kg=77)
    on = (now - timedelta(days=40)).date().isoformat()
    found["event_id"] = _made(http, f"{at}/events", kind="medication_changed", on=on)
    found["alert_id"] = http.get("/v1/alerts", params={"patient_id": patient_id}).json()["items"][0]["id"]
    code = http.post(f"{at}/enrolments").json()["code"]
    held = http.post("/v1/enrolments/redeem", json={"code": code, "device_name": "phone"}).json()
    found["device_id"] = http.get(f"{at}/devices").json()["items"][0]["id"]
    return found, held["access_token"]


@pytest.mark.parametrize("caller", TRIALS)
def test_the_service_answers_as_its_document_says(clinic: Clinic, caller: str, tmp_path: Path) -> None:
    succeeding, examples, *options = TRIALS[caller]
    seen = tmp_path / "seen"
    command = [
        str(BIN / "st"), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{clinic.address}/openapi.json",
        "-H", f"Authorization: Bearer {clinic.tokens[caller]}", "--exclude-path-regex", LEFT_OUT,
        "--exclude-checks", "object_level_authorization", "--no-color", *map(str, options),
        "-n", os.environ.get("FUZZ_EXAMPLES", str(examples)),
    ]  # fmt: skip
    given = {
        "FUZZ_SEEN": str(seen),
        "FUZZ_IDS": json.dumps(clinic.ids),
        "SCHEMATHESIS_HOOKS": "fuzz_hooks",
        "PYTHONPATH": str(HERE),
    }
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    answers = [line.split() for line in seen.read_text(encoding="utf-8").splitlines()]
    assert len({name for name, status in answers if status.startswith("2")}) >= succeeding
    assert httpx.get(f"{clinic.address}/readyz").status_code == 200
