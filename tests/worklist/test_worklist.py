"""The worklist shows what relief says, most pressing first, on any day, page by page."""

import random
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app import clock
from app.access import service as access
from app.access.service import Caller
from app.access.tokens import Claims
from app.api.encryption import Cipher
from app.api.parts import DATABASE
from app.clinic import service as clinics
from app.demo.clinic import fill
from app.instruments import INSTRUMENTS
from app.patients.models import CareStatus
from app.relief_answers import service as relief_answers
from app.storage import Database, new_id
from app.tracks.days import local_day
from app.tracks.models import SELF_HARM_UNKNOWN
from app.tracks.output import Status
from app.tracks.store import CARE_STATUSES
from app.worklist import service as worklist
from app.worklist.models import WorklistRowOut
from tests.conftest import ZONE, Api, app_of, days_ago, new_client, new_clinic, new_person, question

Clinic = tuple[Database, Caller, Sequence[UUID], Api]


@pytest.fixture(scope="module")
def clinic(server: TestClient) -> Clinic:
    """A synthetic clinic, some of whose alerts are open."""
    database: Database = DATABASE.in_app(app_of(server))
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "W", "Pacific/Auckland", [], now))
    api = new_person(server, clinic_id, "clinician")
    claims = Claims("user", api.caller_id, clinic_id, "", 0)
    caller = database.reading(clinic_id, lambda db: access.caller_of_token(db, claims))
    filled = fill(database, caller, 40, 150, now, seed=31)
    late = api.patient()
    answers = [1, 1, 1, 1, 1, 1, 1, 1, 1]
    for patient_id, days in ((late, 30), (str(filled.patient_ids[3]), 0.01), (str(filled.patient_ids[7]), 0.02)):
        body = {"taken_at": days_ago(days), "responses": [{"instrument": "phq-9", "answers": answers}]}
        assert api.post(f"/v1/patients/{patient_id}/check-ins", body).status_code == 201
    return database, caller, [*filled.patient_ids, UUID(late)], api


def pages(clinic: Clinic, day: date, limit: int, *, domain: str | None = None, statuses: Sequence[str] = ()) -> Any:
    """Every row, page by page."""
    database, caller, _, _ = clinic
    found: list[WorklistRowOut] = []
    after = None
    while True:
        place = after

        def work(db: Session, place: Any = place) -> list[worklist.Row]:
            return worklist.listed(db, caller, day, "active", domain, statuses, None, place, limit)

        rows = database.reading(caller.clinic_id, work)
        found += [item for _, item in rows[:limit]]
        if len(rows) <= limit:
            return found
        after = rows[limit - 1][0]


def rank(row: WorklistRowOut, timely: set[UUID]) -> int:
    """The order of the contract, written anew."""
    ranks = ["urgent", "high", "routine"]
    pressing = [ranks.index(alert.priority) - len(ranks) for alert in row.open_alerts if alert.id in timely]
    if pressing:
        return min(pressing)
    order = [
        row.status == "lost",
        row.status in ("stale", "awaiting_follow_up") and row.last_known == "lost",
        row.status == "fading",
        row.status in ("stale", "awaiting_follow_up") and row.last_known == "fading",
        row.status == "no_response" and "reliable_deterioration" in row.flags,
        row.status == "stale",
        *(row.status == status for status in (
            "no_response", "partial_response", "awaiting_follow_up", "no_baseline", "not_evaluable", "holding",
            "not_started",
        )),
    ]  # fmt: skip
    return 1 + order.index(True)


def timely_alerts(clinic: Clinic) -> set[UUID]:
    alerts = clinic[3].get("/v1/alerts", params={"state": "open", "late": "false", "limit": 200}).json()["items"]
    return {UUID(alert["id"]) for alert in alerts}


def test_the_job_that_turns_rows_knows_every_care_status() -> None:
    """Of a status that it did not know, rows would never be written."""
    assert set(CARE_STATUSES) == {*get_args(CareStatus), "merged"}


