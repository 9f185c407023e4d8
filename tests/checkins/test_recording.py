"""Recording check-ins: a retry never duplicates, a 201 is never lost, a refusal names the field and the rule."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.checkins import deciding, policies
from tests.conftest import Api, days_ago, instant, new_client, new_clinic, new_device, new_person

PHQ_9 = [2, 2, 2, 2, 2, 2, 2, 0, 0]
AT = "2025-01-10T09:00:00-05:00"


def body(**fields: Any) -> dict[str, Any]:
    return {"taken_at": AT, "responses": [{"instrument": "phq-9", "answers": PHQ_9}], **fields}


def response(instrument: str, **fields: Any) -> dict[str, Any]:
    return {"taken_at": AT, "responses": [{"instrument": instrument, **fields}]}


def places(answer: Any) -> list[str]:
    return [error.get("pointer", error.get("parameter", error.get("header"))) for error in answer.json()["errors"]]


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient()


@pytest.fixture
def path(patient: str) -> str:
    return f"/v1/patients/{patient}/check-ins"


def test_a_receipt_shows_scores_relief_and_where_it_stands(api: Api, patient: str, path: str) -> None:
    api.check_in(patient, "2025-01-06T09:00:00-05:00", "phq-9", 20)
    api.session(patient, "2025-01-06T10:00:00-05:00")
    posted = body(responses=[{"instrument": "phq-9", "answers": PHQ_9}, {"instrument": "nrs-pain", "score": 6}])
    answer = api.post(path, posted)
    receipt = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{path}/{receipt['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["cache-control"] == "no-store"
    assert receipt["taken_at"] == "2025-01-10T14:00:00Z"
    assert (receipt["phase"], receipt["version"], receipt["status"]) == ("follow_up", 1, "recorded")
    assert receipt["recorded_by"] == {"kind": "user", "id": str(api.caller_id)}
    phq, pain = receipt["scores"]
    assert (phq["value"], phq["severity"], phq["items_known"], phq["self_harm_item"]) == (14, "moderate", True, 0)
    assert (pain["value"], pain["domain"], pain["items_known"], pain["self_harm_item"]) == (6, "pain", True, None)
    assert [track["instrument"] for track in receipt["relief"]] == ["phq-9", "nrs-pain"]
    assert receipt["relief"] == [api.track(patient, "phq-9"), api.track(patient, "nrs-pain")]
    assert (receipt["alerts"], receipt["notice"], receipt["already_recorded"]) == ([], None, [])
    assert api.get(f"{path}/{receipt['id']}").json()["scores"] == receipt["scores"]


def test_posting_twice_keeps_one(api: Api, path: str) -> None:
    posted = body(id=str(uuid4()))
    first, second = api.post(path, posted), api.post(path, posted)
    assert (first.status_code, second.status_code) == (201, 200)
    assert "replayed" not in first.headers
    assert second.headers["replayed"] == "true"
    assert second.json() == first.json()
    assert len(api.get(path).json()["items"]) == 1


def test_a_repeat_is_compared_with_what_was_posted_and_shows_what_stands(api: Api, path: str) -> None:
    posted = body(id=str(uuid4()))
    api.post(path, posted)
    amendment = {"reason": "keying error", "responses": [{"instrument": "phq-9", "score": 3}]}
    api.post(f"{path}/{posted['id']}/amendments", amendment, headers={"If-Match": '"1"'})
    again = api.post(path, posted)
    assert (again.status_code, again.json()["version"]) == (200, 2)
    assert again.json()["scores"][0]["value"] == 3
    same_moment = api.post(path, posted | {"taken_at": "2025-01-10T14:00:00.000000Z"})
    assert same_moment.status_code == 200


def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing(api: Api, path: str) -> None:
    posted = body(id=str(uuid4()))
    api.post(path, posted)
    other = api.post(path, posted | {"before_infusion": True})
    assert (other.status_code, other.json()["code"], places(other)) == (409, "check_in_conflict", ["/id"])
    elsewhere = api.post(f"/v1/patients/{api.patient()}/check-ins", posted)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "check_in_conflict")


def test_the_same_content_is_the_same_in_another_order_or_with_the_score_its_answers_imply(api: Api, path: str) -> None:
    responses: list[dict[str, Any]] = [
        {"instrument": "phq-9", "answers": PHQ_9},
        {"instrument": "nrs-pain", "score": 6},
    ]
    posted = body(id=str(uuid4()), responses=responses)
    api.post(path, posted)
    assert api.post(path, posted | {"responses": responses[::-1]}).status_code == 200
    implied = [responses[0] | {"score": 14}, responses[1]]
    assert api.post(path, posted | {"responses": implied}).headers["replayed"] == "true"


def test_two_clinics_may_choose_the_same_id(server: TestClient) -> None:
    posted = body(id=str(uuid4()))
    for api in (new_clinic(server), new_clinic(server)):
        assert api.post(f"/v1/patients/{api.patient()}/check-ins", posted).status_code == 201


def test_an_equal_answer_under_another_id_is_recorded_once(api: Api, path: str) -> None:
    first = api.post(path, body(id=str(uuid4()))).json()
    again = api.post(path, body(id=str(uuid4())))
    assert again.status_code == 200
    assert again.json()["id"] == first["id"]
    assert again.json()["already_recorded"] == [{"instrument": "phq-9", "check_in_id": first["id"]}]
    more = body(responses=[{"instrument": "phq-9", "answers": PHQ_9}, {"instrument": "nrs-pain", "score": 6}])
    rest = api.post(path, more)
    assert rest.status_code == 201
    assert [score["instrument"] for score in rest.json()["scores"]] == ["nrs-pain"]
    assert rest.json()["already_recorded"] == [{"instrument": "phq-9", "check_in_id": first["id"]}]


def test_a_different_answer_in_the_same_place_is_refused_naming_each(api: Api, path: str) -> None:
    api.post(path, body(responses=[{"instrument": "phq-9", "score": 9}, {"instrument": "gad-7", "score": 9}]))
    posted = body(
        responses=[
            {"instrument": "nrs-pain", "score": 1},
            {"instrument": "phq-9", "score": 10},
            {"instrument": "gad-7", "score": 8},
        ]
    )
    answer = api.post(path, posted)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_recorded")
    assert places(answer) == ["/responses/1", "/responses/2"]
    assert len(api.get(path).json()["items"]) == 1


def test_a_total_where_its_answers_stand_adds_nothing(api: Api, path: str) -> None:
    api.post(path, body())
    assert api.post(path, body(responses=[{"instrument": "phq-9", "score": 14}])).status_code == 200


@pytest.mark.parametrize(("posted", "code", "pointer"), [
    ({}, "invalid", "/taken_at"),
    ({"taken_at": AT}, "invalid", "/responses"),
    ({"taken_at": AT, "responses": []}, "invalid", "/responses"),
    (body(taken_at="2025-01-10T09:00:00"), "invalid", "/taken_at"),
    (body(taken_at=1736517600), "invalid", "/taken_at"),
    (body(taken_at="1736517600"), "invalid", "/taken_at"),
    (body(taken_at="1899-12-31T23:59:59Z"), "invalid", "/taken_at"),
    (body(taken_at="2025-02-30T09:00:00Z"), "invalid", "/taken_at"),
    (body(taken_at="2025-01-10T09:00:00.1234567Z"), "invalid", "/taken_at"),
    (body(taken_at="2025-01-10"), "invalid", "/taken_at"),
    (body(taken_at=None), "invalid", "/taken_at"),
    (body(taken_at="9999-12-31T23:59:59-23:59"), "invalid", "/taken_at"),
    (body(surprise=1), "invalid", "/surprise"),
    (body(id="not-a-uuid"), "invalid", "/id"),
    (body(before_infusion=1), "invalid", "/before_infusion"),
    (body(before_infusion="true"), "invalid", "/before_infusion"),
    (body(session_id=str(uuid4())), "reference_not_found", "/session_id"),
    (response("phq-10", score=1), "invalid", "/responses/0/instrument"),
    (response("phq-9"), "invalid", "/responses/0"),
    (response("phq-9", score=28), "invalid", "/responses/0/score"),
    (response("phq-9", score=7.0), "invalid", "/responses/0/score"),
    (response("phq-9", score="7"), "invalid", "/responses/0/score"),
    (response("phq-9", score=[5]), "invalid", "/responses/0/score"),
    (response("phq-9", score=True), "invalid", "/responses/0/score"),
    (response("phq-9", score=10**400), "invalid", "/responses/0/score"),
    (response("phq-9", answers=[3.0] + [0] * 8), "invalid", "/responses/0/answers/0"),
    (response("phq-9", answers=[True] + [0] * 8), "invalid", "/responses/0/answers/0"),
    (response("phq-9", answers=["3"] + [0] * 8), "invalid", "/responses/0/answers/0"),
    (response("phq-9", answers=[4] + [0] * 8), "invalid", "/responses/0/answers/0"),
    (response("phq-9", answers=[0] * 8), "invalid", "/responses/0/answers"),
    (response("nrs-pain", answers=[6]), "invalid", "/responses/0/answers"),
    (response("phq-9", answers=PHQ_9, score=15), "score_mismatch", "/responses/0/score"),
    (body(responses=[{"instrument": "peg", "score": 5.67}, {"instrument": "peg", "score": 5}]), "invalid",
     "/responses/1/instrument"),
])  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_is_written(
    api: Api, path: str, posted: dict[str, Any], code: str, pointer: str
) -> None:
    answer = api.post(path, posted)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert pointer in places(answer), answer.text
    assert api.get(path).json()["items"] == []


@pytest.mark.parametrize("text", [
    '{"taken_at": NaN}', '{"taken_at": Infinity}', '{"a": 1e999}', '{"taken_at": 1, "taken_at": 2}',
    "[" * 40 + "]" * 40,
    '{"a": ' * 2000 + "1" + "}" * 2000, "{", "", "[]", "null", '"x"', '{"taken_at": "\\ud800"}', "\ufeff{}",
])  # fmt: skip
def test_a_body_that_is_not_one_plain_document_is_refused(api: Api, path: str, text: str) -> None:
    answer = api.request("POST", path, content=text.encode(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text


def test_bytes_that_are_not_utf_8_are_refused(api: Api, path: str) -> None:
    answer = api.request("POST", path, content=b'{"taken_at": "\xff"}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_another_media_type_is_refused(api: Api, path: str) -> None:
    for media in ("text/plain", "application/xml", ""):
        answer = api.request("POST", path, content=b"{}", headers={"Content-Type": media})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_body_over_its_bound_is_refused(api: Api, path: str) -> None:
    large = {"Content-Type": "application/json"}
    answer = api.request("POST", path, content=b" " * (1024 * 1024 + 1) + b"{}", headers=large)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    batch = b'{"items": ' + b" " * (2 * 1024 * 1024) + b"[]}"
    assert api.request("POST", "/v1/check-ins/batch", content=batch, headers=large).status_code == 422
    batch = b" " * (4 * 1024 * 1024) + batch
    assert api.request("POST", "/v1/check-ins/batch", content=batch, headers=large).status_code == 413


def test_the_future_is_refused_beyond_five_minutes(api: Api, path: str) -> None:
    soon = (clock.now() + timedelta(minutes=4)).isoformat()
    later = (clock.now() + timedelta(minutes=6)).isoformat()
    assert api.post(path, body(taken_at=soon)).status_code == 201
    refused = api.post(path, body(taken_at=later))
    assert (refused.status_code, places(refused)) == (422, ["/taken_at"])


def test_a_device_whose_clock_is_wrong_is_corrected_and_told(api: Api, path: str) -> None:
    ahead = clock.now() + timedelta(hours=2)
    posted = body(taken_at=(ahead - timedelta(minutes=30)).isoformat(), sent_at=ahead.isoformat())
    receipt = api.post(path, posted).json()
    assert abs(receipt["clock_corrected_by_seconds"] + 7200) <= 5
    taken = clock.now() - timedelta(minutes=30)
    stated = instant(receipt["taken_at"])
    assert abs((stated - taken).total_seconds()) < 10


def test_a_right_clock_is_left_alone_and_a_resend_is_a_repeat(api: Api, path: str) -> None:
    posted = body(id=str(uuid4()), taken_at=days_ago(3), sent_at=clock.now().isoformat())
    assert api.post(path, posted).json()["clock_corrected_by_seconds"] is None
    again = api.post(path, posted | {"sent_at": (clock.now() + timedelta(seconds=20)).isoformat()})
    assert (again.status_code, again.headers["replayed"]) == (200, "true")


def test_a_wrong_clock_and_no_id_still_keep_one(api: Api, path: str) -> None:
    slow = clock.now() - timedelta(hours=1)
    posted = body(taken_at=(slow - timedelta(minutes=5)).isoformat(), sent_at=slow.isoformat())
    first = api.post(path, posted)
    again = api.post(path, posted | {"sent_at": (slow - timedelta(seconds=70)).isoformat()})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == first.json()["id"]


def test_a_resend_across_the_limit_of_correction_keeps_one(api: Api, path: str) -> None:
    for first, second in ((65, 50), (-65, -50), (50, 65)):
        posted = body()
        posted["taken_at"] = (clock.now() - timedelta(minutes=5, hours=first % 7)).isoformat()
        answers = [
            api.post(path, posted | {"sent_at": (clock.now() + timedelta(seconds=ahead)).isoformat()})
            for ahead in (first, second)
        ]
        assert [a.status_code for a in answers] == [201, 200], (first, second)
        assert answers[0].json()["id"] == answers[1].json()["id"]


def test_a_correction_cannot_leave_the_range_of_moments(api: Api, path: str) -> None:
    ahead = (clock.now() + timedelta(days=36_500)).isoformat()
    refused = api.post(path, body(taken_at="1900-01-02T00:00:00Z", sent_at=ahead))
    assert (refused.status_code, places(refused)) == (422, ["/sent_at"])


def test_phases_follow_the_sessions(api: Api, patient: str) -> None:
    for day in ("06", "08"):
        api.session(patient, f"2025-01-{day}T10:00:00-05:00", ended_at=f"2025-01-{day}T10:45:00-05:00")
    phases = {
        "2025-01-01T09:00:00-05:00": "baseline",
        "2025-01-06T10:00:00-05:00": "baseline",
        "2025-01-06T10:20:00-05:00": "post_infusion",
        "2025-01-06T23:59:00-05:00": "post_infusion",
        "2025-01-07T00:01:00-05:00": "follow_up",
        "2025-01-08T08:00:00-05:00": "pre_infusion",
        "2025-01-08T12:00:00-05:00": "post_infusion",
        "2025-01-20T12:00:00-05:00": "follow_up",
    }
    for moment, phase in phases.items():
        assert api.check_in(patient, moment, "nrs-pain", 5)["phase"] == phase, moment
    api.session(patient, "2025-12-01T10:00:00-05:00")
    assert api.check_in(patient, "2025-11-20T09:00:00-05:00", "nrs-pain", 5)["phase"] == "baseline"
    assert api.check_in(patient, "2025-10-20T09:00:00-05:00", "nrs-pain", 5)["phase"] == "follow_up"
    before_any = api.check_in(api.patient(), AT, "nrs-pain", 5)
    assert before_any["phase"] == "baseline"


def test_an_answer_given_before_the_infusion_counts_at_its_start(api: Api, patient: str, path: str) -> None:
    session = api.session(patient, "2025-01-06T10:00:00-05:00")
    posted = {
        "taken_at": "2025-01-06T10:40:00-05:00", "before_infusion": True, "session_id": session["id"],
        "responses": [{"instrument": "phq-9", "score": 20}],
    }  # fmt: skip
    receipt = api.post(path, posted).json()
    assert (receipt["phase"], receipt["session_id"]) == ("baseline", session["id"])
    assert api.track(patient, "phq-9")["baseline"]["value"] == 20
    late = posted | {"taken_at": "2025-01-06T11:01:00-05:00"}
    refused = api.post(path, late)
    assert (refused.status_code, places(refused)) == (422, ["/before_infusion"])


def test_a_session_of_another_patient_is_no_reference(api: Api, path: str) -> None:
    other = api.session(api.patient(), "2025-01-06T10:00:00-05:00")
    refused = api.post(path, body(session_id=other["id"]))
    assert (refused.status_code, refused.json()["code"]) == (422, "reference_not_found")


def test_a_patient_sends_answers_and_only_what_they_rate_themselves(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    assert device.post(path, body(taken_at=days_ago(1))).status_code == 201
    assert device.post(path, response("nrs-mood", score=3) | {"taken_at": days_ago(1)}).status_code == 201
    total = device.post(path, response("gad-7", score=9) | {"taken_at": days_ago(1)})
    assert (total.status_code, total.json()["code"]) == (422, "answers_required")
    rated = device.post(path, response("madrs", answers=[2] * 10) | {"taken_at": days_ago(1)})
    assert (rated.status_code, rated.json()["code"]) == (403, "rater_not_allowed")


def test_users_clients_and_devices_are_named_as_recorders(server: TestClient, api: Api, patient: str) -> None:
    path = f"/v1/patients/{patient}/check-ins"
    callers = {
        "user": new_person(server, api.clinic_id, "clinician"),
        "client": new_client(server, api.clinic_id, "checkins:write"),
        "device": new_device(api, patient),
    }
    for day, (kind, caller) in enumerate(callers.items(), start=1):
        receipt = caller.post(path, body(taken_at=days_ago(day))).json()
        assert receipt["recorded_by"]["kind"] == kind


def test_a_batch_stands_or_falls_item_by_item(api: Api, patient: str) -> None:
    other = api.patient()
    known = str(uuid4())
    items = [
        body(patient_id=patient, id=known),
        body(patient_id=patient, id=known),
        body(patient_id=str(uuid4())),
        body(patient_id=other, responses=[{"instrument": "phq-9", "score": 99}]),
        body(patient_id=other, taken_at="yesterday"),
        {"patient_id": other},
        "not an object",
        body(patient_id=other),
    ]
    answer = api.post("/v1/check-ins/batch", {"items": items})
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [r["index"] for r in results] == list(range(8))
    assert [r["http_status"] for r in results] == [201, 200, 404, 422, 422, 422, 422, 201]
    assert all(("check_in" in r) != ("problem" in r) for r in results)
    assert results[3]["problem"]["errors"][0]["pointer"] == "/responses/0/score"
    assert results[4]["problem"]["errors"][0]["pointer"] == "/taken_at"
    assert len(api.get(f"/v1/patients/{other}/check-ins").json()["items"]) == 1


def test_a_batch_is_applied_in_the_order_in_which_it_was_taken(api: Api, patient: str) -> None:
    api.check_in(patient, "2025-01-06T09:00:00-05:00", "nrs-pain", 8)
    api.session(patient, "2025-01-06T10:00:00-05:00")
    days = [20, 8, 14, 10]
    items = [
        {"patient_id": patient, "taken_at": f"2025-01-{day:02}T09:00:00-05:00",
         "responses": [{"instrument": "nrs-pain", "score": day // 4}]}
        for day in days
    ]  # fmt: skip
    results = api.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    recorded = {day: r["check_in"]["recorded_at"] for day, r in zip(days, results, strict=True)}
    assert sorted(days) == sorted(days, key=lambda day: recorded[day])
    assert api.track(patient, "nrs-pain", as_of="2025-01-20")["latest"]["value"] == 5


def test_a_batch_has_from_1_to_500_items(api: Api, patient: str) -> None:
    for count in (0, 501):
        items = [body(patient_id=patient)] * count
        assert api.post("/v1/check-ins/batch", {"items": items}).json()["errors"][0]["pointer"] == "/items"


def test_a_patients_batch_may_only_name_themselves(api: Api, patient: str) -> None:
    device, other = new_device(api, patient), api.patient()
    items = [body(patient_id=patient, taken_at=days_ago(1)), body(patient_id=other)]
    results = device.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    assert [r["http_status"] for r in results] == [201, 404]


def test_a_batch_is_ordered_by_when_it_was_taken_not_by_wrong_clocks(api: Api, patient: str) -> None:
    ahead, now = clock.now() + timedelta(days=2), clock.now()
    items = [
        response("nrs-pain", score=3)
        | {"patient_id": patient, "taken_at": (ahead - timedelta(days=1)).isoformat(), "sent_at": ahead.isoformat()},
        response("nrs-pain", score=4) | {"patient_id": patient, "taken_at": (now - timedelta(hours=1)).isoformat()},
    ]
    results = api.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    fast, right = (instant(r["check_in"]["recorded_at"]) for r in results)
    assert fast < right


def test_lists_are_newest_first_filtered_by_the_clinics_days_and_paged(api: Api, patient: str, path: str) -> None:
    api.check_in(patient, "2025-01-10T23:30:00-05:00", "nrs-pain", 1)
    api.check_in(patient, "2025-01-11T00:30:00-05:00", "nrs-pain", 2)
    api.check_in(patient, "2025-01-12T12:00:00-05:00", "phq-9", 3)

    def values(**params: Any) -> list[Any]:
        items = api.get(path, params=params).json()["items"]
        return [item["scores"][0]["value"] for item in items]

    assert values() == [3, 2, 1]
    assert values(**{"from": "2025-01-11"}) == [3, 2]
    assert values(to="2025-01-10") == [1]
    assert values(instrument="nrs-pain") == [2, 1]
    first = api.get(path, params={"limit": 2})
    assert f"cursor={first.json()['next_cursor']}" in first.headers["link"]
    api.check_in(patient, "2025-01-13T12:00:00-05:00", "nrs-pain", 9)
    second = api.get(path, params={"limit": 2, "cursor": first.json()["next_cursor"]}).json()
    assert [item["scores"][0]["value"] for item in second["items"]] == [1]
    assert second["next_cursor"] is None


def test_every_list_can_be_walked_to_its_end(api: Api, patient: str) -> None:
    for day in range(1, 8):
        api.check_in(patient, f"2025-01-{day:02}T09:00:00-05:00", "nrs-pain", day)
        api.session(patient, f"2025-01-{day:02}T10:00:00-05:00")
    for path in (f"/v1/patients/{patient}/check-ins", f"/v1/patients/{patient}/sessions"):
        whole = api.get(path, params={"limit": 200}).json()["items"]
        walked: list[Any] = []
        cursor: dict[str, str] = {}
        for _ in range(20):
            page = api.get(path, params={"limit": 3, **cursor}).json()
            walked += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        seen = [item["id"] for item in walked]
        assert seen == [item["id"] for item in whole]
        assert len(seen) == 7


@pytest.mark.parametrize("params", [
    {"from": "1899-01-01"}, {"to": "9999-12-31"}, {"from": "2025-1-1"}, {"instrument": "bogus"}, {"limit": "5_0"},
    {"limit": "+5"}, {"limit": ["5", "6"]},
])  # fmt: skip
def test_a_filter_that_cannot_be_is_refused(api: Api, path: str, params: dict[str, Any]) -> None:
    refused = api.get(path, params=params)
    assert (refused.status_code, places(refused)) == (422, [next(iter(params))])


def test_an_integration_that_may_only_write_reads_nothing_back(server: TestClient, api: Api, path: str) -> None:
    mine = body(responses=[{"instrument": "phq-9", "answers": [3] * 9}])
    api.post(path, mine)
    writer = new_client(server, api.clinic_id, "checkins:write")
    again = writer.post(path, body(responses=[{"instrument": "phq-9", "score": 27}])).json()
    assert (again["scores"], again["alerts"], again["relief"]) == ([], [], [])
    assert again["notice"]  # whom to call is never withheld
    own = writer.post(path, body(taken_at="2025-01-11T09:00:00Z")).json()
    assert [s["value"] for s in own["scores"]] == [14]
    assert (own["alerts"], own["relief"]) == ([], [])


def test_a_check_in_that_is_not_there_is_404(api: Api, path: str) -> None:
    assert api.get(f"{path}/{uuid4()}").status_code == 404
    assert api.post(f"/v1/patients/{uuid4()}/check-ins", body()).status_code == 404


def test_one_item_that_breaks_the_batch_fails_alone(
    server: TestClient, api: Api, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = policies.digest

    def broken(posted: Any) -> str:
        if posted.taken_at.day == 13:
            raise ZeroDivisionError
        return whole(posted)

    monkeypatch.setattr(deciding, "digest", broken)
    items = [body(patient_id=patient, taken_at=f"2025-01-{day}T09:00:00Z") for day in (12, 13, 14)]
    results = api.post("/v1/check-ins/batch", {"items": items}).json()["results"]
    assert [r["http_status"] for r in results] == [201, 500, 201]
    assert results[1]["problem"]["code"] == "internal"
    assert len(api.get(f"/v1/patients/{patient}/check-ins").json()["items"]) == 2


def test_an_instrument_named_twice_is_refused_whatever_else_is_known(api: Api, path: str) -> None:
    posted = body(id=str(uuid4()))
    api.post(path, posted)
    twice = [{"instrument": "phq-9", "answers": PHQ_9}, {"instrument": "phq-9", "score": 14}]
    assert api.post(path, posted | {"responses": twice}).json()["code"] == "check_in_conflict"
    slow = (clock.now() - timedelta(hours=2)).isoformat()
    refused = api.post(path, body(responses=twice, taken_at=slow, sent_at=slow))
    assert (refused.status_code, places(refused)) == (422, ["/responses/1/instrument"])


def test_what_an_instrument_says_now_is_in_the_receipt_of_its_void(api: Api, patient: str, path: str) -> None:
    receipt = api.post(path, response("pcl-5", score=40)).json()
    assert [t["instrument"] for t in receipt["relief"]] == ["pcl-5"]
    voided = api.post(
        f"{path}/{receipt['id']}/amendments", {"reason": "wrong patient", "void": True}, headers={"If-Match": '"1"'}
    ).json()
    assert voided["relief"] == []
    assert [d["domain"] for d in api.relief(patient)["domains"]] == ["mood", "anxiety", "pain"]


def test_an_integration_that_may_only_write_reads_nothing_by_amending(server: TestClient, api: Api, path: str) -> None:
    receipt = api.post(path, body(responses=[{"instrument": "phq-9", "score": 20}])).json()
    writer = new_client(server, api.clinic_id, "checkins:write")
    answer = writer.post(
        f"{path}/{receipt['id']}/amendments",
        {"reason": "x", "taken_at": "2025-01-11T09:00:00Z"},
        headers={"If-Match": "*"},
    )
    assert (answer.status_code, answer.json()) == (201, {"id": receipt["id"], "version": 2})


def test_moving_an_answer_given_before_the_infusion_keeps_its_bound(api: Api, patient: str, path: str) -> None:
    api.session(patient, "2025-01-10T09:00:00-05:00")
    receipt = api.post(path, body(taken_at="2025-01-10T09:30:00-05:00", before_infusion=True)).json()
    moved = api.post(
        f"{path}/{receipt['id']}/amendments",
        {"reason": "typed wrong", "taken_at": "2025-01-10T12:30:00-05:00"},
        headers={"If-Match": '"1"'},
    )
    assert (moved.status_code, places(moved)) == (422, ["/before_infusion"])
