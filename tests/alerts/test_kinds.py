"""Every kind of alert is raised in the recording transaction, once, and by what was recorded before an upgrade too."""

from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlmodel import select

from app import backfilling
from app.storage import Database, open_engine
from app.tracks.models import FoldRow
from tests.alerts.test_alerts import amend, item_9
from tests.conftest import Api, days_ago, new_clinic


def alerts(api: Api, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/alerts", params={"limit": 200, **params}).json()["items"]
    return found


def kinds(api: Api) -> list[str]:
    return sorted(alert["kind"] for alert in alerts(api))


@pytest.fixture
def patient(api: Api) -> str:
    """Responded to one infusion 30 days ago."""
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(31), "gad-7", 16)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(25), "gad-7", 5)
    return patient_id


def test_relief_lost_is_raised_by_the_reading_that_confirms_it_and_once(api: Api, patient: str) -> None:
    api.check_in(patient, days_ago(9), "gad-7", 12)
    assert kinds(api) == []
    receipt = api.check_in(patient, days_ago(1), "gad-7", 13)
    [alert] = receipt["alerts"]
    assert (alert["kind"], alert["priority"], alert["late"]) == ("relief_lost", "routine", False)
    assert (alert["check_in_id"], alert["instrument"]) == (receipt["id"], "gad-7")
    api.check_in(patient, days_ago(0.1), "gad-7", 13)
    assert kinds(api) == ["relief_lost"]


def test_an_open_alert_says_it_for_as_long_as_it_is_open(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(31), "nrs-pain", 8)
    api.session(patient_id, days_ago(30))
    for days, score in ((20, 3), (7, 7), (1.2, 7), (1.1, 3), (0.9, 7)):
        api.check_in(patient_id, days_ago(days), "nrs-pain", score)
    assert [(a["kind"], a["late"]) for a in alerts(api)] == [("relief_lost", False)]


def test_deterioration_is_raised(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(31), "gad-7", 12)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(20), "gad-7", 13)
    assert kinds(api) == []
    assert api.check_in(patient_id, days_ago(1), "gad-7", 18)["alerts"][0]["kind"] == "reliable_deterioration"


def test_history_that_comes_in_is_late(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(131), "gad-7", 12)
    api.session(patient_id, days_ago(130))
    api.check_in(patient_id, days_ago(101), "gad-7", 19)
    assert [(a["kind"], a["late"]) for a in alerts(api)] == [("reliable_deterioration", True)]


def test_a_loss_that_only_a_late_score_shows_is_raised(api: Api, patient: str) -> None:
    api.check_in(patient, days_ago(1), "gad-7", 13)
    assert kinds(api) == []
    api.check_in(patient, days_ago(8), "gad-7", 12)
    assert kinds(api) == ["relief_lost"]


def test_a_severe_side_effect_is_raised_once_and_when_it_is_added(api: Api) -> None:
    patient_id = api.patient()
    mild = [{"effect": "nausea", "severity": "mild"}]
    severe = [{"effect": "hypertension", "severity": "severe"}]
    first = api.session(patient_id, days_ago(10), side_effects=severe)
    second = api.session(patient_id, days_ago(1), side_effects=mild)
    assert [(a["kind"], a["session_id"], a["late"]) for a in alerts(api)] == [("severe_side_effect", first["id"], True)]
    path = f"/v1/patients/{patient_id}/sessions/{second['id']}"
    assert api.patch(path, {"side_effects": severe}, 1).status_code == 200
    assert api.patch(path, {"notes": "Settled."}, 2).status_code == 200
    assert [a["session_id"] for a in alerts(api)] == [second["id"], first["id"]], "timely ones first"


def test_a_late_alert_whose_check_in_was_recent_after_all_is_timely(api: Api) -> None:
    posted = {"taken_at": days_ago(20), "responses": item_9(3)}
    check_in = api.post(f"/v1/patients/{api.patient()}/check-ins", posted).json()
    assert check_in["alerts"][0]["late"] is True
    moved = amend(api, check_in, 1, taken_at=days_ago(1))
    assert moved["alerts"][0]["late"] is False


def test_only_the_care_teams_alerts_are_listed_when_asked(server: TestClient, api: Api) -> None:
    mine, other = api.patient(care_team=[str(api.caller_id)]), api.patient()
    for patient_id in (mine, other):
        posted = {"taken_at": days_ago(1), "responses": item_9(2)}
        api.post(f"/v1/patients/{patient_id}/check-ins", posted)
    assert {a["patient_id"] for a in alerts(api)} == {mine, other}
    assert [a["patient_id"] for a in alerts(api, assigned_to="me")] == [mine]
    assert api.get("/v1/alerts", params={"assigned_to": "you"}).status_code == 422
    assert new_clinic(server).get("/v1/alerts", params={"assigned_to": "me"}).json()["items"] == []


