"""What a request may cost is bounded before it is read, and its address is looked at before its shape."""

import gzip
import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.api.strict import parse
from app.errors import Invalid
from app.logs import REQUEST_ID, _Json, _Text
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import new_id
from tests.conftest import SECRET, Api, days_ago, new_clinic

FORM = {"Content-Type": "application/json"}


def test_an_open_route_takes_a_few_kib(server: TestClient) -> None:
    nested = b"[" + b"[],".join([b""] * 300_000) + b"[]]"
    for path in ("/v1/enrolments/redeem", "/oauth/password"):
        assert server.post(path, content=nested, headers=FORM).json()["code"] == "too_large"
        assert server.post(path, content=iter([b"[" * 9_000, b"[" * 9_000]), headers=FORM).json()["code"] == "too_large"


@pytest.mark.parametrize("body", [
    b"[" + b"[]," * 600_000 + b"[]]",
    b"{" + b",".join(b'"a%d":0' % n for n in range(65)) + b"}",
    b"[" * 40 + b"]" * 40,
    b"[" * 100_000 + b"]" * 100_000,
])  # fmt: skip
def test_too_many_values_members_or_levels_are_refused_at_once(body: bytes) -> None:
    began = time.process_time()
    with pytest.raises(Invalid, match="rule"):
        parse(body)
    assert time.process_time() - began < 0.5


def test_a_form_of_every_instrument_and_a_whole_batch_fit() -> None:
    item = {"patient_id": "x", "taken_at": "x", "responses": [{"instrument": "pcl-5", "answers": [0] * 20}] * 16}
    assert len(parse(json.dumps({"items": [item] * 500}).encode())["items"]) == 500


def test_a_body_of_many_faults_gets_a_short_answer(api: Api) -> None:
    item = {f"unknown_{n}": 1 for n in range(700)}
    assert api.post("/v1/check-ins/batch", {"items": [item] * 100}).status_code == 422, "too many members"
    item = {f"unknown_{n}": 1 for n in range(60)}
    answer = api.post("/v1/check-ins/batch", {"items": [item] * 500})
    assert answer.status_code == 200
    assert len(answer.content) < 1_500_000
    assert all(len(result["problem"]["errors"]) <= 20 for result in answer.json()["results"])