@pytest.mark.parametrize("days", [0, 1, 9, 36, 37, 80])
def test_rows_say_what_relief_says_in_the_order_of_the_contract(clinic: Clinic, days: int) -> None:
    database, caller, patient_ids, _ = clinic
    later = clock.now() + timedelta(days=days)
    day = local_day(later, caller.time_zone)
    rows = pages(clinic, day, 1_000)
    timely = timely_alerts(clinic)
    assert len(timely) >= 2
    places = [(rank(r, timely), r.since_on or date.max, str(r.patient.id), r.domain) for r in rows]
    assert places == sorted(places)
    assert len({place[0] for place in places}) >= (5 if days < 36 else 3)

    def relief(db: Session) -> dict[tuple[UUID, str], Any]:
        return {
            (patient_id, domain.domain): (answer, domain)
            for patient_id in patient_ids
            for answer in [relief_answers.relief_of(db, question(caller, patient_id, later)).value]
            for domain in answer.domains
        }

    expected = database.reading(caller.clinic_id, relief)
    assert {(r.patient.id, r.domain) for r in rows} == set(expected)
    for row in rows:
        answer, said = expected[row.patient.id, row.domain]
        for name in ("instrument", "status", "last_known", "since_on", "improvement_percent"):
            assert getattr(row, name) == getattr(said, name), name
        track = next((t for t in answer.tracks if t.instrument == row.instrument), None)
        if track is not None:
            latest = track.latest.value if track.latest else None
            told = (track.flags, latest, track.days_since_last_score, track.days_since_last_session)
            assert (track.near_line, track.confirm_due_on) == (row.near_line, row.confirm_due_on)
            assert told == (row.flags, row.latest_value, row.days_since_last_score, row.days_since_last_session)


@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_of_any_size_give_every_row_once_and_in_order(clinic: Clinic, limit: int) -> None:
    day = local_day(clock.now(), clinic[1].time_zone)
    assert pages(clinic, day, limit) == pages(clinic, day, 1_000)


def test_a_page_as_of_an_earlier_day_loses_no_row(clinic: Clinic) -> None:
    """A cursor may be days old: what was recorded since is still there, and nothing is in the future."""
    today = local_day(clock.now(), clinic[1].time_zone)
    then, now = pages(clinic, today - timedelta(days=20), 7), pages(clinic, today, 1_000)
    assert {(r.patient.id, r.domain) for r in then} == {(r.patient.id, r.domain) for r in now}
    assert len(then) == len(now)
    assert all((r.days_since_last_score or 0) >= 0 for r in then)


def test_filters_leave_the_rows_they_name(clinic: Clinic) -> None:
    day = local_day(clock.now(), clinic[1].time_zone) + timedelta(days=10)
    everything = pages(clinic, day, 1_000)
    rng = random.Random(3)
    for domain in (None, "mood", "pain", "ptsd"):
        for statuses in [(), ("stale",), ("lost", "fading"), tuple(rng.sample(get_args(Status), 4))]:
            expected = [
                row for row in everything
                if domain in (None, row.domain) and (not statuses or row.status in statuses)
            ]  # fmt: skip
            assert pages(clinic, day, 5, domain=domain, statuses=statuses) == expected


def test_over_http_a_cursor_pins_its_day_and_its_filters(clinic: Clinic) -> None:
    _, caller, _, api = clinic
    first = api.get("/v1/worklist", params={"limit": 3, "domain": "mood"})
    assert first.status_code == 200
    body = first.json()
    assert body["as_of"] == local_day(clock.now(), caller.time_zone).isoformat()
    assert 'rel="next"' in first.headers["link"]
    row = body["items"][0]
    assert set(row) == {
        "patient", "domain", "instrument", "status", "last_known", "flags", "since_on", "improvement_percent",
        "latest_value", "near_line", "confirm_due_on", "days_since_last_score", "days_since_last_session",
        "open_alerts", "self_harm_unknown_since",
    }  # fmt: skip
    assert set(row["patient"]) == {"id", "external_id", "label"}
    assert row["open_alerts"][0]["kind"] == "self_harm_item"
    seen, cursor = [item["patient"]["id"] for item in body["items"]], body["next_cursor"]
    while cursor:
        page = api.get("/v1/worklist", params={"limit": 3, "domain": "mood", "cursor": cursor}).json()
        assert page["as_of"] == body["as_of"]
        seen, cursor = seen + [item["patient"]["id"] for item in page["items"]], page["next_cursor"]
    assert len(seen) == len(set(seen)) == 41
    other = api.get("/v1/worklist", params={"limit": 3, "domain": "pain", "cursor": body["next_cursor"]})
    assert (other.status_code, other.json()["code"]) == (400, "invalid_cursor")


def test_several_statuses_are_asked_for_by_repeating_the_parameter(clinic: Clinic) -> None:
    api = clinic[3]
    rows = api.get("/v1/worklist?status=no_response&status=holding&limit=200").json()["items"]
    assert {row["status"] for row in rows} == {"no_response", "holding"}
    assert api.get("/v1/worklist?status=lost,fading").status_code == 422
    assert api.get("/v1/worklist?domain=mood&domain=pain").status_code == 422


