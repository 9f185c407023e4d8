"""Asking once more: a reading near the response line, or past it, calls for one more six days later, where the plan
asks for none within a week. It shows in what is due, on the worklist and in the words of relief, and changes no
status."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app import clock
from app.access import service as access
from app.access.tokens import Claims
from app.plans import service as plans
from app.plans.schedule import Answer, Due, Template, due, in_force
from app.relief_answers import service as relief_answers
from app.storage import Database
from app.tracks.days import local_day
from tests.conftest import ZONE, Api, days_ago, new_device, question


def today() -> date:
    return local_day(clock.now(), ZoneInfo(ZONE))


def responder(api: Api, latest: float, score: float = 11, infused: float = 100) -> str:
    """A patient who responded, and whose latest PHQ-9 was taken `latest` days ago, by default one point past the line.
    In week 14 after the course, the default plan asks for nothing within a week."""
    patient_id = api.patient()
    posts = ((infused + 0.1, 20), (infused - 20, 5), (latest, score))
    api.session(patient_id, days_ago(infused))
    for day, value in posts:
        body = {"taken_at": days_ago(day), "responses": [{"instrument": "phq-9", "score": value}]}
        assert api.post(f"/v1/patients/{patient_id}/check-ins", body).status_code == 201
    return patient_id


def track(api: Api, patient_id: str) -> Any:
    return api.track(patient_id, "phq-9")


def asked(api: Api, patient_id: str) -> list[dict[str, Any]]:
    items = api.get(f"/v1/patients/{patient_id}/plan/due").json()["items"]
    return [item for item in items if item["reason"] == "confirm"]


@pytest.mark.parametrize(("score", "status"), [(11, "fading"), (15, "fading"), (10, "holding"), (6, "holding")])
def test_one_more_is_asked_for_six_days_after_a_reading_past_or_near_the_line(
    api: Api, score: float, status: str
) -> None:
    patient_id = responder(api, 0.001, score)
    [item] = asked(api, patient_id)
    due_on = today() + timedelta(days=6)
    assert (item["due_on"], item["window_ends_on"]) == (due_on.isoformat(), (due_on + timedelta(days=1)).isoformat())
    assert (item["instruments"], item["state"], item["session_id"]) == (["phq-9"], "upcoming", None)
    found = track(api, patient_id)
    assert (found["status"], found["confirm_due_on"]) == (status, due_on.isoformat())
    words = f"One more reading from {due_on.day} {due_on:%B} would show whether it repeats."
    assert found["explanation"].endswith(words)
    assert not {"relapse", "likely", "risk"} & set(found["explanation"].lower().split())
    rows = api.get("/v1/worklist", params={"domain": "mood"}).json()["items"]
    [row] = [row for row in rows if row["patient"]["id"] == patient_id]
    assert (row["confirm_due_on"], row["near_line"]) == (due_on.isoformat(), found["near_line"])


def test_the_receipt_says_it_as_relief_does(api: Api) -> None:
    patient_id = responder(api, 30, 5)
    receipt = api.check_in(patient_id, days_ago(0.001), "phq-9", 10)
    assert receipt["relief"][0] == track(api, patient_id)
    assert receipt["relief"][0]["confirm_due_on"] is not None
    version = {"If-Match": '"1"'}
    body = {"reason": "keying error", "responses": [{"instrument": "phq-9", "score": 2}]}
    amended = api.post(f"/v1/patients/{patient_id}/check-ins/{receipt['id']}/amendments", body, headers=version)
    assert amended.json()["relief"][0]["confirm_due_on"] is None, "2 is clear of the line"


def test_a_reading_clear_of_the_line_calls_for_none(api: Api) -> None:
    patient_id = responder(api, 0.001, 5)
    assert asked(api, patient_id) == []
    assert (track(api, patient_id)["confirm_due_on"], track(api, patient_id)["near_line"]) == (None, False)


def test_unanswered_it_falls_due_and_is_missed_and_the_words_forget_it(api: Api, database: Database) -> None:
    patient_id = UUID(responder(api, 0.001))
    claims = Claims("user", api.caller_id, api.clinic_id, "", 0)
    caller = database.reading(api.clinic_id, lambda db: access.caller_of_token(db, claims))

    def state(days: int) -> tuple[str, bool]:
        """What becomes of it some days later, and whether relief tells of it."""
        later = clock.now() + timedelta(days=days)

        def work(db: Any) -> tuple[str, bool]:
            items = plans.due_of(db, caller, patient_id, None, None, later).value.items
            told = relief_answers.relief_of(db, question(caller, patient_id, later)).value.tracks[0]
            [item] = [item for item in items if item.reason == "confirm"]
            return item.state, told.confirm_due_on is not None

        return database.reading(api.clinic_id, work)

    assert [state(days) for days in (1, 6, 7, 8)] == [
        ("upcoming", True), ("due", True), ("overdue", True), ("missed", False),
    ]  # fmt: skip


@pytest.mark.parametrize(("day", "whole", "state"), [
    (6, True, "done"), (7, True, "done"), (6, False, "declined"), (8, True, "missed"), (5, True, "missed"),
])  # fmt: skip
def test_an_answer_of_its_two_days_is_the_one_that_was_asked_for(day: int, whole: bool, state: str) -> None:
    read_on = date(2025, 3, 3)
    asking = Due(
        read_on + timedelta(days=6), read_on + timedelta(days=7), ("phq-9",), None, early=0, anchor_on=read_on,
        confirms=True,
    )  # fmt: skip
    answered = {"phq-9": [Answer(read_on + timedelta(days=day), whole)]}
    template = Template(date.min, ())
    [one] = due([template], [], read_on, [], {}, answered, date.min, date.max, [asking])
    assert (one.state(read_on + timedelta(days=9)), one.confirms) == (state, True)


def test_another_reading_or_an_infusion_ends_it(api: Api) -> None:
    patient_id = responder(api, 1.9)
    assert len(asked(api, patient_id)) == 1
    api.check_in(patient_id, days_ago(0.5), "phq-9", 5)
    assert asked(api, patient_id) == []
    infused = responder(api, 1.9)
    api.session(infused, days_ago(0.5))
    assert asked(api, infused) == []
    assert track(api, infused)["confirm_due_on"] is None


def test_where_the_plan_asks_anyway_none_is_added(api: Api) -> None:
    """In the weeks after a course, the default plan asks weekly."""
    patient_id = responder(api, 0.001, 11, infused=32)
    assert asked(api, patient_id) == []
    assert track(api, patient_id)["confirm_due_on"] is None


def test_a_reading_that_came_late_calls_for_none(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(100))
    for day, value in ((100.1, 20), (80, 5), (4, 11)):  # all are recorded today
        body = {"taken_at": days_ago(day), "responses": [{"instrument": "phq-9", "score": value}]}
        api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert track(api, patient_id)["status"] == "fading"
    assert asked(api, patient_id) == []


@pytest.mark.parametrize(("days", "is_asked"), [(2, True), (3, False)])
def test_a_reading_calls_for_one_if_it_was_recorded_within_two_of_the_clinics_days(
    api: Api, days: int, is_asked: bool
) -> None:
    patient_id = responder(api, 50, 6)
    morning = datetime.combine(today() - timedelta(days=days), time(0, 5), ZoneInfo(ZONE))
    body = {"taken_at": morning.isoformat(), "responses": [{"instrument": "phq-9", "score": 11}]}
    api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert bool(asked(api, patient_id)) is is_asked
    assert bool(track(api, patient_id)["confirm_due_on"]) is is_asked


def test_an_amendment_of_something_else_and_a_completion_do_not_take_the_call_back(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    four_days_ago = clock.now() - timedelta(days=4)
    monkeypatch.setattr(clock, "now", lambda: four_days_ago)
    patient_id = responder(api, 50, 6)
    body = {
        "taken_at": days_ago(0.001),
        "responses": [{"instrument": "phq-9", "score": 11}, {"instrument": "gad-7", "score": 5}],
    }
    check_in = api.post(f"/v1/patients/{patient_id}/check-ins", body).json()
    due_on = track(api, patient_id)["confirm_due_on"]
    assert due_on is not None
    monkeypatch.undo()
    path = f"/v1/patients/{patient_id}/check-ins/{check_in['id']}/amendments"
    change = {"reason": "keying error", "responses": [{"instrument": "gad-7", "score": 6}]}
    assert api.post(path, change, headers={"If-Match": '"1"'}).status_code == 201
    assert track(api, patient_id)["confirm_due_on"] == due_on
    items = {"instrument": "phq-9", "answers": [2, 2, 2, 2, 1, 1, 1, 0, 0]}
    whole = api.post(f"/v1/patients/{patient_id}/check-ins", {"taken_at": body["taken_at"], "responses": [items]})
    assert whole.status_code == 200, whole.text
    assert track(api, patient_id)["confirm_due_on"] == due_on, "the answers complete a total that was known"
    assert [one["due_on"] for one in asked(api, patient_id)] == [due_on]


def test_a_patients_plan_may_differ_from_the_clinics_in_this_alone(api: Api) -> None:
    patient_id = responder(api, 0.001)
    path = f"/v1/patients/{patient_id}/plan"

    def put(version: int, **body: Any) -> Any:
        answer = api.request("PUT", path, json={"items": None, **body}, headers={"If-Match": f'"{version}"'})
        assert answer.status_code == 200
        return answer.json()

    assert (put(1, confirm=False)["source"], put(2, confirm=False)["confirm"]) == ("default", False)
    assert put(2, confirm=False)["version"] == 2, "nothing changed"
    assert (put(2)["confirm"], api.get(path).json()["version"]) == (True, 3)


def test_the_plan_in_force_takes_from_each_what_it_says() -> None:
    day = date(2025, 1, 1)
    clinic = [Template(day, (), confirm=False)]
    assert in_force(clinic, [Template(day, None)], day).confirm is False
    assert in_force(clinic, [Template(day, None, confirm=True)], day).confirm is True
    assert in_force(clinic, [Template(day, None, confirm=True)], day).items == ()
    assert in_force([], [Template(day, None, confirm=False)], day).confirm is False


def test_a_plan_may_ask_for_none_and_says_so(api: Api) -> None:
    plan = api.get("/v1/clinic/plan").json()
    assert plan["confirm"] is True
    items = [
        {"after": "course", "offset": "P90D", "window": "P7D", "instruments": ["gad-7"]},
    ]
    changed = api.request(
        "PUT", "/v1/clinic/plan", json={"items": items, "confirm": False}, headers={"If-Match": '"1"'}
    )
    assert changed.json()["confirm"] is False
    same = api.request("PUT", "/v1/clinic/plan", json={"items": items, "confirm": False}, headers={"If-Match": '"2"'})
    assert same.json()["version"] == 2
    other = api.request("PUT", "/v1/clinic/plan", json={"items": items}, headers={"If-Match": '"2"'})
    assert (other.json()["confirm"], other.json()["version"]) == (True, 3)
    patient_id = responder(api, 0.001)
    assert len(asked(api, patient_id)) == 1, "a change counts for readings from tomorrow on"
    mine = api.request(
        "PUT", f"/v1/patients/{patient_id}/plan", json={"items": items, "confirm": False}, headers={"If-Match": '"1"'}
    )
    assert (mine.json()["source"], mine.json()["confirm"]) == ("patient", False)


def test_nobody_is_asked_who_is_not_in_care_and_patients_see_their_own(api: Api) -> None:
    patient_id = responder(api, 0.001)
    device = new_device(api, patient_id)
    assert [one["reason"] for one in device.get("/v1/me/due").json()["items"]].count("confirm") == 1
    mine = device.get(f"/v1/patients/{patient_id}/relief").json()["tracks"][0]
    assert "One more score from " in mine["explanation"]
    api.patch("/v1/clinic", {"patient_view": "scores_and_trend"}, 1)
    items = new_device(api, patient_id).get("/v1/me/due").json()["items"]
    assert [one["instruments"] for one in items if one["due_on"] == (today() + timedelta(days=6)).isoformat()] == [
        ["phq-9"]
    ]
    assert {one["reason"] for one in items} == {None}, "why it is asked would tell of the verdict"
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "paused"}, 1)
    assert asked(api, patient_id) == []
    assert track(api, patient_id)["confirm_due_on"] is None
