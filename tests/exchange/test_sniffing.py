"""A proposal says what a file seems to be, and never takes an item for a total."""

from typing import Any

import pytest

from app.exchange.reading import CSV, Pieces, read
from app.exchange.resolving import mapping_of
from app.exchange.rows import Form
from app.exchange.sniffing import Proposal, propose
from app.instruments import INSTRUMENTS


def proposed(header: str, row: str = "") -> Proposal:
    pieces = iter([f"{header}\n{row}\n".encode()])
    return propose(CSV, read(CSV, Pieces(lambda _: next(pieces, None)), Form(flat=True)))


def scales(header: str) -> dict[str, Any]:
    mapping = proposed(header).mapping or {}
    return {one.pop("instrument"): one for one in mapping.get("scores", [])}


@pytest.mark.parametrize("stem", ["phq", "phq9_", "phq_9_", "phq/phq", "phq-phq", "PHQ9.Q", "phq9_item"])
def test_a_series_of_columns_has_the_items(stem: str) -> None:
    names = [f"{stem}{n}" for n in range(1, 10)]
    assert scales(f"mrn,visit,{','.join(names)},phq_total") == {"phq-9": {"items": names, "total": "phq_total"}}


def test_no_column_of_a_series_is_a_total() -> None:
    for count in (8, 10):
        names = [f"phq{n}" for n in range(1, count + 1)]
        assert scales(f"mrn,visit,{','.join(names)}") == {}


def test_totals_alone_are_known_by_the_whole_name() -> None:
    assert scales("mrn,visit,PHQ-9,GAD-7 total,nrs_pain,phq") == {
        "phq-9": {"total": "PHQ-9"}, "gad-7": {"total": "GAD-7 total"}, "nrs-pain": {"total": "nrs_pain"},
    }  # fmt: skip


def test_a_tool_is_known_by_its_columns_and_what_is_unsure_is_said() -> None:
    found = proposed("record_id,redcap_event_name,visit_date,phq9_1", "7,a,2026-03-01,1")
    assert (found.mapping or {})["extends"] == "redcap"
    assert any(one.startswith("zone") for one in found.unsure)
    dates = proposed("mrn,infusion date,visit,dob,phq9_total", "1,2026-03-01,2026-03-02,1980-01-01,4")
    assert (dates.mapping or {})["date"] == {"column": "visit", "time": "12:00"}
    assert proposed("patient_id,taken_at,instrument,score").what == "scores"


def test_what_is_proposed_can_be_read() -> None:
    names = [f"phq{n}" for n in range(1, 10)]
    mapping = mapping_of(proposed(f"mrn,visit,{','.join(names)}").mapping or {})
    assert [scale.instrument for scale in mapping.scores] == ["phq-9"]
    assert len(mapping.scores[0].columns) == len(INSTRUMENTS["phq-9"].items)


def test_dates_are_spelt_as_the_first_rows_tell() -> None:
    for cell, form, is_sure in (
        ("03/31/2026", "%m/%d/%Y", True),
        ("31/03/2026", "%d/%m/%Y", True),
        ("03/04/2026", "%m/%d/%Y", False),
        ("31.03.2026 10:15", "%d.%m.%Y %H:%M", True),
    ):
        found = proposed("mrn,visit,phq9_total", f"1,{cell},4")
        assert (found.mapping or {})["date"]["format"] == form
        assert any("format" in one for one in found.unsure[1:] if "strptime" in one or " or %" in one) is not is_sure
    assert "format" not in (proposed("mrn,visit,phq9_total", "1,2026-03-31T10:00:00Z,4").mapping or {})["date"]
