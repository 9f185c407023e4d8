"""The feed of changes: what happened, once each, in order and without gaps, for those who may know."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from app import clock, work
from app.outbox import service as outbox
from app.outbox import store
from app.storage import Database, Transaction, new_id
from tests.conftest import Api, days_ago, new_client, new_clinic, new_device


def feed(api: Api, after: int | None = None, **query: Any) -> dict[str, Any]:
    answer = api.get("/v1/changes", params={"limit": 200, **({} if after is None else {"after": after}), **query})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def told(api: Api, work: Callable[[], object]) -> list[dict[str, Any]]:
    """What the feed tells of some work."""
    before = feed(api)["next_after"]
    work()
    found: list[dict[str, Any]] = feed(api, before)["items"]
    return found


def kinds(changes: list[dict[str, Any]]) -> list[str]:
    return [change["kind"] for change in changes]


def answers(api: Api, patient_id: str, days: float, of: list[int], **more: Any) -> dict[str, Any]:
    body = {"taken_at": days_ago(days), "responses": [{"instrument": "phq-9", "answers": of}], **more}
    answer = api.post(f"/v1/patients/{patient_id}/check-ins", body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


BAD, GOOD = [3, 3, 3, 2, 2, 2, 1, 1, 0], [0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_everything_that_happens_is_told_with_ids_and_nothing_else(api: Api) -> None:
    made = told(api, lambda: api.patient(label="Secret"))
    assert kinds(made) == ["patient.changed"]
    patient_id = made[0]["patient_id"]
    at = f"/v1/patients/{patient_id}"
    recorded = told(api, lambda: answers(api, patient_id, 40, BAD))
    assert kinds(recorded) == ["check_in.recorded"]  # before the first infusion there is no relief to change
    given = told(api, lambda: api.session(patient_id, days_ago(39)))
    assert kinds(given) == ["session.recorded", "relief.changed"]
    assert given[0]["session_id"] is not None
    lost = told(api, lambda: [answers(api, patient_id, days, of) for days, of in ((30, GOOD), (20, BAD), (10, BAD))])
    assert kinds(lost).count("check_in.recorded") == 3
    assert "alert.raised" in kinds(lost)
    last = [change["check_in_id"] for change in lost if change["kind"] == "check_in.recorded"][-1]
    void = {"reason": "another patient's", "void": True}
    amended = told(api, lambda: api.post(f"{at}/check-ins/{last}/amendments", void, headers={"If-Match": '"1"'}))
    assert {"check_in.amended", "alert.withdrawn", "relief.changed"} <= set(kinds(amended))
    session_at = f"{at}/sessions/{given[0]['session_id']}"
    assert kinds(told(api, lambda: api.patch(session_at, {"notes": "x"}, 1))) == ["session.amended"]
    assert kinds(told(api, lambda: api.patch(at, {"label": "Other"}, 1))) == ["patient.changed"]
    other = api.patient()
    body = {"into": other, "reason": "the same person"}
    merged = told(api, lambda: api.post(f"{at}/merge", body, headers={"If-Match": '"2"'}))
    assert kinds(merged).count("patient.merged") == 2
    assert {"check_in.amended", "check_in.recorded", "session.amended", "session.recorded"} <= set(kinds(merged))
    text = json.dumps([*made, *recorded, *given, *lost, *amended, *merged])
    for value in ("phq", "Secret", "holding", "lost", "mood"):
        assert value not in text.replace("relief_lost", "")


def test_what_is_read_what_is_refused_and_what_is_repeated_is_not_told(api: Api) -> None:
    patient_id = api.patient()
    first = answers(api, patient_id, 3, GOOD, id=str(new_id()))
    again = {"id": first["id"], "taken_at": first["taken_at"], "responses": [{"instrument": "phq-9", "answers": GOOD}]}

    def nothing() -> None:
        assert api.post(f"/v1/patients/{patient_id}/check-ins", again).status_code == 200
        assert api.post(f"/v1/patients/{patient_id}/check-ins", again | {"taken_at": days_ago(2)}).status_code == 409
        api.relief(patient_id)

    assert told(api, nothing) == []


def test_each_kind_is_told_to_those_who_may_read_its_resource(server: TestClient, api: Api) -> None:
    patient_id = api.patient()
    answers(api, patient_id, 3, GOOD)
    everything = feed(api)
    some = new_client(server, api.clinic_id, "checkins:read")
    mine = feed(some)
    assert set(kinds(mine["items"])) == {"check_in.recorded"}
    assert mine["next_after"] == everything["next_after"]
    none = feed(new_client(server, api.clinic_id, "webhooks:write"))
    assert (none["items"], none["next_after"]) == ([], 0)
    assert new_device(api, patient_id).get("/v1/changes").status_code == 403
    assert feed(new_clinic(server))["items"] == []


def test_a_page_is_short_and_the_next_goes_on_after_it(api: Api) -> None:
    ids = [api.patient() for _ in range(5)]
    first = feed(api, limit=2)
    second = feed(api, first["next_after"], limit=2)
    third = feed(api, second["next_after"], limit=2)
    found = [change["patient_id"] for page in (first, second, third) for change in page["items"]]
    assert found == ids
    assert [change["position"] for page in (first, second, third) for change in page["items"]] == [1, 2, 3, 4, 5]
    assert feed(api, third["next_after"])["items"] == []


def test_it_waits_for_something_to_happen(api: Api) -> None:
    threading.Timer(0.5, api.patient).start()
    began = time.monotonic()
    assert kinds(feed(api, 0, wait=20)["items"]) == ["patient.changed"]
    assert time.monotonic() - began < 10
    began = time.monotonic()
    assert feed(api, 1, wait=1)["items"] == []
    assert 0.9 < time.monotonic() - began < 10
    assert api.get("/v1/changes", params={"wait": 31}).status_code == 422


def test_after_ninety_days_they_are_gone_and_that_is_said(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.patient()
    assert feed(api)["next_after"] == 1
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=91))
    database.writing(api.clinic_id, lambda db: outbox.purge(db, api.clinic_id, clock.now()))
    monkeypatch.undo()
    api.patient()
    gone = api.get("/v1/changes", params={"after": 0})
    assert (gone.status_code, gone.json()["code"]) == (410, "changes_gone")
    assert [change["position"] for change in feed(api)["items"]] == [2]
    assert [change["position"] for change in feed(api, 1)["items"]] == [2]


def test_silence_is_told_once_at_midnight(api: Api, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    patient_id = api.patient()
    answers(api, patient_id, 60, BAD)
    api.session(patient_id, days_ago(59))
    answers(api, patient_id, 34, GOOD)
    before, now = feed(api)["next_after"], clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=3))
    for _ in range(2):
        asyncio.run(work.turn(database))
    database.writing(api.clinic_id, lambda db: outbox.place(db, api.clinic_id))
    found = database.reading(api.clinic_id, lambda db: [c.kind for c in store.after(db, api.clinic_id, before, 100)])
    assert found == ["relief.changed"]


def test_a_change_that_is_committed_late_is_not_missed(api: Api, database: Database) -> None:
    """Another transaction, begun earlier and with an earlier time, commits after the reader has come past it."""
    if database.is_sqlite:
        pytest.skip("SQLite has one writer")
    patient_id, begun, go_on = UUID(api.patient()), threading.Event(), threading.Event()
    at = feed(api)["next_after"]

    def slow(db: Transaction) -> None:
        outbox.record(db, [outbox.change(api.clinic_id, "patient.changed", patient_id, clock.now())])
        db.connection().exec_driver_sql("select 1")  # sends the row, and commits later
        begun.set()
        go_on.wait(20)

    thread = threading.Thread(target=lambda: database.writing(api.clinic_id, slow))
    thread.start()
    begun.wait(20)
    other = api.patient()
    seen = feed(api, at)
    assert [change["patient_id"] for change in seen["items"]] == [other]
    go_on.set()
    thread.join()
    assert [change["patient_id"] for change in feed(api, seen["next_after"])["items"]] == [str(patient_id)]


def test_many_writers_and_readers_at_once_miss_and_double_nothing(api: Api, database: Database) -> None:
    patient_id, rng, written = UUID(api.patient()), random.Random(5), []
    at = feed(api)["next_after"]

    def write(pause: float) -> None:
        row = outbox.change(api.clinic_id, "patient.changed", patient_id, clock.now())

        def slow(db: Transaction) -> None:
            outbox.record(db, [row])
            time.sleep(pause)

        database.writing(api.clinic_id, slow)
        written.append(str(row["id"]))

    pauses = [[rng.choice((0, 0, 0.01, 0.05)) for _ in range(8)] for _ in range(6)]

    def write_all(mine: list[float]) -> None:
        for pause in mine:
            write(pause)

    writers = [threading.Thread(target=write_all, args=(mine,)) for mine in pauses]
    read: list[list[dict[str, Any]]] = [[], []]

    def follow(into: list[dict[str, Any]]) -> None:
        mine = at
        while len(into) < 48:
            page = feed(api, mine, limit=5)
            into += page["items"]
            mine = page["next_after"]

    readers = [threading.Thread(target=follow, args=(into,)) for into in read]
    for thread in [*writers, *readers]:
        thread.start()
    for thread in [*writers, *readers]:
        thread.join(60)
    for found in read:
        assert sorted(change["id"] for change in found) == sorted(written)
        assert [change["position"] for change in found] == list(range(at + 1, at + 49))


def test_an_alert_that_becomes_more_pressing_or_is_another_patients_is_told_again(api: Api) -> None:
    """A form that was refused says more the second time; what moves to another patient is open there."""
    patient_id, other = api.patient(), api.patient()
    at = f"/v1/patients/{patient_id}/check-ins"

    def refused(item: int) -> Callable[[], object]:
        answers_ = [9, 0, 0, 0, 0, 0, 0, 0, item]
        return lambda: api.post(
            at, {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": answers_}]}
        )

    first = told(api, refused(1))
    assert kinds(first) == ["alert.raised"]
    again = told(api, refused(3))
    assert [(c["kind"], c["alert_id"]) for c in again] == [("alert.raised", first[0]["alert_id"])]
    assert told(api, refused(3)) == []
    check_in = answers(api, patient_id, 2, [1, 1, 1, 1, 1, 1, 1, 1, 3])
    alert_id = check_in["alerts"][0]["id"]
    done = {"disposition": "contacted", "note": ""}
    assert told(api, lambda: api.post(f"/v1/alerts/{alert_id}/acknowledgement", done)) == []
    body = {"to_patient_id": other, "reason": "the wrong person"}
    moved = told(api, lambda: api.post(f"{at}/{check_in['id']}/move", body, headers={"If-Match": '"1"'}))
    assert ("alert.raised", other, alert_id) in [(c["kind"], c["patient_id"], c["alert_id"]) for c in moved]


def test_a_merge_and_its_undoing_are_told(api: Api) -> None:
    patient_id, other = api.patient(), api.patient()
    answers(api, patient_id, 2, [1, 1, 1, 1, 1, 1, 1, 1, 3])
    at = f"/v1/patients/{patient_id}/merge"
    merged = told(api, lambda: api.post(at, {"into": other, "reason": "same"}, headers={"If-Match": '"1"'}))
    assert ("alert.raised", other) in [(change["kind"], change["patient_id"]) for change in merged]
    undone = told(api, lambda: api.post(f"{at}/undo", {"reason": "two"}, headers={"If-Match": '"2"'}))
    assert kinds(undone).count("patient.merged") == 2
    assert ("alert.raised", patient_id) in [(change["kind"], change["patient_id"]) for change in undone]


def test_an_erasure_is_told(api: Api) -> None:
    patient_id = api.patient(external_id="MRN-1")
    body = {"external_id": "MRN-1", "reason": "asked"}
    assert kinds(told(api, lambda: api.post(f"/v1/patients/{patient_id}/erasure", body))) == ["patient.changed"]


def test_another_instrument_that_answers_from_midnight_on_is_told(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEG goes stale and is passed over for a pain rating that holds: the status stays, the instrument does not."""
    patient_id = api.patient()

    def pain(days: float, **scores: Any) -> None:
        for code, score in scores.items():
            api.check_in(patient_id, days_ago(days), code.replace("_", "-"), score)

    pain(61, peg=8, nrs_pain=8)
    api.session(patient_id, days_ago(60))
    pain(34, peg=2, nrs_pain=2)
    pain(4, nrs_pain=2)
    before, now = feed(api)["next_after"], clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=3))
    asyncio.run(work.turn(database))
    database.writing(api.clinic_id, lambda db: outbox.place(db, api.clinic_id))
    found = database.reading(api.clinic_id, lambda db: [c.kind for c in store.after(db, api.clinic_id, before, 100)])
    assert found == ["relief.changed"]


