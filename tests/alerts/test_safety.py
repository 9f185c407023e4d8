"""Safety never depends on a form being accepted: answers complete totals, refused forms raise alerts, a slow clock
makes nothing late, and what was not answered is unknown."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from app import clock
from tests.conftest import Api, days_ago, new_clinic, new_device

NINTH = [2, 1, 1, 1, 1, 1, 0, 0, 3]  # 10 in all


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient()


@pytest.fixture
def path(patient: str) -> str:
    return f"/v1/patients/{patient}/check-ins"


def phq(answers: Any = None, **more: Any) -> dict[str, Any]:
    return {"instrument": "phq-9", **({} if answers is None else {"answers": answers}), **more}


PAIN = {"instrument": "nrs-pain", "score": 6}


def alerts(api: Api, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/alerts", params=params).json()["items"]
    return found


# Answers that complete a total.


def test_answers_that_add_up_to_a_standing_total_complete_it_and_raise_the_alert(
    api: Api, patient: str, path: str
) -> None:
    session = api.session(patient, days_ago(2))
    at = days_ago(1)
    total = {"taken_at": at, "session_id": session["id"], "responses": [phq(score=10)]}
    first = api.post(path, total).json()
    device = new_device(api, patient)
    done = device.post(path, {"taken_at": at, "responses": [phq(NINTH), PAIN]})
    assert done.status_code == 201, done.text
    assert [score["instrument"] for score in done.json()["scores"]] == ["nrs-pain"]
    assert done.json()["completed"] == [{"instrument": "phq-9", "check_in_id": first["id"]}]
    assert done.json()["notice"]["crisis_contacts"]
    whole = api.get(f"{path}/{first['id']}").json()
    assert (whole["version"], whole["reason"], whole["session_id"], whole["taken_at"]) == (
        2, "completed", session["id"], first["taken_at"],
    )  # fmt: skip
    assert whole["recorded_by"]["kind"] == "device"
    assert (whole["scores"][0]["answers"], whole["scores"][0]["self_harm_item"]) == (NINTH, 3)
    [alert] = alerts(api)
    assert (alert["check_in_id"], alert["priority"], alert["late"], alert["amended_at"]) == (
        first["id"], "urgent", False, None,
    )  # fmt: skip
    assert api.track(patient, "phq-9")["latest"]["value"] == 10
    again = device.post(path, {"taken_at": at, "responses": [phq(NINTH), PAIN]})
    assert again.status_code == 200
    assert len(alerts(api)) == 1


def test_where_nothing_else_is_new_the_completed_check_in_is_shown(api: Api, path: str) -> None:
    at = days_ago(1)
    first = api.post(path, {"taken_at": at, "responses": [phq(score=10), PAIN]}).json()
    done = api.post(path, {"taken_at": at, "responses": [phq(NINTH)]})
    assert (done.status_code, done.json()["id"], done.json()["version"]) == (200, first["id"], 2)
    assert [alert["priority"] for alert in done.json()["alerts"]] == ["urgent"]
    assert done.json()["notice"]["crisis_contacts"]
    assert [s["instrument"] for s in done.json()["scores"]] == ["phq-9", "nrs-pain"], "the rest of it stays"


def test_a_completed_answer_still_counts_before_its_infusion(api: Api, patient: str, path: str) -> None:
    api.session(patient, "2025-01-06T10:00:00-05:00")
    at = "2025-01-06T10:20:00-05:00"
    api.post(path, {"taken_at": at, "before_infusion": True, "responses": [phq(score=10)]})
    assert api.post(path, {"taken_at": at, "responses": [phq(NINTH)]}).status_code == 200
    api.check_in(patient, "2025-01-08T09:00:00-05:00", "phq-9", 4)
    assert api.track(patient, "phq-9", as_of="2025-01-08")["baseline"]["value"] == 10


def test_answers_with_another_sum_are_refused_and_their_alert_is_raised(api: Api, path: str) -> None:
    at = days_ago(1)
    api.post(path, {"taken_at": at, "responses": [phq(score=11)]})
    refused = api.post(path, {"taken_at": at, "responses": [phq(NINTH), PAIN]})
    assert (refused.status_code, refused.json()["code"]) == (409, "already_recorded")
    assert refused.json()["notice"]["crisis_contacts"]
    [alert] = alerts(api)
    assert (alert["score_refused"], alert["priority"], alert["check_in_id"]) == (True, "urgent", None)


@pytest.mark.parametrize("together", [True, False])
def test_a_batch_completes_too(api: Api, patient: str, path: str, together: bool) -> None:
    at = days_ago(1)
    items = [
        {"patient_id": patient, "taken_at": at, "responses": [phq(score=10)]},
        {"patient_id": patient, "taken_at": at, "responses": [phq(NINTH), PAIN]},
    ]
    results = []
    for some in [items] if together else [[item] for item in items]:
        results += api.post("/v1/check-ins/batch", {"items": some}).json()["results"]
    assert [r["http_status"] for r in results] == [201, 201], results
    assert [c["instrument"] for c in results[1]["check_in"]["completed"]] == ["phq-9"]
    assert api.get(f"{path}/{results[0]['check_in']['id']}").json()["scores"][0]["answers"] == NINTH
    assert [alert["priority"] for alert in alerts(api)] == ["urgent"]


# Refused forms.

REFUSED = {
    "eight answers": (phq(NINTH[:8]), 422, None),
    "ten answers": (phq([*NINTH, 0]), 422, 1),
    "an answer out of range": (phq([9, *NINTH[1:]]), 422, 1),
    "the item out of range": (phq([*NINTH[:8], 4]), 422, None),
    "the item as text": (phq([*NINTH[:8], "3"]), 422, None),
    "the item true": (phq([*NINTH[:8], True]), 422, None),
    "the item as a float": (phq([*NINTH[:8], 3.0]), 422, None),
    "a score that differs": (phq(NINTH, score=11), 422, 1),
    "an unknown field": (phq(NINTH, surprise=1), 422, 1),
    "below the line": (phq([9, *NINTH[1:8], 0]), 422, None),
    "another instrument": ({"instrument": "gad-7", "answers": [3] * 9}, 422, None),
}


@pytest.mark.parametrize(("response", "status", "raised"), REFUSED.values(), ids=list(REFUSED))
def test_a_refused_form_raises_the_alert_of_its_answer(
    api: Api, patient: str, path: str, response: dict[str, Any], status: int, raised: int | None
) -> None:
    form = {"taken_at": days_ago(0.01), "responses": [response]}
    alone = api.post(path, form).json()
    batch = api.post("/v1/check-ins/batch", {"items": [{**form, "patient_id": patient}]}).json()
    for problem in (alone, batch["results"][0]["problem"]):
        assert problem["status"] == status
        assert ("notice" in problem) == bool(raised), problem
    found = alerts(api)
    assert [(a["priority"], a["score_refused"], a["repeats"]) for a in found] == (
        [("urgent", True, 1)] if raised else []
    )
    assert api.get(path).json()["items"] == [], "the score is refused"


def test_every_refusal_of_a_form_is_read(api: Api, patient: str, path: str) -> None:
    ahead = (clock.now() + timedelta(days=2)).isoformat()
    good = {"taken_at": days_ago(1), "responses": [phq(NINTH)]}
    forms: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (good | {"taken_at": ahead}, {}),
        (good | {"taken_at": "yesterday"}, {}),
        ({"responses": good["responses"]}, {}),
        (good | {"session_id": str(uuid4())}, {}),
        (good | {"surprise": 1}, {}),
        (good, {"params": {"nonsense": "1"}}),
        (good, {"headers": {"Idempotency-Key": "no blanks"}}),
        (good | {"responses": [phq(NINTH), phq(NINTH)]}, {}),
        (good | {"responses": [phq(NINTH), {"instrument": "phq-99", "score": 1}]}, {}),
    ]
    for n, (form, more) in enumerate(forms):
        answer = api.post(path, form, **more)
        assert answer.status_code == 422, (n, answer.text)
        assert answer.json()["notice"], n
        [alert] = alerts(api)
        assert (alert["repeats"], alert["late"]) == (n, False), "an instant that cannot be counts as arrival"
    raw = '{"taken_at": NaN, "responses": [{"instrument": "phq-9", "answers": [0,0,0,0,0,0,0,0,3]}]}'
    answer = api.request("POST", path, content=raw.encode(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, bool(answer.json().get("notice"))) == (422, True)
    assert alerts(api)[0]["repeats"] == len(forms)
    twice = '{"taken_at": 1, "responses": [{"instrument": "phq-9", "answers": %s, "answers": %s}]}'
    alarming, calm = "[0,0,0,0,0,0,0,0,3]", "[0,0,0,0,0,0,0,0,0]"
    for text, media in (
        (twice % (alarming, calm), "application/json"), (twice % (calm, alarming), "application/json"),
        ("\ufeff" + raw, "application/json"), (raw, "text/plain"),
    ):  # fmt: skip
        refused = api.request("POST", path, content=text.encode(), headers={"Content-Type": media})
        assert (refused.status_code in (415, 422), bool(refused.json().get("notice"))) == (True, True), text
    assert "3" not in str(answer.json()["errors"])


def test_the_attempt_is_audited_with_its_patient(api: Api, patient: str, path: str) -> None:
    api.post(path, {"taken_at": days_ago(1), "responses": [phq([9, *NINTH[1:]])]})
    [event] = [e for e in api.get("/v1/audit-events").json()["items"] if e["operation"] == "record_check_in"]
    assert (event["outcome"], event["patient_ids"]) == ("refused", [])
    assert api.get("/v1/audit-events", params={"patient_id": patient}).json()["items"]


def test_only_who_may_record_for_the_patient_raises_one(server: TestClient, api: Api, patient: str, path: str) -> None:
    form = {"taken_at": days_ago(1), "responses": [phq([9, *NINTH[1:]])]}
    stranger, other = new_clinic(server), new_device(api, api.patient())
    assert "notice" not in stranger.post(path, form).json()
    assert other.post(path, form).status_code == 404
    for caller in (stranger, other):
        results = caller.post("/v1/check-ins/batch", {"items": [form | {"patient_id": patient}]}).json()["results"]
        assert "notice" not in results[0]["problem"]
    assert alerts(api) == []
    assert stranger.get("/v1/alerts").json()["items"] == []


def test_one_alert_counts_repeats_rises_and_is_taken_over_by_an_accepted_score(
    api: Api, patient: str, path: str
) -> None:
    def refuse(item: int) -> None:
        form = {"taken_at": days_ago(0.01), "responses": [phq([9, *NINTH[1:8], item])]}
        assert api.post(path, form).status_code == 422

    refuse(1)
    refuse(1)
    [alert] = alerts(api)
    assert (alert["priority"], alert["repeats"]) == ("high", 1)
    refuse(3)
    refuse(1)
    [alert] = alerts(api)
    assert (alert["priority"], alert["repeats"]) == ("urgent", 3), "it rises, and never falls"
    taken = api.post(path, {"taken_at": days_ago(0.001), "responses": [phq(NINTH)]}).json()
    [now] = alerts(api)
    assert (now["id"], now["check_in_id"], now["score_refused"]) == (alert["id"], taken["id"], False)
    assert [a["id"] for a in taken["alerts"]] == [alert["id"]]


def test_a_milder_or_older_score_does_not_take_it_over(api: Api, patient: str, path: str) -> None:
    api.post(path, {"taken_at": days_ago(0.01), "responses": [phq([9, *NINTH[1:]])]})
    api.post(path, {"taken_at": days_ago(0.005), "responses": [phq([0] * 8 + [1])]})
    api.post(path, {"taken_at": days_ago(200), "responses": [phq(NINTH)]})
    assert [(a["priority"], a["late"], a["score_refused"]) for a in alerts(api)] == [
        ("urgent", False, True), ("urgent", True, False), ("high", False, False),
    ]  # fmt: skip


def test_an_instrument_that_a_clinician_rates_raises_it_too(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    refused = device.post(
        path, {"taken_at": days_ago(1), "responses": [{"instrument": "madrs", "answers": [0] * 9 + [5]}]}
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "rater_not_allowed")
    assert refused.json()["notice"]
    assert [(a["instrument"], a["priority"]) for a in alerts(api)] == [("madrs", "urgent")]


def test_a_total_that_cannot_be_without_the_item_counts_where_it_is_refused(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    for score, raised in ((24, 0), (28, 0), (26, 1)):
        refused = device.post(path, {"taken_at": days_ago(1), "responses": [phq(score=score)]})
        assert refused.status_code == 422
        assert len(alerts(api)) == raised


def test_a_refused_amendment_raises_it(api: Api, patient: str, path: str) -> None:
    first = api.post(path, {"taken_at": days_ago(1), "responses": [phq([0] * 9)]}).json()
    body = {"reason": "typed wrong", "responses": [phq([9, *NINTH[1:]])]}
    refused = api.post(f"{path}/{first['id']}/amendments", body, headers={"If-Match": '"1"'})
    assert (refused.status_code, bool(refused.json()["notice"])) == (422, True)
    [alert] = alerts(api)
    assert alert["taken_at"] == first["taken_at"]


@pytest.mark.parametrize(
    ("stood", "said", "raised"), [(1, 1, 0), (2, 2, 0), (3, 2, 0), (2, 3, 1), (1, 3, 1), (0, 1, 1)]
)
def test_a_refused_amendment_repeats_no_alarm_and_hides_none(
    api: Api, patient: str, path: str, stood: int, said: int, raised: int
) -> None:
    first = api.post(path, {"taken_at": days_ago(1), "responses": [phq([0] * 8 + [stood])]}).json()
    for alert in alerts(api):
        api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "contacted", "note": ""})
    body = {"reason": "typed wrong", "responses": [phq([9, *[0] * 7, said])]}
    refused = api.post(f"{path}/{first['id']}/amendments", body, headers={"If-Match": '"1"'})
    assert (refused.status_code, bool(refused.json()["notice"])) == (422, True)
    assert len([alert for alert in alerts(api) if alert["state"] == "open"]) == raised


def test_a_refused_amendment_makes_a_late_alarm_timely(api: Api, patient: str, path: str) -> None:
    late = {"taken_at": days_ago(300), "responses": [phq([0] * 8 + [3])]}
    first = api.post(path, late).json()
    assert [alert["late"] for alert in alerts(api)] == [True]
    body = {"reason": "the wrong year", "taken_at": days_ago(1), "responses": [phq([9, *[0] * 7, 3])]}
    assert api.post(f"{path}/{first['id']}/amendments", body, headers={"If-Match": '"1"'}).status_code == 422
    assert sorted(alert["late"] for alert in alerts(api)) == [False, True]


# Late.


@pytest.mark.parametrize(("sent", "late"), [(None, False), ("slow", False), ("right", True)])
def test_a_patients_urgent_answer_is_late_only_where_the_clock_shows_it(
    api: Api, patient: str, path: str, sent: str | None, late: bool
) -> None:
    device, at = new_device(api, patient), days_ago(4)
    form: dict[str, Any] = {"taken_at": at, "responses": [phq(NINTH)]}
    if sent is not None:
        form["sent_at"] = at if sent == "slow" else clock.now().isoformat()
    assert device.post(path, form).status_code == 201
    assert [(a["priority"], a["late"]) for a in alerts(api)] == [("urgent", late)]


def test_what_is_not_urgent_or_not_from_a_patient_is_late_as_before(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    device.post(path, {"taken_at": days_ago(4), "responses": [phq([0] * 8 + [1])]})
    api.post(path, {"taken_at": days_ago(5), "responses": [phq(NINTH)]})
    assert [(a["priority"], a["late"]) for a in alerts(api)] == [("urgent", True), ("high", True)]


# Not answered.


def test_an_unanswered_item_is_kept_and_shown_and_is_no_reading(api: Api, patient: str, path: str) -> None:
    api.check_in(patient, days_ago(40), "phq-9", 20)
    api.session(patient, days_ago(39))
    api.check_in(patient, days_ago(10), "phq-9", 8)
    before = api.track(patient, "phq-9")
    assert before["latest_incomplete_on"] is None
    answer = api.post(path, {"taken_at": days_ago(1), "responses": [phq([None, *NINTH[1:]], score=10), PAIN]})
    assert answer.status_code == 201, answer.text
    score = answer.json()["scores"][0]
    assert (score["value"], score["complete"], score["severity"], score["self_harm_item"]) == (None, False, None, 3)
    assert score["answers"] == [None, *NINTH[1:]]
    assert answer.json()["scores_dropped"] == ["phq-9"]
    assert [a["priority"] for a in answer.json()["alerts"]] == ["urgent"], "a known item alerts as ever"
    track = api.track(patient, "phq-9")
    assert track["latest_incomplete_on"] is not None
    assert {k: v for k, v in track.items() if k != "latest_incomplete_on"} == {
        k: v for k, v in before.items() if k != "latest_incomplete_on"
    }
    asked_again = api.track(patient, "phq-9", known_at=clock.now().isoformat())
    assert asked_again == track
    assert api.track(patient, "phq-9", as_of=days_ago(5)[:10])["latest_incomplete_on"] is None
    lines = api.get("/v1/exports/scores.ndjson").text.splitlines()
    assert any('"score":null' in line and '"phq-9"' in line for line in lines)
    trend = api.get(f"/v1/patients/{patient}/trend", params={"instrument": "phq-9"}).json()
    assert [point["value"] for point in trend["points"]] == [20, 8]


def test_a_self_harm_item_that_was_left_out_is_unknown_until_the_next_known_one(
    api: Api, patient: str, path: str
) -> None:
    def unknown() -> Any:
        [row] = api.get("/v1/worklist", params={"domain": "mood"}).json()["items"]
        return row["self_harm_unknown_since"]

    first = api.post(path, {"taken_at": days_ago(3), "responses": [phq([0] * 8 + [None])]}).json()
    assert first["notice"]["crisis_contacts"]
    assert first["scores"][0]["self_harm_item"] is None
    api.post(path, {"taken_at": days_ago(2), "responses": [phq(score=4)]})
    assert unknown() == first["taken_at"]
    api.post(path, {"taken_at": days_ago(1), "responses": [phq([None] * 8 + [0])]})
    assert unknown() is None


def test_it_holds_its_place_and_more_items_complete_it(api: Api, patient: str, path: str) -> None:
    at = days_ago(1)

    def post(answers: Any) -> Any:
        return api.post(path, {"taken_at": at, "responses": [phq(answers)]})

    first = post([1, 1, None, None, 1, 1, 1, 1, None])
    assert first.status_code == 201
    for same in ([1, 1, None, None, 1, 1, 1, 1, None], [1, None, None, None, 1, 1, 1, 1, None], [None] * 9):
        again = post(same)
        assert (again.status_code, again.json()["already_recorded"][0]["check_in_id"]) == (200, first.json()["id"])
    assert post([2, 1, None, None, 1, 1, 1, 1, None]).status_code == 409
    assert api.post(path, {"taken_at": at, "responses": [phq(score=9)]}).status_code == 409
    more = post([1, 1, 1, None, 1, 1, 1, 1, None])
    assert (more.status_code, more.json()["version"], more.json()["scores"][0]["complete"]) == (200, 2, False)
    whole = post([1, 1, 1, 1, 1, 1, 1, 1, 2])
    assert (whole.status_code, whole.json()["version"], whole.json()["scores"][0]["value"]) == (200, 3, 10)
    assert [a["priority"] for a in whole.json()["alerts"]] == ["urgent"]
    assert post([1, 1, None, None, 1, 1, 1, 1, None]).status_code == 200, "the first one comes back from a queue"
    assert api.track(patient, "phq-9")["latest_incomplete_on"] is None


@pytest.mark.parametrize(("code", "answers"), [
    ("peg", [None, 5, 5]), ("phq-2", [None, 1]), ("gad-2", [1, None]), ("who-5", [1, 1, None, 1, 1]),
    ("promis-anxiety-4a", [None] * 4), ("qids-sr16", [0] * 5 + [None, None] + [0] * 9), ("pcl-5", [None] + [1] * 19),
])  # fmt: skip
def test_no_instrument_makes_an_exception(api: Api, path: str, code: str, answers: list[int | None]) -> None:
    answer = api.post(path, {"taken_at": days_ago(1), "responses": [{"instrument": code, "answers": answers}]})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["scores"][0]["value"], answer.json()["scores"][0]["complete"]) == (None, False)


def test_an_either_or_blank_is_no_unanswered_item(api: Api, path: str) -> None:
    answers = [1] * 5 + [None, 2] + [1, None] + [1] * 7
    answer = api.post(path, {"taken_at": days_ago(1), "responses": [{"instrument": "qids-sr16", "answers": answers}]})
    assert answer.json()["scores"][0]["complete"] is True


def test_a_form_that_is_not_permitted_any_more_raises_it_too(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    staffs = api.post(path, {"taken_at": days_ago(1), "responses": [phq([0] * 9)]}).json()
    correction = {"reason": "worse", "responses": [phq(NINTH)]}
    address = f"{path}/{staffs['id']}/amendments"
    for caller, match, status in ((device, '"1"', 403), (api, '"9"', 412), (api, "", 428)):
        answer = caller.post(address, correction, headers={"If-Match": match} if match else {})
        assert (answer.status_code, bool(answer.json()["notice"])) == (status, True), answer.text
    assert [(a["score_refused"], a["repeats"]) for a in alerts(api)] == [(True, 2)]


def test_the_notice_is_about_everything_that_was_posted(api: Api, path: str) -> None:
    at = days_ago(1)
    api.post(path, {"taken_at": at, "responses": [phq(NINTH)]})
    again = api.post(path, {"taken_at": at, "responses": [phq(NINTH), PAIN]})
    assert (again.status_code, [s["instrument"] for s in again.json()["scores"]]) == (201, ["nrs-pain"])
    assert again.json()["notice"]["crisis_contacts"]
