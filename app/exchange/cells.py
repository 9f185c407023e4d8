"""One cell of a file: how the values of our own layout are spelt, and which other spellings are read as the same.

Spreadsheets and data frames write back what they read in spellings of their own: see docs/files.md. What can
mean one thing only is read; what has lost something, or may mean two things, is refused with the rule.
"""

import json
import math
import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

# A spreadsheet runs a cell that begins like this as a formula. Source: OWASP, "CSV injection".
_RUN = re.compile(r"'*[=+\-@\t\r]")
_MOMENT = re.compile(
    r"(?a)(\d{4})-(\d\d)-(\d\d)[Tt ](\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    r"\s?(?:([Zz]|UTC)|([+-])(\d\d):?(\d\d)?)?"
)
_DAY = re.compile(r"(?a)\d{4}-\d\d-\d\d")
_NUMBER = re.compile(r"(?a)[+-]?\d{1,15}(?:\.\d{1,17})?(?:[eE][+-]?\d{1,2})?")
_DIGITS = "0123456789"
_FLAGS = {"true": True, "t": True, "1": True, "1.0": True, "false": False, "f": False, "0": False, "0.0": False}
_NO_ITEM = ("", "NULL", "null", "None", "nan", "<NA>")
_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
_NOT_A_ZONE = "must have a zone, such as Z or -05:00"
_NOT_THERE = "must be a date and time that exists"


# What stands for a formula of a workbook that was never calculated: it is not to be read as nothing.
UNCALCULATED = "=(not calculated)"


class CellError(ValueError):
    """A cell that cannot be read. The message is the rule it breaks; it never repeats the value."""


