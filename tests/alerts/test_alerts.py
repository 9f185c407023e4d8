"""Self-harm items: raised in the recording transaction, never muted by a good total, unknown never read as zero."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.conftest import Api, days_ago, new_clinic, new_device


def post(api: Api, patient_id: str, days: float = 0.01, **response: Any) -> dict[str, Any]:
    posted = {"taken_at": days_ago(days), "responses": [response]}
    answer = api.post(f"/v1/patients/{patient_id}/check-ins", posted)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def qids(item_12: int) -> list[int]:
    return [0] * 11 + [item_12] + [0] * 4


@pytest.mark.parametrize(("response", "priority", "noticed"), [
    ({"instrument": "phq-9", "answers": [0] * 9}, None, False),
    ({"instrument": "phq-9", "answers": [3] * 8 + [0]}, None, False),
    ({"instrument": "phq-9", "answers": [0] * 8 + [1]}, "high", True),
    ({"instrument": "phq-9", "answers": [0] * 8 + [2]}, "urgent", True),
    ({"instrument": "phq-9", "score": 12}, None, True),
    ({"instrument": "phq-9", "score": 24}, None, True),
    ({"instrument": "phq-9", "score": 25}, "high", True),
    ({"instrument": "phq-9", "score": 26}, "urgent", True),
    ({"instrument": "qids-sr16", "answers": qids(1)}, "high", True),
    ({"instrument": "qids-sr16", "answers": qids(3)}, "urgent", True),
    ({"instrument": "qids-sr16", "score": 25}, "high", True),
    ({"instrument": "madrs", "answers": [0] * 9 + [1]}, None, False),
    ({"instrument": "madrs", "answers": [0] * 9 + [2]}, "high", True),
    ({"instrument": "madrs", "answers": [0] * 9 + [4]}, "urgent", True),
    ({"instrument": "madrs", "score": 54}, None, True),
    ({"instrument": "madrs", "score": 55}, "high", True),
    ({"instrument": "gad-7", "score": 21}, None, False),
])  # fmt: skip
def test_the_lines_are_those_of_the_reference(
    api: Api, response: dict[str, Any], priority: str | None, noticed: bool
) -> None:
    receipt = post(api, api.patient(), **response)
    assert [alert["priority"] for alert in receipt["alerts"]] == ([priority] if priority else [])
    assert (receipt["notice"] is not None) == noticed
    if noticed:
        assert receipt["notice"]["crisis_contacts"]
        assert "not watched" in receipt["notice"]["text"]


def test_a_patient_gets_the_notice_and_no_alerts(api: Api) -> None:
    patient_id = api.patient()
    device = new_device(api, patient_id)
    receipt = post(device, patient_id, instrument="phq-9", answers=[0] * 8 + [2])
    assert receipt["alerts"] == []
    assert receipt["notice"]
    shown = device.get(f"/v1/patients/{patient_id}/check-ins").json()["items"][0]
    assert (shown["alerts"], bool(shown["notice"])) == ([], True)
    assert len(api.get("/v1/alerts").json()["items"]) == 1


def test_late_alerts_are_open_and_listed_after_every_timely_one(api: Api) -> None:
    patient_id = api.patient()
    for days in (10, 1, 4, 2):
        post(api, patient_id, days, instrument="phq-9", answers=[0] * 8 + [1])
    listed = api.get("/v1/alerts").json()["items"]
    assert [alert["late"] for alert in listed] == [False, False, True, True]
    assert {alert["state"] for alert in listed} == {"open"}
    paged: list[Any] = []
    cursor = None
    while cursor is not None or not paged:
        params = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/alerts", params=params).json()
        paged += page["items"]
        cursor = page["next_cursor"]
    assert paged == listed
    assert len(api.get("/v1/alerts", params={"late": "true"}).json()["items"]) == 2


def test_acknowledgements_add_up_and_could_not_reach_leaves_it_open(api: Api) -> None:
    alert = post(api, api.patient(), instrument="phq-9", answers=[0] * 8 + [3])["alerts"][0]
    path = f"/v1/alerts/{alert['id']}/acknowledgement"
    tried = api.post(path, {"disposition": "could_not_reach", "note": "no answer"})
    assert (tried.status_code, tried.json()["state"]) == (201, "open")
    done = api.post(path, {"disposition": "contacted", "note": "spoke"})
    assert done.json()["state"] == "acknowledged"
    assert [a["disposition"] for a in done.json()["acknowledgements"]] == ["could_not_reach", "contacted"]
    assert done.json()["acknowledgements"][0]["by"] == {"kind": "user", "id": str(api.caller_id)}
    assert api.get("/v1/alerts", params={"state": "open"}).json()["items"] == []
    later = api.post(path, {"disposition": "could_not_reach"})
    assert later.json()["state"] == "acknowledged"
    assert api.post(path, {"disposition": "fine"}).status_code == 422


def test_a_repeat_raises_nothing_again(api: Api) -> None:
    patient_id = api.patient()
    posted = {"taken_at": days_ago(1), "responses": [{"instrument": "phq-9", "answers": [0] * 8 + [1]}]}
    path = f"/v1/patients/{patient_id}/check-ins"
    first, again = api.post(path, posted), api.post(path, posted)
    assert again.status_code == 200
    assert again.json()["alerts"] == first.json()["alerts"]
    assert len(api.get("/v1/alerts").json()["items"]) == 1


def test_another_clinics_alert_is_not_there(server: TestClient, api: Api) -> None:
    alert = post(api, api.patient(), instrument="phq-9", answers=[0] * 8 + [3])["alerts"][0]
    stranger = new_clinic(server)
    assert stranger.get("/v1/alerts").json()["items"] == []
    path = f"/v1/alerts/{alert['id']}/acknowledgement"
    assert stranger.post(path, {"disposition": "contacted"}).status_code == 404


def amend(api: Api, check_in: dict[str, Any], version: int, **fields: Any) -> dict[str, Any]:
    path = f"/v1/patients/{check_in['patient_id']}/check-ins/{check_in['id']}/amendments"
    answer = api.post(path, {"reason": "keying error", **fields}, headers={"If-Match": f'"{version}"'})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def close(api: Api, alert: dict[str, Any]) -> None:
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "entered_in_error"})


def item_9(value: int) -> list[dict[str, Any]]:
    return [{"instrument": "phq-9", "answers": [0] * 8 + [value]}]


def test_an_answer_that_comes_back_to_its_line_is_never_without_an_open_alert(api: Api) -> None:
    check_in = post(api, api.patient(), **item_9(2)[0])
    amend(api, check_in, 1, responses=item_9(0))
    close(api, check_in["alerts"][0])
    back = amend(api, check_in, 2, responses=item_9(2))
    assert [a["state"] for a in back["alerts"]] == ["acknowledged", "open"]
    close(api, back["alerts"][1])
    worse = amend(api, check_in, 3, responses=item_9(3))
    assert [a["state"] for a in worse["alerts"]] == ["acknowledged", "acknowledged", "open"]
    close(api, worse["alerts"][2])
    amend(api, check_in, 4, void=True)
    restored = amend(api, check_in, 5, void=False)
    assert [a["state"] for a in restored["alerts"]][-1] == "open"


def test_an_alert_is_marked_only_when_its_own_answer_changed(api: Api) -> None:
    posted = {"taken_at": days_ago(1), "responses": [*item_9(2), {"instrument": "nrs-pain", "score": 6}]}
    check_in = api.post(f"/v1/patients/{api.patient()}/check-ins", posted).json()
    other = amend(api, check_in, 1, responses=[{"instrument": "nrs-pain", "score": 4}])
    moved = amend(api, check_in, 2, taken_at=days_ago(2))
    assert [a["amended_at"] for a in (*other["alerts"], *moved["alerts"])] == [None, None]
    voided = amend(api, check_in, 3, void=True)
    assert [a["amended_at"] for a in voided["alerts"]] == [voided["recorded_at"]]
    assert len(voided["alerts"]) == 1
