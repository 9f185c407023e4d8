"""Proposes how a file is read: the tool that wrote it, by the columns that only it writes, and the instruments whose
items or totals its columns are named after. A proposal, for a person to look at: nothing is imported by it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from app.exchange.cells import naive
from app.exchange.columns import What, kind_of
from app.exchange.reading import HL7
from app.exchange.resolving import ready
from app.exchange.rows import Form, LineError, Rows
from app.instruments import INSTRUMENTS

# The columns by which a tool's files are known.
_SIGNS: tuple[tuple[str, frozenset[str]], ...] = (
    ("qualtrics", frozenset({"ResponseId", "RecordedDate", "Finished"})),
    ("limesurvey", frozenset({"id", "submitdate", "lastpage"})),
    ("odk", frozenset({"KEY", "SubmissionDate"})),
    ("kobotoolbox", frozenset({"_uuid", "_submission_time"})),
    ("kobotoolbox", frozenset({"start", "end", "today"})),
    ("openemr-phq9", frozenset({"interest_score", "suicide_score", "pid"})),
    ("openemr-gad7", frozenset({"nervous_score", "control_worry_score", "pid"})),
    ("cdisc-qs", frozenset({"USUBJID", "QSTESTCD"})),
    ("healthkit", frozenset({"identifier", "harmonized.answers.1"})),
    ("redcap", frozenset({"record_id"})),
)
_LETTERS = {code: re.sub(r"[^a-z0-9]", "", code) for code in INSTRUMENTS}
_PATIENTS = ("mrn", "patient_id", "patientid", "patient", "record_id", "subject", "subjid", "usubjid", "pid", "id")
_TOTALS = ("total", "score", "sum", "tot", "totalscore", "totalscores")
_DAYS = ("date", "visit", "taken", "completed", "when", "time", "datum", "fecha")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ZONE = re.compile(r"(?:[Zz]|[+-]\d\d:?\d\d)$")
_DATES, _HOURS = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d"), ("", " %H:%M", " %H:%M:%S")
_FORMATS = tuple(date + hour for date in _DATES for hour in _HOURS)
_NUMBERED = re.compile(r"(.*?[^0-9])0*(\d{1,2})\]?")
_NOT_OF_ANSWERS = ("infus", "birth", "dob")
_TELLS_ROWS = 10


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a file seems to be: in our own layout (`what`), or read by this mapping. `unsure`: what a person must
    say."""

    what: What | None
    mapping: dict[str, Any] | None
    unsure: tuple[str, ...]


def form_of(header_line: str) -> Form:
    """How the sheet is laid out, as far as its first line tells."""
    return Form(header_rows=3, flat=True) if "ResponseId" in header_line else Form(flat=True)


def propose(media_type: str, rows: Rows) -> Proposal:
    """What a file seems to be, by its columns and first rows."""
    header = rows.header
    what = kind_of(header)
    if what is not None:
        return Proposal(what, None, ())
    tool = "hl7-oru" if media_type == HL7 else _tool(header)
    base = ready()[tool] if tool is not None else {}
    found: dict[str, Any] = {"extends": tool} if tool is not None else {}
    unsure: list[str] = []
    if "patient" not in base or base["patient"]["column"] not in header:
        found["patient"] = {"column": _named(header, _PATIENTS) or "?"}
        unsure.append("patient: which column has the clinic's own number")
    if "date" not in base or base["date"]["column"] not in header:
        found["date"] = {"column": _like(header, _DAYS) or "?"}
        unsure.append("date: which column says when it was answered, and its format")
    if "long" not in base and not _has_all(base, header):
        found["scores"] = _scales(header)
        if not found["scores"]:
            unsure.append("scores: which columns have the items or the total of which instrument")
    if media_type != HL7:
        unsure += _dated(found, base, rows)
    return Proposal(None, found, tuple(unsure))


def _tool(header: Sequence[str]) -> str | None:
    return next((name for name, signs in _SIGNS if signs <= set(header)), None)


