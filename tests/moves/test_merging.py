"""Two records of one person become one, with nothing lost or counted twice, and may be taken apart again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from app import backfilling, clock
from app.alerts import policies
from app.storage import Database
from tests.conftest import Api, days_ago, new_client, new_device, new_person
from tests.house.test_routes import OPERATIONS, body_of

ANSWERS = [1, 1, 1, 1, 1, 1, 1, 1, 2]


def merge(api: Api, patient: str, into: str, **more: Any) -> Any:
    return api.post(f"/v1/patients/{patient}/merge", {"into": into, "reason": "registered twice"}, **more)


def undo(api: Api, patient: str, version: int = 2) -> Any:
    headers = {"If-Match": f'"{version}"'}
    return api.post(f"/v1/patients/{patient}/merge/undo", {"reason": "they are twins"}, headers=headers)


class Twice:
    """One person, registered twice: both records hold the same infusion and the same score; each holds more."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.one, self.two = api.patient(external_id="MRN-1"), api.patient(external_id="MRN-2")
        self.at = {days: days_ago(days) for days in (41, 40, 30, 20, 10, 5)}
        for patient in (self.one, self.two):
            api.session(patient, self.at[40])
            api.check_in(patient, self.at[41], "phq-9", 20)
        self.mine = api.check_in(self.one, self.at[20], "phq-9", 9)
        self.theirs = api.check_in(self.two, self.at[10], "phq-9", 8)
        self.booster = api.session(self.one, self.at[5])
        self.was = {patient: api.relief(patient) for patient in (self.one, self.two)}
        self.before = clock.now().isoformat()


@pytest.fixture
def twice(api: Api) -> Twice:
    return Twice(api)


def test_what_the_other_lacks_moves_and_what_it_holds_stays_behind(api: Api, twice: Twice) -> None:
    answer = merge(api, twice.one, twice.two)
    assert answer.status_code == 201, answer.text
    done = answer.json()
    assert (done["into"], done["version"], answer.headers["etag"]) == (twice.two, 2, '"2"')
    assert [c["from_id"] for c in done["check_ins"]] == [twice.mine["id"]]
    assert [s["from_id"] for s in done["sessions"]] == [twice.booster["id"]]
    assert (len(done["left_check_ins"]), len(done["left_sessions"])) == (1, 1)
    moved = api.get(f"/v1/patients/{twice.two}/check-ins/{done['check_ins'][0]['to_id']}").json()
    assert (moved["moved_from"], moved["scores"][0]["value"]) == (twice.mine["id"], 9)
    track = api.track(twice.two, "phq-9")
    assert (track["episode"]["sessions"], track["latest"]["value"], track["baseline"]["value"]) == (2, 8, 20)


def test_both_answer_as_then_and_the_first_is_gone(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    for patient in (twice.one, twice.two):
        assert api.relief(patient, known_at=twice.before) == twice.was[patient]
    gone = api.get(f"/v1/patients/{twice.one}/relief")
    assert (gone.status_code, gone.json()["code"], gone.json()["into"]) == (410, "merged", twice.two)
    later = api.get(f"/v1/patients/{twice.one}/relief", params={"known_at": clock.now().isoformat()})
    assert later.status_code == 410


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [op for op in OPERATIONS if "{patient_id}" in op[1]],
    ids=[op[2]["operationId"] for op in OPERATIONS if "{patient_id}" in op[1]],
)
def test_every_other_operation_there_is_gone(api: Api, method: str, path: str, operation: dict[str, Any]) -> None:
    twice = Twice(api)
    device = api.get(f"/v1/patients/{twice.one}/devices")
    assert device.status_code == 200
    new_device(api, twice.one)
    ids = {
        "patient_id": twice.one, "check_in_id": twice.mine["id"], "session_id": twice.booster["id"],
        "device_id": api.get(f"/v1/patients/{twice.one}/devices").json()["items"][0]["id"],
        "event_id": api.post(f"/v1/patients/{twice.one}/events", {"kind": "tms", "on": "2025-01-06"}).json()["id"],
    }  # fmt: skip
    body = body_of(operation)
    for name in ("to_patient_id", "into"):
        if body and name in body:
            body[name] = twice.two
    assert merge(api, twice.one, twice.two).status_code == 201
    required = [p for p in operation.get("parameters", []) if p["in"] == "query" and p["required"]]
    params = {p["name"]: p["schema"]["examples"][0] for p in required}
    answer = api.request(method, path.format(**ids), json=body, params=params, headers={"If-Match": "*"})
    if operation["operationId"] == "undo_merge":
        assert answer.status_code < 300, answer.text
    else:
        assert (answer.status_code, answer.json()["code"], answer.json()["into"]) == (410, "merged", twice.two)


