"""The examples of the OpenAPI document: requests that were made to the service over a demo clinic, and its answers.

`python -m tests.render` writes them to app/api/examples.json; a test makes them again and compares. The clock stands at
a fixed time, and what is drawn at chance (ids, codes, tokens) is replaced, so that they are the same each time.
"""

import json
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pyotp
from fastapi.testclient import TestClient
from httpx2 import Response
from pydantic import SecretStr

from app import clock
from app.access.policies import SCOPES
from app.api.parts import DATABASE
from app.demo.story import Demo, build
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.wording.models import EXAMPLE as WORDING_EXAMPLE

_NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MOST_OBJECTS, _MOST_VALUES = 2, 21
_PATIENTS, _DAYS, _SEED = 60, 300, 7

# Where they are kept, for the service to show.
EXAMPLES = Path(__file__).parents[1] / "app/api/examples.json"
Examples = dict[str, dict[str, Any]]


def examples() -> Examples:
    """By operation: the `request` body where there is one, the `status`, the `headers` by name, and the `response`
    body where it is JSON."""
    with tempfile.TemporaryDirectory() as folder, _stopped() as tick:
        settings = Settings(
            database_url=f"sqlite:///{folder}/demo.db",
            secret_key=SecretStr(secrets.token_urlsafe(32)),
            rate_limit=10_000,
            background_jobs=False,
        )
        upgrade(settings)
        with TestClient(create_app(settings), base_url="http://127.0.0.1:8000") as client:
            demo = build(DATABASE.in_app(client.app), _PATIENTS, _DAYS, _SEED)  # type: ignore[arg-type]
            teller = _Teller(client, tick)
            _tell(teller, demo)
            return teller.told()


@contextmanager
def _stopped() -> Iterator[Any]:
    """Stops the clock; it goes on by five seconds with each request."""
    now, running = [_NOW], clock.now

    def tick() -> None:
        now[0] += timedelta(seconds=5)

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now[0]

    clock.now = lambda: now[0]
    jwt.api_jwt.datetime = Stopped  # type: ignore[attr-defined]
    try:
        yield tick
    finally:
        clock.now, jwt.api_jwt.datetime = running, datetime  # type: ignore[attr-defined]


class _Teller:
    """Makes requests, and keeps what was asked and answered."""

    def __init__(self, client: TestClient, tick: Any) -> None:
        self._client, self._tick = client, tick
        self._found: Examples = {}
        self._hidden: dict[str, str] = {}
        self.token = ""

    def hide(self, value: str, instead: str) -> str:
        """Replaces a value wherever an example holds it."""
        self._hidden[value] = instead
        return value

    def say(
        self, operation: str, method: str, path: str, body: Any = None, *, version: int | None = None,
        token: str | None = None, **more: Any,
    ) -> Any:  # fmt: skip
        """Makes a request that must succeed, and keeps it as the operation's example, unless that is "". Returns the
        answer's JSON."""
        self._tick()
        headers = {"Authorization": f"Bearer {token or self.token}"} if self.token else {}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        headers |= more.pop("headers", {})
        answer: Response = self._client.request(method, path, json=body, headers=headers, **more)
        assert answer.is_success, (operation, answer.status_code, answer.text)
        kept: dict[str, Any] = {"status": answer.status_code, "headers": sorted(map(str.lower, answer.headers))}
        if body is not None or "data" in more:
            kept["request"] = more.get("data", body)
        shown = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None
        if shown is not None:
            kept["response"] = _shortened(shown)
        if operation:
            self._found[operation] = kept
        return shown

    def told(self) -> Examples:
        text = json.dumps(self._found, sort_keys=True)
        for value, instead in self._hidden.items():
            text = text.replace(json.dumps(value)[1:-1], instead)
        text = re.sub(r"erased-[0-9a-f]{12}", "erased-0f3b5a9c2d41", text)
        ids = {old: f"0198e0c4-0000-7000-8000-{n:012d}" for n, old in enumerate(dict.fromkeys(_UUID.findall(text)), 1)}
        found: Examples = json.loads(_UUID.sub(lambda match: ids[match.group()], text))
        return found


def _shortened(value: Any) -> Any:
    """The same with the first objects of each list, and the first values."""
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list):
        most = _MOST_OBJECTS if value and isinstance(value[0], dict | list) else _MOST_VALUES
        return [_shortened(each) for each in value[:most]]
    return value


