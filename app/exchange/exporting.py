"""Exports: scores, sessions and patients, one a line, in our own layout (`columns`), which an import reads back.

CSV is for people: what stands now, instants with six digits, numbers in one spelling, text in quotation marks, and an
apostrophe before what a spreadsheet would run as a formula. NDJSON has every version, voids too.
"""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from app.exchange import cells, store
from app.exchange.columns import What, columns_of
from app.instruments import INSTRUMENTS
from app.patients import identifiers
from app.patients import service as patients
from app.storage import Transaction
from app.tracks.days import local_day

Form = Literal["csv", "ndjson"]
Line = dict[str, Any]
_MOST_KNOWN = 20_000
_encoded = msgspec.json.Encoder(enc_hook=str).encode_lines


def export(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, what: What, form: Form, since: datetime | None, *, names: bool
) -> Iterator[bytes]:
    """The bytes of a file. `since`: only what was recorded from then on. `names`: whether it may tell who the patients
    are. Patients who were entered in error are left out, and records that go on in others."""
    versions = form == "ndjson"
    found = _LINES[what](db, clinic_id, zone, since, versions, _Names(db, clinic_id) if names else None)
    header = [column.name for column in columns_of(what, versions=versions)]
    if form == "ndjson":
        for lines in found:
            yield _encoded([{name: line[name] for name in header} for line in lines])
        return
    yield (",".join(header) + "\r\n").encode()
    for lines in found:
        text = StringIO()
        csv.writer(text, quoting=csv.QUOTE_NONNUMERIC).writerows(
            [_cell(line[name]) for name in header] for line in lines
        )
        yield text.getvalue().encode()


def table(db: Transaction, clinic_id: UUID, zone: ZoneInfo, what: What, since: datetime | None) -> Iterator[list[Line]]:
    """What stands now, in batches of lines by column, for a writer of another form."""
    names = [column.name for column in columns_of(what, versions=False)]
    for lines in _LINES[what](db, clinic_id, zone, since, False, _Names(db, clinic_id)):
        yield [{name: line[name] for name in names} for line in lines]


class _Names:
    """External ids by patient; those of the last patients are kept."""

    def __init__(self, db: Transaction, clinic_id: UUID) -> None:
        self._db, self._clinic_id = db, clinic_id
        self._known: dict[UUID, str] = {}

    def of(self, patient_ids: set[UUID]) -> dict[UUID, str]:
        missing = patient_ids - self._known.keys()
        if missing:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
                missing = patient_ids
            found = identifiers.of_patients(self._db, self._clinic_id, missing)
            self._known |= {patient_id: who.external_id for patient_id, who in found.items()}
        return self._known


def _external_ids(names: _Names | None, rows: Sequence[Any]) -> dict[UUID, str]:
    return {} if names is None else names.of({row.patient_id for row in rows})


def _scores(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, since: datetime | None, versions: bool, names: _Names | None
) -> Iterator[list[Line]]:
    for rows in store.scores(db, clinic_id, since, every_version=versions):
        who = _external_ids(names, rows)
        yield [
            {
                "patient_id": row.patient_id,
                "external_id": who.get(row.patient_id),
                "check_in_id": row.check_in_id,
                "session_id": row.session_id,
                "taken_at": cells.printed(row.taken_at),
                "local_day": local_day(row.taken_at, zone).isoformat(),
                "before_infusion": row.stated_before_at is not None,
                "instrument": row.instrument,
                "score": None if row.points is None else float(INSTRUMENTS[row.instrument].value(row.points)),
                "answers": row.answers,
                "version": row.version,
                "status": _status(row),
                "reason": row.reason,
                "recorded_at": cells.printed(row.recorded_at),
                "source_recorded_at": _printed(row.source_recorded_at),
            }
            for row in rows
        ]


def _status(row: Any) -> str:
    if row.moved_to is not None:
        return "moved"
    return "voided" if row.voided else "replaced" if row.replaced_at is not None else "recorded"


def _sessions(
    db: Transaction, clinic_id: UUID, zone: ZoneInfo, since: datetime | None, versions: bool, names: _Names | None
) -> Iterator[list[Line]]:
    numbers = ("weight_kg", "dose_mg", "dose_mg_per_kg")
    moments = ("started_at", "ended_at", "ready_to_leave_at")
    for every in store.sessions(db, clinic_id, since):
        rows = every if versions else [r for r in every if r.version == r.current and r.moved_to is None]
        who = _external_ids(names, rows)
        lines = []
        for row in rows:
            said = dict(row.content)
            said |= {name: None if said.get(name) is None else float(said[name]) for name in numbers}
            times = {name: None if said.get(name) is None else datetime.fromisoformat(said[name]) for name in moments}
            started_at = times["started_at"]
            assert started_at is not None
            said |= {name: _printed(moment) for name, moment in times.items()}
            lines.append(
                {
                    **{"lot": None, "sedating_medication": None, "notes": None, **said},
                    "patient_id": row.patient_id,
                    "external_id": who.get(row.patient_id),
                    "session_id": row.session_id,
                    "local_day": local_day(started_at, zone).isoformat(),
                    "status": "moved" if row.moved_to is not None else said["status"],
                    "version": row.version,
                    "reason": row.reason,
                    "recorded_at": cells.printed(row.recorded_at),
                    "source_recorded_at": _printed(row.source_recorded_at),
                }
            )
        yield lines


def _patients(
    db: Transaction, clinic_id: UUID, _: ZoneInfo, since: datetime | None, versions: bool, names: _Names | None
) -> Iterator[list[Line]]:
    for rows in store.patients(db, clinic_id, since, hidden=versions):
        yield [
            {
                **found.model_dump(),
                "patient_id": found.id,
                "external_id": None if names is None else found.external_id,
                "created_at": cells.printed(found.created_at),
                "updated_at": cells.printed(found.updated_at),
            }
            for found in patients.patients_out(db, clinic_id, rows)
        ]


_LINES: dict[What, Callable[..., Iterator[list[Line]]]] = {
    "scores": _scores,
    "sessions": _sessions,
    "patients": _patients,
}


def _printed(moment: datetime | None) -> str | None:
    return None if moment is None else cells.printed(moment)


def _cell(value: Any) -> Any:
    """A value as it stands in a cell of CSV; text is put in quotation marks, numbers are not."""
    match value:
        case bool():
            return "true" if value else "false"
        case None | int() | float():
            return value
        case list() if value and isinstance(value[0], dict):
            return json.dumps(value, separators=(",", ":"))
        case list():
            return cells.safe(";".join("" if one is None else str(one) for one in value))
        case dict():
            return json.dumps(value, separators=(",", ":"))
        case _:
            return cells.safe(str(value))
