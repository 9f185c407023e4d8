"""The conventions every route shares: idempotency keys, cursors, request ids, health, caching."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, cast

import http_sf
import pytest
from fastapi.testclient import TestClient
from sqlmodel import col, select

from app import clock, work
from app.access import store
from app.access.models import RefreshToken
from app.api import idempotency
from app.api.models import StoredResponse
from app.storage import NO_CLINIC, Database, leases
from tests.conftest import Api, new_client, new_clinic, new_person

KEY = {"Idempotency-Key": "7f1c"}


def check_in(score: int, day: int = 10) -> dict[str, Any]:
    taken_at = f"2025-01-{day:02}T09:00:00Z"
    return {"taken_at": taken_at, "responses": [{"instrument": "nrs-pain", "score": score}]}


def test_a_key_gives_the_first_answer_again(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    first = api.post(path, check_in(5), headers=KEY)
    again = api.post(path, check_in(5), headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.headers["etag"], again.headers["location"]) == (first.headers["etag"], first.headers["location"])
    assert "idempotency-replayed" not in first.headers


def test_a_key_makes_every_create_safe_without_a_client_id(api: Api) -> None:
    patient_id = api.patient()
    for path, body in (
        ("/v1/patients", {"external_id": "once"}),
        (f"/v1/patients/{patient_id}/sessions", {"started_at": "2025-01-06T10:00:00Z"}),
        ("/v1/check-ins/batch", {"items": [check_in(3) | {"patient_id": patient_id}]}),
    ):
        first = api.post(path, body, headers={"Idempotency-Key": path})
        again = api.post(path, body, headers={"Idempotency-Key": path})
        assert first.status_code in (200, 201)
        assert again.content == first.content
        assert again.headers["idempotency-replayed"] == "true"


def test_a_key_for_another_request_is_refused(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    api.post(path, check_in(5), headers=KEY)
    for target, body in ((path, check_in(6)), (f"/v1/patients/{api.patient()}/check-ins", check_in(5))):
        refused = api.post(target, body, headers=KEY)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_batch_under_a_key_is_done_by_one_request_at_a_time(api: Api, database: Database) -> None:
    """The second waits, then is told; another content under the key is refused before anything of it is written."""
    patient = api.patient()
    items = [check_in(n, n + 1) | {"patient_id": patient} for n in range(3)]
    whose = f"{api.clinic_id} user:{api.caller_id} b".encode()
    name, now = f"key {hashlib.sha256(whose).hexdigest()}", clock.now()
    database.writing(NO_CLINIC, lambda db: leases.lease(db, name, "another", now, now + timedelta(seconds=30)))
    busy = api.post("/v1/check-ins/batch", {"items": items}, headers={"Idempotency-Key": "b"})
    assert (busy.status_code, busy.json()["code"]) == (409, "request_in_progress")
    assert api.get(f"/v1/patients/{patient}/check-ins").json()["items"] == []
    database.writing(NO_CLINIC, lambda db: leases.end(db, name, "another"))
    assert api.post("/v1/check-ins/batch", {"items": items}, headers={"Idempotency-Key": "b"}).status_code == 200
    other = [check_in(9, 23) | {"patient_id": patient}]
    refused = api.post("/v1/check-ins/batch", {"items": other}, headers={"Idempotency-Key": "b"})
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.get(f"/v1/patients/{patient}/check-ins").json()["items"]) == 3


def test_keys_belong_to_their_caller(server: TestClient, api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    api.post(path, check_in(5), headers=KEY)
    colleague = new_person(server, api.clinic_id, "clinician")
    assert colleague.post(path, check_in(6, 11), headers=KEY).status_code == 201


def test_refusals_are_not_kept(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    assert api.post(path, check_in(11), headers=KEY).status_code == 422
    assert api.post(path, check_in(10), headers=KEY).status_code == 201


def test_keys_are_kept_for_a_day_and_then_deleted(api: Api, database: Database) -> None:
    now = clock.now()

    def kept(db: Any) -> set[str]:
        return set(db.exec(select(StoredResponse.key).where(col(StoredResponse.clinic_id) == api.clinic_id)))

    def keep(db: Any) -> None:
        for key, hours in (("old", 25), ("young", 23)):
            db.add(
                StoredResponse(
                    clinic_id=api.clinic_id, caller="user:1", key=key, fingerprint="", status=201, headers={},
                    body="{}", outcome="done", subjects=[], refused_subjects=[],
                    created_at=now - timedelta(hours=hours),
                )
            )  # fmt: skip

    database.writing(api.clinic_id, keep)
    work.expire(database)
    assert database.reading(api.clinic_id, kept) == {"young"}
    database.writing(api.clinic_id, lambda db: idempotency.purge(db, api.clinic_id, now + timedelta(hours=2)))
    assert database.reading(api.clinic_id, kept) == set()


def test_refresh_tokens_past_their_time_are_deleted(api: Api, database: Database) -> None:
    def held(db: Any) -> int:
        return len(db.exec(select(RefreshToken).where(col(RefreshToken.clinic_id) == api.clinic_id)).all())

    before = database.reading(api.clinic_id, held)
    assert before == 1
    work.expire(database)
    assert database.reading(api.clinic_id, held) == 1
    later = clock.now() + timedelta(days=15)
    database.writing(api.clinic_id, lambda db: store.purge(db, api.clinic_id, later))
    assert database.reading(api.clinic_id, held) == 0


def test_a_key_is_bounded_text(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    for key in ("x" * 256, "a b"):
        refused = api.post(path, check_in(5), headers={"Idempotency-Key": key})
        assert refused.json()["errors"][0]["header"] == "Idempotency-Key"


def test_parallel_repeats_do_the_work_once(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/sessions"
    body = {"started_at": "2025-01-06T10:00:00Z", "status": "not_done"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api.post(path, body, headers=KEY), range(16)))
    assert {a.status_code for a in answers} <= {201, 409}
    assert len({a.content for a in answers if a.status_code == 201}) == 1
    assert len(api.get(path).json()["items"]) == 1


def test_a_cursor_is_bound_to_caller_route_and_filters(server: TestClient, api: Api) -> None:
    for _ in range(3):
        api.patient()
    cursor = api.get("/v1/patients", params={"limit": 1}).json()["next_cursor"]
    assert api.get("/v1/patients", params={"limit": 2, "cursor": cursor}).status_code == 200
    colleague = new_person(server, api.clinic_id, "admin")
    for caller, path, params in (
        (api, "/v1/patients", {"care_status": "active"}),
        (api, "/v1/alerts", {}),
        (colleague, "/v1/patients", {}),
        (new_clinic(server), "/v1/patients", {}),
    ):
        refused = caller.get(path, params={"cursor": cursor, **params})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_cursor")
    for tampered in (cursor[:-4] + "AAAA", "x", "", "é"):
        assert api.get("/v1/patients", params={"cursor": tampered}).json()["code"] == "invalid_cursor"


def test_a_cursor_shows_nothing_of_its_position(api: Api) -> None:
    patient_id = api.patient()
    for day in (10, 11):
        api.post(f"/v1/patients/{patient_id}/check-ins", check_in(5, day))
    cursor = api.get(f"/v1/patients/{patient_id}/check-ins", params={"limit": 1}).json()["next_cursor"]
    assert "2025" not in cursor
    assert len(cursor) < 2000


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1"])
def test_limits_are_from_1_to_200(api: Api, limit: str) -> None:
    refused = api.get("/v1/patients", params={"limit": limit})
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "limit")


def test_an_unknown_parameter_is_refused(api: Api) -> None:
    refused = api.get(f"/v1/patients/{api.patient()}/relief", params={"as_off": "2025-01-01"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"parameter": "as_off", "detail": "is not known here"}]


def test_a_request_id_is_taken_over_when_safe_and_always_returned(server: TestClient) -> None:
    assert server.get("/livez", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for unsafe in ("a b", "x" * 65, "<script>"):
        found = server.get("/livez", headers={"X-Request-Id": unsafe}).headers["x-request-id"]
        assert found != unsafe
    refused = server.get("/v1/me", headers={"X-Request-Id": "abc-2"})
    assert refused.json()["request_id"] == "abc-2"


def test_health(server: TestClient) -> None:
    assert server.get("/livez").text == "ok\n"
    assert server.get("/readyz").json() == {"status": "ready"}


def test_unknown_addresses_and_methods_are_problems(server: TestClient, api: Api) -> None:
    for method, path, status, code in (
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/patients", 405, "method_not_allowed"),
        ("PUT", "/livez", 405, "method_not_allowed"),
    ):
        answer = api.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
    assert "allow" in server.delete("/livez").headers


def test_instruments_are_open_and_cacheable(server: TestClient) -> None:
    listed = server.get("/v1/instruments")
    assert len(listed.json()["items"]) == 16
    again = server.get("/v1/instruments", headers={"If-None-Match": listed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    phq = server.get("/v1/instruments/phq-9").json()
    assert phq["rule"] == {
        "version": "2026.2", "scale": "severity", "basis": "percent", "entry": 10, "response": 50, "partial": 25,
        "reliable_change": 6, "reliable_change_kind": "nhs", "remission": 4,
    }  # fmt: skip
    assert phq["items"][0] == {"number": 1, "label": "interest", "min": 0, "max": 3, "loinc": "44250-9"}
    peg = server.get("/v1/instruments/peg").json()
    assert (peg["rule"]["entry"], peg["score"]["max"]) == (4.0, 10.0)
    assert server.get("/v1/instruments/phq-2").json()["rule"] is None
    assert server.get("/v1/instruments/none").json()["code"] == "not_found"


def test_the_openapi_document_is_cacheable(server: TestClient) -> None:
    document = server.get("/openapi.json")
    assert document.json()["openapi"].startswith("3.1")
    again = server.get("/openapi.json", headers={"If-None-Match": document.headers["etag"]})
    assert again.status_code == 304


def test_days_after_today_and_unknown_rules_are_refused(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/relief"
    tomorrow = (clock.now() + timedelta(days=2)).date().isoformat()
    for params in (
        {"as_of": tomorrow}, {"as_of": "2025-1-1"}, {"as_of": "20250101"}, {"as_of": "1735689600"},
        {"rule": "2020.1"}, {"known_at": "2025-01-01"}, {"known_at": "1735689600"},
    ):  # fmt: skip
        refused = api.get(path, params=params)
        assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, next(iter(params)))
    assert api.get(path, params={"rule": "2026.1"}).status_code == 200


def test_one_audit_event_per_request_with_the_patients_it_showed(server: TestClient, api: Api) -> None:
    one, two = api.patient(), api.patient()
    api.get(f"/v1/patients/{one}/relief")
    api.get("/v1/patients")
    api.post("/v1/check-ins/batch", {"items": [check_in(1) | {"patient_id": p} for p in (one, two, one)]})
    events = api.get("/v1/audit-events").json()["items"]
    operations = [(e["operation"], sorted(e["patient_ids"])) for e in events]
    assert operations == [
        ("record_check_ins", sorted([one, two])),
        ("list_patients", sorted([one, two])),
        ("get_relief", [one]),
        ("create_patient", [two]),
        ("create_patient", [one]),
    ]
    assert {e["actor"]["id"] for e in events} == {str(api.caller_id)}
    walked: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(5):
        page = api.get("/v1/audit-events", params={"patient_id": two, "limit": 2, **cursor}).json()
        walked += [e["operation"] for e in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    # Looking at the audit is itself a read of whose data was touched.
    assert walked == ["list_audit_events", "record_check_ins", "list_patients", "create_patient"]
    reader = new_client(server, api.clinic_id, "audit:read")
    mine = reader.get("/v1/audit-events", params={"actor": str(reader.caller_id)}).json()["items"]
    assert [event["operation"] for event in mine] == ["issue_token"]
    assert new_person(server, api.clinic_id, "clinician").get("/v1/audit-events").status_code == 403


def test_a_kept_answer_shown_again_is_audited(api: Api) -> None:
    patient_id = api.patient()
    path = f"/v1/patients/{patient_id}/check-ins"
    for _ in range(3):
        api.post(path, check_in(5), headers=KEY)
    events = api.get("/v1/audit-events", params={"patient_id": patient_id}).json()["items"]
    assert [e["operation"] for e in events].count("record_check_in") == 3


def test_nothing_is_read_of_a_request_before_its_caller_is_known(server: TestClient) -> None:
    for content, media in ((b"{", "application/json"), (b"x", "text/plain"), (b" " * 5_000_000, "application/json")):
        answer = server.post("/v1/check-ins/batch?what=1", content=content, headers={"Content-Type": media})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")


def test_a_key_in_quotation_marks_is_the_same_key(api: Api) -> None:
    """A string of structured fields: draft-ietf-httpapi-idempotency-key-header-07. Most clients send it bare."""
    path = f"/v1/patients/{api.patient()}/check-ins"
    first = api.post(path, check_in(5), headers={"Idempotency-Key": "8e03-97"})
    for same in ('"8e03-97"', '"8e03-97";parameters=mean-nothing'):
        assert api.post(path, check_in(5), headers={"Idempotency-Key": same}).content == first.content
    other = api.post(path, check_in(6, 11), headers={"Idempotency-Key": r'"with \"quotes\" and spaces"'})
    assert other.status_code == 201


@pytest.mark.parametrize("key", ['"open', '""', "two words", '"a" "b"', '"' + "a" * 256 + '"', '"tab\there"', "é"])
def test_a_malformed_key_is_refused(api: Api, key: str) -> None:
    path = f"/v1/patients/{api.patient()}/check-ins"
    refused = api.post(path, check_in(5), headers={"Idempotency-Key": key.encode("latin-1")})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["header"] == "Idempotency-Key"


def test_rate_limit_fields_are_structured_fields(api: Api) -> None:
    answer = api.get("/v1/me")
    [(policy, limits)] = cast("Any", http_sf.parse(answer.headers["ratelimit-policy"].encode(), tltype="list"))
    [(name, left)] = cast("Any", http_sf.parse(answer.headers["ratelimit"].encode(), tltype="list"))
    assert (policy, name) == ("caller", "caller")
    assert limits["w"] == 60
    assert 0 <= left["r"] < limits["q"]
    assert 0 < left["t"] <= 60
