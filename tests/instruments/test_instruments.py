"""Every instrument scores its worked examples, refuses what it cannot give, and invents no code."""

from dataclasses import replace
from typing import Any

import pytest

from app.errors import Invalid
from app.instruments import DOMAINS, INSTRUMENTS, Scored, ScoreMismatch, score

CODES = (
    "phq-9", "phq-2", "gad-7", "gad-2", "nrs-pain", "nrs-mood", "nrs-anxiety", "peg", "qids-sr16", "pcl-5", "who-5",
    "promis-depression-4a", "promis-anxiety-4a", "promis-pain-interference-4a", "madrs", "y-bocs",
)  # fmt: skip


def test_every_code_of_the_contract_is_served() -> None:
    assert sorted(INSTRUMENTS) == sorted(CODES)
    assert {code for order in DOMAINS.values() for code in order} == {c for c, i in INSTRUMENTS.items() if i.rule}


@pytest.mark.parametrize(("code", "answers", "value"), [
    ("phq-9", (2, 2, 2, 2, 1, 1, 2, 0, 0), 12),
    ("phq-9", (3,) * 9, 27),
    ("gad-7", (3, 0, 1, 2, 0, 0, 1), 7),
    ("pcl-5", (2,) * 20, 40),
    ("qids-sr16", (0, 3, 1, 0, 2, 1, 0, 2, 0, 1, 2, 0, 3, 2, 1, 2), 17),
    ("qids-sr16", (0, 3, 1, 0, 2, 1, None, 2, None, 1, 2, 0, 3, 2, 1, 2), 17),
    ("peg", (7, 6, 8), 7.0),
    ("peg", (6, 7, 4), 5.67),
    ("who-5", (3, 3, 2, 1, 4), 52),
    ("promis-depression-4a", (1, 1, 1, 1), 41.0),
    ("promis-depression-4a", (5, 5, 5, 5), 79.4),
    ("promis-anxiety-4a", (4, 3, 3, 3), 65.3),
    ("promis-pain-interference-4a", (5, 5, 5, 5), 75.6),
])  # fmt: skip
def test_worked_examples_come_out_as_published(code: str, answers: tuple[int | None, ...], value: float) -> None:
    instrument = INSTRUMENTS[code]
    points = score(instrument, answers, None).points
    assert points is not None
    assert instrument.value(points) == value


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=INSTRUMENTS)
def test_every_example_of_the_data_holds(instrument: object) -> None:
    assert hasattr(instrument, "examples")
    assert instrument.examples
    for example in instrument.examples:
        given = (example.answers, None) if example.answers else (None, example.value)
        assert instrument.value(score(instrument, *given).points) == example.value  # type: ignore[arg-type, attr-defined]


@pytest.mark.parametrize(("code", "low", "high", "labels"), [
    ("phq-9", 4, 5, ("minimal", "mild")),
    ("phq-9", 9, 10, ("mild", "moderate")),
    ("phq-9", 14, 15, ("moderate", "moderately severe")),
    ("phq-9", 19, 20, ("moderately severe", "severe")),
    ("gad-7", 14, 15, ("moderate", "severe")),
    ("nrs-pain", 0, 1, ("none", "mild")),
    ("nrs-pain", 6, 7, ("moderate", "severe")),
    ("qids-sr16", 20, 21, ("severe", "very severe")),
    ("y-bocs", 31, 32, ("severe", "extreme")),
    ("madrs", 34, 35, ("moderate", "severe")),
    ("promis-anxiety-4a", 693, 712, ("moderate", "severe")),
])  # fmt: skip
def test_bands_change_where_they_are_said_to(code: str, low: int, high: int, labels: tuple[str, str]) -> None:
    instrument = INSTRUMENTS[code]
    assert (instrument.band(low), instrument.band(high)) == labels


@pytest.mark.parametrize("instrument", [i for i in INSTRUMENTS.values() if i.bands], ids=lambda i: i.code)
def test_bands_cover_every_attainable_score_once(instrument: object) -> None:
    for points in instrument.points:  # type: ignore[attr-defined]
        assert sum(b.min <= points <= b.max for b in instrument.bands) == 1  # type: ignore[attr-defined]


def test_the_promis_tables_are_the_published_ones() -> None:
    tables = {
        "promis-depression-4a": "41.0 49.0 51.8 53.9 55.7 57.3 58.9 60.5 62.2 63.9 65.7 67.5 69.4 71.2 73.3 75.7 79.4",
        "promis-anxiety-4a": "40.3 48.0 51.2 53.7 55.8 57.7 59.5 61.4 63.4 65.3 67.3 69.3 71.2 73.3 75.4 77.9 81.6",
        "promis-pain-interference-4a": (
            "41.6 49.6 52.0 53.9 55.6 57.1 58.5 59.9 61.2 62.5 63.8 65.2 66.6 68.0 69.7 71.6 75.6"
        ),
    }
    for code, table in tables.items():
        values = [INSTRUMENTS[code].value(points) for points in INSTRUMENTS[code].points]
        assert values == [float(word) for word in table.split()]


@pytest.mark.parametrize(("code", "value"), [
    ("phq-9", 28), ("phq-9", -1), ("phq-9", 7.5), ("phq-9", 7.0), ("nrs-pain", 3.5), ("who-5", 50), ("peg", 5.66),
    ("promis-depression-4a", 50.0), ("y-bocs", 41),
])  # fmt: skip
def test_a_score_that_cannot_be_attained_is_refused(code: str, value: float) -> None:
    with pytest.raises(Invalid) as refused:
        score(INSTRUMENTS[code], None, value)
    [fault] = refused.value.errors
    assert fault.name.endswith("/score")
    assert str(value) not in fault.detail


