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
    patient = api.patient(external_id="0042")
    assert lines(api) == []
    assert rows(api) == []
    body = {
        "taken_at": "2026-01-10T21:00:00.5-05:00",
        "responses": [
            {"instrument": "peg", "answers": [3, 4, 6]},
            {"instrument": "phq-9", "score": 7},
        ],
    }
    kept = api.post(f"/v1/patients/{patient}/check-ins", body).json()
    peg, phq = sorted(lines(api), key=lambda line: str(line["instrument"]))
    assert peg == {
        "patient_id": patient,
        "external_id": "0042",
        "check_in_id": kept["id"],
        "session_id": None,
        "taken_at": "2026-01-11T02:00:00.500000Z",
        "local_day": "2026-01-10",
        "before_infusion": False,
        "instrument": "peg",
        "score": kept["scores"][0]["value"],
        "answers": [3, 4, 6],
        "version": 1,
        "status": "recorded",
        "reason": None,
        "recorded_at": peg["recorded_at"],
        "source_recorded_at": None,
    }
    assert (phq["score"], phq["answers"]) == (7, None)
    first, second = sorted(rows(api), key=lambda row: row["instrument"])
    assert (first["answers"], second["answers"], second["score"]) == ("3;4;6", "", "7.0")
    assert first["taken_at"] == peg["taken_at"]
    text = api.get("/v1/exports/scores.csv").text
    assert '"0042"' in text
    assert ',7.0,""' in text


def test_csv_has_what_stands_and_ndjson_every_version(api: Api) -> None:
    patient = api.patient()
    for day, score in ((3, 5), (2, 6)):
        api.check_in(patient, days_ago(day), "nrs-pain", score)
    first, second = (line["check_in_id"] for line in sorted(lines(api), key=lambda line: str(line["taken_at"])))
    path = f"/v1/patients/{patient}/check-ins"
    amendment = {"reason": "typo", "responses": [{"instrument": "nrs-pain", "score": 9}]}
    assert api.post(f"{path}/{first}/amendments", amendment, headers={"If-Match": '"1"'}).status_code == 201
    void = {"reason": "another's", "void": True}
    assert api.post(f"{path}/{second}/amendments", void, headers={"If-Match": '"1"'}).status_code == 201
    assert [row["score"] for row in rows(api)] == ["9.0"]
    seen = {
        (line["check_in_id"], line["version"]): (line["score"], line["status"], line["reason"]) for line in lines(api)
    }
    assert seen == {
        (first, 1): (5.0, "replaced", None),
        (first, 2): (9.0, "recorded", "typo"),
        (second, 1): (6.0, "replaced", None),
        (second, 2): (None, "voided", "another's"),
    }
    recorded = [line for line in lines(api) if line["status"] == "recorded"]
    assert [line["score"] for line in recorded] == [9.0]
    assert (
        api.patch(f"/v1/patients/{patient}", {"care_status": "entered_in_error", "reason": "a test"}, 1).status_code
        == 200
    )
    assert lines(api) == []


def test_sessions_and_patients_are_exported_too(api: Api) -> None:
    patient = api.patient(external_id="=1+1", label="A.B.", indications=["ptsd", "ocd"], birth_year=1984)
    given = api.session(
        patient,
        days_ago(3),
        weight_kg=77,
        dose_mg=38.5,
        side_effects=[{"effect": "nausea", "severity": "mild"}],
        notes='first, with "quotes"\nand a line',
    )
    [session] = csv.DictReader(StringIO(api.get("/v1/exports/sessions.csv").text))
    assert (session["session_id"], session["weight_kg"], session["dose_mg"]) == (given["id"], "77.0", "38.5")
    assert json.loads(session["side_effects"])[0]["effect"] == "nausea"
    assert session["notes"] == given["notes"]
    [found] = csv.DictReader(StringIO(api.get("/v1/exports/patients.csv").text))
    assert found["external_id"] == "'=1+1"  # no formula for a spreadsheet
    assert (found["indications"], found["birth_year"], found["care_status"]) == ("ptsd;ocd", "1984", "active")
    assert (
        api.patch(
            f"/v1/patients/{patient}/sessions/{given['id']}", {"status": "not_done", "reason": "typo"}, 1
        ).status_code
        == 200
    )
    every = [json.loads(line) for line in api.get("/v1/exports/sessions.ndjson").text.splitlines()]
    assert [(line["version"], line["status"], line["reason"]) for line in every] == [
        (1, "completed", None),
        (2, "not_done", "typo"),
    ]
    [row] = csv.DictReader(StringIO(api.get("/v1/exports/sessions.csv").text))
    assert row["status"] == "not_done"