def _tell(say: _Teller, demo: Demo) -> None:
    _access(say, demo)
    patient_id = _patients(say)
    _scores(say, patient_id)
    _answers(say, str(demo.patient_id))
    _corrections(say)
    _webhooks(say)
    _files(say)
    _wording(say)
    _service(say)


def _signed_in(say: _Teller, **data: str) -> Any:
    found = say.say("issue_token", "POST", "/oauth/token", data=data)
    say.hide(found["access_token"], "an-access-token")
    if found.get("refresh_token"):
        say.hide(found["refresh_token"], "a-refresh-token")
    return found


def _new_password(say: _Teller) -> str:
    return say.hide(secrets.token_urlsafe(12), "a password of your own")


def _access(say: _Teller, demo: Demo) -> None:
    say.hide(demo.password, "a password of your own")
    first = _signed_in(say, grant_type="password", username=demo.email, password=demo.password)
    say.token = first["access_token"]
    say.say("get_me", "GET", "/v1/me")
    clinic = say.say("get_clinic", "GET", "/v1/clinic")
    patch = {"alert_recipients": ["on-call@example.org"], "smallest_group": 11}
    say.say("update_clinic", "PATCH", "/v1/clinic", patch, version=clinic["version"])
    client = say.say("create_client", "POST", "/v1/clients", {"name": "EHR bridge", "scope": " ".join(SCOPES)})
    say.hide(client["client_secret"], "the-secret-that-is-shown-once")
    at = f"/v1/clients/{client['id']}"
    rotated = say.say("rotate_client_secret", "POST", f"{at}/secrets", {"overlap_hours": 24})
    say.hide(rotated["client_secret"], "the-secret-that-is-shown-once")
    say.say("update_client", "PATCH", at, {"name": "EHR bridge, ward 2"}, version=rotated["version"])
    say.say("get_client", "GET", at)
    say.say("list_clients", "GET", "/v1/clients")
    user = say.say("create_user", "POST", "/v1/users", {"email": "kim@example.org", "role": "clinician"})
    say.hide(user["password_code"]["code"], "the-code-that-is-shown-once")
    at = f"/v1/users/{user['id']}"
    say.say("get_user", "GET", at)
    say.say("list_users", "GET", "/v1/users", params={"limit": 2})
    reset = say.say("reset_password", "POST", f"{at}/password-reset")
    code = say.hide(reset["code"], "the-code-that-is-shown-once")
    password = _new_password(say)
    say.say("set_password", "POST", "/oauth/password", {"code": code, "password": password})
    held = _signed_in(say, grant_type="password", username="kim@example.org", password=password)
    admin, say.token = say.token, held["access_token"]
    changed = {"current_password": password, "password": _new_password(say)}
    say.say("change_password", "POST", "/v1/me/password", changed)
    held = _signed_in(say, grant_type="password", username="kim@example.org", password=changed["password"])
    say.token = held["access_token"]
    factor = say.say("start_second_factor", "POST", "/v1/me/second-factor", {"password": changed["password"]})
    say.hide(factor["uri"], "otpauth://totp/Holdfast:kim%40example.org?secret=JBSWY3DPEHPK3PXP&issuer=Holdfast")
    say.hide(factor["secret"], "JBSWY3DPEHPK3PXP")
    otp = say.hide(pyotp.TOTP(factor["secret"]).at(clock.now() + timedelta(seconds=5)), "123456")
    confirmed = say.say("confirm_second_factor", "POST", "/v1/me/second-factor/confirmation", {"otp": otp})
    for number, recovery in enumerate(confirmed["recovery_codes"], 1):
        say.hide(recovery, f"recovery-code-{number}")
    say.hide(confirmed["access_token"], "an-access-token")
    say.hide(confirmed["refresh_token"], "a-refresh-token")
    kim, say.token = say.token, confirmed["access_token"]
    say.say("sign_out_everywhere", "POST", "/v1/me/sign-out")
    say.token = kim
    say.say("revoke_token", "POST", "/oauth/revoke", data={"token": confirmed["refresh_token"]})
    say.token = admin
    version = say.say("get_user", "GET", at)["version"]
    say.say("remove_second_factor", "DELETE", f"{at}/second-factor")
    say.say("update_user", "PATCH", at, {"role": "clinician", "disabled": False}, version=version)
    again = _signed_in(say, grant_type="password", username=demo.email, password=demo.password)
    say.token = again["access_token"]


