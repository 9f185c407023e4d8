"""Devices' clocks and queues: retries with a new `sent_at`, slow queues that look like slow clocks, and what comes back
after it was voided."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from app import clock
from app.checkins import amending
from tests.alerts.test_alerts import amend
from tests.conftest import Api, days_ago, new_client, new_device

PHQ_9 = [2, 2, 2, 2, 2, 2, 2, 0, 0]


@pytest.fixture
def patient(api: Api) -> str:
    return api.patient()


@pytest.fixture
def path(patient: str) -> str:
    return f"/v1/patients/{patient}/check-ins"


def pain(at: str, score: int = 6, **more: Any) -> dict[str, Any]:
    return {"taken_at": at, "responses": [{"instrument": "nrs-pain", "score": score}], **more}


def ago(**span: float) -> str:
    return (clock.now() - timedelta(**span)).isoformat()


# One key, a fresh `sent_at` at every try.


def test_a_retry_under_one_key_may_tell_another_sent_at(api: Api, path: str) -> None:
    posted = pain(days_ago(1))
    for again in (False, True):
        answer = api.post(path, posted | {"sent_at": clock.now().isoformat()}, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 201, answer.text
        assert ("idempotency-replayed" in answer.headers) == again


def test_in_a_batch_too_and_whatever_the_order_of_names(api: Api, patient: str) -> None:
    items = [pain(days_ago(n), patient_id=patient) for n in (1, 2)]
    for again in (False, True):
        sent = [
            dict(reversed((item | {"sent_at": clock.now().isoformat()}).items())) if again else item for item in items
        ]
        answer = api.post("/v1/check-ins/batch", {"items": sent}, headers={"Idempotency-Key": "many"})
        assert answer.status_code == 200, answer.text
        assert ("idempotency-replayed" in answer.headers) == again


@pytest.mark.parametrize("change", [{"score": 5}, {"taken_at": "2025-01-01T00:00:00Z"}, {"session_id": None}])
def test_another_content_under_the_key_is_refused(api: Api, path: str, change: dict[str, Any]) -> None:
    posted = pain(days_ago(1))
    api.post(path, posted, headers={"Idempotency-Key": "one"})
    other = pain(posted["taken_at"], change["score"]) if "score" in change else posted | change
    answer = api.post(path, other, headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("name", ["Idempotency-Key", "If-Match"])
def test_a_header_that_is_given_twice_is_refused(api: Api, path: str, name: str) -> None:
    check_in = api.post(path, pain(days_ago(1))).json()
    address, body = f"{path}/{check_in['id']}/amendments", {"reason": "typo", "responses": pain("", 5)["responses"]}
    headers = [("Authorization", f"Bearer {api.token}"), ("If-Match", '"1"'), ("Idempotency-Key", "a"), (name, '"1"')]
    answer = api.server.request("POST", address, json=body, headers=headers)
    assert (answer.status_code, answer.json()["errors"]) == (
        422,
        [{"header": name, "detail": "must be given only once"}],
    )
    assert api.get(f"{path}/{check_in['id']}").json()["version"] == 1


# A queue that is slow, and a clock that is.


def test_a_device_that_was_right_and_looks_slow_is_not_corrected(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    device.post(path, pain(ago(hours=30), sent_at=ago(seconds=20)))
    stale = device.post(path, pain(ago(hours=26), 5, sent_at=ago(hours=26)))
    assert stale.status_code == 201, stale.text
    assert (stale.json()["clock_suspect"], stale.json()["clock_corrected_by_seconds"]) == (True, None)
    shown = api.get(f"{path}/{stale.json()['id']}").json()
    assert (shown["taken_at"][:16], shown["clock_suspect"]) == (ago(hours=26)[:16], True)


def test_a_slow_device_that_was_never_right_is_corrected(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    slow = device.post(path, pain(ago(hours=26), sent_at=ago(hours=26))).json()
    assert (slow["clock_suspect"], slow["clock_corrected_by_seconds"] // 3600) == (False, 26)


def test_one_right_device_says_nothing_of_another(api: Api, patient: str, path: str) -> None:
    new_device(api, patient).post(path, pain(ago(hours=30), sent_at=ago(seconds=20)))
    slow = new_device(api, patient).post(path, pain(ago(hours=26), 5, sent_at=ago(hours=26))).json()
    assert slow["clock_suspect"] is False


def test_a_clock_ahead_is_always_corrected_and_a_little_slow_one_too(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    device.post(path, pain(ago(hours=30), sent_at=ago(seconds=20)))
    ahead = device.post(path, pain(ago(hours=-5), 4, sent_at=ago(hours=-6))).json()
    assert (ahead["clock_suspect"], round(ahead["clock_corrected_by_seconds"] / 3600)) == (False, -6)
    little = device.post(path, pain(ago(hours=4), 3, sent_at=ago(minutes=50))).json()
    assert (little["clock_suspect"], round(little["clock_corrected_by_seconds"] / 60)) == (False, 50)


def test_a_suspect_clock_is_never_late(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    device.post(path, pain(ago(hours=130), sent_at=ago(seconds=20)))
    for item in (1, 3):
        form = {"taken_at": ago(hours=100, minutes=item), "sent_at": ago(hours=100),
                "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [item]}]}  # fmt: skip
        assert device.post(path, form).json()["clock_suspect"] is True
    assert [(a["priority"], a["late"]) for a in api.get("/v1/alerts").json()["items"]] == [
        ("urgent", False), ("high", False),
    ]  # fmt: skip


# What comes back from a queue.


def test_what_was_voided_comes_back_as_a_replay_and_not_as_a_new_one(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    posted = pain(days_ago(1))
    first = device.post(path, posted).json()
    amend(api, first, 1, void=True)
    again = device.post(path, posted)
    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, first["id"], "voided")
    assert again.headers["replayed"] == "true"
    assert len(api.get(path).json()["items"]) == 1
    anew = device.post(path, posted | {"id": str(uuid4())})
    assert (anew.status_code, anew.json()["status"]) == (201, "recorded"), "under a new id it is a new check-in"


@pytest.mark.parametrize("change", [{"taken_at": "earlier"}, {"responses": [{"instrument": "nrs-pain", "score": 2}]}])
def test_what_was_amended_comes_back_as_a_replay(api: Api, patient: str, path: str, change: dict[str, Any]) -> None:
    device = new_device(api, patient)
    posted = pain(days_ago(1))
    first = device.post(path, posted).json()
    amend(api, first, 1, **({"taken_at": days_ago(2)} if "taken_at" in change else change))
    for sent in ({}, {"sent_at": clock.now().isoformat()}):
        again = device.post(path, posted | sent)
        assert (again.status_code, again.json()["id"], again.json()["version"]) == (200, first["id"], 2)


@pytest.mark.parametrize("stood", ["total", "incomplete", "same"])
@pytest.mark.parametrize("then", ["voided", "amended", "moved"])
@pytest.mark.parametrize("named", [True, False])
def test_a_post_that_made_no_check_in_of_its_own_is_known_again(
    api: Api, patient: str, path: str, stood: str, then: str, named: bool
) -> None:
    device, at, whole = new_device(api, patient), days_ago(1), [2, 1, 1, 1, 1, 1, 0, 0, 3]
    kinds: dict[str, dict[str, Any]] = {
        "total": {"score": 10}, "incomplete": {"answers": [None, *whole[1:]]}, "same": {"answers": whole},
    }  # fmt: skip
    first = kinds[stood]
    held = api.post(path, {"taken_at": at, "responses": [{"instrument": "phq-9", **first}]}).json()
    posted = {"taken_at": at, "responses": [{"instrument": "phq-9", "answers": whole}]}
    posted |= {"id": str(uuid4())} if named else {}
    done = device.post(path, posted)
    assert (done.status_code, done.json()["id"]) == (200, held["id"])
    before = [a["id"] for a in api.get("/v1/alerts").json()["items"]]
    version, address = done.json()["version"], f"{path}/{held['id']}"
    headers, right = {"If-Match": f'"{version}"'}, api.patient()
    if then == "moved":
        changed = api.post(f"{address}/move", {"to_patient_id": right, "reason": "hers"}, headers=headers)
    else:
        fields = {"void": True} if then == "voided" else {"responses": [{"instrument": "phq-9", "answers": [0] * 9}]}
        changed = api.post(f"{address}/amendments", {"reason": "wrong", **fields}, headers=headers)
    assert changed.status_code == 201, changed.text
    for more in ({}, {"sent_at": clock.now().isoformat()}):
        again = device.post(path, posted | more)
        assert (again.status_code, again.json()["id"]) == (200, held["id"]), again.text
        assert again.json()["status"] == {"voided": "voided", "amended": "recorded", "moved": "moved"}[then]
        assert right not in again.text
    assert [a["id"] for a in api.get("/v1/alerts").json()["items"]] == before
    other = device.post(path, posted | {"responses": [{"instrument": "phq-9", "answers": [0] * 9}]})
    assert other.status_code == (409 if named else 200 if then == "amended" else 201)


def test_another_device_or_another_content_is_another_check_in(api: Api, patient: str, path: str) -> None:
    posted = pain(days_ago(1))
    first = new_device(api, patient).post(path, posted).json()
    amend(api, first, 1, void=True)
    other = new_device(api, patient).post(path, posted)
    assert other.status_code == 201
    assert UUID(other.json()["id"]).version == 7


def test_two_of_one_content_in_one_batch_are_one(api: Api, patient: str) -> None:
    device, item = new_device(api, patient), pain(days_ago(1), patient_id=patient)
    results = device.post("/v1/check-ins/batch", {"items": [item, item]}).json()["results"]
    assert [r["http_status"] for r in results] == [201, 200]


# Bounds that a person would set.


def test_a_devices_own_check_in_may_be_four_hundred_days_old(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    for days, status in ((399, 201), (401, 422)):
        answer = device.post(path, pain(days_ago(days)))
        assert answer.status_code == status
    assert answer.json()["errors"] == [
        {"pointer": "/taken_at", "detail": "must not be more than 400 days old from a patient's own device"}
    ]
    assert device.post(path, pain("1970-01-01T00:00:00Z")).status_code == 422
    assert api.post(path, pain("1970-01-01T00:00:00Z")).status_code == 201, "history, which a person brings"


# A patient's own correction.


def test_a_patient_may_correct_own_answers_within_the_hour(api: Api, patient: str, path: str) -> None:
    device = new_device(api, patient)
    first = device.post(
        path, {"taken_at": days_ago(0.01), "responses": [{"instrument": "phq-9", "answers": PHQ_9}]}
    ).json()
    address = f"{path}/{first['id']}/amendments"

    def correct(version: int, **fields: Any) -> Any:
        return device.post(address, {"reason": "slipped", **fields}, headers={"If-Match": f'"{version}"'})

    right = correct(1, responses=[{"instrument": "phq-9", "answers": [*PHQ_9[:8], 1]}])
    assert (right.status_code, right.json()["version"], right.json()["scores"][0]["value"]) == (201, 2, 15)
    assert right.json()["notice"]
    assert [a["priority"] for a in api.get("/v1/alerts").json()["items"]] == ["high"]
    for fields, pointer in (
        ({"void": True}, "/void"), ({"taken_at": days_ago(1)}, "/taken_at"),
        ({"responses": [{"instrument": "phq-9", "remove": True}]}, "/responses/0/remove"),
    ):  # fmt: skip
        refused = correct(2, **fields)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_patient_corrects_nothing_that_is_old_or_was_entered_by_staff(
    api: Api, patient: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = new_device(api, patient)
    body = {"reason": "slipped", "responses": [{"instrument": "nrs-pain", "score": 1}]}
    staffs = api.post(path, pain(days_ago(2))).json()
    own = device.post(path, pain(days_ago(1))).json()
    assert device.post(f"{path}/{staffs['id']}/amendments", body, headers={"If-Match": '"1"'}).status_code == 403
    monkeypatch.setattr(amending, "OWN_CORRECTION", timedelta(0))
    late = device.post(f"{path}/{own['id']}/amendments", body, headers={"If-Match": '"1"'})
    assert (late.status_code, late.json()["code"]) == (403, "insufficient_scope")
    assert api.get(f"{path}/{own['id']}").json()["version"] == 1


def test_one_content_for_two_patients_is_two_check_ins(api: Api) -> None:
    ehr = new_client(api.server, api.clinic_id, "checkins:write")
    posted = pain(days_ago(1), sent_at=clock.now().isoformat())
    ids = {ehr.post(f"/v1/patients/{api.patient()}/check-ins", posted).json().get("id") for _ in range(2)}
    assert len(ids) == 2
    assert None not in ids


def test_a_phone_that_completes_anothers_form_is_not_right_by_its_clock(api: Api, patient: str, path: str) -> None:
    at, first, second = ago(hours=30), new_device(api, patient), new_device(api, patient)
    first.post(
        path,
        {
            "taken_at": at,
            "sent_at": ago(seconds=5),
            "responses": [{"instrument": "phq-9", "answers": [None, *PHQ_9[1:]]}],
        },
    )
    assert (
        second.post(path, {"taken_at": at, "responses": [{"instrument": "phq-9", "answers": PHQ_9}]}).status_code == 200
    )
    slow = second.post(path, pain(ago(hours=5), sent_at=ago(hours=5))).json()
    assert slow["clock_suspect"] is False