def test_backfill_raises_what_was_never_raised_and_nothing_twice(api: Api, patient: str, database: Database) -> None:
    api.patient()
    api.check_in(patient, days_ago(9), "gad-7", 12)
    api.check_in(patient, days_ago(1), "gad-7", 13)
    api.session(patient, days_ago(0.5), side_effects=[{"effect": "other", "severity": "severe"}])
    api.post(f"/v1/patients/{patient}/check-ins", {"taken_at": days_ago(1), "responses": item_9(2)})
    api.post(f"/v1/patients/{patient}/check-ins", {"taken_at": days_ago(20), "responses": item_9(1)})
    before = {(a["kind"], a["late"], a["priority"]) for a in alerts(api)}
    assert len(before) == 4
    assert backfilling.backfill(database, api.clinic_id) == 0
    forget(database, api)
    assert kinds(api) == []
    raised = backfilling.backfill(database, api.clinic_id)
    after = {(a["kind"], a["late"], a["priority"]) for a in alerts(api)}
    assert after == before, "whatever the order, an onset has its alert"
    assert raised == 4
    assert backfilling.backfill(database, api.clinic_id) == 0
    events = api.get("/v1/audit-events", params={"actor": str(UUID(int=0))}).json()["items"]
    told = [(event["operation"], event["patient_ids"]) for event in events]
    assert told == [("backfill_alerts", [patient])], "one event, of whom an alert was raised; none for nothing"


def test_a_loss_that_came_late_does_not_hide_a_timely_one(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(131), "gad-7", 16)
    api.session(patient_id, days_ago(130))
    for days, score in ((120, 5), (110, 13), (101, 14), (60, 5), (31, 5), (9, 13)):
        api.check_in(patient_id, days_ago(days), "gad-7", score)
    assert [(a["kind"], a["late"], a["state"]) for a in alerts(api)] == [("relief_lost", True, "historic")]
    api.check_in(patient_id, days_ago(1), "gad-7", 14)
    assert [(a["kind"], a["late"]) for a in alerts(api)] == [("relief_lost", False), ("relief_lost", True)]


def outdate(database: Database, api: Api) -> None:
    """As an older release left it: every track is of another fold."""

    def work(db: Any) -> None:
        for row in db.exec(select(FoldRow).where(FoldRow.clinic_id == api.clinic_id)):
            row.rule = "an older one"
            db.add(row)

    database.writing(api.clinic_id, work)


def test_a_loss_is_not_missed_while_tracks_are_folded_anew(api: Api, patient: str, database: Database) -> None:
    api.check_in(patient, days_ago(9), "gad-7", 12)
    outdate(database, api)
    assert [a["kind"] for a in api.check_in(patient, days_ago(1), "gad-7", 13)["alerts"]] == ["relief_lost"]
    outdate(database, api)
    api.check_in(patient, days_ago(0.1), "gad-7", 13)
    assert kinds(api) == ["relief_lost"], "it was lost before"


def test_neither_missed_nor_repeated_while_tracks_are_folded_anew(api: Api, database: Database) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(31), "gad-7", 8)
    api.check_in(patient_id, days_ago(1), "gad-7", 19)
    outdate(database, api)
    api.session(patient_id, days_ago(30))
    [alert] = alerts(api)
    assert alert["kind"] == "reliable_deterioration"
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    check_in = api.get(f"/v1/patients/{patient_id}/check-ins").json()["items"][0]
    outdate(database, api)
    amend(api, check_in, 1, responses=[{"instrument": "gad-7", "score": 20}])
    assert len(alerts(api)) == 1


def test_backfill_looks_at_what_an_older_release_folded(api: Api, patient: str, database: Database) -> None:
    for days, score in ((9, 12), (1, 13)):
        api.check_in(patient, days_ago(days), "gad-7", score)
    forget(database, api)
    outdate(database, api)
    assert backfilling.backfill(database, api.clinic_id) == 1
    assert kinds(api) == ["relief_lost"]


def test_backfill_does_not_raise_what_was_acknowledged(api: Api, patient: str, database: Database) -> None:
    for days, score in ((9, 12), (2, 13)):
        api.check_in(patient, days_ago(days), "gad-7", score)
    [alert] = alerts(api)
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    api.check_in(patient, days_ago(1), "gad-7", 14)
    assert backfilling.backfill(database, api.clinic_id) == 0


