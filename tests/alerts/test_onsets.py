"""One alert for each onset, whatever the order in which scores arrive; withdrawn only where a fold no longer has it."""

import random
from datetime import timedelta
from itertools import permutations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import backfilling, clock
from app.storage import Database
from tests.alerts.test_alerts import amend
from tests.conftest import ZONE, Api, new_clinic

Reading = tuple[float, int]


def alerts(api: Api, patient: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/alerts", params={"patient_id": patient, "limit": 200}).json()["items"]
    return found


def told(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((a["kind"], a["onset_on"], a["late"], a["state"], a["taken_at"]) for a in found)


def on(days: float) -> str:
    return (clock.now() - timedelta(days=days)).isoformat()


class Story:
    """A patient with a baseline of 16 on GAD-7 and an infusion, and the check-ins that follow."""

    def __init__(self, api: Api) -> None:
        self.api, self.patient = api, api.patient()
        self.baseline = api.check_in(self.patient, on(401), "gad-7", 16)
        self.session = api.session(self.patient, on(400))
        self.at: dict[float, dict[str, Any]] = {}

    def read(self, *readings: Reading) -> "Story":
        for days, score in readings:
            self.at[days] = self.api.check_in(self.patient, on(days), "gad-7", score)
        return self

    @property
    def all(self) -> list[dict[str, Any]]:
        return alerts(self.api, self.patient)

    def day(self, days: float) -> str:
        return (clock.now() - timedelta(days=days)).astimezone(ZoneInfo(ZONE)).date().isoformat()


LOSS = ((60, 5), (9, 12), (1, 13))


def test_an_amended_baseline_takes_the_alert_back(api: Api) -> None:
    story = Story(api).read(*LOSS)
    [alert] = story.all
    assert (alert["kind"], alert["state"], alert["onset_on"]) == ("relief_lost", "open", story.day(9))
    amend(api, story.baseline, 1, responses=[{"instrument": "gad-7", "score": 21}])
    assert [a["state"] for a in story.all] == ["open"], "it is still below"
    amend(api, story.baseline, 2, responses=[{"instrument": "gad-7", "score": 7}])
    [alert] = story.all
    assert (alert["state"], alert["withdrawn_because"], bool(alert["withdrawn_at"])) == (
        "withdrawn", "baseline_changed", True,
    )  # fmt: skip
    amend(api, story.baseline, 3, responses=[{"instrument": "gad-7", "score": 16}])
    [again] = story.all
    assert (again["id"], again["state"], again["withdrawn_at"], again["withdrawn_because"]) == (
        alert["id"], "open", None, None,
    )  # fmt: skip


def test_every_ground_that_goes_is_named(api: Api) -> None:
    story = Story(api).read(*LOSS)
    amend(api, story.at[1], 1, responses=[{"instrument": "gad-7", "score": 6}])
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "amended")]

    story = Story(api).read(*LOSS)
    amend(api, story.at[1], 1, void=True)
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "voided")]

    story = Story(api).read(*LOSS)
    path = f"/v1/patients/{story.patient}/sessions/{story.session['id']}"
    assert api.patch(path, {"status": "entered_in_error", "reason": "not hers"}, 1).status_code == 200
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "session_changed")]

    story = Story(api).read(*LOSS)
    api.session(story.patient, on(5))
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "session_changed")], "a booster"

    story = Story(api).read(*LOSS)
    story.read((4, 5))
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "score_added")]

    story = Story(api).read(*LOSS)
    amend(api, story.at[1], 1, taken_at=on(8))
    assert [(a["state"], a["withdrawn_because"]) for a in story.all] == [("withdrawn", "amended")]


def test_recovery_takes_nothing_back(api: Api) -> None:
    story = Story(api).read(*LOSS, (0.001, 4))
    assert [(a["state"], a["kind"]) for a in story.all] == [("open", "relief_lost")]
    api.session(story.patient, on(0.0005))
    assert [a["state"] for a in story.all] == ["open"]


def test_a_loss_does_not_hide_the_next(api: Api) -> None:
    story = Story(api).read((300, 5), (250, 13), (240, 13))
    [march] = story.all
    api.post(f"/v1/alerts/{march['id']}/acknowledgement", {"disposition": "contacted"})
    story.read((200, 5), (9, 13), (1, 13))
    assert [(a["state"], a["late"], a["onset_on"]) for a in story.all] == [
        ("open", False, story.day(9)), ("acknowledged", True, story.day(250)),
    ]  # fmt: skip


def test_a_run_that_still_overlaps_keeps_its_alert(api: Api) -> None:
    story = Story(api).read((60, 5), (20, 12), (9, 12), (1, 13))
    [alert] = story.all
    assert alert["onset_on"] == story.day(20)
    api.post(f"/v1/alerts/{alert['id']}/acknowledgement", {"disposition": "could_not_reach"})
    story.read((15, 5))
    [moved] = story.all
    assert (moved["id"], moved["onset_on"], moved["state"]) == (alert["id"], story.day(9), "open")
    assert len(moved["acknowledgements"]) == 1


