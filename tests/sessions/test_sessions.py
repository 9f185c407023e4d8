"""Sessions: numbered by episode and course, versioned on every change, never overlapping."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from app import clock
from app.sessions.models import SessionVersion
from app.storage import Database
from tests.conftest import Api

FULL: dict[str, Any] = {
    "started_at": "2025-01-06T10:00:00-05:00",
    "ended_at": "2025-01-06T10:45:00-05:00",
    "status": "completed",
    "drug": "ketamine",
    "route": "iv",
    "weight_kg": 77,
    "dose_mg": 38.5,
    "dose_mg_per_kg": 0.5,
    "vitals": [{"at": "2025-01-06T10:40:00-05:00", "systolic": 142, "diastolic": 88, "heart_rate": 84, "spo2": 98}],
    "side_effects": [{"effect": "dizziness", "severity": "mild", "minutes_after_start": 20}],
    "notes": "Tolerated well.",
}


@pytest.fixture
def path(api: Api) -> str:
    return f"/v1/patients/{api.patient()}/sessions"


def test_a_session_is_recorded_and_read_back(api: Api, path: str) -> None:
    answer = api.post(path, FULL)
    assert answer.status_code == 201
    session = answer.json()
    assert answer.headers["location"] == f"{path}/{session['id']}"
    assert session["started_at"] == "2025-01-06T15:00:00Z"
    assert session["vitals"][0]["systolic"] == 142
    assert session["side_effects"][0]["effect"] == "dizziness"
    assert (session["number"], session["episode_number"], session["course_number"], session["kind"]) == (
        1, 1, 1, "induction",
    )  # fmt: skip
    assert api.get(f"{path}/{session['id']}").json() == session
    assert api.get(path).json()["items"] == [session]


def test_sessions_are_numbered_by_episode_and_course_whatever_the_order_they_come_in(api: Api) -> None:
    patient_id = api.patient()
    days = {
        "2025-01-06": (1, 1, 1, "induction"), "2025-01-17": (2, 1, 1, "induction"),
        "2025-02-03": (3, 1, 2, "booster"), "2025-02-10": (4, 1, 2, "booster"),
        "2025-03-20": (5, 1, 3, "booster"), "2025-10-01": (1, 2, 1, "induction"),
    }  # fmt: skip
    for day in reversed(days):
        api.session(patient_id, f"{day}T10:00:00-05:00")
    found = api.get(f"/v1/patients/{patient_id}/sessions").json()["items"]
    numbered = {s["started_at"][:10]: (s["number"], s["episode_number"], s["course_number"], s["kind"]) for s in found}
    assert numbered == days
    assert [s["started_at"] for s in found] == sorted((s["started_at"] for s in found), reverse=True)


def test_weekly_infusions_after_the_first_28_days_are_maintenance(api: Api) -> None:
    patient_id = api.patient()
    kinds = [api.session(patient_id, f"2025-01-{day:02}T10:00:00-05:00")["kind"] for day in (1, 8, 15, 22, 29)]
    kinds.append(api.session(patient_id, "2025-02-05T10:00:00-05:00")["kind"])
    assert kinds == ["induction"] * 5 + ["maintenance"]


def test_the_same_id_is_recorded_once(api: Api, path: str) -> None:
    posted = FULL | {"id": str(uuid4())}
    first, second = api.post(path, posted), api.post(path, posted)
    assert (first.status_code, second.status_code, second.headers["replayed"]) == (201, 200, "true")
    assert second.json() == first.json()
    other = api.post(path, posted | {"notes": "x"})
    assert (other.status_code, other.json()["code"]) == (409, "already_recorded")


def test_overlapping_sessions_are_refused_unless_one_does_not_count(api: Api, path: str) -> None:
    at_once = {"started_at": "2025-01-06T10:00:00Z", "ended_at": "2025-01-06T10:00:00Z"}
    assert [api.post(path, at_once).status_code for _ in range(2)] == [201, 409]
    session = api.get(path).json()["items"][0]
    api.patch(f"{path}/{session['id']}", {"ended_at": None, "reason": "not known"}, 1)
    for start in ("2025-01-06T10:00:00Z", "2025-01-06T11:59:00Z", "2025-01-06T08:30:00Z"):
        refused = api.post(path, {"started_at": start})
        assert (refused.status_code, refused.json()["code"]) == (409, "session_overlaps")
    assert api.post(path, {"started_at": "2025-01-06T11:00:00Z", "status": "not_done"}).status_code == 201
    assert api.post(path, {"started_at": "2025-01-06T12:00:00Z"}).status_code == 201


@pytest.mark.parametrize(("change", "code", "pointer"), [
    ({"started_at": None}, "invalid", "/started_at"),
    ({"started_at": "2025-01-06T10:00:00"}, "invalid", "/started_at"),
    ({"started_at": (clock.now() + timedelta(days=1)).isoformat(), "ended_at": None}, "invalid", "/started_at"),
    ({"ended_at": "2025-01-06T09:00:00-05:00"}, "invalid", "/ended_at"),
    ({"ended_at": "2025-03-06T09:00:00-05:00"}, "invalid", "/ended_at"),
    ({"dose_mg": 45}, "dose_mismatch", "/dose_mg"),
    ({"dose_mg": 40.5}, "dose_mismatch", "/dose_mg"),
    ({"dose_mg": 36.5}, "dose_mismatch", "/dose_mg"),
    ({"vitals": [{"at": "2190-01-01T00:00:00Z"}]}, "invalid", "/vitals/0/at"),
    ({"weight_kg": -1}, "invalid", "/weight_kg"),
    ({"weight_kg": "77"}, "invalid", "/weight_kg"),
    ({"route": "rectal"}, "invalid", "/route"),
    ({"drug": ""}, "invalid", "/drug"),
    ({"vitals": [{"at": "2025-01-06T10:40:00-05:00", "spo2": 101}]}, "invalid", "/vitals/0/spo2"),
    ({"side_effects": [{"effect": "joy", "severity": "mild"}]}, "invalid", "/side_effects/0/effect"),
    ({"number": 4}, "invalid", "/number"),
])  # fmt: skip
def test_what_cannot_be_is_refused(api: Api, path: str, change: dict[str, Any], code: str, pointer: str) -> None:
    answer = api.post(path, FULL | change)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert api.get(path).json()["items"] == []


def test_doses_within_five_percent_agree(api: Api, path: str) -> None:
    assert api.post(path, FULL | {"dose_mg": 40}).status_code == 201


def test_a_change_makes_a_version_and_folds_relief_again(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, "2025-01-06T09:00:00-05:00", "nrs-pain", 8)
    session = api.session(patient_id, "2025-01-06T10:00:00-05:00")
    api.check_in(patient_id, "2025-01-07T09:00:00-05:00", "nrs-pain", 3)
    path = f"/v1/patients/{patient_id}/sessions/{session['id']}"
    assert api.track(patient_id, "nrs-pain", as_of="2025-01-07")["status"] == "holding"
    bare = api.patch(path, {"status": "entered_in_error"}, 1)
    assert (bare.status_code, bare.json()["errors"][0]["pointer"]) == (422, "/reason")
    changed = api.patch(path, {"status": "entered_in_error", "reason": "wrong patient"}, 1)
    assert (changed.status_code, changed.json()["version"], changed.json()["kind"]) == (200, 2, None)
    assert api.track(patient_id, "nrs-pain", as_of="2025-01-07")["status"] == "not_started"
    assert api.patch(path, {"notes": "x"}, 1).status_code == 412
    assert api.patch(path, {"notes": None}, 2).json()["version"] == 2
    versions = api.get(f"{path}/versions").json()["items"]
    assert [(v["version"], v["status"], v["reason"]) for v in versions] == [
        (1, "completed", None), (2, "entered_in_error", "wrong patient"),
    ]  # fmt: skip


def test_moving_a_session_moves_what_counts_before_it(api: Api) -> None:
    patient_id = api.patient()
    session = api.session(patient_id, "2025-01-06T10:00:00-05:00")
    posted = {
        "taken_at": "2025-01-06T10:30:00-05:00", "before_infusion": True,
        "responses": [{"instrument": "nrs-pain", "score": 8}],
    }  # fmt: skip
    api.post(f"/v1/patients/{patient_id}/check-ins", posted)
    api.check_in(patient_id, "2025-01-08T09:00:00-05:00", "nrs-pain", 3)
    assert api.track(patient_id, "nrs-pain", as_of="2025-01-08")["baseline"]["value"] == 8
    path = f"/v1/patients/{patient_id}/sessions/{session['id']}"
    moved = api.patch(path, {"started_at": "2025-01-06T08:00:00-05:00", "reason": "typed wrong"}, 1)
    assert moved.status_code == 200
    assert api.track(patient_id, "nrs-pain", as_of="2025-01-08")["baseline"]["value"] == 8, "it was before this one"


def test_vitals_are_of_this_session_and_of_a_body(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/sessions"
    begun = {"started_at": "2025-01-06T10:00:00Z", "ended_at": "2025-01-06T11:00:00Z"}

    def vitals(at: str, **more: int) -> Any:
        return api.post(path, begun | {"vitals": [{"at": at, "systolic": 120, "diastolic": 80, **more}]})

    for at in ("2025-01-06T07:59:59Z", "2025-01-07T11:00:01Z"):
        refused = vitals(at)
        assert refused.json()["errors"] == [{
            "pointer": "/vitals/0/at",
            "detail": "must be from 2 hours before the session's start to 24 hours after its end",
        }]  # fmt: skip
    for diastolic in (120, 121):
        refused = vitals("2025-01-06T10:30:00Z", diastolic=diastolic)
        assert refused.json()["errors"] == [{"pointer": "/vitals/0/diastolic", "detail": "must be under systolic"}]
    made = vitals("2025-01-06T08:00:00Z")
    assert made.status_code == 201
    address = f"{path}/{made.json()['id']}"
    moved = api.patch(address, {"started_at": "2025-01-06T10:30:00Z", "reason": "typed wrong"}, 1)
    assert (moved.status_code, moved.json()["errors"][0]["pointer"]) == (422, "/vitals/0/at")
    assert api.patch(address, {"notes": "Well."}, 1).status_code == 200


def test_what_a_monitoring_programmes_form_asks_is_kept(api: Api) -> None:
    path = f"/v1/patients/{api.patient()}/sessions"
    body = {
        "started_at": "2025-01-06T10:00:00Z", "ready_to_leave_at": "2025-01-06T12:10:00Z", "lot": "A1-77",
        "sedating_medication": False, "weight_kg": 77, "dose_mg": 38.5,
        "side_effects": [{"effect": "respiratory_depression", "severity": "mild", "minutes_after_start": 20,
                          "minutes_until_gone": 35}],
    }  # fmt: skip
    made = api.post(path, body)
    assert made.status_code == 201, made.text
    shown = api.get(f"{path}/{made.json()['id']}").json()
    assert (shown["ready_to_leave_at"], shown["lot"], shown["sedating_medication"]) == (
        "2025-01-06T12:10:00Z", "A1-77", False,
    )  # fmt: skip
    assert shown["side_effects"][0]["minutes_until_gone"] == 35
    assert shown["dose_mg_per_kg"] == 0.5, "it follows from dose and weight"
    early = api.post(path, body | {"started_at": "2025-01-08T10:00:00Z", "ready_to_leave_at": "2025-01-08T09:00:00Z"})
    assert early.json()["errors"][0]["pointer"] == "/ready_to_leave_at"


def test_a_repeat_of_what_an_older_release_stored_is_a_repeat(api: Api, database: Database) -> None:
    patient, known = api.patient(), str(uuid4())
    body = {"id": known, "started_at": "2025-01-06T10:00:00Z"}
    path = f"/v1/patients/{patient}/sessions"
    assert api.post(path, body).status_code == 201

    def as_before(db: Any) -> None:
        row = db.exec(select(SessionVersion).where(SessionVersion.session_id == UUID(known))).one()
        row.content = {
            k: v for k, v in row.content.items() if k not in ("lot", "sedating_medication", "ready_to_leave_at")
        }
        db.add(row)

    if database.is_sqlite:  # on PostgreSQL the service's role may not change a version
        database.writing(api.clinic_id, as_before)
    assert api.post(path, body).status_code == 200