def safe(text: str) -> str:
    """A text as it is written into a cell: with an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{text}" if _RUN.match(text) else text


def text(cell: Any) -> str | None:
    """The text of a cell, without the apostrophe that `safe` wrote; None for an empty one."""
    if cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if cell == UNCALCULATED:
        raise CellError("holds a formula that was never calculated")
    if not isinstance(cell, str):
        raise CellError("must be text: a spreadsheet has made a number or a date of it")
    if any("\ud800" <= character <= "\udfff" for character in cell):
        raise CellError("must be text in Unicode")
    return cell[1:] if cell.startswith("'") and _RUN.match(cell[1:]) else cell


def is_blank(cell: Any) -> bool:
    """Whether nothing stands in a cell."""
    return (
        cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and math.isnan(cell))
    )


def ident(cell: Any) -> UUID | None:
    """An id; None for an empty cell."""
    found = None if is_blank(cell) else text(cell)
    if found is None:
        return None
    try:
        return UUID(found.strip())
    except ValueError:
        raise CellError("must be a UUID") from None


def flag(cell: Any) -> bool | None:
    """A yes or no; None for an empty cell."""
    if is_blank(cell):
        return None
    if isinstance(cell, bool):
        return cell
    found = _FLAGS.get(str(cell).strip().lower())
    if found is None:
        raise CellError("must be true or false")
    return found


def number(cell: Any, decimal: str = ".") -> float | int | None:
    """A number; whole ones as whole numbers, however they are written. None for an empty cell."""
    if is_blank(cell):
        return None
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise CellError("must be a number")
    if isinstance(cell, str):
        spelt = cell.strip()
        if decimal == "," and re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+(,\d+)?", spelt):
            raise CellError("must be a number without points between thousands")
        spelt = spelt.replace(",", ".") if decimal == "," else spelt
        if not _NUMBER.fullmatch(spelt):
            raise CellError("must be a number")
        cell = float(spelt)
    if isinstance(cell, float):
        if not math.isfinite(cell) or abs(cell) >= 1e15:
            raise CellError("must be a number")
        return int(cell) if cell.is_integer() else cell
    return int(cell)


def whole(cell: Any, decimal: str = ".") -> int | None:
    """A whole number, however it is written (`2`, `2.0`); None for an empty cell."""
    if type(cell) is str and len(cell) == 1 and cell in _DIGITS:  # most answers, in a fifth of the time
        return int(cell)
    found = number(cell, decimal)
    if isinstance(found, float):
        raise CellError("must be a whole number")
    return found


def answers(cell: Any) -> list[int | None] | None:
    """Answers in the order of the items, separated by semicolons, an unanswered one empty; or a list. None for an empty
    cell."""
    if isinstance(cell, str) and cell.startswith("[") and cell.endswith("]"):
        # As DuckDB and pandas write a list into CSV.
        return [None if one.strip() in _NO_ITEM else whole(one) for one in cell[1:-1].split(",")]
    if isinstance(cell, list):
        return [whole(one) for one in cell]
    if is_blank(cell):
        return None
    return [whole(one) for one in str(cell).split(";")] if isinstance(cell, str) else [whole(cell)]


def listed(cell: Any) -> list[str]:
    """Codes, separated by semicolons; or a list."""
    if isinstance(cell, list):
        return cell
    found = text(cell)
    return [] if found is None else [one.strip() for one in found.split(";") if one.strip()]


def document(cell: Any) -> Any:
    """A JSON document in a cell; None for an empty one."""
    if not isinstance(cell, str):
        return cell if not is_blank(cell) else None
    if is_blank(cell):
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        raise CellError("must be a JSON document") from None


def moment(cell: Any) -> datetime | None:
    """An instant with its zone, in UTC; None for an empty cell."""
    if is_blank(cell):
        return None
    if isinstance(cell, datetime):
        if cell.tzinfo is None:
            raise CellError(_NOT_A_ZONE)
        return _possible(cell.astimezone(UTC))
    if isinstance(cell, date):
        raise CellError(_NOT_A_ZONE)
    found = _MOMENT.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if found is None:
        is_day = isinstance(cell, str) and _DAY.fullmatch(cell.strip())
        without = _NOT_A_ZONE if is_day and naive(cell) is not None else _NOT_THERE if is_day else None
        raise CellError(without or "must be a date and time with a zone (RFC 3339)")
    *parts, second, fraction, utc, sign, hours, minutes = found.groups()
    if utc is None and sign is None:
        raise CellError(_NOT_A_ZONE if naive(cell) is not None else _NOT_THERE)
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        raise CellError("must have a zone that exists")
    digits = (fraction or "").ljust(9, "0")
    if digits[6:] != "000":
        raise CellError("must be to the microsecond at most")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        reading = _clock(parts, second, digits)
        found_at = (reading - (-offset if sign == "-" else offset)).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise CellError(_NOT_THERE) from None
    return _possible(found_at)


def naive(cell: Any) -> datetime | None:
    """A clock's reading without a zone, or a day for its midnight; None for anything else."""
    spelt = cell.strip() if isinstance(cell, str) else ""
    try:
        if _DAY.fullmatch(spelt):
            return datetime.fromisoformat(spelt)
        found = _MOMENT.fullmatch(spelt)
        if found is None or found[8] is not None or found[9] is not None:
            return None
        *parts, second, fraction = found.groups()[:7]
        return _clock(parts, second, (fraction or "").ljust(9, "0"))
    except ValueError:
        return None


def _clock(parts: Sequence[str], second: str | None, digits: str) -> datetime:
    year, month, day, hour, minute = map(int, parts)
    return datetime(year, month, day, hour, minute, int(second or 0), int(digits[:6]))  # noqa: DTZ001 - no zone yet


def in_zone(naive: datetime, zone: ZoneInfo) -> datetime:
    """The instant of a clock's reading in a zone. Raises CellError for an hour that a change of the clocks makes twice,
    or never."""
    early, late = (naive.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        return _possible(early.astimezone(UTC))
    if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != naive:
        raise CellError(f"must be an hour that exists: the clocks of {zone.key} were put forward over it")
    raise CellError(f"must say which of two hours it is: the clocks of {zone.key} were put back over it")


def _possible(found: datetime) -> datetime:
    if found < _EARLIEST:
        raise CellError("must not be before 1900")
    return found


def printed(moment: datetime) -> str:
    """An instant as exports write it: in UTC, always with six digits, so that every column has one spelling."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def one_of(known: Collection[str]) -> Callable[[Any], str | None]:
    """Reads a code that must be one of these."""

    def read(cell: Any) -> str | None:
        found = text(cell)
        if found is not None and found.strip() not in known:
            raise CellError("must be one of: " + ", ".join(known))
        return None if found is None else found.strip()

    return read