def test_a_timely_reading_that_still_says_so_makes_a_late_alert_timely(api: Api) -> None:
    story = Story(api).read((60, 5), (30, 12), (20, 12))
    assert [(a["late"], a["state"]) for a in story.all] == [(True, "open")]
    story.read((1, 12))
    [alert] = story.all
    assert (alert["late"], alert["check_in_id"], alert["onset_on"]) == (False, story.at[1]["id"], story.day(30))


def test_a_loss_that_was_over_when_it_came_in_is_history(api: Api) -> None:
    story = Story(api).read((60, 5), (30, 4), (45, 12))
    assert story.all == []
    receipt = api.check_in(story.patient, on(38), "gad-7", 12)
    assert [(a["state"], a["late"]) for a in story.all] == [("historic", True)]
    assert [(a["kind"], a["state"]) for a in receipt["alerts"]] == [("relief_lost", "historic")]
    assert api.get("/v1/worklist", params={"domain": "anxiety"}).json()["items"][0]["open_alerts"] == []


def test_a_back_dated_check_ins_receipt_lists_the_alert_it_raised(api: Api) -> None:
    story = Story(api).read((60, 5), (1, 13))
    receipt = api.check_in(story.patient, on(9), "gad-7", 12)
    [alert] = story.all
    assert [a["id"] for a in receipt["alerts"]] == [alert["id"]]
    assert alert["check_in_id"] == story.at[1]["id"], "the reading that confirms it"


def test_the_noise_of_a_daily_scale_raises_one_deterioration(api: Api) -> None:
    story = Story(api).read(*((day, 21 if day % 2 else 15) for day in range(30, 2, -1)))
    assert [(a["kind"], a["onset_on"]) for a in story.all] == [("reliable_deterioration", story.day(29))]
    story.read((2, 5), (1, 21))
    assert [a["onset_on"] for a in story.all if a["kind"] == "reliable_deterioration" and a["state"] == "open"] == [
        story.day(1)
    ], "after a response it is another; the first, late and over, is history"


def test_backfill_adds_nothing_after_live_recording_in_any_order(api: Api, database: Database) -> None:
    rng = random.Random(4)
    readings = [(60, 5), (30, 12), (21, 13), (14, 5), (9, 12), (1, 13), (0.001, 21)]
    seen = set()
    for _ in range(4):
        rng.shuffle(readings)
        story = Story(api).read(*readings)
        seen.add(str([(k, o, late, s) for k, o, late, s, _ in told(story.all) if s != "withdrawn"]))
    assert backfilling.backfill(database, api.clinic_id) == 0
    assert len(seen) == 1, seen


def outcome(api: Api, readings: list[Reading], base: Any, batch: bool) -> list[tuple[Any, ...]]:
    """What is open or history once these readings are in, in this order."""
    patient = api.patient()

    def at(days: float) -> str:
        return str((base - timedelta(days=days)).isoformat())

    api.check_in(patient, at(91), "nrs-pain", 6)
    api.session(patient, at(90))
    items = [
        {"patient_id": patient, "taken_at": at(days), "responses": [{"instrument": "nrs-pain", "score": score}]}
        for days, score in readings
    ]
    for some in [items] if batch else [[item] for item in items]:
        results = api.post("/v1/check-ins/batch", {"items": some}).json()["results"]
        assert {r["http_status"] for r in results} <= {201}
    found = alerts(api, patient)
    return [(k, o, late, s, t) for k, o, late, s, t in told(found) if s != "withdrawn"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.dictionaries(st.sampled_from([*range(1, 60, 3), *range(1, 9), 0.2]), st.sampled_from([1, 2, 5, 6, 9, 10]),
                           min_size=2, max_size=9),
    shuffled=st.randoms(use_true_random=False),
)  # fmt: skip
def test_any_order_of_arrival_gives_the_same_open_alerts(
    server: TestClient, scores: dict[float, int], shuffled: Any
) -> None:
    api, base = _shared(server), clock.now()
    ordered = sorted(scores.items(), reverse=True)
    expected = outcome(api, ordered, base, batch=False)
    for _ in range(2):
        shuffled.shuffle(ordered)
        assert outcome(api, ordered, base, batch=False) == expected
    assert outcome(api, ordered, base, batch=True) == expected


_CLINICS: dict[int, Api] = {}


def _shared(server: TestClient) -> Api:
    return _CLINICS.setdefault(id(server), new_clinic(server))


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_a_loss_and_its_recovery_in_every_order(api: Api, order: tuple[int, ...]) -> None:
    readings = [(60, 5), (9, 12), (1, 13), (0.001, 5)]
    story = Story(api).read(*(readings[n] for n in order))
    assert [(a["kind"], a["late"], a["state"]) for a in story.all if a["state"] != "withdrawn"] == [
        ("relief_lost", False, "open")
    ]