def _has_all(base: dict[str, Any], header: Sequence[str]) -> bool:
    """Whether the columns of a ready mapping's instruments are there."""
    for scale in base.get("scores", ()):
        items = scale.get("items", [])
        names = [items.replace("{item}", "1")] if isinstance(items, str) else items
        if all(name in header for name in names):
            return True
    return False


def _named(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9_]", "", name.lower()): name for name in header}
    return next((plain[name] for name in wanted if name in plain), None)


def _like(header: Sequence[str], wanted: Sequence[str]) -> str | None:
    usable = [name for name in header if not any(other in name.lower() for other in _NOT_OF_ANSWERS)]
    return next((name for want in wanted for name in usable if want in name.lower()), None)


def _scales(header: Sequence[str]) -> list[dict[str, Any]]:
    """The instruments whose name columns bear: those that differ by a number alone have the items, if there are as many
    of them; one with the name and a word for a total has the score. One of several is never taken for a total."""
    families: dict[str, dict[int, str]] = {}
    for name in header:
        found = _NUMBERED.fullmatch(name)
        if found is not None:
            families.setdefault(found[1], {})[int(found[2])] = name
    series = {stem: columns for stem, columns in families.items() if len(columns) > 1}
    taken = {name for columns in series.values() for name in columns.values()}
    found_scales: list[dict[str, Any]] = []
    for code, instrument in INSTRUMENTS.items():
        scale: dict[str, Any] = {"instrument": code}
        numbers = {item.number for item in instrument.items}
        for stem, columns in series.items():
            if numbers and set(columns) == numbers and _is_named(stem, code):
                scale["items"] = [columns[number] for number in sorted(numbers)]
        totals = [name for name in header if name not in taken and _is_total(name, code, has_items="items" in scale)]
        if len(totals) == 1:
            scale["total"] = totals[0]
        if len(scale) > 1:
            found_scales.append(scale)
    return found_scales


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is_named(stem: str, code: str) -> bool:
    """Whether a column's name begins, or ends, like an instrument: phq9_, phq_9, group/phq."""
    stem, whole = _plain(stem), _LETTERS[code]
    family = whole.rstrip("0123456789")
    return stem.endswith((whole, family, f"{whole}q", f"{family}q", f"{whole}item"))


def _is_total(name: str, code: str, *, has_items: bool) -> bool:
    plain, whole = _plain(name), _LETTERS[code]
    family = whole.rstrip("0123456789")
    named = [whole, family] if has_items else [whole]
    return plain in named or any(plain in (f"{one}{word}", f"{word}{one}") for one in named for word in _TOTALS)


def _dated(found: dict[str, Any], base: dict[str, Any], rows: Rows) -> list[str]:
    """Adds to a proposal how its dates are spelt, as far as the first rows tell. Returns what a person must say."""
    date = {**base.get("date", {}), **found.get("date", {})}
    seen = [row[1].get(date["column"]) for row in islice(rows, _TELLS_ROWS) if not isinstance(row, LineError)]
    spelt = [cell.strip() for cell in seen if isinstance(cell, str) and cell.strip()]
    unsure: list[str] = []
    if spelt and any(naive(cell) is None and not _ZONE.search(cell) for cell in spelt) and "format" not in date:
        fitting = [form for form in _FORMATS if all(_fits(cell, form) for cell in spelt)]
        if fitting:
            date["format"] = fitting[0]
        if len(fitting) != 1:
            unsure.append("date: its format; " + " or ".join(fitting or ["as strptime has it"]))
    has_day_only = "%H" not in date.get("format", "%H") or any(_DAY.fullmatch(cell) for cell in spelt)
    if has_day_only and not {"time", "time_column"} & date.keys():
        date["time"] = "12:00"
        unsure.append("date: the time of day, or the column that has it; 12:00 is a guess")
    if date != base.get("date"):
        found["date"] = date
    if not (spelt and all(_ZONE.search(cell) for cell in spelt)) and not base.get("zone_from_header"):
        unsure.append("zone: of times that have none, as in America/New_York")
    return unsure


def _fits(cell: str, form: str) -> bool:
    try:
        datetime.strptime(cell, form)  # noqa: DTZ007 - it is only tried
    except ValueError:
        return False
    return True