def test_a_batch_of_a_million_values_costs_little_also_where_it_is_refused(api: Api) -> None:
    """Refused forms are read once more for alarming answers: not those that no form can be."""
    body = b'{"items":[' + b"{}," * 1_300_000 + b"{}]}"
    began = time.process_time()
    answer = api.request("POST", "/v1/check-ins/batch", content=body, headers=FORM | {"Idempotency-Key": "large"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert time.process_time() - began < 1, "it took seven seconds before"


def test_unknown_parameters_get_a_short_answer(api: Api) -> None:
    answer = api.get("/v1/patients", params={f"a{n}": 1 for n in range(500)})
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 20)


def test_a_compressed_body_is_415(api: Api) -> None:
    body = gzip.compress(b'{"external_id": "x"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = api.request("POST", "/v1/patients", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_another_clinics_object_is_404_whatever_else_is_wrong(api: Api) -> None:
    other = new_clinic(api.server)
    patient = other.patient()
    for wrong in (
        api.get(f"/v1/patients/{patient}", params={"nonsense": 1}),
        api.get(f"/v1/patients/{patient}/relief", params={"as_of": "never"}),
        api.post(f"/v1/patients/{patient}/check-ins", {"nonsense": 1}),
        api.request("POST", f"/v1/patients/{patient}/check-ins", content=b"{", headers=FORM),
        api.request("POST", f"/v1/patients/{patient}/sessions", content=b"x", headers={"Content-Type": "text/plain"}),
        api.patch(f"/v1/patients/{patient}", {"label": "x"}),
        api.patch(f"/v1/patients/{patient}", {"nonsense": "x"}, 1),
        api.patch(f"/v1/users/{other.caller_id}", {"role": "nonsense"}, 1),
        api.get(f"/v1/patients/{new_id()}", params={"nonsense": 1}),
    ):
        assert (wrong.status_code, wrong.json()["code"]) == (404, "not_found"), wrong.request.url
    mine = api.patient()
    assert api.get(f"/v1/patients/{mine}", params={"nonsense": 1}).status_code == 422
    session = other.session(patient, days_ago(1))["id"]
    assert api.get(f"/v1/patients/{mine}/sessions/{session}", params={"nonsense": 1}).status_code == 404


def test_allow_names_every_method_and_head_is_answered_wherever_get_is(api: Api) -> None:
    patient = api.patient()
    for path, allowed in (
        ("/v1/patients", "GET, HEAD, POST"),
        (f"/v1/patients/{patient}", "GET, HEAD, PATCH"),
        ("/v1/clinic/plan", "GET, HEAD, PUT"),
        ("/livez", "GET, HEAD"),
        ("/oauth/token", "POST"),
    ):
        refused = api.request("DELETE", path)
        assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
        assert refused.headers["content-type"] == "application/problem+json"
    for path in ("/livez", "/docs", "/openapi.json", f"/v1/patients/{patient}", "/v1/patients"):
        whole, head = api.get(path), api.request("HEAD", path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["content-length"] == whole.headers["content-length"]
    assert api.request("HEAD", f"/v1/patients/{new_id()}").status_code == 404


def test_the_root_and_an_enrolment_link_lead_somewhere(api: Api) -> None:
    assert api.server.get("/", follow_redirects=False).headers["location"] == "/sign-in?next=%2F"
    link = api.post(f"/v1/patients/{api.patient()}/enrolments").json()["link"]
    page = api.server.get(link.split("#")[0].removeprefix("http://127.0.0.1:8000"))
    assert page.status_code == 200
    assert "Your clinic" in page.text
    assert "text/javascript" in api.server.get("/static/1/enrol.js").headers["content-type"]
    missing = api.server.get("/nowhere")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")


def test_a_token_that_was_not_sent_is_not_called_wrong(server: TestClient) -> None:
    assert server.get("/v1/patients").headers["www-authenticate"] == "Bearer"
    wrong = server.get("/v1/patients", headers={"Authorization": "Bearer x"})
    assert wrong.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_links_do_not_say_what_host_the_client_named(api: Api) -> None:
    for _ in range(3):
        api.patient()
    answer = api.get("/v1/patients", params={"limit": 1}, headers={"Host": "evil.example"})
    assert answer.headers["link"].startswith("</v1/patients?limit=1&cursor=")
    assert "evil" not in answer.headers["link"]


def test_unknown_hosts_are_refused_where_the_operator_lists_his(tmp_path: Any) -> None:
    settings = Settings(
        database_url=f"sqlite:///{tmp_path}/h.db", secret_key=SecretStr(SECRET), allowed_hosts="clinic.example, [::1]"
    )
    upgrade(settings)
    with TestClient(create_app(settings)) as client:
        for host, status in (
            ("clinic.example", 200), ("CLINIC.example:8443", 200), ("[::1]:80", 200), ("evil.example", 400), ("", 400),
        ):  # fmt: skip
            answer = client.get("/v1/instruments", headers={"Host": host})
            assert answer.status_code == status, host
            assert client.get("/livez", headers={"Host": host}).status_code == 200, "a machine asks by address"
        assert client.get("/docs", headers={"Host": "evil.example"}).json()["code"] == "bad_request"


def test_a_trace_is_passed_on_and_stands_in_the_log(api: Api) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with written() as lines:
        assert api.get("/v1/me", headers={"traceparent": trace}).headers["traceparent"] == trace
    assert any("trace=4bf92f3577b34da6a3ce929d0e0e4736" in line for line in lines)
    for wrong in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff" + trace[2:], "x"):
        assert "traceparent" not in api.get("/v1/me", headers={"traceparent": wrong}).headers


def test_what_happens_in_a_thread_is_logged_with_the_request_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    patient = api.patient()
    item = {"patient_id": patient, "taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 3}]}
    monkeypatch.setattr("app.checkins.service.decide", fail)
    with written() as lines:
        answer = api.post("/v1/check-ins/batch", {"items": [item]}, headers={"X-Request-Id": "r-7"})
    assert answer.json()["results"][0]["http_status"] == 500
    [line] = [line for line in lines if "unexpected ZeroDivisionError" in line]
    assert line.endswith("request=r-7")


@contextmanager
def written() -> Iterator[list[str]]:
    """The lines of the service's log, as they are written."""
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(_Text().format(record))

    log, kept = logging.getLogger("holdfast"), Kept()
    level = log.level
    log.addHandler(kept)
    log.setLevel("INFO")
    try:
        yield lines
    finally:
        log.removeHandler(kept)
        log.setLevel(level)


def test_an_answer_kept_under_a_key_is_not_given_to_a_token_with_other_scopes(api: Api) -> None:
    made = api.post("/v1/clients", {"name": "x", "scope": "patients:read patients:write"}).json()

    def with_scope(scope: str) -> Api:
        form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["client_secret"]}
        token = api.server.post("/oauth/token", data=form | {"scope": scope}).json()["access_token"]
        return replace(api, token=token)

    wide, narrow = with_scope("patients:read patients:write"), with_scope("patients:write")
    body, headers = {"external_id": "kept", "label": "A.B."}, {"Idempotency-Key": "k"}
    assert wide.post("/v1/patients", body, headers=headers).status_code == 201
    assert wide.post("/v1/patients", body, headers=headers).headers["Idempotency-Replayed"] == "true"
    refused = narrow.post("/v1/patients", body, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


def test_every_line_of_a_request_bears_its_id_in_text_and_as_json() -> None:
    record = logging.LogRecord("holdfast", logging.WARNING, "x.py", 1, "a %s", ("b",), None)
    token = REQUEST_ID.set("r-1")
    try:
        text, document = _Text().format(record), json.loads(_Json().format(record))
    finally:
        REQUEST_ID.reset(token)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z WARNING holdfast a b request=r-1", text)
    assert document == {"at": document["at"], "level": "WARNING", "logger": "holdfast", "message": "a b",
                        "request": "r-1"}  # fmt: skip
    assert "request" not in json.loads(_Json().format(record))
