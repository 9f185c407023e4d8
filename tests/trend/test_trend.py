"""The trend: every score with what surrounds it, empty buckets shown as empty, and one picture in every format."""

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.drawing import Renderer
from app.errors import Busy
from app.instruments import INSTRUMENTS
from app.pictures.routes import RENDERER
from tests.conftest import Api, app_of, new_device

NEW_YORK = ZoneInfo("America/New_York")
START = datetime(2025, 1, 6, 9, tzinfo=NEW_YORK)
SVG = "{http://www.w3.org/2000/svg}"


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def on(days: int) -> str:
    return (START + timedelta(days=days)).date().isoformat()


def story(api: Api, sessions: list[float], scores: list[tuple[float, float]], instrument: str = "phq-9") -> str:
    patient_id = api.patient()
    for day in sessions:
        api.session(patient_id, at(day), dose_mg_per_kg=0.5)
    for day, value in scores:
        api.check_in(patient_id, at(day), instrument, value)
    return patient_id


def trend(api: Api, patient_id: str, **params: Any) -> dict[str, Any]:
    answer = api.get(f"/v1/patients/{patient_id}/trend", params={"instrument": "phq-9", **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.fixture
def patient(api: Api) -> str:
    """T1 in short: a response that holds and is lost."""
    return story(api, [0, 2, 11], [(-0.1, 20), (0.2, 18), (4, 14), (18, 7), (32, 4), (88, 11), (98, 12)])


def test_points_tell_of_their_sessions_recall_and_status(api: Api, patient: str) -> None:
    answer = trend(api, patient)
    assert [(p["value"], p["phase"], p["days_since_session"], p["window"], p["counts"]) for p in answer["points"]] == [
        (20, "baseline", None, None, False),
        (18, "post_infusion", 0, "overlapping", False),
        (14, "follow_up", 2, "overlapping", True),
        (7, "follow_up", 7, "overlapping", True),
        (4, "follow_up", 21, "clean", True),
        (11, "follow_up", 77, "clean", True),
        (12, "follow_up", 87, "clean", True),
    ]
    assert [p["status"] for p in answer["points"]] == [
        "awaiting_follow_up", "awaiting_follow_up", "partial_response", "holding", "holding", "fading", "lost",
    ]  # fmt: skip
    assert [p["improvement_percent"] for p in answer["points"]] == [None, 10.0, 30.0, 65.0, 80.0, 45.0, 40.0]
    sessions = [s["id"] for s in answer["sessions"]]
    assert [p["session_id"] for p in answer["points"]] == [None, *(sessions[i] for i in (0, 1, 2, 2, 2, 2))]


def test_lines_bands_and_sessions_stand_in_the_instruments_unit(api: Api, patient: str) -> None:
    answer = trend(api, patient)
    assert (answer["baseline"]["value"], answer["response_line"], answer["remission_line"]) == (20, 10, 4)
    assert (answer["direction"], answer["domain"], answer["recall_days"]) == ("lower_is_better", "mood", 14)
    assert answer["bands"][0] == {"label": "minimal", "min": 0, "max": 4}
    assert [(s["kind"], s["number"], s["dose_mg_per_kg"]) for s in answer["sessions"]] == [
        ("induction", 1, 0.5), ("induction", 2, 0.5), ("induction", 3, 0.5),
    ]  # fmt: skip
    assert answer["episodes"] == [{"number": 1, "first_session_on": "2025-01-06", "baseline": 20, "response_line": 10}]
    wellbeing = story(api, [0], [(-0.1, 20), (10, 60)], "who-5")
    answer = trend(api, wellbeing, instrument="who-5")
    assert (answer["direction"], answer["response_line"], answer["max"]) == ("higher_is_better", 60, 100)
    screen = story(api, [0], [(1, 4)], "phq-2")
    answer = trend(api, screen, instrument="phq-2")
    assert (answer["points"][0]["status"], answer["response_line"], answer["baseline"]) == (None, None, None)
    assert "baseline" not in answer["description"]
    assert "Status" not in answer["description"]


def test_every_episode_has_its_own_line(api: Api) -> None:
    patient_id = story(api, [0, 300], [(-0.1, 20), (10, 8), (299.9, 14), (310, 6)])
    answer = trend(api, patient_id)
    assert [(e["baseline"], e["response_line"]) for e in answer["episodes"]] == [(20, 10), (14, 7)]
    assert (answer["baseline"]["value"], answer["response_line"]) == (14, 7)


def test_the_status_of_a_point_is_that_of_relief_on_its_day(api: Api) -> None:
    rng = random.Random(8)
    days = sorted(rng.sample(range(1, 200), 25))
    patient_id = story(api, [0, 3, 60, 90], [(-0.1, 19), *((day, rng.randrange(0, 24)) for day in days)])
    for point in trend(api, patient_id)["points"]:
        assert point["status"] == api.track(patient_id, "phq-9", as_of=point["day"])["status"]


def test_from_and_to_are_days_of_the_clinic_both_included(api: Api, patient: str) -> None:
    answer = trend(api, patient, **{"from": on(18), "to": on(88)})
    assert [p["value"] for p in answer["points"]] == [7, 4, 11]
    assert answer["points"][0]["status"] == "holding"  # what came before still counts
    assert answer["sessions"] == []
    assert (answer["from_on"], answer["to_on"]) == (on(18), on(88))


@pytest.mark.parametrize("bucket", ["day", "week", "month"])
def test_buckets_are_whole_and_without_gaps_and_count_every_score(api: Api, patient: str, bucket: str) -> None:
    answer = trend(api, patient, bucket=bucket, to=on(120))
    buckets = answer["buckets"]
    assert sum(b["n"] for b in buckets) == 7
    for before, after in pairwise(buckets):
        assert date.fromisoformat(after["start_on"]) == date.fromisoformat(before["end_on"]) + timedelta(days=1)
    assert buckets[0]["start_on"] <= on(0)
    assert buckets[-1]["end_on"] >= on(120)
    empty = [b for b in buckets if b["n"] == 0]
    assert empty
    assert {b[k] for b in empty for k in ("mean", "median", "min", "max")} == {None}
    if bucket == "week":
        assert {date.fromisoformat(b["start_on"]).weekday() for b in buckets} == {0}
        first = buckets[0]
        assert (first["n"], first["mean"], first["median"], first["min"], first["max"]) == (3, 17.33, 18, 14, 20)
    if bucket == "month":
        assert {b["start_on"][-2:] for b in buckets} == {"01"}
    assert trend(api, patient)["buckets"] == []


def test_buckets_end_today_so_that_silence_shows(api: Api) -> None:
    today = clock.now().astimezone(NEW_YORK).date()
    patient_id = api.patient()
    noon = datetime.combine(
        today - timedelta(days=40), time(12), NEW_YORK
    )  # 40 days of the clinic, clocks changed or not
    api.check_in(patient_id, noon.isoformat(), "phq-9", 9)
    buckets = trend(api, patient_id, bucket="day")["buckets"]
    assert (len(buckets), buckets[-1]["start_on"]) == (41, today.isoformat())


def test_a_span_without_a_score_has_its_empty_buckets(api: Api, patient: str) -> None:
    answer = trend(api, patient, bucket="week", **{"from": on(42), "to": on(69)})
    assert [b["n"] for b in answer["buckets"]] == [0, 0, 0, 0]
    assert [b["n"] for b in trend(api, api.patient(), bucket="day", **{"from": on(0), "to": on(1)})["buckets"]] == [
        0,
        0,
    ]


@pytest.mark.parametrize("wrong", [
    {"instrument": "nonsense"}, {"bucket": "year"}, {"from": "2025-02-30"}, {"to": "soon"},
    {"from": "2025-02-02", "to": "2025-02-01"}, {"from": "2999-01-01"}, {"from": "1950-01-01", "bucket": "day"},
])  # fmt: skip
def test_a_question_that_cannot_be_asked_is_refused(api: Api, patient: str, wrong: dict[str, Any]) -> None:
    for path in ("trend", "trend.svg"):
        answer = api.get(f"/v1/patients/{patient}/{path}", params={"instrument": "phq-9", **wrong})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["parameter"] in wrong


BANDS = "(minimal 0 to 4, mild 5 to 9, moderate 10 to 14, moderately severe 15 to 19, severe 20 to 27)"


def test_the_words_say_what_the_picture_says(api: Api, patient: str) -> None:
    assert trend(api, patient, to=on(100))["description"] == (
        f"PHQ-9, 0 to 27, lower is better {BANDS}. 7 scores from 6 January 2025 to 14 April 2025, between 4 and 20, "
        "the first 20, the latest 12. Baseline 20, response line 10. Remission line 4. 3 sessions (3 induction), "
        "the last on 17 January 2025. No score between 7 February 2025 and 4 April 2025. "
        "Day by day: awaiting follow up from 6 January 2025; partial response from 10 January 2025; holding from "
        "24 January 2025; stale from 15 March 2025; fading from 4 April 2025; lost from 14 April 2025. "
        "Status on 16 April 2025: lost."
    )
    nobody = api.patient()
    assert "No scores to" in trend(api, nobody)["description"]
    assert "No sessions." in trend(api, nobody)["description"]
    assert "No session in these days." in trend(api, patient, **{"from": on(40)})["description"]


def test_what_an_old_reading_said_is_told_as_last_known(api: Api, patient: str) -> None:
    answer = trend(api, patient)
    assert (answer["status"], answer["last_known"]) == ("stale", "lost")
    assert "No score since 14 April 2025." in answer["description"]
    assert answer["description"].endswith(": stale, last known lost.")


def test_silences_are_told_of_and_scores_of_one_day_are_no_span(api: Api) -> None:
    patient_id = story(api, [0], [(-0.1, 20), *((50 * n, 5) for n in range(1, 7)), (300.1, 6)])
    words = trend(api, patient_id, to=on(301))["description"]
    assert "No score between 6 January 2025 and 25 February 2025." in words
    assert "No score between 16 April 2025 and 5 June 2025. 3 more such gaps." in words
    one_day = story(api, [0], [(5, 9), (5.1, 7)])
    assert (
        "2 scores on 11 January 2025, between 7 and 9, the first 9, the latest 7." in trend(api, one_day)["description"]
    )


@pytest.mark.parametrize("code", INSTRUMENTS)
def test_every_instrument_has_a_picture_and_without_a_baseline_it_has_no_response_line(api: Api, code: str) -> None:
    instrument = INSTRUMENTS[code]
    value = instrument.value(instrument.points[len(instrument.points) // 2])
    for scores in ([(5.0, value)], [(-0.1, value), (5.0, value)]):
        patient_id = story(api, [0], scores, code)
        picture = api.get(f"/v1/patients/{patient_id}/trend.vl.json", params={"instrument": code}).json()
        line = trend(api, patient_id, instrument=code)["response_line"]
        drawn = json.dumps(picture["vconcat"])
        assert f'"response {line:g}"' in drawn if line is not None else '"response ' not in drawn
        assert all(f'"{band.label}"' in drawn for band in instrument.bands)


def test_every_episode_is_told_with_its_line(api: Api) -> None:
    patient_id = story(api, [0, 300], [(-0.1, 7), (10, 3.33), (299.9, 8), (310, 2)], "peg")
    words = trend(api, patient_id, instrument="peg")["description"]
    assert words.startswith("PEG, 0 to 10, lower is better. 4 scores")
    assert "Episode 1, from 6 January 2025: baseline 7, response line 4.67." in words
    assert "Episode 2, from 2 November 2025: baseline 8, response line 5.33." in words


def test_sessions_before_the_first_score_are_there(api: Api) -> None:
    patient_id = story(api, [0], [(4, 14)])
    answer = trend(api, patient_id)
    assert (answer["from_on"], len(answer["sessions"]), answer["points"][0]["status"]) == (on(0), 1, "no_baseline")
    assert "One session (1 induction), on 6 January 2025." in answer["description"]


def test_lines_and_status_are_those_of_the_last_day(api: Api) -> None:
    patient_id = story(api, [0, 300], [(-0.1, 20), (10, 8), (299.9, 14), (310, 6)])
    answer = trend(api, patient_id, to=on(20))
    assert (answer["response_line"], answer["status"], len(answer["episodes"])) == (10, "holding", 1)


def test_a_score_that_a_later_one_of_its_day_replaces_does_not_count(api: Api) -> None:
    patient_id = story(api, [0], [(-0.1, 20), (4, 3), (4.4, 15)])
    assert [p["counts"] for p in trend(api, patient_id)["points"]] == [False, False, True]


def picture(api: Api, patient_id: str, kind: str, **params: Any) -> Any:
    answer = api.get(f"/v1/patients/{patient_id}/trend.{kind}", params={"instrument": "phq-9", **params})
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer


def layers_of(spec: dict[str, Any]) -> list[Any]:
    return [layer for part in spec["vconcat"] for layer in part["layer"]]


def test_the_description_is_vega_lite_with_its_own_data_and_no_address(api: Api, patient: str) -> None:
    answer = picture(api, patient, "vl.json")
    assert answer.headers["content-type"] == "application/json"
    spec = answer.json()
    assert spec["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    assert spec["description"] == trend(api, patient)["description"]
    assert "http" not in answer.text.replace(spec["$schema"], "")
    layers = layers_of(spec)
    lines = [layer for layer in layers if layer["mark"]["type"] == "line"]
    runs = [value["run"] for value in lines[0]["data"]["values"]]
    assert runs == [0, 0, 0, 0, 1, 1]  # 56 days without a score leave a gap; the score of the session's day is passed
    texts = [v for layer in layers if layer["mark"]["type"] == "text" for v in layer["data"]["values"]]
    assert {"response 10", "remission 4", "severe", "minimal"} <= {text.get("label") for text in texts}


def test_the_drawing_carries_a_title_and_its_text_alternative(api: Api, patient: str) -> None:
    answer = picture(api, patient, "svg")
    assert answer.headers["content-type"] == "image/svg+xml"
    image = ElementTree.fromstring(answer.text)
    assert (image.tag, image.get("role"), image.get("aria-labelledby")) == (f"{SVG}svg", "img", "title description")
    title, description = image.find(f"{SVG}title"), image.find(f"{SVG}desc")
    assert title is not None
    assert title.text == "PHQ-9"
    assert description is not None
    assert description.text == trend(api, patient)["description"]
    assert {"response 10", "remission 4"} <= {text.text for text in image.iter(f"{SVG}text")}
    assert "<script" not in answer.text
    assert "<image" not in answer.text


def test_pixels_and_drawing_come_from_a_process_that_the_service_does_not_load(api: Api, patient: str) -> None:
    answer = picture(api, patient, "png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG\r\n\x1a\n")
    assert int.from_bytes(answer.content[16:20]) > 1_000  # pixels wide
    assert "vl_convert" not in sys.modules


@pytest.mark.parametrize("scores", [[], [(-0.1, 20)], [(day, day % 20) for day in range(1, 200)]],
                         ids=["none", "one", "many"])  # fmt: skip
def test_any_number_of_scores_can_be_drawn(api: Api, scores: list[tuple[float, float]]) -> None:
    patient_id = api.patient()
    items = [{"patient_id": patient_id, "taken_at": at(day), "responses": [{"instrument": "phq-9", "score": value}]}
             for day, value in scores]  # fmt: skip
    if items:
        api.post("/v1/check-ins/batch", {"items": items})
    assert picture(api, patient_id, "svg").text.startswith("<svg")
    layers = layers_of(picture(api, patient_id, "vl.json").json())
    values: list[Any] = next((layer["data"]["values"] for layer in layers if layer["mark"]["type"] == "line"), [])
    assert len(values) == (29 if len(scores) > 100 else len(scores))


def test_many_ask_for_pictures_at_once_and_all_get_theirs(api: Api, patient: str) -> None:
    other = story(api, [0], [(-0.1, 15), (9, 3)])
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: picture(api, [patient, other][n % 2], "svg").text, range(12)))
    assert len(set(answers[::2])) == len(set(answers[1::2])) == 1
    assert answers[0] != answers[1]


def test_a_drawing_process_that_ends_costs_one_picture(api: Api, patient: str) -> None:
    picture(api, patient, "svg")
    renderer: Renderer = RENDERER.in_app(app_of(api.server))
    assert renderer._process is not None
    renderer._process.kill()
    answers = [api.get(f"/v1/patients/{patient}/trend.svg", params={"instrument": "phq-9"}) for _ in range(3)]
    assert answers[-1].status_code == 200
    assert {a.status_code for a in answers} <= {200, Busy.status}


def test_a_patient_reads_the_own_trend_and_the_picture_of_it(server: TestClient, api: Api, patient: str) -> None:
    device = new_device(api, patient)
    assert trend(device, patient)["points"][0]["value"] == 20
    assert picture(device, patient, "png").content
    event = api.get("/v1/audit-events").json()["items"][0]
    assert (event["operation"], event["patient_ids"]) == ("get_trend_png", [patient])
