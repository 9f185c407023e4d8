"""Every score that stands leaves as a file, and nobody else's."""

import csv
import json
from io import StringIO

import pytest

from app.exchange import store
from app.storage import Database
from tests.conftest import Api, days_ago, new_client, new_clinic


def lines(api: Api) -> list[dict[str, object]]:
    answer = api.get("/v1/exports/scores.ndjson")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def rows(api: Api) -> list[dict[str, str]]:
    answer = api.get("/v1/exports/scores.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(StringIO(answer.text)))


def test_what_was_recorded_is_exported_in_both_forms(api: Api) -> None:
    patient = api.patient()
    assert lines(api) == []
    assert rows(api) == []
    body = {
        "taken_at": "2026-01-10T09:00:00.5-05:00",
        "responses": [
            {"instrument": "peg", "answers": [3, 4, 6]},
            {"instrument": "phq-9", "score": 7},
        ],
    }
    kept = api.post(f"/v1/patients/{patient}/check-ins", body).json()
    peg, phq = sorted(lines(api), key=lambda line: str(line["instrument"]))
    assert peg == {
        "patient_id": patient,
        "check_in_id": kept["id"],
        "taken_at": "2026-01-10T14:00:00.500000Z",
        "before_infusion": False,
        "instrument": "peg",
        "score": kept["scores"][0]["value"],
        "answers": [3, 4, 6],
        "recorded_at": peg["recorded_at"],
    }
    assert (phq["score"], phq["answers"]) == (7, None)
    first, second = sorted(rows(api), key=lambda row: row["instrument"])
    assert (first["answers"], second["answers"], second["score"]) == ("3;4;6", "", "7")
    assert first["taken_at"] == peg["taken_at"]


def test_what_was_replaced_or_taken_back_is_left_out(api: Api) -> None:
    patient = api.patient()
    for day, score in ((3, 5), (2, 6)):
        api.check_in(patient, days_ago(day), "nrs-pain", score)
    first, second = (line["check_in_id"] for line in sorted(lines(api), key=lambda line: str(line["taken_at"])))
    path = f"/v1/patients/{patient}/check-ins"
    amendment = {"reason": "typo", "responses": [{"instrument": "nrs-pain", "score": 9}]}
    assert api.post(f"{path}/{first}/amendments", amendment, headers={"If-Match": '"1"'}).status_code == 201
    void = {"reason": "another's", "void": True}
    assert api.post(f"{path}/{second}/amendments", void, headers={"If-Match": '"1"'}).status_code == 201
    assert [line["score"] for line in lines(api)] == [9]
    assert (
        api.patch(f"/v1/patients/{patient}", {"care_status": "entered_in_error", "reason": "a test"}, 1).status_code
        == 200
    )
    assert lines(api) == []


def test_nobody_elses_scores_and_only_for_those_who_may(api: Api) -> None:
    other = new_clinic(api.server)
    other.check_in(other.patient(), days_ago(1), "nrs-pain", 5)
    assert lines(api) == []
    assert new_client(api.server, api.clinic_id, "checkins:read").get("/v1/exports/scores.csv").status_code == 403
    found = [e for e in api.get("/v1/audit-events").json()["items"] if e["operation"].startswith("export_scores")]
    assert {(e["operation"], e["outcome"]) for e in found} == {
        ("export_scores_ndjson", "done"),
        ("export_scores_csv", "denied"),
    }


def test_rows_are_read_some_at_a_time(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.exchange.store._AT_ONCE", 3)
    patient = api.patient()
    for day in range(10):
        api.check_in(patient, days_ago(day + 1), "nrs-pain", day)
    read = database.reading(api.clinic_id, lambda db: [len(rows) for rows in store.scores(db, api.clinic_id)])
    assert read == [3, 3, 3, 1]
    assert sorted(int(str(line["score"])) for line in lines(api)) == list(range(10))


def test_an_export_is_found_with_every_patient(api: Api) -> None:
    patient = api.patient()
    lines(api)
    found = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    exported = [event for event in found if event["operation"] == "export_scores_ndjson"]
    assert [event["patient_ids"] for event in exported] == [[]]
