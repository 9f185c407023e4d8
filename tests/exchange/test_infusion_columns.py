"""Columns of a clinic's own sheet become patients and infusion sessions, or refuse their line by the column."""

from typing import Any

import pytest

from app.storage import Database
from tests.conftest import Api
from tests.exchange.files import imported

_SHEET: dict[str, Any] = {
    "zone": "UTC",
    "patient": {"column": "mrn", "unknown": "create", "label": "name", "birth_year": "born"},
    "date": {"column": "visit", "time_column": "hour"},
    "scores": [{"instrument": "phq-9", "total": "phq"}],
    "sessions": [{
        "date": {"column": "start"}, "ended": {"column": "end"}, "columns": {"dose_mg": "mg"}, "fixed": {"route": "iv"},
    }],
}  # fmt: skip
_HEADER = "mrn,name,born,visit,hour,phq,start,end,mg\n"
_GOOD = "A1,x,1980,2026-03-01,09:30,7,2026-03-01T10:00,2026-03-01T10:40,40\n"


def test_one_row_brings_a_patient_a_score_and_a_session(api: Api, database: Database) -> None:
    assert api.request("PUT", "/v1/imports/mappings/sheet", json=_SHEET).is_success
    imported(api, database, _HEADER + _GOOD, mapping="sheet")
    assert [one["birth_year"] for one in api.get("/v1/patients").json()["items"]] == [1980]
    assert "2026-03-01T09:30" in api.get("/v1/exports/scores.csv").text
    assert "2026-03-01T10:40" in api.get("/v1/exports/sessions.csv").text


@pytest.mark.parametrize(("was", "now", "column"), [
    (",x,", f",{'x' * 300},", "name"), (",1980,", ",long ago,", "born"), (",1980,", ",1492,", "born"),
    (",09:30,", ",noon,", "hour"), (",40\n", ",much\n", "mg"), ("A1,", ",", "mrn"),
])  # fmt: skip
def test_a_cell_that_cannot_be_read_names_its_column(
    api: Api, database: Database, was: str, now: str, column: str
) -> None:
    assert api.request("PUT", "/v1/imports/mappings/sheet", json=_SHEET).is_success
    refused = imported(api, database, _HEADER + _GOOD.replace(was, now), state="refused", mapping="sheet")
    assert column in [one["column"] for one in refused["problems"]]
