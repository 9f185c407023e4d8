"""Cells of a sheet, as a mapping reads them: answers, totals, dates, and the instrument of a row."""

from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

from app.exchange import cells
from app.exchange.assembling import check, settled
from app.exchange.cells import CellError
from app.exchange.items import LineProblem, Response
from app.exchange.mapping import UNIX, RowConditionIn, ScaleColumnsIn
from app.instruments import INSTRUMENTS, Item

Row = Mapping[str, Any]
# The years 1971 to 2100: milliseconds are not taken for seconds.
_FIRST, _LAST = 31_536_000, 4_102_444_800
_HOURS = ("%H", "%I", "%T", "%X", "%c")
# Numbers of a spreadsheet are exact up to here.
_EXACT = 10**15


class ScaleReader:
    """Reads one instrument of a row."""

    def __init__(self, asked: ScaleColumnsIn, missing: frozenset[str], decimal: str) -> None:
        self.asked = asked
        self._instrument = INSTRUMENTS[asked.instrument]
        self._decimal = decimal
        self._missing = missing | frozenset(asked.missing)
        self._values = {label.casefold(): value for label, value in asked.values.items()}
        self._columns = [
            (column, item, self._missing | frozenset(asked.missing_items.get(item.number, ())))
            for column, item in zip(asked.columns, self._instrument.items, strict=False)
        ]

    def response(self, line: int, row: Row) -> tuple[Response | None, bool]:
        """The response, None where nobody answered; and whether a total was dropped. Raises LineProblem."""
        answers: list[int | None] = []
        for column, item, missing in self._columns:
            try:
                answers.append(answer_of(row.get(column), item, self._values, missing, self._decimal))
            except CellError as error:
                raise LineProblem(line, column, str(error)) from None
        column = self.asked.total or (self._columns[0][0] if self._columns else "")
        total: float | int | None = None
        if self.asked.total is not None:
            try:
                total = total_of(row.get(self.asked.total), self._missing, self._decimal)
            except CellError as error:
                raise LineProblem(line, self.asked.total, str(error)) from None
        if not self._columns:
            if total is None:
                return None, False
            response = Response(self.asked.instrument, None, total, line, column)
            check(response)
            return response, False
        given, kept = settled(self._instrument, answers, total, line, column)
        if given is None and kept is None:
            return None, False
        response = Response(self.asked.instrument, given, kept, line, column)
        check(response)
        return response, given is not None and total is not None and kept is None


def answer_of(cell: Any, item: Item, values: Mapping[str, int], missing: frozenset[str], decimal: str) -> int | None:
    """An item's answer; None where it was not answered. Raises CellError."""
    token = token_of(cell)
    if not token or token in missing:
        return None
    if values:
        found = values.get(token.casefold())
        if found is None:
            raise CellError("must be an answer that the mapping names")
    else:
        found = cells.whole(cell, decimal)
        assert found is not None
    if not item.min <= found <= item.max:
        raise CellError(f"must be from {item.min} to {item.max}")
    return found


def total_of(cell: Any, missing: frozenset[str], decimal: str) -> float | int | None:
    token = token_of(cell)
    return None if not token or token in missing else cells.number(cell, decimal)


def token_of(cell: Any) -> str:
    """What stands in a cell, as one text: a whole number of a workbook without its `.0`."""
    if cells.is_blank(cell):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        if abs(cell) >= _EXACT:
            raise CellError("must be text: a spreadsheet keeps no more than 15 digits of a number")
        return str(int(cell))
    if isinstance(cell, datetime):
        raise CellError("must not be a date")
    return str(cells.text(cell) if isinstance(cell, str) else cell).strip()


def reading_of(cell: Any, form: str | None) -> tuple[datetime, bool]:
    """A date's reading, and whether it has a time of day. Raises CellError."""
    if form == UNIX:
        seconds = cells.number(cell)
        if seconds is None or not _FIRST <= seconds < _LAST:
            raise CellError("must be seconds since 1970")
        return datetime.fromtimestamp(seconds, UTC), True
    if isinstance(cell, datetime):  # of a workbook or SPSS, where a day is its midnight
        return cell, cell.tzinfo is not None or cell.time() != time()
    if hasattr(cell, "year"):
        return datetime(cell.year, cell.month, cell.day), False  # noqa: DTZ001
    if not isinstance(cell, str):
        raise CellError("must be a date")
    spelt = cell.strip()
    if form is not None:
        try:
            reading = datetime.strptime(spelt, form)  # noqa: DTZ007 - it may have no zone
            return reading, any(part in form for part in _HOURS)
        except ValueError:
            raise CellError("must be a date as the mapping's format says") from None
    found = cells.naive(spelt)
    if found is not None:
        return found, len(spelt) > len("2025-01-01")
    moment = cells.moment(spelt)
    assert moment is not None
    return moment, True


def holds(condition: RowConditionIn, row: Row) -> bool:
    try:
        token = token_of(row.get(condition.column))
    except CellError:
        return condition.values is None
    return bool(token) if condition.values is None else token in condition.values