def test_a_page_asked_on_the_day_before_is_continued_as_of_that_day(clinic: Clinic) -> None:
    """The cursor carries the day, so rows do not move between pages at midnight."""
    api = clinic[3]
    body = api.get("/v1/worklist", params={"limit": 3}).json()
    cipher = Cipher(DATABASE.in_app(app_of(api.server)).keyring.keys("cursors"))
    binding, position = cipher.decrypt(body["next_cursor"]) or ("", [])
    yesterday = (date.fromisoformat(position[0]) - timedelta(days=1)).isoformat()
    cursor = cipher.encrypt([binding, [yesterday, *position[1:]]])
    page = api.get("/v1/worklist", params={"limit": 3, "cursor": cursor}).json()
    assert page["as_of"] == yesterday


@pytest.mark.parametrize("wrong", [
    {"domain": "sleep"}, {"status": "fine"}, {"care_status": "asleep"}, {"limit": 0}, {"limit": 201},
])  # fmt: skip
def test_a_filter_that_is_not_known_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    answer = api.get("/v1/worklist", params=wrong)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == next(iter(wrong))


def test_a_row_turns_stale_at_midnight_in_the_clinics_zone(api: Api, database: Database) -> None:
    """PHQ-9 holding; 35 days after the reading it holds, on the 36th it is stale, without a write."""
    zone = ZoneInfo(ZONE)
    today = local_day(clock.now(), zone)
    for heard, status in ((35, "holding"), (36, "stale")):
        patient_id = api.patient()
        day = today - timedelta(days=heard)

        def at(on: date, hour: int) -> str:
            return datetime.combine(on, time(hour), zone).isoformat()

        api.check_in(patient_id, at(day - timedelta(days=20), 8), "phq-9", 20)
        api.session(patient_id, at(day - timedelta(days=20), 9))
        api.check_in(patient_id, at(day, 23), "phq-9", 5)
        rows = api.get("/v1/worklist", params={"domain": "mood"}).json()["items"]
        row = next(r for r in rows if r["patient"]["id"] == patient_id)
        assert (row["status"], row["days_since_last_score"]) == (status, heard)
        if status == "stale":
            assert (row["last_known"], row["since_on"], row["flags"]) == ("holding", today.isoformat(), [])


def test_symptoms_that_emerged_are_told_no_longer_than_relief_tells_them(api: Api) -> None:
    for days, flags in ((20, ["emergent_symptoms"]), (50, [])):
        patient_id = api.patient()
        api.check_in(patient_id, days_ago(days + 31), "phq-9", 5)
        api.session(patient_id, days_ago(days + 30))
        api.check_in(patient_id, days_ago(days), "phq-9", 18)
        rows = api.get("/v1/worklist", params={"status": "not_evaluable"}).json()["items"]
        [row] = [row for row in rows if row["patient"]["id"] == patient_id]
        assert row["flags"] == api.track(patient_id, "phq-9")["flags"] == flags


def test_only_patients_in_care_are_shown_unless_asked(api: Api) -> None:
    patient_id = api.patient()
    assert len(api.get("/v1/worklist").json()["items"]) == 3
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "discharged"}, 1)
    assert api.get("/v1/worklist").json()["items"] == []
    gone = api.get("/v1/worklist", params={"care_status": "discharged"}).json()["items"]
    assert {row["patient"]["id"] for row in gone} == {patient_id}
    api.patch(f"/v1/patients/{patient_id}", {"care_status": "active"}, 2)
    assert len(api.get("/v1/worklist").json()["items"]) == 3


def test_an_open_timely_alert_comes_first_and_an_acknowledged_or_late_one_does_not(api: Api) -> None:
    quiet, pressing = api.patient(), api.patient()
    answers = [0, 0, 0, 0, 0, 0, 0, 0, 1]
    for patient_id, days in ((quiet, 10), (pressing, 0.01)):
        body = {"taken_at": days_ago(days), "responses": [{"instrument": "phq-9", "answers": answers}]}
        api.post(f"/v1/patients/{patient_id}/check-ins", body)
    rows = api.get("/v1/worklist").json()["items"]
    assert (rows[0]["patient"]["id"], rows[0]["domain"]) == (pressing, "mood")
    told = {(row["patient"]["id"], row["domain"]): len(row["open_alerts"]) for row in rows}
    assert told == {(p, d): int(d == "mood") for p in (quiet, pressing) for d in ("mood", "anxiety", "pain")}
    alert = api.get("/v1/alerts", params={"late": "false"}).json()["items"][0]
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    rows = api.get("/v1/worklist").json()["items"]
    assert [row["open_alerts"] for row in rows if row["patient"]["id"] == pressing] == [[]] * 3


