"""`before_infusion` is a statement that binds to one session: moving, voiding or recording it late never drops a
baseline in silence."""

from typing import Any

import pytest

from app import clock
from tests.conftest import Api

DAY = "2025-01-06"


def stated(api: Api, patient: str, at: str, score: int = 8) -> Any:
    body = {"taken_at": at, "before_infusion": True, "responses": [{"instrument": "nrs-pain", "score": score}]}
    return api.post(f"/v1/patients/{patient}/check-ins", body)


def baseline(api: Api, patient: str, **params: Any) -> Any:
    found = api.track(patient, "nrs-pain", as_of="2025-01-10", **params)
    return found["baseline"] and found["baseline"]["value"]


def session(api: Api, patient: str, at: str, **fields: Any) -> dict[str, Any]:
    return api.session(patient, f"{at}-05:00", **fields)


def move(api: Api, session: dict[str, Any], version: int, at: str) -> None:
    path = f"/v1/patients/{session['patient_id']}/sessions/{session['id']}"
    answer = api.patch(path, {"started_at": f"{at}-05:00", "reason": "typed wrong"}, version)
    assert answer.status_code == 200, answer.text


@pytest.fixture
def patient(api: Api) -> str:
    """With a reading on the day after, by which relief is holding."""
    patient_id = api.patient()
    api.check_in(patient_id, "2025-01-08T09:00:00-05:00", "nrs-pain", 3)
    return patient_id


@pytest.mark.parametrize(("to", "value"), [
    ("2025-01-06T09:29:00", 8), ("2025-01-06T00:10:00", 8), ("2025-01-06T13:00:00", 8), ("2025-01-05T10:01:00", 8),
    ("2025-01-05T09:59:00", None),
])  # fmt: skip
def test_it_counts_at_the_start_wherever_that_is_moved_within_a_day(
    api: Api, patient: str, to: str, value: int | None
) -> None:
    held = session(api, patient, f"{DAY}T10:00:00")
    assert stated(api, patient, f"{DAY}T10:30:00-05:00").status_code == 201
    assert baseline(api, patient) == 8
    move(api, held, 1, to)
    assert baseline(api, patient) == value


def test_a_session_that_is_recorded_after_it_is_meant(api: Api, patient: str) -> None:
    before = stated(api, patient, f"{DAY}T10:30:00-05:00").json()
    held = session(api, patient, f"{DAY}T09:00:00")
    assert baseline(api, patient) == 8
    assert api.track(patient, "nrs-pain", as_of="2025-01-10")["status"] == "holding"
    assert baseline(api, patient, known_at=before["recorded_at"]) is None, "from that record on"
    shown = api.get(f"/v1/patients/{patient}/check-ins/{before['id']}").json()
    assert (shown["phase"], shown["before_infusion"]) == ("baseline", True)
    move(api, held, 1, f"{DAY}T08:00:00")
    assert baseline(api, patient) == 8


def test_the_first_recorded_later_is_meant_and_a_void_unbinds_it(api: Api, patient: str) -> None:
    stated(api, patient, f"{DAY}T10:30:00-05:00")
    first = session(api, patient, f"{DAY}T06:00:00")
    assert baseline(api, patient) == 8
    path = f"/v1/patients/{patient}/sessions/{first['id']}"
    assert api.patch(path, {"status": "not_done", "reason": "typed wrong"}, 1).status_code == 200
    assert baseline(api, patient) is None
    session(api, patient, f"{DAY}T08:00:00")
    assert baseline(api, patient) == 8, "the one that was recorded in its place"


def test_it_binds_across_midnight(api: Api) -> None:
    patient = api.patient()
    api.check_in(patient, "2025-01-08T09:00:00-05:00", "nrs-pain", 3)
    session(api, patient, "2025-01-05T23:40:00")
    assert stated(api, patient, f"{DAY}T00:20:00-05:00").status_code == 201
    assert baseline(api, patient) == 8


def test_it_is_refused_only_where_every_session_of_the_day_began_too_early(api: Api, patient: str) -> None:
    session(api, patient, f"{DAY}T08:00:00", ended_at=f"{DAY}T08:40:00-05:00")
    refused = stated(api, patient, f"{DAY}T09:30:00-05:00")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/before_infusion")
    session(api, patient, f"{DAY}T11:00:00")
    assert stated(api, patient, f"{DAY}T09:30:00-05:00").status_code == 201, "before the later one"
    assert stated(api, patient, "2025-01-07T09:30:00-05:00", 5).status_code == 201, "a day without a session"


def test_a_session_that_was_to_come_and_is_moved_before_it_keeps_the_baseline(api: Api, patient: str) -> None:
    held = session(api, patient, f"{DAY}T11:00:00")
    stated(api, patient, f"{DAY}T10:30:00-05:00")
    move(api, held, 1, f"{DAY}T09:00:00")
    assert baseline(api, patient) == 8


def test_a_correction_of_the_answer_keeps_what_was_stated(api: Api, patient: str) -> None:
    held = session(api, patient, f"{DAY}T10:00:00")
    check_in = stated(api, patient, f"{DAY}T10:30:00-05:00").json()
    move(api, held, 1, f"{DAY}T09:00:00")
    path = f"/v1/patients/{patient}/check-ins/{check_in['id']}/amendments"
    body = {"reason": "typo", "responses": [{"instrument": "nrs-pain", "score": 9}]}
    assert api.post(path, body, headers={"If-Match": '"1"'}).status_code == 201
    assert baseline(api, patient) == 9


def test_what_was_known_is_asked_again_with_the_same_answer(api: Api, patient: str) -> None:
    known = []
    held = session(api, patient, f"{DAY}T10:00:00")
    stated(api, patient, f"{DAY}T10:30:00-05:00")
    for version, at in enumerate((f"{DAY}T09:00:00", "2025-01-04T10:00:00", f"{DAY}T10:10:00"), start=1):
        known.append((clock.now().isoformat(), api.relief(patient, as_of="2025-01-10")))
        move(api, held, version, at)
    for moment, answer in known:
        assert api.relief(patient, as_of="2025-01-10", known_at=moment) == answer
    assert [answer["tracks"][0]["baseline"] and answer["tracks"][0]["baseline"]["value"] for _, answer in known] == [
        8,
        8,
        None,
    ]
    assert baseline(api, patient) == 8, "moved back"
