"""What a session did: before and after, how fast, how long, and how it ended."""

import random
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from app import clock
from app.instruments import INSTRUMENTS
from app.relief import Infusion, assess, effects, positions, readings
from tests.conftest import Api, new_client, new_clinic
from tests.spec.timelines import INSTRUMENTS_WITH_RULE, ZONES, events, random_timeline

NEW_YORK = ZoneInfo("America/New_York")
START = datetime(2025, 1, 6, 9, tzinfo=NEW_YORK)


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def story(api: Api, sessions: list[float], **scores: list[tuple[float, float]]) -> tuple[str, list[str]]:
    """A patient with sessions at 9:00 and scores, both by days from the start."""
    patient_id = api.patient()
    ids = [api.session(patient_id, at(day))["id"] for day in sessions]
    for code, taken in scores.items():
        for day, value in taken:
            api.check_in(patient_id, at(day), code.replace("_", "-"), value)
    return patient_id, ids


def effect_of(api: Api, patient_id: str, session_id: str, instrument: str = "phq-9") -> dict[str, Any]:
    answer = api.get(f"/v1/patients/{patient_id}/sessions/{session_id}/effect")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = next(i for i in answer.json()["instruments"] if i["instrument"] == instrument)
    return found


def test_before_and_after_stand_side_by_side_for_mood_anxiety_and_pain(api: Api) -> None:
    patient_id, [first, second] = story(
        api, [0, 7],
        phq_9=[(-1, 20), (1, 12), (6.9, 9), (8, 7)],
        gad_7=[(-0.1, 16), (3, 10)],
        nrs_pain=[(-0.1, 8), (4 / 24, 3), (7.1, 4)],
    )  # fmt: skip
    answer = api.get(f"/v1/patients/{patient_id}/sessions/{first}/effect").json()
    assert (answer["patient_id"], answer["session_id"]) == (patient_id, first)
    assert [(i["instrument"], i["domain"], i["before"]["value"]) for i in answer["instruments"]] == [
        ("phq-9", "mood", 20), ("gad-7", "anxiety", 16), ("nrs-pain", "pain", 8),
    ]  # fmt: skip
    mood = effect_of(api, patient_id, first)
    assert [(a["value"], a["hours_after"], a["change"], a["improvement_percent"]) for a in mood["after"]] == [
        (12, 24.0, -8, 40.0), (9, 165.6, -11, 55.0),
    ]  # fmt: skip
    assert (mood["best"]["value"], mood["hours_to_response"]) == (9, 165.6)
    assert (mood["relief_days"], mood["relief_ended_by"]) == (0, "next_session")
    booster = effect_of(api, patient_id, second)
    assert (booster["before"]["value"], booster["after"][0]["change"]) == (9, -2)
    assert effect_of(api, patient_id, first, "gad-7")["relief_ended_by"] == "never_responded"


def test_rapid_relief_is_seen_on_the_sessions_own_day_and_status_is_not_read_from_it(api: Api) -> None:
    patient_id, [session] = story(api, [0], nrs_pain=[(-0.1, 8), (4 / 24, 2), (1, 7), (7, 7)])
    pain = effect_of(api, patient_id, session, "nrs-pain")
    assert pain["hours_to_response"] is None, "a response on the day itself, and none later, is none"
    assert [a["counts"] for a in pain["after"]] == [False, True, True]
    assert (pain["relief_days"], pain["relief_ended_by"]) == (None, "never_responded")


def test_a_score_that_a_later_one_of_its_day_replaces_shows_and_decides_nothing(api: Api) -> None:
    patient_id, [session] = story(api, [0], nrs_pain=[(-0.1, 8), (4, 1), (4.4, 7), (19, 7)])
    pain = effect_of(api, patient_id, session, "nrs-pain")
    assert [a["counts"] for a in pain["after"]] == [False, True, True]
    assert (pain["best"]["value"], pain["hours_to_response"]) == (7, None)
    assert (pain["relief_days"], pain["relief_ended_by"]) == (None, "never_responded")


@pytest.mark.parametrize(("scores", "sessions", "days", "ended_by"), [
    ([(1, 5), (20, 6), (30, 14), (34, 14), (36, 15)], [0], 29, "lost"),
    ([(1, 5), (20, 6), (30, 14)], [0, 40], 29, "rescue"),
    ([(1, 5), (20, 6)], [0, 40], 19, "next_session"),
    ([(1, 5), (20, 14)], [0, 21, 30], 19, "rescue"),
    ([(1, 5), (6, 14)], [0, 7], 5, "next_session"),
    ([(1, 14), (20, 13)], [0], None, "never_responded"),
    ([], [0], None, "unknown"),
    ([(1, 5), (20, 6)], [0], 19, "unknown"),  # silent since: silence is not relief
], ids=["lost", "rescue", "next-session", "next-course", "same-course", "never", "nothing", "silent"])  # fmt: skip
def test_how_relief_ended(
    api: Api, scores: list[tuple[float, float]], sessions: list[float], days: int | None, ended_by: str
) -> None:
    patient_id, ids = story(api, sessions, phq_9=[(-0.1, 20), *scores])
    found = effect_of(api, patient_id, ids[0])
    assert (found["relief_days"], found["relief_ended_by"]) == (days, ended_by)


