"""Rule 2026.2 beside 2026.1: which instrument answers for a domain, PEG's reliable change, and how sure a reading
is."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app import clock
from app.access import service as access
from app.access.tokens import Claims
from app.relief_answers import service as relief_answers
from app.storage import Database
from app.tracks.days import local_day
from app.work import turn
from app.worklist import service as worklist
from tests.conftest import Api, days_ago, question


def measured_by_nrs(api: Api, weeks: int = 8) -> str:
    """One PEG at baseline, then weekly pain ratings."""
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(7 * weeks + 0.2), "peg", 7)
    api.check_in(patient_id, days_ago(7 * weeks + 0.1), "nrs-pain", 8)
    api.session(patient_id, days_ago(7 * weeks))
    for week in range(weeks):
        api.check_in(patient_id, days_ago(7 * week + 0.01), "nrs-pain", 3)
    return patient_id


def domain(answer: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in answer["domains"] if one["domain"] == name)
    return found


def test_a_silent_instrument_is_passed_over_for_one_that_is_measured(api: Api) -> None:
    patient_id = measured_by_nrs(api)
    pain = domain(api.relief(patient_id), "pain")
    assert (pain["instrument"], pain["status"], pain["note"]) == ("nrs-pain", "holding", None)
    assert pain["others"] == [{"instrument": "peg", "status": "stale", "last_known": None}]
    before = api.relief(patient_id, rule="2026.1")
    assert before["rule"] == "2026.1"
    assert (domain(before, "pain")["instrument"], domain(before, "pain")["status"]) == ("peg", "stale")
    assert domain(before, "pain")["others"] == [{"instrument": "nrs-pain", "status": "holding", "last_known": None}]
    assert domain(before, "pain")["note"] == "instrument_changed"
    again = api.relief(patient_id, rule="2026.1", known_at=before["known_at"])
    assert again == before, "asking again gives the same answer"
    [row] = [r for r in api.get("/v1/worklist", params={"domain": "pain"}).json()["items"]
             if r["patient"]["id"] == patient_id]  # fmt: skip
    assert (row["instrument"], row["status"]) == ("nrs-pain", "holding")


def test_a_loss_that_fell_silent_and_a_track_that_awaits_are_never_passed_over(api: Api) -> None:
    patient_id = measured_by_nrs(api)
    for day, value in ((50, 2), (44, 6.67), (38, 7)):
        api.check_in(patient_id, days_ago(day), "peg", value)
    pain = domain(api.relief(patient_id), "pain")
    assert (pain["instrument"], pain["status"], pain["last_known"]) == ("peg", "stale", "lost")
    waiting = api.patient()
    api.check_in(waiting, days_ago(8.2), "peg", 7)
    api.check_in(waiting, days_ago(8.1), "nrs-pain", 8)
    api.session(waiting, days_ago(8))
    api.check_in(waiting, days_ago(1), "nrs-pain", 3)
    pain = domain(api.relief(waiting), "pain")
    assert (pain["instrument"], pain["status"]) == ("peg", "awaiting_follow_up")


def test_a_declared_instrument_answers_whatever_the_silence(api: Api) -> None:
    patient_id = measured_by_nrs(api)
    api.patch(f"/v1/patients/{patient_id}", {"primary_instruments": {"pain": "peg"}}, 1)
    assert domain(api.relief(patient_id), "pain")["instrument"] == "peg"


def test_pegs_reliable_change_is_three_points_and_was_two(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(30.1), "peg", 5)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(10), "peg", 7.33)
    now, before = api.track(patient_id, "peg"), api.track(patient_id, "peg", rule="2026.1")
    assert (now["flags"], before["flags"]) == ([], ["reliable_deterioration"])
    error = now["measurement_error"]
    assert (error["points"], error["reliable_change"], error["kind"]) == (1.08, 3, "computed")
    assert "Reed 2024" in now["measurement_error"]["source"]
    assert (before["measurement_error"]["points"], before["measurement_error"]["kind"]) == (0.72, "convention")
    assert "by at least 2 points, by convention" in before["explanation"]
    deterioration = [a for a in api.get("/v1/alerts").json()["items"] if a["patient_id"] == patient_id]
    assert deterioration == [], "the newest rule raises alerts"


def test_an_unknown_rule_names_those_that_can_be_asked_for(api: Api) -> None:
    refused = api.get(f"/v1/patients/{api.patient()}/relief", params={"rule": "2025.9"})
    assert refused.json()["errors"] == [{"parameter": "rule", "detail": "must be one of: 2026.2, 2026.1"}]


@pytest.mark.parametrize(("latest", "near"), [(10, True), (14, True), (15, False), (6, True), (5, False)])
def test_near_the_line_is_within_measurement_error_of_it(api: Api, latest: int, near: bool) -> None:
    """PHQ-9: a reliable change of 6 points is an error of 4.24 for one reading."""
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(30.1), "phq-9", 20)
    api.session(patient_id, days_ago(30))
    api.check_in(patient_id, days_ago(10), "phq-9", latest)
    track = api.track(patient_id, "phq-9")
    assert track["near_line"] is near
    assert ("one reading of PHQ-9 is uncertain by about 4 points either way" in track["explanation"]) == near
    assert track["measurement_error"]["points"] == 2.16


def test_without_a_line_or_a_reading_nothing_is_near(api: Api) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, days_ago(30.1), "phq-9", 6)
    api.session(patient_id, days_ago(30))
    assert api.track(patient_id, "phq-9")["near_line"] is None
    api.check_in(patient_id, days_ago(10), "phq-9", 5)
    assert api.track(patient_id, "phq-9")["near_line"] is None, "not evaluable: no line"


def test_the_worklist_follows_the_silence_of_forty_days_without_a_write_and_with_one(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PEG is heard first and falls silent first; then the weekly ratings do, and PEG answers again."""
    patients = [measured_by_nrs(api), measured_by_nrs(api, 3)]
    both = api.patient()
    for ago, code, value in ((40.2, "peg", 7), (40.1, "nrs-pain", 8)):
        api.check_in(both, days_ago(ago), code, value)
    api.session(both, days_ago(40))
    api.check_in(both, days_ago(20), "peg", 3)
    api.check_in(both, days_ago(1), "nrs-pain", 3)
    patients.append(both)
    # PEG answers and falls silent on the day on which a rating near the line still asks for one more.
    asked = api.patient()
    for ago, code, value in ((60.2, "peg", 7), (60.1, "nrs-pain", 8)):
        api.check_in(asked, days_ago(ago), code, value)
    api.session(asked, days_ago(60))
    api.check_in(asked, days_ago(34), "peg", 3)
    api.check_in(asked, days_ago(20), "nrs-pain", 3)
    api.check_in(asked, days_ago(0.01), "nrs-pain", 5)
    patients.append(asked)
    claims = Claims("user", api.caller_id, api.clinic_id, "", 0)
    caller = database.reading(api.clinic_id, lambda db: access.caller_of_token(db, claims))

    def on(later: datetime) -> set[tuple[str, str]]:
        """What the rows say at a moment, which is what relief says then."""

        def read(db: Any) -> set[tuple[str, str]]:
            day = local_day(later, caller.time_zone)
            rows = worklist.listed(db, caller, day, "active", "pain", (), None, None, 50)
            told = {row.patient.id: row for _, row in rows}
            for patient_id in map(UUID, patients):
                answer = relief_answers.relief_of(db, question(caller, patient_id, later)).value
                said = next(one for one in answer.domains if one.domain == "pain")
                track = next(one for one in answer.tracks if one.instrument == said.instrument)
                row = told[patient_id]
                assert (row.instrument, row.status, row.last_known, row.since_on) == (
                    said.instrument, said.status, said.last_known, said.since_on,
                )  # fmt: skip
                assert (row.flags, row.near_line, row.confirm_due_on) == (
                    track.flags, track.near_line, track.confirm_due_on,
                )  # fmt: skip
            return {(row.instrument, row.status) for row in told.values()}

        return database.reading(api.clinic_id, read)

    now, seen = clock.now(), set()
    for days in range(41):
        later = now + timedelta(days=days)
        if days == 30:  # the job writes what has turned by then; pages stay as they were
            monkeypatch.setattr(clock, "now", lambda: now + timedelta(days=30))
            asyncio.run(turn(database))
            monkeypatch.undo()
        seen |= on(later)
    assert {("nrs-pain", "holding"), ("peg", "stale"), ("peg", "holding")} <= seen


def test_an_infusion_of_the_same_course_ends_the_confirming_check_in_everywhere(api: Api) -> None:
    """A rating about now, past the line, before an infusion of its day: nothing reaches back, and yet it is over."""
    patient_id = api.patient()
    for ago in (15, 9):
        api.session(patient_id, days_ago(ago))
    for since, value in ((15.1, 8), (8, 2)):
        api.check_in(patient_id, days_ago(since), "nrs-pain", value)
    api.check_in(patient_id, days_ago(0.2), "nrs-pain", 7)
    api.session(patient_id, days_ago(0.1))
    assert api.track(patient_id, "nrs-pain")["status"] in ("fading", "awaiting_follow_up")
    assert api.track(patient_id, "nrs-pain")["confirm_due_on"] is None
    due = api.get(f"/v1/patients/{patient_id}/plan/due").json()["items"]
    assert [one for one in due if one["reason"] == "confirm"] == []
    rows = api.get("/v1/worklist", params={"domain": "pain"}).json()["items"]
    assert [row["confirm_due_on"] for row in rows if row["patient"]["id"] == patient_id] == [None]
