"""Plain requests mean what they mean to the framework, and whatever is unusual is left to it."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.access.door import Door
from app.api.strict import parse
from app.checkins.models import CheckInIn
from app.checkins.plain import plain_check_in
from app.errors import Problem
from app.storage import Joined, new_id
from tests.conftest import Api, days_ago

_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 40), st.integers(-(10**22), 10**22), st.floats(), st.text(max_size=4),
    st.sampled_from(["phq-9", "2026-05-01T10:00:00Z", "2026-05-01 10:00:00+02:00", "01a229f3767d734b8f420107e0c3db45"]),
)  # fmt: skip
_RESPONSE = st.dictionaries(
    st.sampled_from(["instrument", "answers", "score", "other"]), _VALUES | st.lists(_VALUES, max_size=3), max_size=4
)
_BODY = st.fixed_dictionaries(
    {"taken_at": st.just("2026-05-01T10:00:00.5Z") | _VALUES, "responses": st.lists(_RESPONSE, max_size=3)},
    optional=dict.fromkeys(("id", "sent_at", "session_id", "before_infusion", "other"), _VALUES),
)


def by_the_framework(body: bytes) -> CheckInIn | None:
    try:
        return CheckInIn.model_validate(parse(body))
    except (Problem, ValidationError):
        return None


def agree(body: bytes) -> bool:
    """Whether a body that is read plainly is read to the same by the framework. Returns whether it was."""
    plain = plain_check_in(body)
    if plain is not None:
        framework = by_the_framework(body)
        assert plain == framework, body
        assert plain.model_fields_set == framework.model_fields_set
        assert [repr(r) for r in plain.responses] == [repr(r) for r in framework.responses]
    return plain is not None


@given(_BODY, st.data())
@settings(max_examples=600, deadline=None)
def test_what_is_read_plainly_is_read_so_by_the_framework(document: Any, data: st.DataObject) -> None:
    body = json.dumps(document).encode()
    agree(body)
    # A part of it again somewhere: repeated keys, and what is no JSON any more.
    cuts = sorted(data.draw(st.integers(0, len(body))) for _ in range(3))
    agree(body[: cuts[1]] + body[cuts[0] : cuts[2]] + body[cuts[1] :])


@pytest.mark.parametrize("body", [
    b'{"taken_at":"2026-05-01T10:00:00Z","taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq-9","score":7}]}',
    b'{"taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq-9","score":7,"score":7}]}',
    b'{"taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq-9","score":NaN}]}',
    b'{"taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq\\u002d9","score":7}]}',
    b'\xef\xbb\xbf{"taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq-9","score":7}]}',
    b'{"taken_at":"2026-05-01T10:00:00Z","responses":[{"instrument":"phq-9","answers":[1.0]}]}',
])  # fmt: skip
def test_what_is_not_plain_is_left_to_the_framework(body: bytes) -> None:
    assert not agree(body)


def test_the_usual_form_is_plain() -> None:
    assert agree(
        b'{"id": "01a229f3-767d-734b-8f42-0107e0c3db45", "taken_at": "2026-05-01T10:00:00-04:00", "sent_at": null,'
        b'"before_infusion": false, "responses": [{"instrument": "phq-9", "answers": [1,1,null]}, '
        b'{"instrument": "nrs-pain", "score": 3.0}]}'
    )


def told(answer: Any) -> tuple[Any, ...]:
    """What a response says, but for ids and moments that differ from request to request."""
    headers = {
        k: v for k, v in answer.headers.items() if k not in ("x-request-id", "location", "ratelimit", "content-length")
    }
    body = answer.json()
    return answer.status_code, headers, json.loads(json.dumps(_without(body)))


_OWN = (
    "id", "request_id", "recorded_at", "patient_id", "score_id", "raised_at", "known_at", "check_in_id",
)  # fmt: skip


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(one) for one in value]
    if isinstance(value, dict):
        return {name: _without(one) for name, one in value.items() if name not in _OWN}
    return value


BODIES: list[Any] = [
    {"responses": [{"instrument": "phq-9", "answers": [1] * 9}, {"instrument": "nrs-pain", "score": 3}]},
    {"responses": [{"instrument": "phq-9", "answers": [3] * 9}]},
    {"responses": [{"instrument": "phq-9", "score": 99}]},
    {"responses": [{"instrument": "nothing", "score": 1}]},
    {"responses": [{"instrument": "phq-9", "answers": [9] * 9}]},
    {"responses": []},
    {"responses": [{"instrument": "nrs-pain", "score": 3}], "session_id": str(new_id())},
    {"responses": [{"instrument": "nrs-pain", "score": 3}], "more": 1},
]


@pytest.mark.parametrize("number", range(len(BODIES)))
def test_an_answer_is_the_same_by_either_way(api: Api, number: int) -> None:
    """A header that a lane does not know leaves a request to the framework."""
    body, found = {"taken_at": days_ago(1), **BODIES[number]}, []
    for headers in ({}, {"Range": "bytes=0-"}):
        patient_id = api.patient()
        api.session(patient_id, days_ago(5)[:11] + "12:00:00Z")
        sent = api.post(f"/v1/patients/{patient_id}/check-ins", body, headers=headers)
        again = api.post(f"/v1/patients/{patient_id}/check-ins", body, headers=headers)
        asked = api.get(f"/v1/patients/{patient_id}/relief", headers=headers)
        found.append([told(sent), told(again), told(asked)])
    assert found[0] == found[1]


def test_a_refused_plain_request_is_recorded_once_and_counted_once(api: Api) -> None:
    patient_id = api.patient()
    body = {"taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 3}]}
    first = api.post(f"/v1/patients/{patient_id}/check-ins", body)
    refused = api.post(
        f"/v1/patients/{patient_id}/check-ins", body | {"responses": [{"instrument": "nrs-pain", "score": 4}]}
    )
    assert (first.status_code, refused.status_code) == (201, 409)
    events = [e for e in api.get("/v1/audit-events").json()["items"] if e["operation"] == "record_check_in"]
    assert [event["outcome"] for event in events] == ["refused", "done"]


def test_an_error_of_ours_in_a_lane_is_a_500_without_a_value(
    server: TestClient, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    patient_id = api.patient()

    async def broken(*_: Any) -> Any:
        raise ValueError("PHQ-9 is twenty-seven")

    assert api.get(f"/v1/patients/{patient_id}/relief").status_code == 200
    monkeypatch.setattr(Joined, "submit", broken)
    with caplog.at_level("INFO"):
        answer = api.get(f"/v1/patients/{patient_id}/relief")
    assert answer.status_code == 500
    assert "twenty-seven" not in answer.text + caplog.text
    assert "GET /v1/patients/{patient_id}/relief 500" in caplog.text, "the log names the route"


def test_a_lane_that_leaves_no_event_gives_no_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_id = api.patient()
    assert api.get(f"/v1/patients/{patient_id}/relief").status_code == 200
    monkeypatch.setattr(Door, "is_recorded", property(lambda _: False, lambda *_: None), raising=False)
    assert api.get(f"/v1/patients/{patient_id}/relief").status_code == 500