def _patients(say: _Teller) -> str:
    body = {
        "external_id": "MRN-0042",
        "label": "A.B.",
        "birth_year": 1984,
        "indications": ["major_depressive_disorder", "chronic_pain"],
        "failed_treatments": ["psychotherapy", "antidepressant"],
        "failed_antidepressant_trials": 3,
        "primary_instruments": {"pain": "nrs-pain"},
    }
    patient = say.say("create_patient", "POST", "/v1/patients", body)
    at = f"/v1/patients/{patient['id']}"
    say.say("get_patient", "GET", at)
    say.say("update_patient", "PATCH", at, {"care_team": [], "label": "A.B. (ward 2)"}, version=patient["version"])
    say.say("list_patient_versions", "GET", f"{at}/versions")
    listed = say.say("list_patients", "GET", "/v1/patients", params={"limit": 2})
    say.hide(listed["next_cursor"], "the-cursor-of-the-next-page")
    say.say("search_patients", "POST", "/v1/patients/search", {"external_id": "MRN-0042"})
    plan = say.say("get_clinic_plan", "GET", "/v1/clinic/plan")
    item = {
        "after": "session", "offset": "P3D", "window": "P2D", "early": "P1D", "instruments": ["phq-9", "nrs-pain"]
    }  # fmt: skip
    body = {"items": [item], "confirm": True}
    say.say("put_clinic_plan", "PUT", "/v1/clinic/plan", body, version=plan["version"])
    plan = say.say("get_plan", "GET", f"{at}/plan")
    say.say("put_plan", "PUT", f"{at}/plan", body, version=plan["version"])
    enrolment = say.say("enrol_device", "POST", f"{at}/enrolments")
    say.hide(enrolment["code"], "the-code-that-is-shown-once")
    body = {"code": enrolment["code"], "device_name": "my phone"}
    device = say.say("redeem_enrolment", "POST", "/v1/enrolments/redeem", body)
    say.hide(device["access_token"], "an-access-token")
    say.hide(device["refresh_token"], "a-refresh-token")
    say.say("list_my_due", "GET", "/v1/me/due", token=device["access_token"])
    devices = say.say("list_devices", "GET", f"{at}/devices")
    say.say("revoke_device", "DELETE", f"{at}/devices/{devices['items'][0]['id']}")
    found: str = patient["id"]
    return found