def test_an_unknown_self_harm_item_is_told_until_it_is_answered(api: Api) -> None:
    patient_id = api.patient()

    def unknown() -> Any:
        [row] = api.get("/v1/worklist", params={"domain": "mood"}).json()["items"]
        return row["self_harm_unknown_since"]

    assert unknown() is None
    api.check_in(patient_id, "2025-02-01T10:00:00Z", "nrs-pain", 5)
    assert unknown() is None
    api.check_in(patient_id, "2025-02-03T10:00:00Z", "phq-9", 12)
    api.check_in(patient_id, "2025-02-05T10:00:00Z", "madrs", 30)
    assert unknown() == "2025-02-03T10:00:00Z"
    body = {"taken_at": "2025-02-04T10:00:00Z", "responses": [{"instrument": "phq-9", "answers": [1] * 8 + [0]}]}
    api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert unknown() == "2025-02-05T10:00:00Z"
    body["taken_at"] = "2025-02-06T10:00:00Z"
    api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert unknown() is None


def test_the_index_of_unknown_items_names_every_instrument_that_asks() -> None:
    asked = sorted(code for code, instrument in INSTRUMENTS.items() if instrument.self_harm)
    assert ", ".join(f"'{code}'" for code in asked) in SELF_HARM_UNKNOWN.text


def test_the_worklist_shows_identities_only_to_those_who_may_see_patients(server: TestClient) -> None:
    clinic = new_clinic(server)
    assert new_client(server, clinic.clinic_id, "outcomes:read").get("/v1/worklist").status_code == 403
    assert new_client(server, clinic.clinic_id, "outcomes:read patients:read").get("/v1/worklist").status_code == 200


def test_showing_a_page_is_audited_with_the_patients_on_it(api: Api) -> None:
    ids = {api.patient() for _ in range(3)}
    api.get("/v1/worklist")
    event = api.get("/v1/audit-events").json()["items"][0]
    assert (event["operation"], set(event["patient_ids"])) == ("get_worklist", ids)


def test_pages_do_not_repeat_or_lose_rows_that_share_a_day(api: Api) -> None:
    ids = [api.patient() for _ in range(9)]
    for patient_id in ids:
        api.session(patient_id, "2025-01-06T10:00:00-05:00")
    seen, params = [], {"limit": 2, "domain": "mood"}
    while True:
        page = api.get("/v1/worklist", params=params).json()
        seen += [row["patient"]["id"] for row in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert sorted(seen) == sorted(ids)
    assert all(a < b for a, b in pairwise(seen))


def test_an_alert_counts_on_its_own_domains_row_urgent_before_high_before_routine(api: Api) -> None:
    def patient(item: int, *, loss: bool = False, severe: bool = False) -> str:
        patient_id = api.patient()
        if loss:
            api.check_in(patient_id, days_ago(91), "nrs-pain", 8)
            api.session(patient_id, days_ago(90))
            for days, score in ((60, 2), (9, 7), (1, 7)):
                api.check_in(patient_id, days_ago(days), "nrs-pain", score)
        if severe:
            api.session(patient_id, days_ago(1), side_effects=[{"effect": "other", "severity": "severe"}])
        if item:
            form = {"taken_at": days_ago(0.01), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [item]}]}
            assert api.post(f"/v1/patients/{patient_id}/check-ins", form).status_code == 201
        return patient_id

    loss, high, urgent = patient(0, loss=True), patient(1), patient(3, loss=True)
    severe = patient(0, severe=True)
    rows = api.get("/v1/worklist").json()["items"]
    told = [(row["patient"]["id"], row["domain"], [a["priority"] for a in row["open_alerts"]]) for row in rows]
    assert told[0] == (urgent, "mood", ["urgent"])
    assert told[1] == (high, "mood", ["high"])
    assert sorted(told[2:5]) == sorted([
        (loss, "pain", ["routine"]), (urgent, "pain", ["routine"]), (severe, "mood", ["routine"]),
    ])  # fmt: skip
    assert all(alerts == [] for _, _, alerts in told[5:])
    assert set(rows[0]["open_alerts"][0]) == {"id", "kind", "priority"}
    paged: list[Any] = []
    cursor = None
    while cursor is not None or not paged:
        page = api.get("/v1/worklist", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == rows
    mine = api.patch(f"/v1/patients/{urgent}", {"care_team": [str(api.caller_id)]}, 1)
    assert mine.status_code == 200
    assigned = api.get("/v1/worklist", params={"assigned_to": "me"}).json()["items"]
    assert [(r["domain"], len(r["open_alerts"])) for r in assigned] == [("mood", 1), ("pain", 1), ("anxiety", 0)]