def test_relief_that_was_read_lately_still_holds_and_one_bad_reading_is_not_yet_an_end(api: Api) -> None:
    for last, ended_by in ((6, "still_holding"), (14, "unknown")):
        now = clock.now()
        patient_id = api.patient()
        api.check_in(patient_id, (now - timedelta(days=30.1)).isoformat(), "phq-9", 20)
        session = api.session(patient_id, (now - timedelta(days=30)).isoformat())
        for days, value in ((20, 5), (3, last)):
            api.check_in(patient_id, (now - timedelta(days=days)).isoformat(), "phq-9", value)
        found = effect_of(api, patient_id, session["id"])
        assert (found["relief_days"], found["relief_ended_by"]) == (17, ended_by)


def test_an_old_score_is_no_before_and_a_session_that_does_not_count_did_nothing(api: Api) -> None:
    patient_id, [session] = story(api, [0], phq_9=[(-29, 20), (3, 8)])
    found = effect_of(api, patient_id, session)
    assert (found["before"], found["after"][0]["change"], found["after"][0]["improvement_percent"]) == (None,) * 3
    assert found["relief_ended_by"] == "unknown"
    api.patch(f"/v1/patients/{patient_id}/sessions/{session}", {"status": "not_done", "reason": "cancelled"}, 1)
    assert api.get(f"/v1/patients/{patient_id}/sessions/{session}/effect").json()["instruments"] == []


def boosters(api: Api, held: list[int]) -> str:
    """An episode whose boosters come every 80 days and are lost after so many."""
    sessions: list[float] = [0, *(80.0 * (n + 1) for n in range(len(held)))]
    scores: list[tuple[float, float]] = [(-0.1, 20), (1, 5), (70, 15), (76, 15)]
    for start, days in zip(sessions[1:], held, strict=True):
        scores += [(start + 1, 5), (start + 1 + days, 14), (start + 7 + days, 15)]
    return story(api, sessions, phq_9=scores)[0]


def test_each_booster_holding_for_less_can_be_seen_with_its_interval(api: Api) -> None:
    patient_id = boosters(api, [60, 50, 42, 30, 21])
    page = api.get(f"/v1/patients/{patient_id}/sessions", params={"include": "effect"}).json()
    days = [item["effect"][0]["relief_days"] for item in page["items"]]
    assert days == [21, 30, 42, 50, 60, 69]
    assert {item["effect"][0]["relief_ended_by"] for item in page["items"]} == {"lost"}
    [change] = page["change_per_booster"]
    assert (change["instrument"], change["sessions"], change["ended_under_measurement"]) == ("phq-9", 5, 5)
    assert -11 < change["change_days"] < -9
    assert change["ci"][0] <= change["change_days"] <= change["ci"][1] < 0
    plain = api.get(f"/v1/patients/{patient_id}/sessions").json()
    assert "effect" not in plain["items"][0]
    assert "change_per_booster" not in plain


def test_a_booster_without_readings_keeps_its_place(api: Api) -> None:
    """Five boosters followed up, one after each not: half the change per booster."""
    sessions: list[float] = [0, *(60.0 * (n + 1) for n in range(10))]
    scores: list[tuple[float, float]] = [(-0.1, 20), (1, 5), (50, 15), (56, 15)]
    for n, days in enumerate([40, 34, 28, 22, 16]):
        start = sessions[1 + 2 * n]
        scores += [(start + 1, 5), (start + 1 + days, 14), (start + 7 + days, 15)]
    patient_id, _ = story(api, sessions, phq_9=scores)
    page = api.get(f"/v1/patients/{patient_id}/sessions", params={"include": "effect"}).json()
    [change] = page["change_per_booster"]
    assert (change["sessions"], change["change_days"]) == (5, -3.0)


def test_no_change_is_told_from_too_few_boosters(api: Api) -> None:
    patient_id = boosters(api, [60, 50, 42, 30])
    [change] = api.get(f"/v1/patients/{patient_id}/sessions", params={"include": "effect"}).json()["change_per_booster"]
    assert (change["sessions"], change["change_days"], change["ci"]) == (4, None, None)


def test_the_effect_is_shown_only_to_those_who_may_read_outcomes(server: TestClient) -> None:
    clinic = new_clinic(server)
    patient_id, [session] = story(clinic, [0], phq_9=[(-0.1, 20)])
    path = f"/v1/patients/{patient_id}/sessions"
    reader = new_client(server, clinic.clinic_id, "sessions:read")
    assert reader.get(path).status_code == 200
    assert reader.get(path, params={"include": "effect"}).status_code == 403
    assert reader.get(f"{path}/{session}/effect").status_code == 403
    assert clinic.get(path, params={"include": "everything"}).status_code == 422


@run(max_examples=200, deadline=None)
@given(st.integers(0, 2**48))
def test_every_score_after_a_session_belongs_to_one_effect_and_each_days_status_is_the_verdicts(seed: int) -> None:
    rng = random.Random(seed)
    code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
    rule = INSTRUMENTS[code].rule
    assert rule
    infusions, scores, _ = random_timeline(rng, code, zone)
    everything = events(infusions, scores, zone, None)
    told, track, _ = readings(everything, rule)
    for reading in told:
        assert reading.status == assess(everything, rule, reading.score.day).status
    given_ = sorted((e for e in everything if isinstance(e, Infusion)), key=lambda i: (i.at, i.id))
    where = positions(given_)
    today = date(2030, 1, 1)
    found_ = list(effects(given_, where, told, today).values())
    assert [r for e in found_ for r in e.after] == [r for r in told if r.infusion is not None]
    for found in found_:
        assert (found.relief_days is None) == (not any(r.responds and r.counts for r in found.after))
    spell = track.episode.standing.spell if track.episode else None
    if len(given_) == 1 and spell is not None:
        assert found_[0].relief_days == spell.days
        assert (found_[0].ended_by == "lost") == (spell.event == "lost")
