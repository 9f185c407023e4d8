"""Exports: every score that stands, one a line, in the instrument's own unit."""

import csv
from collections.abc import Iterator
from io import StringIO
from typing import Any
from uuid import UUID

import msgspec
from sqlmodel import Session

from app.exchange import store
from app.instruments import INSTRUMENTS

COLUMNS = (
    "patient_id",
    "check_in_id",
    "taken_at",
    "before_infusion",
    "instrument",
    "score",
    "answers",
    "recorded_at",
)
_lines = msgspec.json.Encoder().encode_lines


def ndjson(db: Session, clinic_id: UUID) -> Iterator[bytes]:
    """A JSON object a line; `answers` is null for a total alone."""
    for rows in store.scores(db, clinic_id):
        yield _lines([dict(zip(COLUMNS, _values(row), strict=True)) for row in rows])


def comma_separated(db: Session, clinic_id: UUID) -> Iterator[bytes]:
    """RFC 4180 with a head. `answers` has the items in order, separated by semicolons, an unknown one left empty; it is
    empty for a total alone."""
    yield (",".join(COLUMNS) + "\r\n").encode()
    for rows in store.scores(db, clinic_id):
        text = StringIO()
        csv.writer(text).writerows(_cells(row) for row in rows)
        yield text.getvalue().encode()


def _values(row: Any) -> tuple[Any, ...]:
    patient_id, check_in_id, taken_at, before_infusion, instrument, points, answers, recorded_at = row
    score = INSTRUMENTS[instrument].value(points)
    return patient_id, check_in_id, taken_at, before_infusion, instrument, score, answers, recorded_at


def _cells(row: Any) -> tuple[Any, ...]:
    patient_id, check_in_id, taken_at, before_infusion, instrument, score, answers, recorded_at = _values(row)
    items = "" if answers is None else ";".join("" if answer is None else str(answer) for answer in answers)
    before = "true" if before_infusion else "false"
    return patient_id, check_in_id, _printed(taken_at), before, instrument, score, items, _printed(recorded_at)


def _printed(moment: Any) -> str:
    return str(moment.isoformat()).replace("+00:00", "Z")
