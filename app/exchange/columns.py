"""The columns of our own layout: what an export writes into each, what it means, and how an import reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from app.exchange import cells
from app.exchange.models import DictionaryColumn, DictionaryFile, DictionaryInstrument, DictionaryOut
from app.instruments import INSTRUMENTS
from app.patients.models import CareStatus, FailedTreatment, Indication
from app.sessions.models import Route, Status

What = Literal["scores", "sessions", "patients"]
Read = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type in words, its meaning with unit or range, and how an import reads a cell of it (None: it does
    not). `versions`: it is there only where a file has every version (NDJSON)."""

    name: str
    type: str
    meaning: str
    read: Read | None = None
    versions: bool = False


def _moment(name: str, meaning: str, *, read: bool = True) -> Column:
    return Column(name, "instant", f"{meaning} RFC 3339, in UTC, six digits", cells.moment if read else None)


_PATIENT = (
    Column("patient_id", "id", "The patient", cells.ident),
    Column(
        "external_id", "text", "The clinic's own number for the patient. Keep it as text: 0042 is no 42", cells.text
    ),
)
_LOCAL_DAY = Column("local_day", "day", "The clinic's calendar day of it; an import works it out anew")
_SOURCE = _moment("source_recorded_at", "When it was recorded where an import brought it from.", read=False)
_RECORDED = _moment(
    "recorded_at", "When this version was recorded here. An import keeps it as source_recorded_at: its own is its own."
)
_VERSION = Column("version", "whole number", "Counts the versions, from 1", cells.whole)
_REASON = Column("reason", "text", "Why the version was made", cells.text, versions=True)

COLUMNS: Mapping[What, tuple[Column, ...]] = {
    "scores": (
        *_PATIENT,
        Column("check_in_id", "id", "The check-in. By it a line is known again, before anything else", cells.ident),
        Column("session_id", "id", "The session that it belongs to, if one was named", cells.ident),
        _moment("taken_at", "When it was answered."),
        _LOCAL_DAY,
        Column("before_infusion", "true or false", "Whether it was stated to come before the infusion", cells.flag),
        Column("instrument", "code", "See instruments; none in a version that was voided", cells.one_of(INSTRUMENTS)),
        Column("score", "number", "In the instrument's own unit; empty where items are unanswered", cells.number),
        Column(
            "answers",
            "list",
            "The items in order, separated by semicolons (in NDJSON a list), an unanswered one empty; all empty for a "
            "total alone",
            cells.answers,
        ),
        _VERSION,
        Column(
            "status",
            "code",
            "recorded; in NDJSON also replaced (by a later version), voided, or moved (to another patient or record)",
            cells.one_of(("recorded", "replaced", "voided", "moved")),
        ),
        _REASON,
        _RECORDED,
        _SOURCE,
    ),
    "sessions": (
        *_PATIENT,
        Column("session_id", "id", "The infusion session", cells.ident),
        _moment("started_at", "When the infusion began."),
        _moment("ended_at", "When it ended."),
        _LOCAL_DAY,
        Column("status", "code", ", ".join(get_args(Status)), cells.one_of((*get_args(Status), "moved"))),
        Column("drug", "text", "The drug", cells.text),
        Column("route", "code", ", ".join(get_args(Route)), cells.one_of(get_args(Route))),
        Column("weight_kg", "number", "Body weight in kg", cells.number),
        Column("dose_mg", "number", "Dose in mg", cells.number),
        Column("dose_mg_per_kg", "number", "Dose in mg per kg of body weight, as recorded", cells.number),
        Column("vitals", "JSON", "at, systolic and diastolic in mmHg, heart_rate per minute, spo2 in percent",
               cells.document),
        Column("side_effects", "JSON", "effect, severity, minutes_after_start, minutes_until_gone, note",
               cells.document),
        _moment("ready_to_leave_at", "When the patient was ready to leave."),
        Column("lot", "text", "The drug's lot", cells.text),
        Column("sedating_medication", "true or false", "Taken the same day", cells.flag),
        Column("notes", "text", "Notes", cells.text),
        _VERSION,
        _REASON,
        _RECORDED,
        _SOURCE,
    ),
    "patients": (
        *_PATIENT,
        Column("label", "text", "The name or initials they are known by", cells.text),
        Column("birth_year", "whole number", "Year of birth", cells.whole),
        Column("indications", "list", "Separated by semicolons: " + ", ".join(get_args(Indication)), cells.listed),
        Column("failed_treatments", "list", "Separated by semicolons: " + ", ".join(get_args(FailedTreatment)),
               cells.listed),
        Column("failed_antidepressant_trials", "whole number", "How many trials failed; empty: not known", cells.whole),
        Column("primary_instruments", "JSON", "By domain, the instrument that answers for it", cells.document),
        Column("care_status", "code", ", ".join(get_args(CareStatus)), cells.one_of(get_args(CareStatus))),
        Column("aliases", "list", "External ids of records that were merged into this one"),
        _moment("created_at", "When the patient was added.", read=False),
        _moment("updated_at", "When the patient was changed last.", read=False),
        Column("version", "whole number", "Counts the versions, from 1"),
    ),
}  # fmt: skip
# What a file of a kind must have, and by which its kind is known.
NEEDED: Mapping[What, tuple[tuple[str, ...], ...]] = {
    "scores": (("taken_at",), ("instrument",), ("patient_id", "external_id")),
    "sessions": (("started_at",), ("patient_id", "external_id")),
    "patients": (("external_id",),),
}


def columns_of(what: What, *, versions: bool) -> list[Column]:
    """The columns of a file; `versions`: of one that has every version."""
    return [column for column in COLUMNS[what] if versions or not column.versions]


def kind_of(header: Mapping[str, Any] | list[str]) -> What | None:
    """What a file with these columns holds in our own layout; None where it has none."""
    for what, needed in NEEDED.items():
        known = {column.name for column in COLUMNS[what]}
        if all(any(one in header for one in some) for some in needed) and all(name in known for name in header if name):
            return what
    return None


def why_no_kind(header: list[str]) -> str:
    """Why a file with these columns is not in our own layout, as far as it seems meant to be. A column that is not
    known is told by its place: a file without a header has data there."""
    nearest = max(COLUMNS, key=lambda what: sum(name in {c.name for c in COLUMNS[what]} for name in header))
    known = {column.name for column in COLUMNS[nearest]}
    lacking = [" or ".join(some) for some in NEEDED[nearest] if not any(one in header for one in some)]
    strange = [f"column {place}" for place, name in enumerate(header, start=1) if name and name not in known]
    said = [f"lacking {', '.join(lacking)}"] if lacking else []
    said += [f"{', '.join(strange[:10])} unknown"] if strange else []
    return "; ".join(said)


def dictionary() -> DictionaryOut:
    """The data dictionary of all exports."""
    return DictionaryOut(
        files=[
            DictionaryFile(
                name=what,
                columns=[
                    DictionaryColumn(
                        name=column.name,
                        type=column.type,
                        meaning=column.meaning + (" (NDJSON only)" if column.versions else ""),
                        imported=column.read is not None,
                    )
                    for column in columns
                ],
            )
            for what, columns in COLUMNS.items()
        ],
        instruments=[
            DictionaryInstrument(
                code=code,
                name=instrument.name,
                items=len(instrument.items),
                item_ranges=[[item.min, item.max] for item in instrument.items],
                lowest=instrument.value(instrument.points[0]),
                highest=instrument.value(instrument.points[-1]),
                direction=instrument.direction,
                loinc=instrument.loinc,
            )
            for code, instrument in INSTRUMENTS.items()
        ],
    )