def _scores(say: _Teller, patient_id: str) -> None:
    at = f"/v1/patients/{patient_id}"
    for day, answers, pain in ((1, [3, 3, 2, 2, 1, 2, 2, 1, 0], 7), (9, [2, 2, 1, 1, 1, 1, 1, 0, 0], 4)):
        body = {
            "taken_at": f"2026-02-{day:02}T09:30:00-05:00",
            "responses": [{"instrument": "phq-9", "answers": answers}, {"instrument": "nrs-pain", "score": pain}],
        }
        say.say("record_check_in", "POST", f"{at}/check-ins", body)
        if day == 1:
            session = {
                "started_at": "2026-02-02T10:00:00-05:00", "ended_at": "2026-02-02T10:40:00-05:00", "drug": "ketamine",
                "dose_mg_per_kg": 0.5, "weight_kg": 70.0, "route": "iv",
                "vitals": [{"at": "2026-02-02T10:20:00-05:00", "systolic": 138, "diastolic": 84, "heart_rate": 82,
                            "spo2": 97}],
                "side_effects": [{"effect": "dizziness", "severity": "mild", "minutes_after_start": 20}],
            }  # fmt: skip
            given = say.say("record_session", "POST", f"{at}/sessions", session)
    body = {
        "taken_at": "2026-02-16T09:10:00-05:00",
        "sent_at": "2026-03-02T13:44:00-05:00",
        "responses": [
            {"instrument": "phq-9", "answers": [1, 1, 1, 1, 0, 1, 1, 0, 1]},
            {"instrument": "nrs-pain", "score": 3},
        ],
    }
    check_in = say.say("record_check_in", "POST", f"{at}/check-ins", body)
    alert_id = check_in["alerts"][0]["id"]
    item = {"patient_id": patient_id, "taken_at": "2026-02-20T09:00:00-05:00",
            "responses": [{"instrument": "nrs-pain", "score": 3}]}  # fmt: skip
    say.say("record_check_ins", "POST", "/v1/check-ins/batch", {"items": [item]})
    say.say("get_check_in", "GET", f"{at}/check-ins/{check_in['id']}")
    body = {"reason": "keying error", "responses": [{"instrument": "nrs-pain", "score": 2}]}
    say.say("amend_check_in", "POST", f"{at}/check-ins/{check_in['id']}/amendments", body, version=1)
    say.say("list_check_in_versions", "GET", f"{at}/check-ins/{check_in['id']}/versions")
    listed = say.say("list_check_ins", "GET", f"{at}/check-ins", params={"limit": 2})
    say.hide(listed["next_cursor"], "the-cursor-of-the-next-page")
    session_at = f"{at}/sessions/{given['id']}"
    say.say("get_session", "GET", session_at)
    say.say("update_session", "PATCH", session_at, {"notes": "Slept through it."}, version=given["version"])
    say.say("list_session_versions", "GET", f"{session_at}/versions")
    say.say("list_sessions", "GET", f"{at}/sessions", params={"include": "effect"})
    say.say("get_session_effect", "GET", f"{session_at}/effect")
    event = say.say("record_event", "POST", f"{at}/events", {"kind": "medication_changed", "on": "2026-02-12",
                                                            "label": "sertraline 100 mg"})  # fmt: skip
    event_at = f"{at}/events/{event['id']}"
    say.say("amend_event", "POST", f"{event_at}/amendments", {"reason": "wrong day", "on": "2026-02-11"}, version=1)
    say.say("get_event", "GET", event_at)
    say.say("list_event_versions", "GET", f"{event_at}/versions")
    say.say("list_events", "GET", f"{at}/events")
    say.say("list_due", "GET", f"{at}/plan/due", params={"from": "2026-03-02", "to": "2026-03-31"})
    for kind in ("trend", "overview", "effects"):
        query = {} if kind == "overview" else {"instrument": "phq-9"}
        say.say(f"get_{kind}_description", "GET", f"{at}/{kind}.vl.json", params=query)
        for form in ("svg", "png"):
            say.say(f"get_{kind}_{form}", "GET", f"{at}/{kind}.{form}", params=query)
    say.say("list_alerts", "GET", "/v1/alerts", params={"patient_id": patient_id})
    body = {"disposition": "contacted", "note": "Spoke by phone."}
    say.say("acknowledge_alert", "POST", f"/v1/alerts/{alert_id}/acknowledgement", body)
    say.say("get_patient_record", "GET", f"{at}/record")
    listed = say.say("list_audit_events", "GET", "/v1/audit-events", params={"patient_id": patient_id, "limit": 2})
    say.hide(listed["next_cursor"], "the-cursor-of-the-next-page")


def _answers(say: _Teller, patient_id: str) -> None:
    at = f"/v1/patients/{patient_id}"
    say.say("get_relief", "GET", f"{at}/relief")
    say.say("get_outlook", "GET", f"{at}/relief/outlook", params={"instrument": "phq-9"})
    say.say("get_trend", "GET", f"{at}/trend", params={"instrument": "phq-9", "bucket": "month"})
    listed = say.say("get_worklist", "GET", "/v1/worklist", params={"limit": 2})
    say.hide(listed["next_cursor"], "the-cursor-of-the-next-page")
    query = {"instrument": "phq-9", "group_by": "treatment_resistant"}
    say.say("get_durability", "GET", "/v1/cohorts/durability", params=query)
    say.say("get_outcome_rates", "GET", "/v1/cohorts/outcomes", params=query)
    say.say("get_durability_description", "GET", "/v1/cohorts/durability.vl.json", params={"instrument": "phq-9"})
    for form in ("svg", "png"):
        say.say(f"get_durability_{form}", "GET", f"/v1/cohorts/durability.{form}", params={"instrument": "phq-9"})
    for form in ("csv", "ndjson"):
        for what in ("scores", "sessions", "patients"):
            say.say(f"export_{what}_{form}", "GET", f"/v1/exports/{what}.{form}")


