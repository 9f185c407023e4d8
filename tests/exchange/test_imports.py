"""A file comes in whole or not at all, by the rules of everything that is recorded; and it can be taken back."""

import asyncio
import json
import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import openpyxl
import pytest
from sqlalchemy.exc import OperationalError

from app import clock
from app.audit.service import Act
from app.errors import NotFound
from app.exchange import applying, running, service, staging, store, turns
from app.storage import NO_CLINIC, Database, leases, new_id
from tests.conftest import Api, days_ago, new_client, new_clinic, new_device, new_person
from tests.exchange.files import CSV, NDJSON, carried, counted, exported, imported, lines, rows, sent, written

_PHQ = "2;2;2;2;2;2;2;0;0"


class Killed(Exception):
    """The process ends here."""


def day(ago: int, hour: int = 15) -> str:
    """A moment some days ago, as exports spell it."""
    moment = clock.now().astimezone(UTC) - timedelta(days=ago)
    return moment.replace(hour=hour, minute=0, second=0, microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def scores_of(api: Api, patient: str) -> list[tuple[str, Any]]:
    items = api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    return sorted((s["instrument"], s["value"]) for one in items if one["status"] == "recorded" for s in one["scores"])


def read_only(api: Api, database: Database, found: dict[str, Any]) -> None:
    """Has a file read, and nothing of it applied."""
    portal: Any = api.server.portal

    async def read() -> None:
        run = turns.Run(database, api.clinic_id, UUID(found["id"]), "test", lambda _: None)
        await running._next_state(run)
        await database.write(NO_CLINIC, lambda db: leases.end(db, run.name, run.holder))

    portal.call(read)


def test_a_file_of_patients_sessions_and_scores_comes_in(api: Api, database: Database) -> None:
    patients = "external_id,label,birth_year,indications\r\nMRN-1,A.B.,1984,ptsd;ocd\r\nMRN-2,,,\r\n"
    assert counted(imported(api, database, patients)) == {"patients": 2}
    sessions = f"external_id,started_at,ended_at,weight_kg\nmrn-1,{day(30)},{day(30, 16)},77\n"
    assert counted(imported(api, database, sessions)) == {"sessions": 1}
    scores = (
        "external_id,taken_at,instrument,score,answers\n"
        f"MRN-1,{day(31)},phq-9,,{_PHQ}\nMRN-1,{day(31)},nrs-pain,7,\nMRN-1,{day(20)},phq-9,6,\nMRN-2,{day(3)},peg,4.33,\n"
    )
    found = imported(api, database, scores)
    assert counted(found) == {"check_ins": 3, "scores": 4}
    assert found["progress"] == {"lines": 4, "records": 3, "applied": 3}
    patient = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"][0]["id"]
    assert scores_of(api, patient) == [("nrs-pain", 7), ("phq-9", 6), ("phq-9", 14)]
    track = api.track(patient, "phq-9")
    assert (track["baseline"]["value"], track["latest"]["value"], track["status"]) == (14, 6, "holding")


def test_the_same_file_again_changes_nothing(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,answers\nMRN-1,{day(4)},phq-9,{_PHQ}\n"
    assert counted(imported(api, database, text)) == {"check_ins": 1, "scores": 1}
    before = exported(api, "scores.ndjson")
    assert counted(imported(api, database, text)) == {"unchanged": 1}
    assert exported(api, "scores.ndjson") == before


def test_one_bad_line_refuses_the_file_and_names_the_place_but_not_the_value(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = (
        "external_id,taken_at,instrument,answers,score\n"
        f"MRN-1,{day(9)},nrs-pain,,5\n"
        f"MRN-1,{day(8)},phq-9,2;2;2;2;2;2;2;0;7,\n"
        f"MRN-1,2026-03-01 10:00:00,nrs-pain,,5\n"
        f"SECRET-77,{day(7)},nrs-pain,,5\n"
        f"MRN-1,{day(6)},secret-scale,,5\n"
        f"MRN-1,{day(5)},nrs-pain,,secret\n"
        f"MRN-1,{day(-2)},nrs-pain,,5\n"
    )
    found = imported(api, database, text, state="refused")
    problems = {(p["line"], p["column"]) for p in found["problems"]}
    assert problems == {
        (3, "answers"), (4, "taken_at"), (5, "external_id"), (6, "instrument"), (7, "score"), (8, "taken_at"),
    }  # fmt: skip
    assert counted(found) == {"refused": 6}
    listed = api.get(f"/v1/imports/{found['id']}/problems/all.csv")
    assert listed.headers["content-type"].startswith("text/csv")
    assert len(listed.text.splitlines()) == 7
    for text in (str(found).lower(), listed.text.lower()):
        assert "secret" not in text
    assert exported(api, "scores.ndjson") == ""


def test_a_dry_run_says_what_would_come_and_records_nothing(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,score\nMRN-1,{day(4)},nrs-pain,5\n"
    found = imported(api, database, text, dry_run=True)
    assert (found["dry_run"], counted(found)) == (True, {"check_ins": 1, "scores": 1})
    assert exported(api, "scores.ndjson") == ""
    assert counted(imported(api, database, text)) == {"check_ins": 1, "scores": 1}


def test_recorded_at_is_the_imports_and_the_original_is_kept_beside_it(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = (
        f"external_id,taken_at,instrument,score,recorded_at\nMRN-1,{day(40)},nrs-pain,5,2025-01-02T03:04:05.000000Z\n"
    )
    began = clock.now()
    imported(api, database, text)
    [line] = lines(exported(api, "scores.ndjson"))
    assert line["source_recorded_at"] == "2025-01-02T03:04:05.000000Z"
    assert datetime.fromisoformat(line["recorded_at"]) >= began
    shown = api.get(f"/v1/patients/{line['patient_id']}/check-ins/{line['check_in_id']}").json()
    assert shown["source_recorded_at"] == "2025-01-02T03:04:05Z"
    assert shown["recorded_by"]["id"] == str(api.caller_id)


def test_versions_and_voids_come_back_from_ndjson(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    session = api.session(patient, days_ago(9))
    kept = api.check_in(patient, days_ago(8), "nrs-pain", 5, session_id=session["id"])
    path = f"/v1/patients/{patient}/check-ins"
    for number, body in enumerate(
        (
            {
                "reason": "typo",
                "responses": [{"instrument": "nrs-pain", "score": 6}, {"instrument": "phq-9", "score": 9}],
            },
            {"reason": "another's", "void": True},
            {"reason": "his own after all", "void": False},
            {"reason": "no PHQ-9", "responses": [{"instrument": "phq-9", "remove": True}], "taken_at": days_ago(7)},
        ),
        start=1,
    ):
        answer = api.post(f"{path}/{kept['id']}/amendments", body, headers={"If-Match": f'"{number}"'})
        assert answer.status_code == 201, answer.text
    voided = api.check_in(patient, days_ago(3), "nrs-pain", 2)
    api.post(f"{path}/{voided['id']}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"1"'})
    changed = {"status": "stopped_early", "reason": "seen in the notes"}
    assert api.patch(f"/v1/patients/{patient}/sessions/{session['id']}", changed, 1).status_code == 200
    other = new_clinic(api.server)
    files = {name: exported(api, f"{name}.ndjson") for name in ("patients", "sessions", "scores")}
    for text in files.values():
        imported(other, database, text, NDJSON)

    def said(of: Api, name: str) -> list[dict[str, Any]]:
        made = ("recorded_at", "source_recorded_at", "created_at", "updated_at")
        return [{k: v for k, v in line.items() if k not in made} for line in lines(exported(of, f"{name}.ndjson"))]

    for name in ("sessions", "scores"):
        assert said(other, name) == said(api, name)
    sources = [line["source_recorded_at"] for line in lines(exported(other, "scores.ndjson"))]
    assert sources == [line["recorded_at"] for line in lines(files["scores"])]
    assert other.relief(patient)["tracks"][0]["status"] == api.relief(patient)["tracks"][0]["status"]
    for name, text in files.items():
        assert counted(imported(other, database, text, NDJSON)) == {"unchanged": 2 if name == "scores" else 1}
    # What was changed there since goes on from what came before.
    answer = api.post(
        f"{path}/{kept['id']}/amendments",
        {"reason": "again", "responses": [{"instrument": "nrs-pain", "score": 1}]},
        headers={"If-Match": '"5"'},
    )
    assert answer.status_code == 201
    assert counted(imported(other, database, exported(api, "scores.ndjson"), NDJSON)) == {"unchanged": 1, "amended": 1}
    assert said(other, "scores") == said(api, "scores")


def test_an_import_can_be_undone_and_leaves_what_was_changed_since(api: Api, database: Database) -> None:
    old = api.patient(external_id="MRN-1")
    api.check_in(old, day(50), "nrs-pain", 8)
    assert counted(imported(api, database, "external_id\nMRN-2\nMRN-3\n")) == {"patients": 2}
    text = (
        "external_id,taken_at,instrument,score\n"
        f"MRN-1,{day(9)},nrs-pain,5\nMRN-1,{day(8)},nrs-pain,6\nMRN-2,{day(8)},nrs-pain,6\n"
    )
    found = imported(api, database, text)
    changed = next(one for one in api.get(f"/v1/patients/{old}/check-ins").json()["items"])
    amendment = {"reason": "keying error", "responses": [{"instrument": "nrs-pain", "score": 1}]}
    path = f"/v1/patients/{old}/check-ins/{changed['id']}/amendments"
    assert api.post(path, amendment, headers={"If-Match": '"1"'}).status_code == 201
    answer = api.request("DELETE", f"/v1/imports/{found['id']}")
    assert (answer.status_code, answer.json()["state"]) == (202, "cancelling")
    ended = carried(api, database, found)
    assert (ended["state"], ended["counts"]["taken_back"], ended["counts"]["kept"]) == ("cancelled", 2, 1)
    assert scores_of(api, old) == [("nrs-pain", 1), ("nrs-pain", 8)]
    voided = [one for one in lines(exported(api, "scores.ndjson")) if one["status"] == "voided"]
    assert [one["reason"] for one in voided] == ["the import that brought it was undone"] * 2
    # Undone, it can come in again, but for what was changed.
    kept = [line for line in text.splitlines() if changed["taken_at"][:10] not in line]
    assert counted(imported(api, database, "\n".join(kept))) == {"check_ins": len(kept) - 1, "scores": len(kept) - 1}
    again = api.request("DELETE", f"/v1/imports/{found['id']}")
    assert again.json()["state"] == "cancelled"


def test_undoing_patients_and_sessions_ends_them_with_a_reason(api: Api, database: Database) -> None:
    first = imported(api, database, "external_id\nMRN-1\nMRN-2\n")
    second = imported(api, database, f"external_id,started_at\nMRN-1,{day(9)}\n")
    kept = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"][0]["id"]
    api.request("DELETE", f"/v1/imports/{first['id']}")
    ended = carried(api, database, first)
    assert (ended["counts"]["taken_back"], ended["counts"]["kept"]) == (1, 1)  # MRN-1 has a session
    api.request("DELETE", f"/v1/imports/{second['id']}")
    carried(api, database, second)
    [session] = api.get(f"/v1/patients/{kept}/sessions").json()["items"]
    assert (session["status"], session["reason"]) == ("entered_in_error", "the import that brought it was undone")


def test_what_a_live_post_has_taken_meanwhile_is_left_out_and_listed(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,score\nMRN-1,{day(4)},nrs-pain,5\nMRN-1,{day(3)},nrs-pain,5\n"
    found = sent(api, text)
    read_only(api, database, found)
    api.check_in(patient, day(4), "nrs-pain", 9)
    ended = carried(api, database, found)
    assert (ended["state"], counted(ended)) == ("done", {"check_ins": 1, "scores": 1, "left_out": 1})
    [problem] = ended["problems"]
    assert (problem["kind"], problem["line"], problem["column"]) == ("left_out", 2, "score")
    assert scores_of(api, patient) == [("nrs-pain", 5), ("nrs-pain", 9)]


def test_alerts_are_raised_as_for_what_is_posted(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,answers\nMRN-1,{day(1)},phq-9,2;2;2;2;2;2;2;0;2\n"
    imported(api, database, text)
    found = api.get("/v1/alerts", params={"state": "open"}).json()["items"]
    assert [(a["kind"], a["priority"], a["late"]) for a in found] == [("self_harm_item", "urgent", False)]


def test_an_alarming_answer_that_is_left_out_raises_its_alert(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,answers\nMRN-1,{day(1)},phq-9,2;2;2;2;2;2;2;0;2\n"
    found = sent(api, text)
    read_only(api, database, found)
    api.check_in(patient, day(1), "phq-9", 7)
    assert counted(carried(api, database, found)) == {"left_out": 1}
    [alert] = api.get("/v1/alerts", params={"state": "open"}).json()["items"]
    assert (alert["score_refused"], alert["priority"], alert["patient_id"]) == (True, "urgent", patient)


def test_an_alarming_answer_of_late_in_a_refused_file_raises_its_alert(api: Api, database: Database) -> None:
    """Older ones come with the file once it is mended; a dry run raises nothing."""
    patient = api.patient(external_id="MRN-1")
    other = api.patient(external_id="MRN-2")
    text = (
        "external_id,taken_at,instrument,answers\n"
        f"MRN-1,{day(1)},phq-9,2;2;2;2;2;2;2;0;2\nMRN-2,{day(30)},phq-9,2;2;2;2;2;2;2;0;2\nNOBODY,{day(1)},phq-9,{_PHQ}\n"
    )
    imported(api, database, text, state="refused", dry_run=True)
    assert api.get("/v1/alerts", params={"state": "open"}).json()["items"] == []
    for repeats in (0, 1):
        imported(api, database, text, state="refused")
        [alert] = api.get("/v1/alerts", params={"state": "open"}).json()["items"]
        assert (alert["score_refused"], alert["late"], alert["patient_id"]) == (True, False, patient)
        assert alert["repeats"] == repeats
    events = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    assert [event["operation"] for event in events].count("refuse_import") == 2
    assert scores_of(api, patient) == scores_of(api, other) == []


def test_answers_beside_a_total_that_was_posted_meanwhile_complete_it(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    found = sent(api, f"external_id,taken_at,instrument,answers\nMRN-1,{day(4)},phq-9,{_PHQ}\n")
    read_only(api, database, found)
    api.check_in(patient, day(4), "phq-9", 14)
    assert counted(carried(api, database, found)) == {"amended": 1}
    events = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    assert "apply_import" in [event["operation"] for event in events], "who changed it is audited"


def test_what_recording_refuses_is_left_out_with_its_reason(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    api.session(patient, started_at=day(20, hour=9))
    text = "external_id,taken_at,instrument,score,before_infusion\n" + "".join(
        f"MRN-1,{day(ago)},nrs-pain,5,{before}\n" for ago, before in ((20, "true"), (3, "false"))
    )
    ended = imported(api, database, text)
    assert counted(ended) == {"check_ins": 1, "scores": 1, "left_out": 1}
    [problem] = ended["problems"]
    assert (problem["line"], problem["column"]) == (2, "before_infusion")
    assert scores_of(api, patient) == [("nrs-pain", 5)]


def test_a_check_in_on_several_lines_anywhere_in_the_file_is_one(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    names = ("nrs-pain", "nrs-mood", "nrs-anxiety")
    table = [
        {"external_id": "MRN-1", "taken_at": day(ago), "instrument": name, "score": ago}
        for name in names
        for ago in range(9, 1, -1)
    ]
    assert counted(imported(api, database, written(table))) == {"check_ins": 8, "scores": 24}
    assert counted(imported(api, database, written(table[::-1]))) == {"unchanged": 8}


def test_two_answers_for_one_place_are_refused(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = f"external_id,taken_at,instrument,score\nMRN-1,{day(4)},nrs-pain,5\nMRN-1,{day(4)},nrs-pain,6\n"
    assert imported(api, database, text, state="refused")["problems"][0]["line"] == 3
    first = f"external_id,taken_at,instrument,score\nMRN-1,{day(4)},nrs-pain,5\n"
    assert counted(imported(api, database, first)) == {"check_ins": 1, "scores": 1}
    problem = imported(api, database, first.replace(",5\n", ",6\n"), state="refused")["problems"][0]
    assert (problem["line"], problem["column"]) == (2, "score")


def test_overlapping_sessions_are_refused_in_the_file_and_beside_it(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    text = f"external_id,started_at\nMRN-1,{day(9)}\nMRN-1,{day(9, 16)}\n"
    problem = imported(api, database, text, state="refused")["problems"][0]
    assert (problem["line"], problem["column"]) == (3, "started_at")
    assert counted(imported(api, database, f"external_id,started_at\nMRN-1,{day(9)}\n")) == {"sessions": 1}
    assert counted(imported(api, database, f"external_id,started_at\nMRN-1,{day(9)}\n")) == {"unchanged": 1}
    assert imported(api, database, f"external_id,started_at\nMRN-1,{day(9, 14)}\n", state="refused")


def test_another_clinics_import_is_not_there(api: Api, database: Database) -> None:
    found = sent(api, "external_id\nMRN-1\n")
    other = new_clinic(api.server)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/problems/all.csv")):
        assert other.request(method, f"/v1/imports/{found['id']}{path}").status_code == 404
    assert other.get("/v1/imports").json()["items"] == []
    clinician = new_person(api.server, api.clinic_id, "clinician")
    assert clinician.get("/v1/imports").status_code == 403
    assert new_client(api.server, api.clinic_id, "import:write").get("/v1/imports").status_code == 200


def test_a_file_under_one_key_is_imported_once(api: Api, database: Database) -> None:
    key = {"Idempotency-Key": "file-1", "Content-Type": CSV}
    first = api.request("POST", "/v1/imports", content=b"external_id\nMRN-1\n", headers=key)
    again = api.request("POST", "/v1/imports", content=b"external_id\nMRN-1\n", headers=key)
    assert (first.json()["id"], again.headers["idempotency-replayed"]) == (again.json()["id"], "true")
    assert len(api.get("/v1/imports").json()["items"]) == 1
    other = api.request("POST", "/v1/imports", content=b"external_id\nMRN-2\n", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.get("/v1/imports").json()["items"]) == 1


def test_what_cannot_be_read_is_refused_with_the_line(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    for content, rule in (
        (b"some,columns\n1,2\n", "lacking taken_at, instrument"),
        (b"external_id,taken_at,instrument,score,wrong\n1,2,3,4,5\n", "column 5 unknown"),
        (b"external_id\n", "a line under its header"),
        (b"external_id,taken_at,instrument\n\xff\xfe,1,2\n", "UTF-8"),
        (b'external_id\n"not closed\n', "quotation"),
        (b"external_id;taken_at;instrument;score\nMRN-1;x;y;1;2\n", "more cells"),
        (b"external_id,taken_at,instrument,score\nMRN-1,x\n", "fewer cells"),
    ):
        found = imported(api, database, content, state="refused")
        assert rule in found["problems"][0]["rule"], found
    assert (
        "JSON"
        in imported(api, database, b'{"external_id": "a"}\n{"external_id"', NDJSON, "refused")["problems"][0]["rule"]
    )
    for body, media_type, status in ((b"", CSV, 422), (b"x", "application/pdf", 415), (b"x", "application/json", 415)):
        answer = api.request("POST", "/v1/imports", content=body, headers={"Content-Type": media_type})
        assert answer.status_code == status, answer.text
    assert (
        api.request("POST", "/v1/imports?mapping=none", content=b"x", headers={"Content-Type": CSV}).status_code == 422
    )
    left = [one for one in api.get("/v1/imports").json()["items"] if one["state"] == "receiving"]
    assert left == []


@pytest.mark.parametrize("stage", ["importing", "undoing"])
def test_stopped_at_any_stage_it_goes_on_to_the_same_end(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Every write of the job is made to be the last one of its process, one after the other."""
    monkeypatch.setattr(turns, "_FIRST_PART", 3)
    monkeypatch.setattr(turns, "_LARGEST_PART", 3)
    monkeypatch.setattr(staging, "_ITEMS_A_CHUNK", 5)
    monkeypatch.setattr(staging, "_ITEMS_A_STEP", 4)
    monkeypatch.setattr(staging, "_LINES_A_STEP", 3)
    table = [
        {"external_id": f"MRN-{n % 3}", "taken_at": day(2 + n), "instrument": "nrs-pain", "score": n % 11}
        for n in range(14)
    ]
    for n in range(3):
        api.patient(external_id=f"MRN-{n}")
    found = sent(api, written(table))
    if stage == "undoing":
        carried(api, database, found)
        api.request("DELETE", f"/v1/imports/{found['id']}")
    portal: Any = api.server.portal
    write_one, left = turns.write, [0]

    async def last(*given: Any) -> Any:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return await write_one(*given)

    monkeypatch.setattr(running, "write", last)
    monkeypatch.setattr(turns, "write", last)
    allowed, is_over = 0, False
    while not is_over:
        left[0] = allowed
        try:
            portal.call(running.carry_through, database, api.clinic_id, UUID(found["id"]))
            is_over = True
        except Killed:
            allowed += 1
    assert allowed > 3
    monkeypatch.setattr(running, "write", write_one)
    monkeypatch.setattr(turns, "write", write_one)
    ended = carried(api, database, found)
    if stage == "undoing":
        assert (ended["state"], ended["counts"]["taken_back"]) == ("cancelled", 14)
        assert rows(exported(api, "scores.csv")) == []
        return
    assert (ended["state"], counted(ended)) == ("done", {"check_ins": 14, "scores": 14})
    assert ended["progress"] == {"lines": 14, "records": 14, "applied": 14}
    assert len(rows(exported(api, "scores.csv"))) == 14
    assert counted(imported(api, database, written(table))) == {"unchanged": 14}


def test_cancelling_while_it_is_applied_takes_back_what_came(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_LARGEST_PART", 4)
    api.patient(external_id="MRN-1")
    table = [
        {"external_id": "MRN-1", "taken_at": day(2 + n), "instrument": "nrs-pain", "score": n % 11} for n in range(40)
    ]
    found = sent(api, written(table))
    recorded, applied = [0], applying.apply

    def seen(*given: Any) -> Any:
        recorded[0] += 1
        if recorded[0] == 3:
            thread = threading.Thread(target=lambda: api.request("DELETE", f"/v1/imports/{found['id']}"))
            thread.start()
            time.sleep(0.2)
        return applied(*given)

    monkeypatch.setattr(applying, "apply", seen)
    ended = carried(api, database, found)
    assert ended["state"] == "cancelled"
    assert ended["counts"]["taken_back"] == ended["counts"]["check_ins"] < 40
    assert rows(exported(api, "scores.csv")) == []


def test_two_processes_do_not_apply_one_import_twice(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    table = [
        {"external_id": "MRN-1", "taken_at": day(2 + n), "instrument": "nrs-pain", "score": n % 11} for n in range(40)
    ]
    found = sent(api, written(table))

    async def both() -> None:
        await asyncio.gather(
            *(running.carry_through(database, api.clinic_id, UUID(found["id"])) for _ in range(3)),
        )

    portal: Any = api.server.portal
    portal.call(both)
    ended = carried(api, database, found)
    assert counted(ended) == {"check_ins": 40, "scores": 40}


def test_the_same_file_again_leaves_what_became_of_it_since(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    text = "external_id,taken_at,instrument,score\n" + "".join(
        f"MRN-1,{day(ago)},gad-7,{10 - ago}\n" for ago in (4, 3, 2)
    )
    found = imported(api, database, text)
    newest, middle, _ = api.get(f"/v1/patients/{patient}/check-ins").json()["items"]
    for one, body in (
        (newest, {"reason": "another's", "void": True}),
        (middle, {"reason": "typo", "responses": [{"instrument": "gad-7", "score": 5}]}),
    ):
        path = f"/v1/patients/{patient}/check-ins/{one['id']}/amendments"
        assert api.post(path, body, headers={"If-Match": '"1"'}).status_code == 201
    before = exported(api, "scores.ndjson")
    assert counted(imported(api, database, text)) == {"unchanged": 3}
    assert exported(api, "scores.ndjson") == before
    # Undone, what was not changed since is taken back, and comes again with the file.
    api.request("DELETE", f"/v1/imports/{found['id']}")
    assert carried(api, database, found)["counts"]["taken_back"] == 1
    again = imported(api, database, text)
    assert counted(again) == {"check_ins": 1, "scores": 1, "unchanged": 2}
    assert scores_of(api, patient) == [("gad-7", 5), ("gad-7", 6)]
    api.request("DELETE", f"/v1/imports/{again['id']}")
    assert carried(api, database, again)["counts"]["taken_back"] == 1
    # With other answers it comes again too: a wrong mapping is no reason to be kept out.
    corrected = text.replace(",gad-7,6", ",gad-7,16")
    assert counted(imported(api, database, corrected)) == {"check_ins": 1, "scores": 1, "unchanged": 2}
    assert scores_of(api, patient) == [("gad-7", 5), ("gad-7", 16)]


def test_undone_patients_and_sessions_come_again(api: Api, database: Database) -> None:
    patients, sessions = "external_id,label\nMRN-1,A.B.\n", f"external_id,started_at,dose_mg\nMRN-1,{day(9)},40\n"
    made = [imported(api, database, text) for text in (patients, sessions)]
    for found in made[::-1]:
        api.request("DELETE", f"/v1/imports/{found['id']}")
        assert carried(api, database, found)["counts"]["taken_back"] == 1
    assert counted(imported(api, database, patients)) == {"patients": 1}
    assert counted(imported(api, database, sessions)) == {"sessions": 1}
    [patient] = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"]
    [session] = api.get(f"/v1/patients/{patient['id']}/sessions").json()["items"]
    assert (patient["care_status"], session["status"], session["dose_mg"]) == ("active", "completed", 40)


def test_what_was_moved_does_not_come_back_where_it_was_wrong(api: Api, database: Database) -> None:
    wrong, right = api.patient(external_id="MRN-1"), api.patient(external_id="MRN-2")
    check_in = api.check_in(wrong, days_ago(4), "phq-9", 27)
    session = api.session(wrong, days_ago(9))
    for kind, one in (("check-ins", check_in), ("sessions", session)):
        answer = api.post(
            f"/v1/patients/{wrong}/{kind}/{one['id']}/move",
            {"to_patient_id": right, "reason": "the wrong person"},
            headers={"If-Match": '"1"'},
        )
        assert answer.status_code == 201, answer.text
    other = new_clinic(api.server)
    for name in ("patients", "sessions", "scores"):
        imported(other, database, exported(api, f"{name}.ndjson"), NDJSON)
        again = imported(other, database, exported(api, f"{name}.ndjson"), NDJSON)
        assert set(counted(again)) == {"unchanged"}
        assert set(counted(imported(api, database, exported(api, f"{name}.ndjson"), NDJSON))) == {"unchanged"}
    assert [scores_of(other, one) for one in (wrong, right)] == [[], [("phq-9", 27)]]
    sessions = [other.get(f"/v1/patients/{one}/sessions").json()["items"] for one in (wrong, right)]
    assert [[s["status"] for s in some] for some in sessions] == [["entered_in_error"], ["completed"]]


@pytest.mark.parametrize("part", [1, 500])
def test_what_stands_in_the_place_of_a_voided_one_comes_over(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(turns, "_FIRST_PART", part)
    monkeypatch.setattr(turns, "_LARGEST_PART", part)
    patient = api.patient(external_id="MRN-1")
    for _ in range(2):
        kept = api.check_in(patient, day(4), "gad-7", 10)
        path = f"/v1/patients/{patient}/check-ins/{kept['id']}/amendments"
        assert api.post(path, {"reason": "x", "void": True}, headers={"If-Match": '"1"'}).status_code == 201
    stands = api.check_in(patient, day(4), "gad-7", 10)
    other = new_clinic(api.server)
    imported(other, database, exported(api, "patients.ndjson"), NDJSON)
    assert counted(imported(other, database, exported(api, "scores.ndjson"), NDJSON))["check_ins"] == 3
    [recorded] = [one for one in lines(exported(other, "scores.ndjson")) if one["status"] == "recorded"]
    assert recorded["check_in_id"] == stands["id"]


def test_two_identifiers_that_contradict_each_other_are_refused(api: Api, database: Database) -> None:
    first, _ = api.patient(external_id="MRN-1"), api.patient(external_id="MRN-2")
    text = f"patient_id,external_id,taken_at,instrument,score\n{first},MRN-2,{day(4)},nrs-pain,5\n"
    [problem] = imported(api, database, text, state="refused")["problems"]
    assert (problem["line"], problem["column"]) == (2, "external_id")
    known = text.replace("MRN-2", "mrn-1")
    assert counted(imported(api, database, known)) == {"check_ins": 1, "scores": 1}


def test_a_total_beside_blanks_is_treated_alike_in_every_layout(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    head = "external_id,taken_at,instrument,answers,score\n"
    found = imported(api, database, f"{head}MRN-1,{day(4)},phq-9,2;2;2;2;2;0;0;0;,10\n")
    assert found["counts"]["totals_dropped"] == 1
    assert scores_of(api, patient) == [("phq-9", None)]
    for answers in ("2;2;2;2;2;0;0;;", ";;;;;;;;"):
        total = 10 if answers[0] == "2" else 0
        text = f"{head}MRN-1,{day(5)},phq-9,{answers},{total}\n"
        assert imported(api, database, text, state="refused")["problems"][0]["column"] == "score"


def test_one_clinics_long_import_does_not_keep_another_waiting(api: Api, database: Database) -> None:
    other = new_clinic(api.server)
    table = [{"external_id": f"MRN-{n}"} for n in range(1_500)]
    long, short = sent(api, written(table)), sent(other, "external_id\nMRN-1\n")
    portal: Any = api.server.portal
    portal.call(running.carry_on, database)
    ended = [one.get(f"/v1/imports/{found['id']}").json() for one, found in ((other, short), (api, long))]
    assert [one["state"] for one in ended] == ["done", "done"]
    assert ended[0]["ended_at"] < ended[1]["ended_at"]


def test_lines_of_ndjson_need_not_name_the_same_members(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    one = {"external_id": "MRN-1", "instrument": "phq-9"}
    text = "\n".join(
        json.dumps(line)
        for line in (
            {**one, "taken_at": day(5), "score": 3},
            {**one, "taken_at": day(4), "answers": [2, 2, 2, 2, 2, 2, 0, 0, 1], "before_infusion": True},
        )
    )
    imported(api, database, text, NDJSON)
    first, second = sorted(lines(exported(api, "scores.ndjson")), key=lambda line: line["taken_at"])
    assert (first["answers"], second["answers"]) == (None, [2, 2, 2, 2, 2, 2, 0, 0, 1])
    assert (first["before_infusion"], second["before_infusion"]) == (False, True)
    assert set(counted(imported(api, database, exported(api, "scores.ndjson"), NDJSON))) == {"unchanged"}
    other = exported(api, "scores.csv").replace('"true"', '"false"')
    assert counted(imported(api, database, other, state="refused")) == {"refused": 1}


@pytest.mark.parametrize("name", ["_note_read", "_end_reading", "_apply_part"])
def test_a_transaction_that_is_tried_again_loses_nothing(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(staging, "_ITEMS_A_CHUNK", 3)
    api.patient(external_id="MRN-1")
    table = [{"external_id": "MRN-1", "taken_at": day(2 + n), "instrument": "nrs-pain", "score": 3} for n in range(8)]
    work, failed = getattr(running, name), [False]

    def fails_once(*given: Any, **named: Any) -> Any:
        result = work(*given, **named)
        if not failed[0]:
            failed[0] = True
            raise OperationalError("", None, sqlite3.OperationalError("database is locked"))
        return result

    monkeypatch.setattr(running, name, fails_once)
    monkeypatch.setattr("app.storage.database.is_passing", lambda error: True)
    assert counted(imported(api, database, written(table))) == {"check_ins": 8, "scores": 8}
    assert failed == [True]
    assert len(rows(exported(api, "scores.csv"))) == 8


def test_what_no_library_can_write_refuses_its_line(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    one = {"external_id": "MRN-1", "taken_at": day(3), "instrument": "nrs-pain", "score": 3}
    for wrong, column in (
        ({"version": 10**30}, "version"),
        ({"version": -1}, "version"),
        ({"reason": "\ud800"}, "reason"),
        ({"external_id": "\udfff"}, "external_id"),
        ({"score": {"a": 1}}, "score"),
        ({"answers": {"a": 1}}, "answers"),
    ):
        found = imported(api, database, json.dumps({**one, **wrong}), NDJSON, "refused")
        assert [(p["line"], p["column"]) for p in found["problems"]] == [(1, column)]


def test_two_records_in_one_place_refuse_the_file(api: Api, database: Database) -> None:
    api.patient(external_id="MRN-1")
    head = "check_in_id,external_id,taken_at,instrument,score\n"
    text = "".join(f"{new_id()},{who},{day(3)},nrs-pain,{n}\n" for n, who in ((4, "MRN-1"), (5, "mrn-1")))
    [problem] = imported(api, database, head + text, state="refused")["problems"]
    assert problem["column"] == "score"


def test_a_patient_who_is_merged_meanwhile_is_recorded_for_the_survivor(api: Api, database: Database) -> None:
    gone, stays = api.patient(external_id="MRN-1"), api.patient(external_id="MRN-2")
    text = f"check_in_id,external_id,taken_at,instrument,score\n{new_id()},MRN-1,{day(3)},nrs-pain,4\n"
    found = sent(api, text)
    read_only(api, database, found)
    merged = api.post(f"/v1/patients/{gone}/merge", {"into": stays, "reason": "the same person"})
    assert merged.status_code == 201
    assert counted(carried(api, database, found)) == {"check_ins": 1, "scores": 1}
    assert scores_of(api, stays) == [("nrs-pain", 4)]


def test_an_undone_patient_stays_who_was_enrolled_since(api: Api, database: Database) -> None:
    found = imported(api, database, "external_id\nMRN-1\nMRN-2\n")
    [patient] = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"]
    device = new_device(api, patient["id"])
    api.request("DELETE", f"/v1/imports/{found['id']}")
    assert (carried(api, database, found)["counts"]["taken_back"], device.get("/v1/me").status_code) == (1, 200)


def test_a_file_of_patients_compares_what_it_has(api: Api, database: Database) -> None:
    text = "external_id,label\nMRN-1,A.B.\n"
    imported(api, database, text)
    [patient] = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"]
    assert api.patch(f"/v1/patients/{patient['id']}", {"care_status": "paused"}, 1).status_code == 200
    assert counted(imported(api, database, text)) == {"unchanged": 1}
    assert imported(api, database, text.replace("A.B.", "C.D."), state="refused")["problems"][0]["column"] == "label"


def test_each_part_is_an_audit_event_with_its_patients(api: Api, database: Database) -> None:
    patient = api.patient(external_id="MRN-1")
    imported(api, database, f"external_id,taken_at,instrument,score\nMRN-1,{day(4)},nrs-pain,5\n")
    events = api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]
    assert [(e["operation"], e["patient_ids"]) for e in events if "import" in e["operation"]] == [
        ("apply_import", [patient])
    ]


def test_ending_an_import_whose_file_is_still_coming_keeps_nothing_of_it(api: Api, database: Database) -> None:
    act = Act(api.clinic_id, "user", api.caller_id, "create_import", "test", clock.now())
    import_id = database.writing(api.clinic_id, lambda db: service.begin(db, act, CSV, None, dry_run=False))
    database.writing(api.clinic_id, lambda db: service.receive(db, api.clinic_id, import_id, 0, b"external_id\n"))
    api.request("DELETE", f"/v1/imports/{import_id}")
    with pytest.raises(NotFound):
        database.writing(api.clinic_id, lambda db: service.receive(db, api.clinic_id, import_id, 1, b"MRN-1\n"))
    assert carried(api, database, {"id": str(import_id)})["state"] == "cancelled"
    assert database.reading(api.clinic_id, lambda db: store.piece(db, api.clinic_id, import_id, 0)) is None


def test_what_a_file_is_is_seen_where_its_media_type_does_not_say(api: Api, database: Database) -> None:
    any_type = "application/octet-stream"
    assert counted(imported(api, database, "external_id\nMRN-1\n", any_type)) == {"patients": 1}
    assert counted(imported(api, database, exported(api, "patients.ndjson"), any_type)) == {"unchanged": 1}
    book: Any = openpyxl.Workbook()
    book.active.append(["external_id"])
    book.active.append(["MRN-2"])
    out = BytesIO()
    book.save(out)
    assert counted(imported(api, database, out.getvalue(), any_type)) == {"patients": 1}