def test_since_gives_what_was_recorded_from_then_on(api: Api) -> None:
    patient = api.patient()
    before = api.check_in(patient, days_ago(3), "nrs-pain", 5)
    after = api.check_in(patient, days_ago(2), "nrs-pain", 6)
    found = api.get("/v1/exports/scores.csv", params={"since": after["recorded_at"]})
    assert [row["check_in_id"] for row in csv.DictReader(StringIO(found.text))] == [after["id"]]
    every = api.get("/v1/exports/scores.ndjson", params={"since": before["recorded_at"]}).text.splitlines()
    assert len(every) == 2
    assert api.get("/v1/exports/scores.csv", params={"since": "2026-01-01"}).status_code == 422


def test_the_dictionary_names_every_column_and_instrument(api: Api) -> None:
    api.check_in(api.patient(), days_ago(1), "nrs-pain", 5)
    dictionary = api.get("/v1/exports/dictionary").json()
    files = {file["name"]: [column["name"] for column in file["columns"]] for file in dictionary["files"]}
    for name, columns in files.items():
        [line] = api.get(f"/v1/exports/{name}.ndjson").text.splitlines()[:1] or ["{}"]
        assert list(json.loads(line)) == (columns if line != "{}" else [])
    phq = next(one for one in dictionary["instruments"] if one["code"] == "phq-9")
    assert (phq["items"], phq["item_ranges"][0], phq["lowest"], phq["highest"]) == (9, [0, 3], 0, 27)


def test_nobody_elses_scores_and_only_for_those_who_may(api: Api) -> None:
    other = new_clinic(api.server)
    other.check_in(other.patient(), days_ago(1), "nrs-pain", 5)
    assert lines(api) == []
    assert new_client(api.server, api.clinic_id, "checkins:read").get("/v1/exports/scores.csv").status_code == 403
    api.check_in(api.patient(external_id="MRN-7"), days_ago(1), "nrs-pain", 5)
    exporter = new_client(api.server, api.clinic_id, "export:read")
    assert "MRN-7" not in exporter.get("/v1/exports/scores.csv").text  # who may not read patients is told of none
    assert exporter.get("/v1/exports/patients.csv").status_code == 403
    found = [e for e in api.get("/v1/audit-events").json()["items"] if e["operation"].startswith("export_scores")]
    assert {(e["operation"], e["outcome"]) for e in found} == {
        ("export_scores_ndjson", "done"),
        ("export_scores_csv", "denied"),
        ("export_scores_csv", "done"),
    }


def test_rows_are_read_some_at_a_time(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.exchange.store._AT_ONCE", 3)
    patient = api.patient()
    for day in range(10):
        api.check_in(patient, days_ago(day + 1), "nrs-pain", day)
    read = database.reading(
        api.clinic_id,
        lambda db: [len(rows) for rows in store.scores(db, api.clinic_id, None, every_version=False)],
    )
    assert read == [3, 3, 3, 1]
    assert sorted(int(float(str(line["score"]))) for line in lines(api)) == list(range(10))


def test_an_export_is_found_with_every_patient(api: Api) -> None:
    patient = api.patient()
    lines(api)
    found = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    exported = [event for event in found if event["operation"] == "export_scores_ndjson"]
    assert [event["patient_ids"] for event in exported] == [[]]