def test_where_it_goes_on_is_told_to_who_may_read_patients(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    narrow = new_client(api.server, api.clinic_id, "checkins:write")
    form = {"taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 1}]}
    gone = narrow.post(f"/v1/patients/{twice.one}/check-ins", form)
    assert (gone.status_code, "into" in gone.json()) == (410, False)
    [result] = narrow.post("/v1/check-ins/batch", {"items": [form | {"patient_id": twice.one}]}).json()["results"]
    assert (result["http_status"], result["problem"].get("into")) == (410, None)


def test_in_a_batch_it_is_gone_too(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    item = {"patient_id": twice.one, "taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 1}]}
    [result] = api.post("/v1/check-ins/batch", {"items": [item]}).json()["results"]
    assert (result["http_status"], result["problem"]["into"]) == (410, twice.two)


def test_what_differs_is_named_and_nothing_is_moved(api: Api, twice: Twice) -> None:
    for patient, score in ((twice.one, 3), (twice.two, 4)):
        api.check_in(patient, twice.at[30], "nrs-pain", score)
        api.check_in(patient, twice.at[30], "gad-7", score)
    overlapping = api.session(twice.two, days_ago(5.01), drug="esketamine")
    refused = merge(api, twice.one, twice.two)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_recorded")
    assert len(refused.json()["errors"]) == 3, refused.text
    assert twice.booster["id"] in refused.text
    assert overlapping["id"] not in refused.text, "each names what could not move"
    assert api.get(f"/v1/patients/{twice.one}").status_code == 200
    assert api.track(twice.one, "phq-9")["latest"]["value"] == 9


def test_the_external_id_stays_an_alias(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    for external_id in ("MRN-1", "mrn-2"):
        [found] = api.post("/v1/patients/search", {"external_id": external_id}).json()["items"]
        assert (found["id"], found["aliases"]) == (twice.two, ["MRN-1"])
    taken = api.post("/v1/patients", {"external_id": "mrn-1"})
    assert (taken.status_code, taken.json()["code"]) == (409, "external_id_taken")
    assert [p["id"] for p in api.get("/v1/patients").json()["items"]] == [twice.two]
    assert [p["id"] for p in api.post("/v1/patients/search", {"q": "mrn"}).json()["items"]] == [twice.two]


def test_posts_by_its_devices_to_the_old_address_count_for_the_survivor(api: Api, twice: Twice) -> None:
    device = new_device(api, twice.one)
    old = {"taken_at": days_ago(2), "responses": [{"instrument": "phq-9", "answers": ANSWERS}]}
    path = f"/v1/patients/{twice.one}/check-ins"
    first = device.post(path, old).json()
    merge(api, twice.one, twice.two)
    posted = device.post(path, {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": ANSWERS}]})
    assert (posted.status_code, posted.json()["patient_id"]) == (201, twice.two)
    again = device.post(path, old)
    assert (again.status_code, again.json()["id"], again.json()["status"], again.json()["scores"]) == (
        200, first["id"], "moved", [],
    )  # fmt: skip
    item = {"patient_id": twice.one, "taken_at": days_ago(0.5), "responses": [{"instrument": "nrs-pain", "score": 2}]}
    [result] = device.post("/v1/check-ins/batch", {"items": [item]}).json()["results"]
    assert (result["http_status"], result["check_in"]["patient_id"]) == (201, twice.two)
    refused = device.post(path, {"taken_at": "x", "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]})
    assert (refused.status_code, bool(refused.json()["notice"])) == (422, True)
    assert {a["patient_id"] for a in api.get("/v1/alerts", params={"state": "open"}).json()["items"]} == {twice.two}
    assert device.get("/v1/me").json()["patient_id"] == twice.two
    gone = device.get(path)
    assert (gone.status_code, gone.json()["into"]) == (410, twice.two)
    assert device.get(f"/v1/patients/{twice.two}/check-ins").status_code == 200
    assert len(api.get(f"/v1/patients/{twice.two}/devices").json()["items"]) == 1
    assert new_device(api, twice.two).get(path).status_code == 404


def test_nobody_is_counted_twice(api: Api, twice: Twice) -> None:
    def responders(**params: Any) -> int:
        answer = api.get("/v1/cohorts/durability", params={"instrument": "phq-9", **params})
        return int(answer.json()["groups"][0]["responders"])

    def lines() -> int:
        return len(api.get("/v1/exports/scores.ndjson").text.splitlines())

    assert (responders(), lines()) == (2, 4)
    merge(api, twice.one, twice.two)
    assert (responders(), lines()) == (1, 3)
    assert responders(known_at=twice.before) == 2
    rows = api.get("/v1/worklist").json()["items"]
    assert {row["patient"]["id"] for row in rows} == {twice.two}


def test_alerts_go_on_with_what_was_done_about_them(api: Api, twice: Twice) -> None:
    def flag(patient: str, days: float) -> dict[str, Any]:
        form = {
            "taken_at": days_ago(days),
            "responses": [{"instrument": "qids-sr16", "answers": [0] * 11 + [2] + [0] * 4}],
        }
        found: dict[str, Any] = api.post(f"/v1/patients/{patient}/check-ins", form).json()["alerts"][0]
        return found

    done, waits = flag(twice.one, 2), flag(twice.one, 1)
    api.post(f"/v1/alerts/{done['id']}/acknowledgement", {"disposition": "contacted"})
    for patient in (twice.one, twice.two):
        api.post(
            f"/v1/patients/{patient}/check-ins", {"responses": [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]}
        )
    merge(api, twice.one, twice.two)
    found = {a["id"]: a for a in api.get("/v1/alerts").json()["items"]}
    assert {a["patient_id"] for a in found.values()} == {twice.two}
    assert (found[done["id"]]["state"], found[waits["id"]]["state"]) == ("acknowledged", "open"), "no flood of mails"
    refused = sorted((a["state"], a["repeats"]) for a in found.values() if a["score_refused"])
    assert refused == [("open", 0), ("withdrawn", 0)]


def test_backfill_adds_nothing_after_moves_and_merges(api: Api, database: Database) -> None:
    one, two, third = api.patient(), api.patient(), api.patient()
    form = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": ANSWERS}]}
    severe = [{"effect": "hypertension", "severity": "severe"}]
    for patient in (one, two):
        check_in = api.post(f"/v1/patients/{patient}/check-ins", form).json()
        session = api.session(patient, days_ago(2), side_effects=severe)
    body, headers = {"to_patient_id": third, "reason": "hers"}, {"If-Match": '"1"'}
    assert api.post(f"/v1/patients/{two}/check-ins/{check_in['id']}/move", body, headers=headers).status_code == 201
    assert api.post(f"/v1/patients/{two}/sessions/{session['id']}/move", body, headers=headers).status_code == 201
    assert merge(api, one, third).status_code == 409, "two sessions overlap"
    assert merge(api, one, two).status_code == 201
    before = api.get("/v1/alerts").json()
    assert backfilling.backfill(database, api.clinic_id) == 0
    assert api.get("/v1/alerts").json() == before


def test_an_answer_that_both_hold_has_one_alert(api: Api) -> None:
    one, two = api.patient(), api.patient()
    form = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": ANSWERS}]}
    severe, at = [{"effect": "hypertension", "severity": "severe"}], days_ago(2)
    for patient in (one, two):
        api.post(f"/v1/patients/{patient}/check-ins", form)
        api.session(patient, at, side_effects=severe)
    assert merge(api, one, two).status_code == 201
    found = [(a["kind"], a["patient_id"]) for a in api.get("/v1/alerts", params={"state": "open"}).json()["items"]]
    assert found == [("self_harm_item", two), ("severe_side_effect", two)]


def test_a_loss_that_both_hold_has_one_alert(api: Api) -> None:
    one, two = api.patient(), api.patient()
    at = {days: days_ago(days) for days in (91, 90, 60, 9, 1)}
    for patient in (one, two):
        api.check_in(patient, at[91], "gad-7", 16)
        api.session(patient, at[90])
        for days, score in ((60, 5), (9, 12)):
            api.check_in(patient, at[days], "gad-7", score)
    api.check_in(one, at[1], "gad-7", 13)
    [alert] = api.get("/v1/alerts").json()["items"]
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    assert merge(api, one, two).status_code == 201
    [now] = api.get("/v1/alerts").json()["items"]
    assert (now["id"], now["patient_id"], now["state"], now["onset_on"]) == (
        alert["id"], two, "acknowledged", alert["onset_on"],
    )  # fmt: skip


def test_undo_returns_what_the_merge_moved_as_it_now_stands(api: Api, twice: Twice) -> None:
    device = new_device(api, twice.one)
    done = merge(api, twice.one, twice.two).json()
    path = f"/v1/patients/{twice.two}/check-ins"
    moved = done["check_ins"][0]["to_id"]
    amendment = {"reason": "typo", "responses": [{"instrument": "phq-9", "score": 4}]}
    assert api.post(f"{path}/{moved}/amendments", amendment, headers={"If-Match": '"1"'}).status_code == 201
    since = device.post(
        path, {"taken_at": days_ago(1), "responses": [{"instrument": "gad-7", "answers": [1] * 7}]}
    ).json()
    assert undo(api, twice.one, 9).status_code == 412
    answer = undo(api, twice.one)
    assert answer.status_code == 201, answer.text
    back = answer.json()
    assert (back["out_of"], back["version"]) == (twice.two, 3)
    assert back["check_ins"] == [{"from_id": moved, "to_id": twice.mine["id"]}]
    assert back["stayed_check_ins"] == [since["id"]]
    assert back["stayed_sessions"] == []
    mine = api.get(f"/v1/patients/{twice.one}/check-ins/{twice.mine['id']}").json()
    assert (mine["status"], mine["version"], mine["scores"][0]["value"], mine["moved_to"]) == ("recorded", 3, 4, None)
    assert api.get(f"{path}/{moved}").json()["status"] == "moved"
    assert api.track(twice.one, "phq-9")["episode"]["sessions"] == 2
    assert api.track(twice.two, "phq-9")["episode"]["sessions"] == 1
    assert device.get("/v1/me").json()["patient_id"] == twice.one
    [found] = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"]
    assert (found["id"], found["aliases"]) == (twice.one, [])
    assert undo(api, twice.one, 3).status_code == 422
    assert merge(api, twice.one, twice.two).status_code == 201, "and may be merged again"
    assert undo(api, twice.one, 4).status_code == 201


def test_a_score_that_stayed_behind_returns_with_its_check_in(api: Api, twice: Twice) -> None:
    for patient in (twice.one, twice.two):
        api.check_in(patient, twice.at[30], "gad-7", 9)
    path = f"/v1/patients/{twice.one}/check-ins"
    both = {
        "taken_at": twice.at[10],
        "responses": [{"instrument": "phq-9", "score": 8}, {"instrument": "nrs-pain", "score": 3}],
    }
    held = api.post(path, both).json()
    merge(api, twice.one, twice.two)
    undo(api, twice.one)
    assert [s["instrument"] for s in api.get(f"{path}/{held['id']}").json()["scores"]] == ["nrs-pain", "phq-9"]
    assert api.track(twice.one, "phq-9")["latest"]["value"] == 8


def test_only_administrators_merge_and_both_are_of_the_clinic(server: TestClient, api: Api, twice: Twice) -> None:
    clinician = new_person(server, api.clinic_id, "clinician")
    assert merge(clinician, twice.one, twice.two).status_code == 403
    assert merge(api, twice.one, twice.one).json()["errors"][0]["pointer"] == "/into"
    nobody = "0198e0c4-0000-7000-8000-000000000000"
    assert merge(api, twice.one, nobody).json()["code"] == "reference_not_found"
    assert merge(api, nobody, twice.two).status_code == 404
    merge(api, twice.one, twice.two)
    assert merge(api, twice.one, twice.two).status_code == 410
    third = api.patient()
    assert merge(api, third, twice.one).json()["code"] == "reference_not_found"


def test_a_chain_of_merges_leads_to_the_last(api: Api, twice: Twice) -> None:
    third, device = api.patient(external_id="MRN-3"), new_device(api, twice.one)
    assert merge(api, twice.one, twice.two).status_code == 201
    assert merge(api, twice.two, third).status_code == 201
    [found] = api.post("/v1/patients/search", {"external_id": "MRN-1"}).json()["items"]
    assert (found["id"], found["aliases"]) == (third, ["MRN-1", "MRN-2"])
    posted = device.post(
        f"/v1/patients/{twice.one}/check-ins",
        {"taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 1}]},
    )
    assert (posted.status_code, posted.json()["patient_id"]) == (201, third)
    assert api.get(f"/v1/patients/{twice.one}").json()["into"] == third
    assert api.get(f"/v1/patients/{twice.one}/relief").json()["into"] == third
    refused = undo(api, twice.one)
    assert (refused.status_code, refused.json()["into"]) == (410, third)
    erased = api.post(f"/v1/patients/{third}/erasure", {"reason": "asked", "external_id": "mrn-3"})
    assert erased.status_code == 200, erased.text
    for external_id in ("MRN-1", "MRN-2", "MRN-3"):
        assert api.post("/v1/patients/search", {"external_id": external_id}).json()["items"] == []
    assert device.get("/v1/me").status_code == 401


def test_a_merge_is_a_version_with_who_and_why(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    last = api.get(f"/v1/patients/{twice.two}/versions").json()["items"][-1]
    assert (last["version"], last["reason"], last["changed"]) == (2, "registered twice", ["aliases"])
    undo(api, twice.one)
    for patient, field in ((twice.one, "merged_into"), (twice.two, "aliases")):
        last = api.get(f"/v1/patients/{patient}/versions").json()["items"][-1]
        assert (last["version"], last["reason"], last["changed"]) == (3, "they are twins", [field])
        assert last["recorded_by"] == {"kind": "user", "id": str(api.caller_id)}


def test_a_stale_version_is_no_ground_for_a_merge(api: Api, twice: Twice) -> None:
    assert merge(api, twice.one, twice.two, headers={"If-Match": '"7"'}).status_code == 412
    assert merge(api, twice.one, twice.two, headers={"If-Match": '"1"'}).status_code == 201


def redeemed(api: Api, code: str) -> Api:
    body = {"code": code, "device_name": "phone"}
    answer = api.server.post("/v1/enrolments/redeem", json=body).json()
    return Api(api.server, answer["access_token"], api.clinic_id, UUID(answer["patient_id"]))


@pytest.mark.parametrize("when", ["before", "between", "after"])
def test_a_code_leads_to_whom_it_was_made_for(api: Api, twice: Twice, when: str) -> None:
    code = api.post(f"/v1/patients/{twice.one}/enrolments").json()["code"]
    device = redeemed(api, code) if when == "before" else None
    merge(api, twice.one, twice.two)
    if when == "between":
        device = redeemed(api, code)
        assert device.get("/v1/me").json()["patient_id"] == twice.two
        form = {"taken_at": days_ago(1), "responses": [{"instrument": "nrs-pain", "score": 1}]}
        assert device.post(f"/v1/patients/{twice.one}/check-ins", form).status_code == 201
    undo(api, twice.one)
    device = device or redeemed(api, code)
    assert device.get("/v1/me").json()["patient_id"] == twice.one
    assert device.get(f"/v1/patients/{twice.one}/check-ins").status_code == 200
    assert device.get(f"/v1/patients/{twice.two}/check-ins").status_code == 404


def test_undo_leaves_no_alert_of_the_others_scores(api: Api) -> None:
    one, two = api.patient(), api.patient()
    api.check_in(one, days_ago(1), "phq-9", 15)
    for days, score in ((90, 20), (80, 5), (8, 15)):
        api.check_in(two, days_ago(days), "phq-9", score)
    api.session(two, days_ago(89))
    merge(api, one, two)
    [alert] = api.get("/v1/alerts").json()["items"]
    assert (alert["kind"], alert["patient_id"]) == ("relief_lost", two)
    undo(api, one)
    [alert] = api.get("/v1/alerts").json()["items"]
    assert (alert["state"], alert["withdrawn_because"], alert["patient_id"]) == ("withdrawn", "merged", two)


def test_undo_gives_a_check_in_its_own_session_back(api: Api) -> None:
    one, two, at = api.patient(), api.patient(), days_ago(5)
    mine, theirs = api.session(one, at), api.session(two, at)
    linked = api.check_in(one, days_ago(4), "phq-9", 9, session_id=mine["id"])
    moved = merge(api, one, two).json()["check_ins"][0]["to_id"]
    assert api.get(f"/v1/patients/{two}/check-ins/{moved}").json()["session_id"] == theirs["id"]
    undo(api, one)
    assert api.get(f"/v1/patients/{one}/check-ins/{linked['id']}").json()["session_id"] == mine["id"]


def test_a_merge_into_somebody_who_has_died_ends_the_devices(api: Api, twice: Twice) -> None:
    device = new_device(api, twice.one)
    api.patch(f"/v1/patients/{twice.two}", {"care_status": "deceased", "reason": "told by the family"}, 1)
    assert merge(api, twice.one, twice.two).status_code == 201
    assert device.get("/v1/me").status_code == 401


def alerts_of(api: Api, *patients: str) -> list[tuple[Any, ...]]:
    """What is known of the alerts of these patients."""
    found = []
    for patient in patients:
        items = api.get("/v1/alerts", params={"patient_id": patient, "limit": 200}).json()["items"]
        found += [
            (a["id"], a["patient_id"], a["check_in_id"], a["session_id"], a["state"], a["late"], a["onset_on"],
             a["withdrawn_because"], len(a["acknowledgements"]))
            for a in items
        ]  # fmt: skip
    return sorted(found, key=str)


def test_merge_and_undo_leave_the_alerts_of_both_as_they_were(api: Api) -> None:
    one, two = api.patient(), api.patient()
    at = {days: days_ago(days) for days in (91, 90, 60, 9, 2, 1)}
    severe = [{"effect": "hypertension", "severity": "severe"}]
    for patient in (one, two):
        api.check_in(patient, at[91], "gad-7", 16)
        api.session(patient, at[90], side_effects=severe)
        for days, score in ((60, 5), (9, 12), (1, 13)):
            api.check_in(patient, at[days], "gad-7", score)
        form = {"taken_at": at[2], "responses": [{"instrument": "phq-9", "answers": ANSWERS}]}
        assert api.post(f"/v1/patients/{patient}/check-ins", form).status_code == 201
        refused = {"responses": [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]}
        assert api.post(f"/v1/patients/{patient}/check-ins", refused).status_code == 422
    mixed = {"taken_at": days_ago(0.5), "responses": [
        {"instrument": "qids-sr16", "answers": [0] * 11 + [2] + [0] * 4}, {"instrument": "nrs-pain", "score": 6},
    ]}  # fmt: skip
    api.post(f"/v1/patients/{one}/check-ins", mixed)
    api.post(f"/v1/patients/{two}/check-ins", mixed | {"responses": mixed["responses"][1:]})
    gone = api.post(f"/v1/patients/{one}/check-ins", mixed | {"taken_at": days_ago(0.4)}).json()
    void = {"reason": "again", "void": True}
    assert (
        api.post(f"/v1/patients/{one}/check-ins/{gone['id']}/amendments", void, headers={"If-Match": '"1"'}).status_code
        == 201
    )
    acknowledged = alerts_of(api, one)[0][0]
    api.post(f"/v1/alerts/{acknowledged}/acknowledgement", {"disposition": "contacted"})
    before = alerts_of(api, one, two)
    assert len(before) == 10
    assert merge(api, one, two).status_code == 201
    assert {alert[1] for alert in alerts_of(api, one, two)} == {two}
    assert undo(api, one).status_code == 201
    assert alerts_of(api, one, two) == before


def test_an_alert_of_a_check_in_that_moves_in_part_goes_with_its_answer(api: Api) -> None:
    one, two, at = api.patient(), api.patient(), days_ago(1)
    pain = {"instrument": "nrs-pain", "score": 6}
    both = {"taken_at": at, "responses": [{"instrument": "phq-9", "answers": ANSWERS}, pain]}
    [alert] = api.post(f"/v1/patients/{one}/check-ins", both).json()["alerts"]
    api.post(f"/v1/patients/{two}/check-ins", {"taken_at": at, "responses": [pain]})
    done = merge(api, one, two).json()
    [now] = api.get("/v1/alerts").json()["items"]
    assert (now["id"], now["check_in_id"]) == (alert["id"], done["check_ins"][0]["to_id"])


def test_a_session_that_both_hold_stays_behind_beside_one_entered_in_error(api: Api) -> None:
    one, two, at = api.patient(), api.patient(), days_ago(5)
    for patient in (one, two):
        api.session(patient, at)
    api.session(two, at, status="entered_in_error")
    assert merge(api, one, two).status_code == 201


def test_a_record_is_not_merged_into_one_that_is_entered_in_error(api: Api, twice: Twice) -> None:
    api.patch(f"/v1/patients/{twice.two}", {"care_status": "entered_in_error", "reason": "a test"}, 1)
    refused = merge(api, twice.one, twice.two)
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/into")


def test_an_amendment_after_a_merge_makes_no_old_news(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = api.patient(), api.patient()
    api.check_in(one, days_ago(91), "gad-7", 16)
    api.session(one, days_ago(90))
    for days, score in ((60, 5), (9, 12)):
        api.check_in(one, days_ago(days), "gad-7", score)
    said = [{"instrument": "gad-7", "score": 13}, {"instrument": "nrs-pain", "score": 4}]
    api.post(f"/v1/patients/{one}/check-ins", {"taken_at": days_ago(1), "responses": said})
    # As if all that follows came days later: what was recorded in time would not be by now.
    monkeypatch.setattr(policies, "LATE_AFTER", timedelta(hours=12))
    moved = merge(api, one, two).json()["check_ins"][-1]["to_id"]
    body = {"reason": "typo", "responses": [{"instrument": "nrs-pain", "score": 5}]}
    path = f"/v1/patients/{two}/check-ins/{moved}/amendments"
    assert api.post(path, body, headers={"If-Match": '"1"'}).status_code == 201
    assert [(a["kind"], a["late"], a["state"]) for a in api.get("/v1/alerts").json()["items"]] == [
        ("relief_lost", False, "open")
    ]


def test_a_form_for_a_merged_record_raises_its_alert_for_the_one_that_goes_on(api: Api, twice: Twice) -> None:
    merge(api, twice.one, twice.two)
    form = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]}
    gone = api.post(f"/v1/patients/{twice.one}/check-ins", form)
    assert (gone.status_code, bool(gone.json()["notice"])) == (410, True)
    [alert] = api.get("/v1/alerts", params={"priority": "urgent"}).json()["items"]
    assert (alert["patient_id"], alert["score_refused"]) == (twice.two, True)


ALARMING = [{"instrument": "phq-9", "answers": [0] * 8 + [3]}]


def refuse(api: Api, patient: str, item: int = 3) -> None:
    form = {"responses": [{"instrument": "phq-9", "answers": [0] * 8 + [item]}]}
    assert api.post(f"/v1/patients/{patient}/check-ins", form).status_code == 422


def open_of(api: Api, patient: str) -> list[tuple[Any, ...]]:
    items = api.get("/v1/alerts", params={"patient_id": patient, "state": "open"}).json()["items"]
    return sorted((a["priority"], a["score_refused"], a["repeats"], bool(a["check_in_id"])) for a in items)


def version_of(api: Api, patient: str) -> int:
    """Of a merged record, as its 410 tells it."""
    return int(api.get(f"/v1/patients/{patient}").headers["etag"].strip('"'))


@pytest.mark.parametrize("order", ["chain", "first in, first out", "last in, first out"])
@pytest.mark.parametrize("acknowledged", [None, 0, 1])
@pytest.mark.parametrize("refused", [True, False])
def test_two_merges_undone_in_any_order_leave_every_alert_where_it_was(
    api: Api, order: str, acknowledged: int | None, refused: bool
) -> None:
    one, two, third, at = api.patient(), api.patient(), api.patient(), days_ago(1)
    for patient in (one, two):
        api.post(f"/v1/patients/{patient}/check-ins", {"taken_at": at, "responses": ALARMING})
        if refused:
            refuse(api, patient)
    if acknowledged is not None:
        [first, *_] = api.get("/v1/alerts", params={"patient_id": (one, two)[acknowledged]}).json()["items"]
        api.post(f"/v1/alerts/{first['id']}/acknowledgement", {"disposition": "contacted"})
    before = alerts_of(api, one, two, third)
    orders: dict[str, list[tuple[str, str] | str]] = {
        "chain": [(one, two), (two, third), two, one],
        "first in, first out": [(one, third), (two, third), one, two],
        "last in, first out": [(one, third), (two, third), two, one],
    }
    for step in orders[order]:
        if isinstance(step, tuple):
            assert merge(api, *step).status_code == 201
        else:
            assert undo(api, step, version_of(api, step)).status_code == 201
    assert alerts_of(api, one, two, third) == before


def test_what_became_of_a_refused_forms_alert_during_a_merge_stays_with_whose_it_is(api: Api) -> None:
    one, two = api.patient(), api.patient()
    refuse(api, one)
    merge(api, one, two)
    api.post(f"/v1/patients/{two}/check-ins", {"taken_at": days_ago(0.01), "responses": ALARMING})
    assert open_of(api, two) == [("urgent", False, 0, True)]
    undo(api, one)
    assert open_of(api, one) == [("urgent", True, 0, False)]
    assert open_of(api, two) == [("urgent", False, 0, True)]


def test_a_form_that_is_refused_during_a_merge_is_the_survivors(api: Api) -> None:
    one, two = api.patient(), api.patient()
    refuse(api, one, 1)
    merge(api, one, two)
    refuse(api, two)
    refuse(api, two)
    assert open_of(api, two) == [("urgent", True, 2, False)]
    undo(api, one)
    assert open_of(api, one) == [("high", True, 0, False)]
    assert open_of(api, two) == [("urgent", True, 1, False)]


def test_refused_forms_of_both_are_told_apart_again(api: Api) -> None:
    one, two = api.patient(), api.patient()
    refuse(api, one)
    refuse(api, one)
    refuse(api, two, 1)
    merge(api, one, two)
    assert open_of(api, two) == [("urgent", True, 1, False)], "the one that says most"
    undo(api, one)
    assert open_of(api, one) == [("urgent", True, 1, False)]
    assert open_of(api, two) == [("high", True, 0, False)]


def test_a_refused_form_that_was_looked_after_during_a_merge_leaves_the_other_records_own_open(api: Api) -> None:
    one, two, third = api.patient(), api.patient(), api.patient()
    refuse(api, one)
    refuse(api, two, 1)
    refuse(api, third, 1)
    merge(api, one, two)
    [alert] = api.get("/v1/alerts", params={"state": "open", "patient_id": two}).json()["items"]
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted"})
    merge(api, third, two)
    undo(api, third, version_of(api, third))
    assert (open_of(api, two), open_of(api, third)) == ([], [("high", True, 0, False)])
    undo(api, one, version_of(api, one))
    assert (open_of(api, one), open_of(api, two)) == ([], [("high", True, 0, False)])


def test_a_devices_correction_at_the_old_address_raises_its_alert(api: Api) -> None:
    one, two = api.patient(), api.patient()
    device, path = new_device(api, one), f"/v1/patients/{one}/check-ins"
    calm = {"taken_at": days_ago(0.01), "responses": [{"instrument": "phq-9", "answers": [0] * 9}]}
    held = device.post(path, calm).json()
    merge(api, one, two)
    body = {"reason": "worse", "responses": ALARMING}
    gone = device.post(f"{path}/{held['id']}/amendments", body, headers={"If-Match": '"1"'})
    assert (gone.status_code, bool(gone.json()["notice"])) == (410, True)
    assert open_of(api, two) == [("urgent", True, 0, False)]


@pytest.mark.parametrize("status", ["deceased", "discharged"])
def test_a_code_for_a_record_that_goes_on_in_one_that_ended_is_void(api: Api, twice: Twice, status: str) -> None:
    code = api.post(f"/v1/patients/{twice.one}/enrolments").json()["code"]
    api.patch(f"/v1/patients/{twice.two}", {"care_status": status, "reason": "told by the family"}, 1)
    merge(api, twice.one, twice.two)
    answer = api.server.post("/v1/enrolments/redeem", json={"code": code, "device_name": "phone"})
    assert answer.status_code == 401