def test_an_item_of_a_batch_that_is_undone_is_not_told(api: Api) -> None:
    patient_id = api.patient()
    good = {"patient_id": patient_id, "taken_at": days_ago(3), "responses": [{"instrument": "nrs-pain", "score": 3}]}
    wrong = good | {"responses": [{"instrument": "nrs-pain", "score": 11}]}
    batch = {"items": [good, wrong, good | {"patient_id": str(new_id())}]}
    assert kinds(told(api, lambda: api.post("/v1/check-ins/batch", batch))).count("check_in.recorded") == 1


def test_what_is_rolled_back_is_not_told(api: Api, database: Database) -> None:
    patient_id, before = UUID(api.patient()), feed(api)["next_after"]

    def failing(db: Transaction) -> None:
        outbox.record(db, [outbox.change(api.clinic_id, "patient.changed", patient_id, clock.now())])
        raise ValueError("undone")

    with pytest.raises(ValueError, match="undone"):
        database.writing(api.clinic_id, failing)
    assert feed(api, before)["items"] == []


def test_a_clinic_that_never_reads_its_feed_keeps_it_no_longer(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.patient()
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=91))
    database.writing(api.clinic_id, lambda db: outbox.purge(db, api.clinic_id, clock.now()))
    monkeypatch.undo()
    assert not database.reading(api.clinic_id, lambda db: store.has_waiting(db, api.clinic_id))
    assert feed(api) == {"items": [], "next_after": 0}