@pytest.mark.parametrize(("code", "value", "told"), [
    ("peg", 6.7, "6.33, 6.67, 7.0"), ("who-5", 50, "44, 48, 52"), ("phq-9", 28, "from 0 to 27"),
    ("promis-depression-4a", 50.0, "41.0, 49.0, 51.8"),
])  # fmt: skip
def test_a_refused_score_names_what_is_attainable(code: str, value: float, told: str) -> None:
    with pytest.raises(Invalid) as refused:
        score(INSTRUMENTS[code], None, value)
    assert told in refused.value.errors[0].detail


@pytest.mark.parametrize(("code", "answers"), [
    ("phq-9", (1,) * 8), ("phq-9", (1,) * 10), ("phq-9", (4,) + (0,) * 8), ("nrs-pain", (6,)),
    ("promis-anxiety-4a", (0, 1, 1, 1)),
])  # fmt: skip
def test_answers_that_do_not_fit_are_refused(code: str, answers: tuple[int | None, ...]) -> None:
    with pytest.raises(Invalid) as refused:
        score(INSTRUMENTS[code], answers, None)
    assert all("/answers" in fault.name or fault.name.endswith("answers") for fault in refused.value.errors)
    assert refused.value.errors


@pytest.mark.parametrize(("code", "answers", "item"), [
    ("phq-9", (None,) + (0,) * 7 + (2,), 2), ("phq-9", (0,) * 8 + (None,), None), ("phq-9", (None,) * 9, None),
    ("qids-sr16", (0,) * 5 + (None, None) + (0,) * 9, 0), ("peg", (5, None, 5), None), ("phq-2", (None, 1), None),
    ("promis-anxiety-4a", (1, 1, 1, None), None),
])  # fmt: skip
def test_a_score_with_an_unanswered_item_has_no_total(
    code: str, answers: tuple[int | None, ...], item: int | None
) -> None:
    for total in (None, 3, 99):
        assert score(INSTRUMENTS[code], answers, total) == Scored(None, answers, item), "a score beside it is ignored"


def test_a_score_that_contradicts_the_answers_is_refused() -> None:
    with pytest.raises(ScoreMismatch):
        score(INSTRUMENTS["peg"], (7, 6, 8), 7.33)
    assert score(INSTRUMENTS["peg"], (7, 6, 8), 7.0).points == 21


def test_higher_is_better_scales_turn_round() -> None:
    who = INSTRUMENTS["who-5"]
    assert [who.severity(points) for points in (0, 52, 100)] == [100, 48, 0]
    mood = INSTRUMENTS["nrs-mood"]
    assert (mood.severity(10), mood.severity(0)) == (0, 10)


def test_loinc_codes_pass_their_check_digit() -> None:
    codes = [i.loinc for i in INSTRUMENTS.values()] + [x.loinc for i in INSTRUMENTS.values() for x in i.items]
    for code in filter(None, codes):
        digits, check = code.split("-")
        doubled = str(int(digits[::-1][::2]) * 2) + digits[::-1][1::2]
        assert (10 - sum(int(d) for d in doubled)) % 10 == int(check), code


def test_the_rules_are_those_of_the_reference() -> None:
    seen = {
        code: (r.entry, r.response, r.partial, r.reliable_change, r.remission, r.recall_days)
        for code, i in INSTRUMENTS.items()
        if (r := i.rule)
    }
    assert seen == {
        "phq-9": (10, 50, 25, 6, 4, 14),
        "gad-7": (8, 50, 25, 4, 4, 14),
        "qids-sr16": (11, 50, 25, 6, 5, 7),
        "madrs": (20, 50, 25, 7, 10, 7),
        "nrs-pain": (4, 30, 15, 3, None, 0),
        "nrs-mood": (4, 50, 25, 3, None, 0),
        "nrs-anxiety": (4, 50, 25, 3, None, 0),
        "peg": (12, 30, 15, 9, None, 7),
        "pcl-5": (31, 30, 15, 15, 28, 30),
        "y-bocs": (16, 35, 25, 5, 12, 7),
        "who-5": (50, 50, 25, 24, None, 14),
        "promis-depression-4a": (600, 100, 50, 70, 549, 7),
        "promis-anxiety-4a": (600, 100, 50, 80, 549, 7),
        "promis-pain-interference-4a": (600, 100, 50, 60, 549, 7),
    }
    kinds = {code: i.rule.reliable_change_kind for code, i in INSTRUMENTS.items() if i.rule}
    assert {c for c, kind in kinds.items() if kind != "convention"} == {"phq-9", "gad-7", "pcl-5", "peg"}


@pytest.mark.parametrize("wrong", [{"partial": 0}, {"response": 25}, {"entry": 0}, {"reliable_change": 0}])
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    rule = INSTRUMENTS["phq-9"].rule
    assert rule is not None
    with pytest.raises(ValueError, match="0 < partial < response"):
        replace(rule, **wrong)


def test_an_instrument_that_contradicts_itself_is_refused() -> None:
    phq_9 = INSTRUMENTS["phq-9"]
    for wrong, said in (
        ({"points": phq_9.points[::-1]}, "ascend"),
        ({"items": phq_9.items[1:]}, "numbered from 1"),
        ({"recall_days": 7}, "one recall window"),
    ):
        with pytest.raises(ValueError, match=said):
            replace(phq_9, **wrong)
