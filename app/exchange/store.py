"""The query of an export. Rows are read in batches, whatever their number."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, inspect, or_, type_coerce
from sqlalchemy import select as rows_of

from app.patients.models import Patient
from app.storage import Repeated, Transaction
from app.tracks.models import ScoreVersion

_AT_ONCE = 1_000
_S = inspect(ScoreVersion).local_table.c
_P = inspect(Patient).local_table.c
# Sorted by check-in, which is the order of an index.
SCORES = (
    rows_of(
        type_coerce(_S.patient_id, Repeated()),
        type_coerce(_S.check_in_id, Repeated()),
        _S.taken_at,
        _S.stated_before_at.is_not(None).label("before_infusion"),
        _S.instrument,
        _S.points,
        _S.answers,
        _S.recorded_at,
    )
    .where(
        _S.clinic_id == bindparam("clinic"),
        _S.superseded_at.is_(None),
        _S.patient_id.not_in(
            rows_of(_P.id).where(
                _P.clinic_id == bindparam("clinic"),
                or_(_P.care_status == "entered_in_error", _P.merged_into.is_not(None)),
            )
        ),
    )
    .order_by(_S.check_in_id, _S.version)
)


def scores(db: Transaction, clinic_id: UUID) -> Iterator[Sequence[Any]]:
    """All current scores in batches, except those of patients who were entered in error or merged into others."""
    connection = db.connection()
    # SQLite's cursor reads row by row by itself; for PostgreSQL it must be requested.
    options = {"stream_results": connection.dialect.name != "sqlite", "max_row_buffer": _AT_ONCE}
    found = connection.execute(SCORES, {"clinic": clinic_id}, execution_options=options)
    while rows := found.fetchmany(_AT_ONCE):
        yield rows