def test_a_session_that_comes_to_count_raises_what_it_had(api: Api) -> None:
    patient_id = api.patient()
    severe = [{"effect": "hypertension", "severity": "severe"}]
    session = api.session(patient_id, days_ago(1), status="not_done", side_effects=severe)
    assert kinds(api) == []
    path = f"/v1/patients/{patient_id}/sessions/{session['id']}"
    assert api.patch(path, {"status": "completed", "reason": "it was done"}, 1).status_code == 200
    assert kinds(api) == ["severe_side_effect"]
    more = [*severe, {"effect": "vomiting", "severity": "severe"}]
    assert api.patch(path, {"side_effects": more}, 2).status_code == 200
    assert len(alerts(api)) == 2, "another effect is another matter"
    assert api.patch(path, {"side_effects": [{"effect": "vomiting", "severity": "mild"}]}, 3).status_code == 200
    assert all(a["amended_at"] and a["state"] == "open" for a in alerts(api)), "marked, and they stand"


def forget(database: Database, api: Api) -> None:
    """Takes a clinic's alerts away, as if they had never been raised."""
    clinic = api.clinic_id.bytes if database.is_sqlite else api.clinic_id
    url = database.engine.url.render_as_string(hide_password=False)
    if not database.is_sqlite:
        url = url.replace("_service:", "_owner:").replace("postgresql+psycopg", "postgresql")
    engine = open_engine(url)
    with engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("select set_config('holdfast.clinic_id', :id, true)"), {"id": str(clinic)})
        for table in ("alert_notices", "alerts"):
            connection.execute(text(f"delete from {table} where clinic_id = :clinic"), {"clinic": clinic})
    engine.dispose()


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one by one"])
def test_a_reading_raises_what_it_says_whatever_comes_with_it(api: Api, patient: str, together: bool) -> None:
    readings = [(9, 12), (2, 13), (1, 4), (0.5, 14)]
    items = [
        {"patient_id": patient, "taken_at": days_ago(days), "responses": [{"instrument": "gad-7", "score": score}]}
        for days, score in readings
    ]
    for some in [items] if together else [[item] for item in items]:
        results = api.post("/v1/check-ins/batch", {"items": some}).json()["results"]
        assert [result["http_status"] for result in results] == [201] * len(some)
    [alert] = alerts(api)
    assert (alert["kind"], alert["late"], alert["taken_at"][:19]) == ("relief_lost", False, items[1]["taken_at"][:19])


def test_alerts_are_listed_by_priority_patient_and_kind_with_the_patients_label(api: Api, patient: str) -> None:
    other = api.patient(label="C.D.")
    for days, score in ((9, 12), (1, 13)):
        api.check_in(patient, days_ago(days), "gad-7", score)
    for ago, item in ((10, 3), (0.02, 1), (0.01, 2), (20, 1)):
        posted = {"taken_at": days_ago(ago), "responses": item_9(item)}
        assert api.post(f"/v1/patients/{other}/check-ins", posted).status_code == 201
    found = alerts(api)
    assert [(a["priority"], a["late"], a["label"]) for a in found] == [
        ("urgent", False, "C.D."), ("urgent", True, "C.D."), ("high", False, "C.D."), ("high", True, "C.D."),
        ("routine", False, None),
    ]  # fmt: skip
    assert {a["patient_id"] for a in alerts(api, patient_id=patient)} == {patient}
    assert {a["kind"] for a in alerts(api, kind="relief_lost")} == {"relief_lost"}
    assert [a["late"] for a in alerts(api, priority="urgent")] == [False, True]
    paged: list[Any] = []
    cursor = None
    while cursor is not None or not paged:
        page = api.get("/v1/alerts", params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == found
    for wrong in ({"priority": "low"}, {"kind": "x"}, {"patient_id": "x"}, {"state": "x"}):
        assert api.get("/v1/alerts", params=wrong).status_code == 422


def test_backfill_lists_what_was_over_long_ago_as_history(api: Api, database: Database) -> None:
    patient = api.patient()

    def at(days: float, score: int) -> None:
        """As if it had been recorded when it was taken."""
        check_in = api.check_in(patient, days_ago(days), "gad-7", score)
        database.writing(api.clinic_id, lambda db: db.execute(
            text("update score_versions set late = false where check_in_id = :id"),
            {"id": UUID(check_in["id"]).bytes if database.is_sqlite else UUID(check_in["id"])},
        ))  # fmt: skip

    if not database.is_sqlite:
        pytest.skip("the service's role may not change a score")
    at(91, 16)
    api.session(patient, days_ago(90))
    for days, score in ((60, 5), (40, 12), (31, 13), (20, 4), (9, 12), (1, 13)):
        at(days, score)
    outdate(database, api)
    forget(database, api)
    assert backfilling.backfill(database, api.clinic_id) == 2
    assert [(a["late"], a["state"]) for a in alerts(api)] == [(False, "open"), (True, "historic")]
