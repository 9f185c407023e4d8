"""`plan.due`: what has become due is told once for each patient and day of the clinic."""

import asyncio
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import col, select

from app import clock, work
from app.outbox.models import Change
from app.plans import telling
from app.plans.models import PatientPlanVersion
from app.storage import Database
from tests.conftest import ZONE, Api, new_client
from tests.privacy.test_privacy import erase


def tell(api: Api, database: Database) -> list[str]:
    """A round of the job; the patients of whom it told."""
    query = select(Change).where(col(Change.clinic_id) == api.clinic_id, col(Change.kind) == "plan.due")
    before = {change.id for change in database.reading(api.clinic_id, lambda db: db.exec(query).all())}
    asyncio.run(work.tell_due(database))
    after = database.reading(api.clinic_id, lambda db: db.exec(query).all())
    return sorted(str(change.patient_id) for change in after if change.id not in before)


def today() -> date:
    return clock.now().astimezone(ZoneInfo(ZONE)).date()


def due_today(api: Api, patient_id: str) -> bool:
    day = today().isoformat()
    items = api.get(f"/v1/patients/{patient_id}/plan/due", params={"from": day, "to": day}).json()["items"]
    return any(item["state"] == "due" for item in items)


class Days:
    """The clock of the service."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = clock.now()
        monkeypatch.setattr(clock, "now", lambda: self.now)

    def later(self, days: float) -> None:
        self.now += timedelta(days=days)


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> Days:
    return Days(monkeypatch)


def test_each_day_on_which_something_becomes_due_is_told_once(api: Api, database: Database, days: Days) -> None:
    patient_id = api.patient()
    api.session(patient_id, (days.now - timedelta(hours=5)).isoformat())
    api.session(patient_id, (days.now - timedelta(hours=2)).isoformat())
    told, asked = [], []
    for day in range(12):
        told += [day for _ in tell(api, database)]
        assert tell(api, database) == [], "a second round on the same day"
        asked += [day] if due_today(api, patient_id) else []
        days.later(1)
    assert told == asked
    assert 3 <= len(told) < 12


def test_what_is_answered_by_then_is_not_told(api: Api, database: Database, days: Days) -> None:
    one, other = api.patient(), api.patient()
    for patient_id in (one, other):
        api.session(patient_id, (days.now - timedelta(days=1)).isoformat())
    for instrument in ("nrs-mood", "nrs-anxiety", "nrs-pain"):
        api.check_in(one, days.now.isoformat(), instrument, 3)
    assert tell(api, database) == [other]


def test_patients_who_are_not_asked_any_more_are_not_told_of(api: Api, database: Database, days: Days) -> None:
    paused, merged, goes_on, erased = (api.patient() for _ in range(4))
    api.patch(f"/v1/patients/{paused}", {"care_status": "paused"}, 1)
    body = {"into": goes_on, "reason": "the same person"}
    assert api.post(f"/v1/patients/{merged}/merge", body, headers={"If-Match": '"1"'}).status_code == 201
    name = api.get(f"/v1/patients/{erased}").json()["external_id"]
    assert erase(api, erased, name).status_code == 200
    assert tell(api, database) == [goes_on]


def test_days_without_the_job_are_made_up_for_with_what_can_still_be_answered(
    api: Api, database: Database, days: Days
) -> None:
    patient_id = api.patient()
    assert tell(api, database) == [patient_id]
    api.session(patient_id, days.now.isoformat())
    days.later(4)  # the item of day 3 has a window that is still open
    assert tell(api, database) == [patient_id]
    days.later(6)  # that of day 7 had one until day 9
    assert tell(api, database) == []


def looked(api: Api, database: Database, days: Days) -> telling.Looked:
    found = database.reading(api.clinic_id, lambda db: telling.look(db, api.clinic_id, days.now))
    assert found is not None
    return found


def told_of(api: Api, database: Database, found: telling.Looked, days: Days) -> list[str]:
    before = told(api, database)
    database.writing(api.clinic_id, lambda db: telling.tell(db, api.clinic_id, found, days.now))
    return sorted(told(api, database) - before)


def told(api: Api, database: Database) -> set[str]:
    query = select(Change).where(col(Change.clinic_id) == api.clinic_id, col(Change.kind) == "plan.due")
    return {f"{c.patient_id} {c.id}" for c in database.reading(api.clinic_id, lambda db: db.exec(query).all())}


def test_two_processes_that_look_at_the_same_patients_tell_once(api: Api, database: Database, days: Days) -> None:
    patient_id = api.patient()
    one, other = looked(api, database, days), looked(api, database, days)
    assert [found.split()[0] for found in told_of(api, database, one, days)] == [patient_id]
    assert told_of(api, database, other, days) == []


def test_who_is_asked_no_longer_since_the_look_is_not_told_of(api: Api, database: Database, days: Days) -> None:
    discharged, merged, goes_on, erased = (api.patient() for _ in range(4))
    found = looked(api, database, days)
    assert {str(one) for one in found.due} == {discharged, merged, goes_on, erased}
    api.patch(f"/v1/patients/{discharged}", {"care_status": "discharged"}, 1)
    body = {"into": goes_on, "reason": "the same person"}
    api.post(f"/v1/patients/{merged}/merge", body, headers={"If-Match": '"1"'})
    name = api.get(f"/v1/patients/{erased}").json()["external_id"]
    erase(api, erased, name)
    other = api.patient()
    assert told_of(api, database, found, days) == []
    assert tell(api, database) == sorted([goes_on, other]), (
        "the merge has changed the one that goes on: looked at again"
    )


def test_an_infusion_that_is_recorded_between_look_and_word_is_told_of_with_the_next_look(
    api: Api, database: Database, days: Days
) -> None:
    patient_id = api.patient()
    for instrument in ("phq-9", "gad-7", "nrs-pain"):
        api.check_in(patient_id, days.now.isoformat(), instrument, 3)
    found = looked(api, database, days)
    assert found.due == set(), "the baseline is there"
    api.session(patient_id, (days.now - timedelta(days=1)).isoformat())
    assert told_of(api, database, found, days) == []
    assert tell(api, database) == [patient_id]


def test_an_infusion_that_is_recorded_late_is_told_of_all_the_same(api: Api, database: Database, days: Days) -> None:
    """A bridge brings yesterday's infusions in the morning, after the job has looked at everybody."""
    patient_id = api.patient()
    assert tell(api, database) == [patient_id]
    given = api.session(patient_id, (days.now - timedelta(days=1)).isoformat())
    assert due_today(api, patient_id)
    assert tell(api, database) == [patient_id]
    at = f"/v1/patients/{patient_id}/sessions/{given['id']}"
    assert api.patch(at, {"notes": "quiet"}, 1).status_code == 200
    assert tell(api, database) == [], "a note changes nothing that is due"
    earlier = (days.now - timedelta(days=3)).isoformat()
    assert api.patch(at, {"started_at": earlier, "reason": "another day"}, 2).status_code == 200
    assert tell(api, database) == [patient_id]


def test_a_patient_who_cannot_be_worked_out_keeps_nobody_else_from_being_told_of(
    api: Api, database: Database, days: Days
) -> None:
    bad, good = api.patient(), api.patient()
    broken = PatientPlanVersion(
        clinic_id=api.clinic_id, patient_id=UUID(bad), version=1, recorded_at=days.now, recorded_by_id=api.caller_id,
        items=[{"after": "nothing that is known"}], confirm=True,
    )  # fmt: skip
    database.writing(api.clinic_id, lambda db: db.add(broken))
    assert tell(api, database) == [good]


def test_it_takes_the_right_to_read_plans_to_be_told(api: Api, database: Database, days: Days) -> None:
    patient_id = api.patient()
    assert tell(api, database) == [patient_id]
    for scope, sees in (("plans:read", True), ("patients:read", False)):
        answer = new_client(api.server, api.clinic_id, scope).get("/v1/changes")
        assert answer.status_code == 200, answer.text
        found = answer.json()["items"]
        assert ("plan.due" in {change["kind"] for change in found}) is sees
