"""What else happened: recorded, amended and taken back like everything else, drawn and in the record, never in a
verdict."""

from datetime import timedelta
from typing import Any

import pytest

from app import clock
from app.storage import new_id
from tests.conftest import Api, days_ago, new_client, new_device

CHANGE = {"kind": "medication_changed", "on": "2025-02-03", "label": "sertraline 50 to 100 mg"}


def path(patient_id: str) -> str:
    return f"/v1/patients/{patient_id}/events"


def record(api: Api, patient_id: str, **fields: Any) -> dict[str, Any]:
    answer = api.post(path(patient_id), CHANGE | fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_an_event_is_recorded_once_whatever_the_retries(api: Api) -> None:
    patient_id, event_id = api.patient(), str(new_id())
    first = api.post(path(patient_id), CHANGE | {"id": event_id})
    assert first.headers["location"] == f"{path(patient_id)}/{event_id}"
    assert first.headers["etag"] == '"1"'
    body = first.json()
    assert {name: body[name] for name in ("kind", "on", "label", "status", "version")} == CHANGE | {
        "status": "recorded", "version": 1,
    }  # fmt: skip
    again = api.post(path(patient_id), CHANGE | {"id": event_id})
    assert (again.status_code, again.json(), again.headers["replayed"]) == (200, body, "true")
    other = api.post(path(patient_id), CHANGE | {"id": event_id, "kind": "tms"})
    assert (other.status_code, other.json()["code"]) == (409, "already_recorded")
    elsewhere = api.post(path(api.patient()), CHANGE | {"id": event_id})
    assert elsewhere.status_code == 409
    assert [one["id"] for one in api.get(path(patient_id)).json()["items"]] == [event_id]


def test_an_amendment_makes_a_version_and_may_take_it_back(api: Api) -> None:
    patient_id = api.patient()
    event = record(api, patient_id)
    at = f"{path(patient_id)}/{event['id']}"
    missing = api.post(f"{at}/amendments", {"reason": "keying error", "on": "2025-02-04"})
    assert missing.status_code == 428
    moved = api.post(f"{at}/amendments", {"reason": "keying error", "on": "2025-02-04"}, headers={"If-Match": '"1"'})
    assert (moved.status_code, moved.json()["on"], moved.json()["version"]) == (201, "2025-02-04", 2)
    stale = api.post(f"{at}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    same = api.post(f"{at}/amendments", {"reason": "x", "on": "2025-02-04"}, headers={"If-Match": '"2"'})
    assert (same.status_code, same.json()["version"]) == (200, 2)
    gone = api.post(f"{at}/amendments", {"reason": "another patient's", "void": True}, headers={"If-Match": '"2"'})
    assert (gone.json()["status"], gone.json()["reason"]) == ("voided", "another patient's")
    back = api.post(
        f"{at}/amendments", {"reason": "not so", "void": False, "label": None, "kind": "other"},
        headers={"If-Match": '"3"'},
    ).json()  # fmt: skip
    assert (back["status"], back["label"], back["kind"]) == ("recorded", None, "other")
    versions = api.get(f"{at}/versions").json()["items"]
    assert [(one["version"], one["status"]) for one in versions] == [
        (1, "recorded"), (2, "recorded"), (3, "voided"), (4, "recorded"),
    ]  # fmt: skip
    assert api.get(at).headers["etag"] == '"4"'


def test_they_are_listed_by_day_page_by_page(api: Api) -> None:
    patient_id = api.patient()
    days = ["2025-03-01", "2025-02-01", "2025-03-01", "2025-01-15", "2025-04-01"]
    for day in days:
        record(api, patient_id, on=day)
    seen, cursor = [], None
    while True:
        page = api.get(path(patient_id), params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [one["on"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(days, reverse=True)


@pytest.mark.parametrize(("wrong", "pointer"), [
    ({"kind": "x"}, "/kind"), ({"on": "2025-02-30"}, "/on"), ({"on": "1800-01-01"}, "/on"), ({"label": ""}, "/label"),
    ({"label": "x" * 201}, "/label"), ({"when": 1}, "/when"),
])  # fmt: skip
def test_what_cannot_have_happened_is_refused(api: Api, wrong: dict[str, Any], pointer: str) -> None:
    refused = api.post(path(api.patient()), CHANGE | wrong)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_what_is_to_come_has_not_happened(api: Api) -> None:
    ahead = (clock.now() + timedelta(days=2)).date().isoformat()
    refused = api.post(path(api.patient()), CHANGE | {"on": ahead})
    assert "must not be after today" in refused.json()["errors"][0]["detail"]


def test_it_stands_on_the_trend_and_in_the_record_and_changes_no_verdict(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(40.1), "phq-9", 20)
    api.session(patient_id, days_ago(40))
    api.check_in(patient_id, days_ago(20), "phq-9", 8)
    before = api.relief(patient_id)
    event = record(api, patient_id, on=days_ago(30)[:10])
    taken_back = record(api, patient_id, on=days_ago(25)[:10], kind="tms", label=None)
    api.post(
        f"{path(patient_id)}/{taken_back['id']}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"1"'}
    )
    assert api.relief(patient_id) == before
    trend = api.get(f"/v1/patients/{patient_id}/trend", params={"instrument": "phq-9"}).json()
    assert [(one["id"], one["label"]) for one in trend["events"]] == [(event["id"], event["label"])]
    assert "sertraline 50 to 100 mg on " in trend["description"]
    kept = api.get(f"/v1/patients/{patient_id}/record").json()["events"]
    assert [(one["id"], one["version"]) for one in kept] == [
        (event["id"], 1), (taken_back["id"], 1), (taken_back["id"], 2),
    ]  # fmt: skip
    mine = new_device(api, patient_id).get(f"/v1/patients/{patient_id}/trend", params={"instrument": "phq-9"}).json()
    assert mine["events"] == [], "a clinician's notes are not drawn for the patient"


def test_a_client_that_may_only_write_is_not_told_what_stands(api: Api) -> None:
    patient_id = api.patient()
    writer = new_client(api.server, api.clinic_id, "sessions:write")
    answer = writer.post(path(patient_id), CHANGE)
    assert (answer.status_code, set(answer.json())) == (201, {"id", "version"})
    assert writer.get(path(patient_id)).status_code == 403


def test_a_merge_takes_events_along_and_its_undo_brings_them_back(api: Api) -> None:
    one, two = api.patient(), api.patient()
    event, gone = record(api, one), record(api, one, kind="ect")
    api.post(f"{path(one)}/{gone['id']}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"1"'})
    body = {"into": two, "reason": "registered twice"}
    assert api.post(f"/v1/patients/{one}/merge", body, headers={"If-Match": '"1"'}).status_code == 201
    [moved] = api.get(path(two)).json()["items"]
    assert (moved["moved_from"], moved["label"], moved["status"]) == (event["id"], event["label"], "recorded")
    assert api.get(path(one)).status_code == 410
    api.post(
        f"{path(two)}/{moved['id']}/amendments", {"reason": "keying error", "on": "2025-02-05"},
        headers={"If-Match": '"1"'},
    )  # fmt: skip
    undone = api.post(f"/v1/patients/{one}/merge/undo", {"reason": "two people"}, headers={"If-Match": '"2"'})
    assert undone.status_code < 300, undone.text
    back = {item["id"]: item for item in api.get(path(one)).json()["items"]}
    assert (back[event["id"]]["on"], back[event["id"]]["status"]) == ("2025-02-05", "recorded")
    assert back[gone["id"]]["status"] == "voided"
    [left] = api.get(path(two)).json()["items"]
    assert (left["status"], left["moved_to"]) == ("moved", event["id"])
    refused = api.post(
        f"{path(two)}/{moved['id']}/amendments", {"reason": "x", "void": False}, headers={"If-Match": '"3"'}
    )
    assert refused.status_code == 422


def test_a_clock_that_fell_behind_revives_no_event(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_id = api.patient()
    event = record(api, patient_id, on=days_ago(30)[:10])
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now - timedelta(seconds=30))
    gone = api.post(
        f"{path(patient_id)}/{event['id']}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"1"'}
    )
    assert gone.status_code == 201
    assert gone.json()["recorded_at"] > event["recorded_at"]
    trend = api.get(f"/v1/patients/{patient_id}/trend", params={"instrument": "phq-9"}).json()
    assert trend["events"] == []
