"""Pictures say what the answers say, in words too, and nothing in them overprints."""

import json
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient

from app.effects.models import ChangePerBoosterOut
from app.pictures.effects import changed
from app.pictures.key import Sign, key
from app.pictures.style import LABEL_HEIGHT, framed, spread
from app.speech import ENGLISH, in_language
from tests.cohorts.test_durability import post_spells
from tests.conftest import Api, days_ago, new_client, new_clinic, new_device

SVG = "{http://www.w3.org/2000/svg}"


def story(api: Api, code: str, sessions: list[float], scores: list[tuple[float, float]], **fields: Any) -> str:
    """A patient with sessions and scores some days ago."""
    patient_id = api.patient(**fields)
    for day in sessions:
        api.session(patient_id, days_ago(day))
    for day, value in scores:
        api.check_in(patient_id, days_ago(day), code, value)
    return patient_id


def picture(api: Api, path: str, **params: Any) -> dict[str, Any]:
    answer = api.get(f"{path}.vl.json", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def trend(api: Api, patient_id: str, code: str = "phq-9", **params: Any) -> dict[str, Any]:
    return picture(api, f"/v1/patients/{patient_id}/trend", instrument=code, **params)


def layers(spec: dict[str, Any]) -> list[dict[str, Any]]:
    parts = spec.get("vconcat", [spec])
    return [layer for part in parts for layer in part.get("layer", [part])]


def texts(spec: dict[str, Any]) -> set[str]:
    """Everything that is written on a picture, but for its title."""
    found = set()
    for layer in layers(spec):
        if layer["mark"]["type"] == "text":
            field = layer.get("encoding", {}).get("text", {}).get("field", "text")
            found |= {str(value.get(field)) for value in layer["data"]["values"]}
    return found


@pytest.fixture
def told(api: Api) -> str:
    """Response, an acute reading, a loss, a booster, and silence since."""
    return story(
        api, "phq-9", [120, 40],
        [(120.1, 20), (119.9999, 9), (100, 7), (70, 8), (56, 12), (46, 13), (33, 6)], label="A.B.",
    )  # fmt: skip


def test_the_header_says_whose_it_is_and_how_things_stand(api: Api, told: str) -> None:
    title = trend(api, told)["title"]
    assert title["text"].startswith("PHQ-9 (lower is better) · A.B. · ")
    assert "baseline 20 · latest 6 · last answer 33 days ago" in title["subtitle"][0]
    assert " to today, " in title["subtitle"][0]
    earlier = trend(api, told, to=days_ago(20)[:10])["title"]["subtitle"][0]
    assert "today" not in earlier
    assert "ago" not in earlier
    integration = new_client(api.server, api.clinic_id, "outcomes:read")
    assert "A.B." not in trend(integration, told)["title"]["text"], "a label is for those who may see patients"
    assert "A.B." not in trend(new_device(api, told), told)["title"]["text"], "the label is the clinic's own"


def test_the_strip_has_the_status_of_each_day(api: Api, told: str) -> None:
    spec = trend(api, told)
    answer = api.get(f"/v1/patients/{told}/trend", params={"instrument": "phq-9"}).json()
    [strip] = [layer for layer in layers(spec) if layer["mark"]["type"] == "rect" and "stroke" in layer["mark"]]
    said = [value["said"] for value in strip["data"]["values"]]
    assert len(said) == len(answer["statuses"])
    assert {run["status"].replace("_", " ") for run in answer["statuses"]} <= texts(spec), "all are in the key"
    days = [(run["from_on"], run["to_on"]) for run in answer["statuses"]]
    assert all(before < after for (_, before), (after, _) in pairwise(days))


def test_a_reading_of_the_sessions_day_stands_off_the_line(api: Api, told: str) -> None:
    spec = trend(api, told)
    [cross] = [layer for layer in layers(spec) if layer["mark"].get("shape") == "cross"]
    assert [value["value"] for value in cross["data"]["values"]] == [9]
    [line] = [layer for layer in layers(spec) if layer["mark"]["type"] == "line"]
    assert [value["value"] for value in line["data"]["values"]] == [20, 7, 8, 12, 13, 6]
    assert "crosses: on a session's day after it, not counted" in spec["title"]["subtitle"][-1]
    assert "hollow: before the first session" in spec["title"]["subtitle"][-1]


def test_marks_are_named_by_their_day_in_the_clinic(api: Api, told: str) -> None:
    image = ElementTree.fromstring(api.get(f"/v1/patients/{told}/trend.svg", params={"instrument": "phq-9"}).text)
    labels = {element.get("aria-label") for element in image.iter() if element.get("aria-label")}
    points = api.get(f"/v1/patients/{told}/trend", params={"instrument": "phq-9"}).json()["points"]
    year, month, day = points[-1]["day"].split("-")
    assert any(
        label and label.startswith(f"{int(day)} ") and year in label and label.endswith(": 6") for label in labels
    )
    assert month


@pytest.mark.parametrize(("code", "scores", "said"), [
    ("phq-9", [(30.1, 6)], "no response line: the baseline of 6 is milder than the entry line (not evaluable)"),
    ("phq-9", [(20, 12)], "no response line: no score in the 28 days up to the first session, so no baseline"),
])  # fmt: skip
def test_why_there_is_no_line(api: Api, code: str, scores: list[tuple[float, float]], said: str) -> None:
    assert said in trend(api, story(api, code, [30], scores), code)["title"]["subtitle"]


def test_an_empty_chart_says_so(api: Api) -> None:
    spec = trend(api, api.patient())
    assert "no scores yet" in texts(spec)
    assert "no response line: no session yet" in spec["title"]["subtitle"]
    empty = picture(api, f"/v1/patients/{api.patient()}/overview")
    assert "no scores yet: mood, anxiety, pain" in empty["title"]["subtitle"][0]
    assert empty["description"] == "No scores yet: mood, anxiety, pain."


@pytest.mark.parametrize(("code", "baseline"), [("pcl-5", 36), ("pcl-5", 39), ("y-bocs", 18), ("phq-9", 10)])
def test_labels_of_lines_stand_in_their_order_and_apart(api: Api, code: str, baseline: int) -> None:
    spec = trend(api, story(api, code, [30], [(30.1, baseline), (10, baseline // 2)]), code)
    named = [
        (layer["encoding"]["y"]["value"], layer["data"]["values"][0])
        for layer in layers(spec)
        if layer["mark"].get("fontWeight") == "bold" and "y" in layer["encoding"]
    ]
    assert {value["label"].split()[0] for _, value in named} == {"response", "remission"}
    (upper, above), (lower, below) = sorted(named, key=lambda one: one[0])
    assert lower - upper >= LABEL_HEIGHT - 1e-9
    assert above["value"] >= below["value"], "lower is better, so the larger score is higher up"


@pytest.mark.parametrize(("wanted", "found"), [
    ([50, 52], [50, 64]), ([52, 50], [64, 50]), ([0, 100], [0, 100]), ([99, 98, 97], [100, 86, 72]), ([], []),
])  # fmt: skip
def test_labels_are_spread_in_order_and_within_bounds(wanted: list[float], found: list[float]) -> None:
    assert spread(wanted, 0, 100) == found


def test_a_bucket_is_drawn_by_its_median_and_its_range(api: Api, told: str) -> None:
    spec = trend(api, told, bucket="month")
    answer = api.get(f"/v1/patients/{told}/trend", params={"instrument": "phq-9", "bucket": "month"}).json()
    filled = [one for one in answer["buckets"] if one["n"]]
    [line] = [layer for layer in layers(spec) if layer["mark"]["type"] == "line"]
    assert [value["value"] for value in line["data"]["values"]] == [one["median"] for one in filled]
    assert "bars: lowest to highest" in spec["title"]["subtitle"][-1]
    nothing = trend(api, story(api, "phq-9", [30], []), bucket="week")
    assert "no scores in these days" in texts(nothing)


def test_what_else_happened_stands_under_the_axis_and_overprints_nothing(api: Api, told: str) -> None:
    for n, day in enumerate((60, 59, 58, 57, 56, 1)):
        body = {"kind": "other", "on": days_ago(day)[:10], "label": f"a long name of what else happened, {n}"}
        assert api.post(f"/v1/patients/{told}/events", body).status_code == 201
    api.post(f"/v1/patients/{told}/events", {"kind": "missed_session", "on": days_ago(100)[:10]})
    spec = trend(api, told)
    assert "missed session" in texts(spec)
    names = [text for text in texts(spec) if text.startswith("a long name")]
    assert names
    assert all(len(name) <= 28 for name in names)
    assert len(names) == 1, "the others are cut to the same name"


def test_events_of_one_time_are_all_marked_and_no_mark_stands_on_a_name(api: Api, told: str) -> None:
    for n in range(9):
        body = {"kind": "other", "on": days_ago(60)[:10], "label": f"what else happened, {n}"}
        assert api.post(f"/v1/patients/{told}/events", body).status_code == 201
    spec = trend(api, told)
    assert "3 of 9 events are marked without a name, for want of room" in spec["title"]["subtitle"]
    [marks] = [one for one in layers(spec) if one["mark"].get("shape") == "triangle-up"]
    values = marks["data"]["values"]
    named = {value["row"] for value in values if value["name"]}
    assert (len(values), len(named)) == (9, 6), "a row for each name"
    assert not named & {value["row"] for value in values if not value["name"]}
    assert spec["description"].count("what else happened, ") == 9
    overview = picture(api, f"/v1/patients/{told}/overview")
    assert "3 of 9 events are marked without a name, for want of room" in overview["title"]["subtitle"]


def test_an_event_shortly_before_the_first_score_is_drawn_and_one_of_years_before_is_not(api: Api, told: str) -> None:
    for on, label in ((days_ago(150)[:10], "lithium stopped"), ("1999-01-01", "long ago")):
        api.post(f"/v1/patients/{told}/events", {"kind": "medication_stopped", "on": on, "label": label})
    spec = trend(api, told)
    assert "lithium stopped" in texts(spec)
    assert "long ago" not in texts(spec)
    answer = api.get(f"/v1/patients/{told}/trend", params={"instrument": "phq-9"}).json()
    assert answer["from_on"] == days_ago(150)[:10]
    assert [event["label"] for event in answer["events"]] == ["lithium stopped"]


def test_a_patient_with_nothing_but_events_has_a_picture_of_the_usual_size(api: Api) -> None:
    """A mark outside of the axis would widen the picture without bound."""
    patient_id = api.patient()
    for on in ("1999-01-01", days_ago(9)[:10]):
        api.post(f"/v1/patients/{patient_id}/events", {"kind": "tms", "on": on})
    svg = api.get(f"/v1/patients/{patient_id}/trend.svg", params={"instrument": "phq-9"})
    width = float(ElementTree.fromstring(svg.text).get("width") or 0)
    assert 760 < width < 1_200
    assert api.get(f"/v1/patients/{patient_id}/trend.png", params={"instrument": "phq-9"}).status_code == 200


def test_long_names_are_cut(api: Api) -> None:
    patient_id = story(api, "phq-9", [30], [(30.1, 20)], label="L" * 200)
    for path in ("trend", "effects"):
        title = picture(api, f"/v1/patients/{patient_id}/{path}", instrument="phq-9")["title"]["text"]
        assert "L…" in title
        assert len(title) <= 110


def test_an_overview_of_some_days_does_not_say_that_there_are_no_scores_yet(api: Api, told: str) -> None:
    day = days_ago(90)[:10]
    spec = picture(api, f"/v1/patients/{told}/overview", **{"from": day, "to": day})
    assert "no scores in these days: mood, anxiety, pain" in spec["title"]["subtitle"][0]
    assert spec["description"] == "No scores in these days: mood, anxiety, pain."


def test_the_overview_has_each_domain_by_its_own_instrument_over_one_axis(api: Api, told: str) -> None:
    api.check_in(told, days_ago(120.1), "gad-7", 15)
    api.check_in(told, days_ago(80), "gad-7", 6)
    api.post(f"/v1/patients/{told}/events", {"kind": "ect", "on": days_ago(50)[:10]})
    spec = picture(api, f"/v1/patients/{told}/overview")
    heads = [text for text in texts(spec) if text.startswith(("Mood:", "Anxiety:", "Pain:"))]
    assert len(heads) == 2
    assert any(head.startswith("Mood: PHQ-9 · holding · baseline 20 · latest 6") for head in heads)
    assert "no scores yet: pain" in spec["title"]["subtitle"][0]
    assert "Mood: PHQ-9, 0 to 27" in spec["description"]
    assert spec["description"].count("What else happened: ect on ") == 1
    domains = {json.dumps(part["encoding"]["x"]["scale"]["domainMin"]) for part in spec["vconcat"]
               if part.get("encoding", {}).get("x", {}).get("field") == "at"}  # fmt: skip
    assert len(domains) == 1
    shown = picture(api, f"/v1/patients/{told}/overview", **{"from": days_ago(90)[:10], "to": days_ago(30)[:10]})
    assert "today" not in shown["title"]["subtitle"][0]
    mine = picture(new_device(api, told), f"/v1/patients/{told}/overview")
    assert "ect" not in mine["description"]


@pytest.mark.parametrize("kind", ["trend", "overview", "effects"])
def test_every_picture_comes_as_svg_and_png(api: Api, told: str, kind: str) -> None:
    params = {} if kind == "overview" else {"instrument": "phq-9"}
    svg = api.get(f"/v1/patients/{told}/{kind}.svg", params=params)
    image = ElementTree.fromstring(svg.text)
    assert image.get("role") == "img"
    described = image.find(f"{SVG}desc")
    assert described is not None
    assert described.text == picture(api, f"/v1/patients/{told}/{kind}", **params)["description"]
    png = api.get(f"/v1/patients/{told}/{kind}.png", params=params)
    assert (svg.headers["content-type"], png.headers["content-type"]) == ("image/svg+xml", "image/png")
    assert png.content.startswith(b"\x89PNG")
    assert png.headers["cache-control"] == "no-store"


def test_a_series_of_boosters_tells_days_of_relief_and_their_change(api: Api) -> None:
    sessions = [300, 240, 185, 140, 100, 70, 45]
    scores: list[tuple[float, float]] = [(sessions[0] + 0.1, 20)]
    for day in sessions:
        scores += [(day - 2, 6), (day - 14, 7)] + ([(day - 20, 15), (day - 26, 16)] if day > 45 else [])
    patient_id = story(api, "phq-9", [float(day) for day in sessions], scores)
    spec = picture(api, f"/v1/patients/{patient_id}/effects", instrument="phq-9")
    [dots] = [layer for layer in layers(spec) if layer["mark"]["type"] == "point"]
    values = [(value["value"], value["measured"]) for value in dots["data"]["values"]]
    assert values[:3] == [(18, True)] * 3
    assert values[-1][1] is False, "still holding, or not known how it ended"
    assert "change per booster: " in spec["title"]["subtitle"][1]
    assert "95%" in spec["title"]["subtitle"][1]
    assert "18 days of relief" in spec["description"]
    refused = api.get(f"/v1/patients/{patient_id}/effects.svg", params={"instrument": "phq-2"})
    assert refused.status_code == 422
    bare = picture(api, f"/v1/patients/{api.patient()}/effects", instrument="phq-9")
    assert bare["description"].startswith("No session with a reading after it yet.")
    assert "no session with a reading after it yet" in texts(bare)


def test_no_response_and_at_least_so_long_are_told_apart(api: Api) -> None:
    patient_id = story(api, "phq-9", [60, 30], [(60.1, 20), (50, 18), (40, 19), (25, 8), (1, 9)])
    words = picture(api, f"/v1/patients/{patient_id}/effects", instrument="phq-9")["description"]
    assert ": no response. " in words
    assert "at least 24 days of relief" in words


@pytest.fixture(scope="module")
def cohort(server: TestClient) -> Api:
    """Two groups of twelve by treatment resistance, and three patients of whom it is not known."""
    api = new_clinic(server)
    post_spells(api, "3,5,8,9,12,14,20,21,25+,30,40+,60+", failed_antidepressant_trials=3)
    post_spells(api, "2,4,6,7,9,10,11,12+,13,15,22+,26", failed_antidepressant_trials=0)
    post_spells(api, "4,8,9")
    return api


def test_durability_is_drawn_with_intervals_numbers_at_risk_and_its_end(cohort: Api) -> None:
    params = {"instrument": "phq-9", "group_by": "treatment_resistant"}
    spec = picture(cohort, "/v1/cohorts/durability", **params)
    answer = cohort.get("/v1/cohorts/durability", params=params).json()
    drawn = [group for group in answer["groups"] if group["curve"]]
    assert len(drawn) == 2
    assert {f"{group['group'].replace('_', ' ')} ({group['responders']})" for group in drawn} <= texts(spec)
    assert {"at risk", "12"} <= texts(spec)
    lines = [layer for layer in layers(spec) if layer["mark"]["type"] == "line"]
    assert len([layer for layer in layers(spec) if layer["mark"]["type"] == "area"]) == 2
    for layer, group in zip(lines, drawn, strict=True):
        assert layer["data"]["values"][-1]["day"] >= group["followed_to_day"]
    assert "Still in response: " in spec["description"]
    assert "not reached" not in spec["description"]
    for image in ("svg", "png"):
        assert cohort.get(f"/v1/cohorts/durability.{image}", params=params).status_code == 200


def test_hidden_groups_are_said_to_be_hidden(cohort: Api) -> None:
    stranger = new_client(cohort.server, cohort.clinic_id, "cohorts:read")
    spec = picture(stranger, "/v1/cohorts/durability", instrument="phq-9", group_by="treatment_resistant")
    hidden = next(line for line in spec["title"]["subtitle"] if line.startswith("hidden, because too few patients"))
    assert hidden.endswith("unknown")
    assert "unknown: hidden" in spec["description"]


def test_groups_without_a_curve_are_named(cohort: Api) -> None:
    spec = picture(cohort, "/v1/cohorts/durability", instrument="phq-9", group_by="treatment_resistant")
    assert "no curve, because too few spells are in it: unknown (3)" in spec["title"]["subtitle"]


def test_a_clinic_without_spells_has_nothing_to_draw(api: Api) -> None:
    spec = picture(api, "/v1/cohorts/durability", instrument="phq-9")
    assert "nothing to show" in texts(spec)
    assert "0 spells" in spec["description"]


def test_pictures_of_a_synthetic_clinic_say_so() -> None:
    assert framed("PHQ-9", [], "", synthetic=True)["title"]["text"] == "SYNTHETIC DATA, nobody real: PHQ-9"
    assert framed("PHQ-9", [], "", synthetic=False)["title"]["text"] == "PHQ-9"


def test_a_key_breaks_into_rows() -> None:
    many = key([Sign(f"a name that takes some room, {n}", "#000000") for n in range(9)])
    assert many["height"] > key([Sign("one", "#000000")])["height"]
    assert key([])["layer"][0]["mark"]["opacity"] == 0


def test_each_episodes_line_is_named_where_it_ends(api: Api) -> None:
    patient_id = story(api, "phq-9", [400, 100], [(400.1, 20), (380, 8), (100.1, 14), (80, 6)])
    assert {"response 10", "response 7"} <= texts(trend(api, patient_id))


def test_days_without_a_score_have_empty_buckets(api: Api) -> None:
    spec = trend(api, story(api, "phq-9", [30], []), bucket="week", **{"from": days_ago(30)[:10]})
    assert "no scores in these days" in texts(spec)
    assert not [layer for layer in layers(spec) if layer["mark"]["type"] == "line"]


def test_many_scores_of_session_days_are_no_part_of_the_weekly_line(api: Api) -> None:
    patient_id = api.patient()
    api.session(patient_id, days_ago(200))
    items = [
        {"patient_id": patient_id, "taken_at": days_ago(ago), "responses": [{"instrument": "nrs-pain", "score": 4}]}
        for ago in (199.999, *range(1, 190))
    ]
    assert api.post("/v1/check-ins/batch", {"items": items}).status_code == 200
    spec = trend(api, patient_id, "nrs-pain")
    assert any("line: weekly medians" in line for line in spec["title"]["subtitle"])
    [line] = [layer for layer in layers(spec) if layer["mark"]["type"] == "line"]
    assert 26 <= len(line["data"]["values"]) <= 29


def test_a_session_without_a_reading_has_no_mark_of_relief(api: Api) -> None:
    patient_id = story(api, "gad-7", [60, 30], [(60.1, 15), (50, 5)])
    spec = picture(api, f"/v1/patients/{patient_id}/effects", instrument="phq-9")
    assert "no session with a reading after it yet" in texts(spec)
    [bars] = [layer for layer in layers(spec) if layer["mark"]["type"] == "bar"]
    assert [value["value"] for value in bars["data"]["values"]] == [30, 30]


def test_the_overview_of_three_domains_and_what_a_patient_may_see_of_it(api: Api) -> None:
    patient_id = story(api, "phq-9", [60], [(20, 9)])
    for code in ("gad-7", "nrs-pain"):
        api.check_in(patient_id, days_ago(20), code, 5)
    spec = picture(api, f"/v1/patients/{patient_id}/overview")
    assert len(spec["title"]["subtitle"]) == 1, "there is nothing to explain and nothing missing"
    assert "No scores yet" not in spec["description"]
    version = api.get("/v1/clinic").headers["etag"]
    changed = api.request(
        "PATCH", "/v1/clinic", json={"patient_view": "scores_and_trend"}, headers={"If-Match": version}
    )
    assert changed.status_code == 200
    device = new_device(api, patient_id)
    mine = picture(device, f"/v1/patients/{patient_id}/overview")
    assert "no baseline" not in mine["description"].lower().split("status")[-1]
    assert not [layer for layer in layers(mine) if layer["mark"]["type"] == "rect" and "stroke" in layer["mark"]]
    measured = story(api, "phq-9", [60], [(60.1, 20), (20, 9)])
    for reader in (api, new_device(api, measured)):
        assert "Baseline 20, response line 10." in trend(reader, measured)["description"]
    early = story(api, "phq-9", [], [(20, 9)])
    assert "hollow" in picture(api, f"/v1/patients/{early}/overview")["title"]["subtitle"][-1]


@pytest.mark.parametrize(("ci", "told"), [
    ([-3.5, 1.0], "change per booster: -2 days (95% -3.5 to +1), over 6 later sessions"),
    ([None, 0.0], "change per booster: -2 days (95% unbounded to +0), over 6 later sessions"),
    ([-4.0, None], "change per booster: -2 days (95% -4 to unbounded), over 6 later sessions"),
])  # fmt: skip
def test_the_change_per_booster_is_told_with_its_interval(ci: list[float | None], told: str) -> None:
    change = ChangePerBoosterOut(
        instrument="phq-9", domain="mood", sessions=6, ended_under_measurement=5, change_days=-2.0, ci=ci
    )
    assert changed(change, ENGLISH) == told
    assert "sin límite" in changed(change, in_language("es")) or None not in ci
    none = change.model_copy(update={"change_days": None, "ci": None})
    assert changed(none, ENGLISH).startswith("change per booster: not known")