def _corrections(say: _Teller) -> None:
    ids = []
    for number in (43, 44, 45):
        ids.append(say.say("", "POST", "/v1/patients", {"external_id": f"MRN-{number:04}"})["id"])
        at = f"/v1/patients/{ids[-1]}"
        body = {"taken_at": f"2026-02-0{number - 40}T09:00:00-05:00",
                "responses": [{"instrument": "gad-7", "answers": [2, 2, 1, 1, 1, 0, 1]}]}  # fmt: skip
        check_in = say.say("", "POST", f"{at}/check-ins", body)
        session = say.say("", "POST", f"{at}/sessions",
                          {"started_at": f"2026-02-0{number - 39}T10:00:00-05:00"})  # fmt: skip
    body = {"to_patient_id": ids[1], "reason": "entered for another patient"}
    say.say("move_check_in", "POST", f"{at}/check-ins/{check_in['id']}/move", body, version=1)
    say.say("move_session", "POST", f"{at}/sessions/{session['id']}/move", body, version=1)
    at = f"/v1/patients/{ids[0]}"
    body = {"into": ids[1], "reason": "the same person"}
    merged = say.say("merge_patient", "POST", f"{at}/merge", body, version=1)
    body = {"reason": "two people after all"}
    say.say("undo_merge", "POST", f"{at}/merge/undo", body, version=merged["version"])
    body = {"external_id": "MRN-0045", "reason": "asked for by the patient"}
    say.say("erase_patient", "POST", f"/v1/patients/{ids[2]}/erasure", body)


def _webhooks(say: _Teller) -> None:
    say.say("list_changes", "GET", "/v1/changes", params={"limit": 2})
    body = {"url": "https://ehr.example.org/holdfast", "events": ["alert.raised", "relief.changed"]}
    webhook = say.say("create_webhook", "POST", "/v1/webhooks", body)
    say.hide(webhook["secret"], "whsec_shown-once")
    at = f"/v1/webhooks/{webhook['id']}"
    rotated = say.say("rotate_webhook_secret", "POST", f"{at}/secrets", {"overlap_hours": 24})
    say.hide(rotated["secret"], "whsec_shown-once")
    body = {"events": ["alert.raised", "alert.withdrawn"]}
    say.say("update_webhook", "PATCH", at, body, version=rotated["version"])
    say.say("get_webhook", "GET", at)
    say.say("list_webhooks", "GET", "/v1/webhooks")
    delivery = say.say("test_webhook", "POST", f"{at}/test")
    say.say("list_deliveries", "GET", f"{at}/deliveries")
    say.say("replay_delivery", "POST", f"{at}/deliveries/{delivery['id']}/replay")
    say.say("delete_webhook", "DELETE", at)


def _files(say: _Teller) -> None:
    say.say("get_export_dictionary", "GET", "/v1/exports/dictionary")
    body = {
        "zone": "America/New_York",
        "patient": {"column": "mrn"},
        "date": {"column": "visit", "format": "%m/%d/%Y", "time": "09:00"},
        "scores": [{"instrument": "phq-9", "items": "phq9_{item}", "total": "phq9_total"}],
    }
    say.say("put_import_mapping", "PUT", "/v1/imports/mappings/visits", body)
    say.say("get_import_mapping", "GET", "/v1/imports/mappings/visits")
    say.say("list_import_mappings", "GET", "/v1/imports/mappings")
    file: dict[str, Any] = {"content": b"external_id\nMRN-0099\n", "headers": {"Content-Type": "text/csv"}}
    found = say.say("create_import", "POST", "/v1/imports", **file)
    at = f"/v1/imports/{found['id']}"
    say.say("get_import", "GET", at)
    say.say("list_imports", "GET", "/v1/imports")
    say.say("list_import_problems", "GET", f"{at}/problems/all.csv")
    say.say("cancel_import", "DELETE", at)
    say.say("delete_import_mapping", "DELETE", "/v1/imports/mappings/visits")


def _wording(say: _Teller) -> None:
    at = "/v1/clinic/wording/phq-2/en"
    say.say("put_wording", "PUT", at, WORDING_EXAMPLE)
    say.say("get_wording", "GET", at)
    say.say("list_wording", "GET", "/v1/clinic/wording")
    say.say("delete_wording", "DELETE", at)


def _service(say: _Teller) -> None:
    say.say("list_instruments", "GET", "/v1/instruments")
    say.say("get_instrument", "GET", "/v1/instruments/phq-9")
    say.say("list_problems", "GET", "/problems")
    say.say("get_problem", "GET", "/problems/already_recorded")
    say.say("livez", "GET", "/livez")
    say.say("readyz", "GET", "/readyz")


def written(found: Examples) -> str:
    """The examples as they are committed."""
    return json.dumps(found, indent=1, sort_keys=True) + "\n"
