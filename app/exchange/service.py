"""Exports: every current score, one per line, in the instrument's own unit."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any
from uuid import UUID

import msgspec

from app.exchange import store
from app.instruments import INSTRUMENTS
from app.storage import Transaction


class Line(msgspec.Struct, gc=False):
    """One line of an export: a score in the instrument's unit, and its answers in the order of the items."""

    patient_id: UUID
    check_in_id: UUID
    taken_at: datetime
    before_infusion: bool
    instrument: str
    score: int | float | None
    answers: list[int | None] | None
    recorded_at: datetime


_encoded = msgspec.json.Encoder().encode_lines


def ndjson(db: Transaction, clinic_id: UUID) -> Iterator[bytes]:
    """One JSON object per line. `answers` is null for a score that was entered as a total."""
    for rows in store.scores(db, clinic_id):
        yield _encoded([_line(row) for row in rows])


def comma_separated(db: Transaction, clinic_id: UUID) -> Iterator[bytes]:
    """CSV with a header line (RFC 4180). `answers` lists the items in order, separated by semicolons; an unknown answer
    is empty. For a score that was entered as a total the whole field is empty."""
    yield (",".join(Line.__struct_fields__) + "\r\n").encode()
    for rows in store.scores(db, clinic_id):
        text = StringIO()
        csv.writer(text).writerows(_cells(_line(row)) for row in rows)
        yield text.getvalue().encode()


def _line(row: Sequence[Any]) -> Line:
    *whose, instrument, points, answers, recorded_at = row
    values = (
        *whose,
        instrument,
        None if points is None else INSTRUMENTS[instrument].value(points),
        answers,
        recorded_at,
    )
    return Line(*values)


def _cells(line: Line) -> tuple[Any, ...]:
    items = "" if line.answers is None else ";".join("" if answer is None else str(answer) for answer in line.answers)
    before = "true" if line.before_infusion else "false"
    return (
        line.patient_id,
        line.check_in_id,
        _printed(line.taken_at),
        before,
        line.instrument,
        line.score,
        items,
        _printed(line.recorded_at),
    )


def _printed(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