def test_a_position_that_the_feed_has_not_come_to_is_none_of_its_own(api: Api) -> None:
    """The database was restored from a backup: what the reader has seen since is told no more, and it must know."""
    api.patient()
    for after in (2, 2**31, 2**53 - 1):
        gone = api.get("/v1/changes", params={"after": after})
        assert (gone.status_code, gone.json()["code"]) == (410, "changes_gone")


def test_narrow_scopes_do_not_make_a_reader_wait_for_what_is_there(server: TestClient, api: Api) -> None:
    some, patient_id = new_client(server, api.clinic_id, "alerts:read"), api.patient()
    for n in range(5):
        answers(api, patient_id, 2 + n, GOOD)
    answers(api, patient_id, 1, [1, 1, 1, 1, 1, 1, 1, 1, 3])
    began = time.monotonic()
    assert kinds(feed(some, 0, limit=2, wait=20)["items"])[0] == "alert.raised"
    assert time.monotonic() - began < 10


def test_who_loses_a_scope_while_waiting_is_told_nothing_more_of_it(server: TestClient, api: Api) -> None:
    some = new_client(server, api.clinic_id, "patients:read sessions:read")
    begun = feed(some)["next_after"]
    found: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: found.append(feed(some, begun, wait=6)))
    thread.start()
    time.sleep(1.5)
    at = f"/v1/clients/{some.caller_id}"
    assert api.patch(at, {"scope": "sessions:read"}, 1).status_code == 200
    api.patient()
    thread.join()
    assert [one["items"] for one in found] == [[]]
