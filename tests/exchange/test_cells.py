"""A cell is read as what it says, or refused by the rule that it breaks; the value is never repeated."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.exchange import cells, reading
from app.exchange.cells import CellError
from app.exchange.reading import Pieces
from app.exchange.rows import FileError, Form, LineError
from app.storage import Database
from tests.conftest import Api
from tests.exchange.files import NDJSON, imported


@pytest.mark.parametrize(("read", "cell", "rule"), [
    (cells.ident, "17-b", "must be a UUID"),
    (cells.flag, "perhaps", "must be true or false"),
    (lambda cell: cells.number(cell, ","), "1.234", "without points between thousands"),
    (cells.number, True, "must be a number"),
    (cells.number, "7x", "must be a number"),
    (cells.number, float("inf"), "must be a number"),
    (cells.whole, "7.5", "must be a whole number"),
    (cells.document, "{7", "must be a JSON document"),
    (cells.moment, datetime(2026, 3, 1, 9), "must have a zone"),  # noqa: DTZ001
    (cells.moment, date(2026, 3, 1), "must have a zone"),
    (cells.moment, "2026-03-01", "must have a zone"),
    (cells.moment, "2026-02-30", "must be a date and time that exists"),
    (cells.moment, "2026-02-30T09:00:00Z", "must be a date and time that exists"),
    (cells.moment, "2026-03-01T09:00:00+24:00", "must have a zone that exists"),
    (cells.moment, "2026-03-01T09:00:00.1234567Z", "to the microsecond at most"),
    (cells.moment, "1876-03-01T09:00:00Z", "must not be before 1900"),
])  # fmt: skip
def test_a_cell_that_breaks_a_rule_is_refused_by_it(read: Callable[[Any], Any], cell: Any, rule: str) -> None:
    with pytest.raises(CellError) as refused:
        read(cell)
    assert rule in str(refused.value)
    assert str(cell) not in str(refused.value)


@pytest.mark.parametrize(("read", "cell", "value"), [
    (cells.ident, " ", None),
    (cells.flag, None, None),
    (cells.flag, True, True),
    (cells.number, float("nan"), None),
    (cells.number, "7.0", 7),
    (lambda cell: cells.number(cell, ","), "7,5", 7.5),
    (cells.answers, "[1, NULL, 3.0]", [1, None, 3]),
    (cells.document, " ", None),
    (cells.document, "[1]", [1]),
    (cells.document, {"a": 1}, {"a": 1}),
    (cells.moment, "", None),
    (cells.moment, "2026-03-01T09:00:00-05:00", datetime(2026, 3, 1, 14, tzinfo=UTC)),
    (cells.moment, datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)),
])  # fmt: skip
def test_a_cell_is_read_as_what_it_says(read: Callable[[Any], Any], cell: Any, value: Any) -> None:
    assert read(cell) == value


def lines_of(media_type: str, content: bytes, form: Form | None = None) -> list[Any]:
    pieces = iter([content])
    return list(reading.read(media_type, Pieces(lambda _: next(pieces, None)), form or Form()))


@pytest.mark.parametrize(("media_type", "content", "form", "rule"), [
    (reading.CSV, b"a,b\n1,2\n", Form(encoding="klingon"), "must be of an encoding that is known"),
    (reading.CSV, b"\n", None, "must begin with the names of the columns"),
    (reading.CSV, b"\xff\xfe\xfa,b\n1,2\n", None, "must be text in UTF-8"),
    (reading.CSV, b"a,b\n1,\xff\n", None, "must be text in UTF-8"),
    (reading.NDJSON, b"\n\n", None, "must hold a JSON object on each line"),
    (reading.NDJSON, b'{"a": "' + b"x" * 1_100_000 + b'"}\n', None, "more than 1 MiB"),
])  # fmt: skip
def test_a_file_that_is_no_such_file_is_refused(media_type: str, content: bytes, form: Form | None, rule: str) -> None:
    with pytest.raises(FileError, match=rule):
        lines_of(media_type, content, form)


def test_a_line_that_is_no_json_object_is_named_and_the_others_are_read() -> None:
    found = lines_of(reading.NDJSON, b'{"a": 1}\n\n[7]\n{"a": 2}\n')
    assert [type(row) is LineError for row in found] == [False, True, False]
    assert found[1].line == 3


@pytest.mark.parametrize(("content", "column", "rule"), [
    ("instrument,taken_at,score,patient_id\nphq-9,2026-03-01T10:00:00Z,4,\n", "patient_id", "must name the patient"),
    ("external_id,taken_at,instrument,score\nA1,,phq-9,4\n", "taken_at", "is required"),
    ("external_id,started_at\nA1,2026-03-01T10:00:00\n", "started_at", "must have a zone"),
    ("external_id,birth_year\nA1,1492\n", "birth_year", "must"),
])  # fmt: skip
def test_a_line_of_our_own_layout_is_refused_by_its_column(
    api: Api, database: Database, content: str, column: str, rule: str
) -> None:
    first = imported(api, database, content, state="refused")["problems"][0]
    assert (first["line"], first["column"]) == (2, column)
    assert rule in first["rule"]


def test_a_member_that_the_layout_does_not_know_refuses_its_line(api: Api, database: Database) -> None:
    content = '{"external_id": "A1", "label": "x"}\n{"external_id": "A2", "labels": "x"}\n'
    assert imported(api, database, content, NDJSON, state="refused")["problems"][0]["line"] == 2
