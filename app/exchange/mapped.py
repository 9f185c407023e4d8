"""Lines of a sheet that a mapping reads."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.exchange import cells
from app.exchange.cells import CellError
from app.exchange.items import (
    CHECK_INS,
    PATIENTS,
    SESSIONS,
    Fragment,
    Keyed,
    LineProblem,
    Moment,
    PatientItem,
    Response,
    SessionItem,
    SessionVersion,
    Whose,
    check,
    in_time,
    keyed,
    settled,
)
from app.exchange.mapping import (
    UNIX,
    DateColumnIn,
    InfusionColumnsIn,
    LongLayoutIn,
    MappingIn,
    RowConditionIn,
    ScaleColumnsIn,
)
from app.exchange.own import checked_session
from app.instruments import INSTRUMENTS, Item

Row = Mapping[str, Any]
# The years 1971 to 2100: milliseconds are not taken for seconds.
_FIRST, _LAST = 31_536_000, 4_102_444_800
_HOURS = ("%H", "%I", "%T", "%X", "%c")
_NUMBERS = ("weight_kg", "dose_mg", "dose_mg_per_kg")


class MappedLayout:
    """Reads the lines of a sheet by a mapping. `name` is a part of the ids of submissions."""

    def __init__(self, mapping: MappingIn, name: str) -> None:
        self._mapping, self._name = mapping, name
        self._zone = ZoneInfo(mapping.zone) if mapping.zone is not None else None
        self._missing = frozenset(mapping.missing)
        self._codes = mapping.long.known if mapping.long is not None else {}
        self._scales = [_Scale(scale, self._missing, mapping.decimal) for scale in mapping.scores]
        self._values = {} if mapping.long is None else {k.casefold(): v for k, v in mapping.long.values.items()}
        self.skipped = self.dropped = 0

    def fragments(self, line: int, row: Row) -> Iterator[Keyed]:
        """The fragments of one line. Raises LineProblem."""
        if not all(_holds(condition, row) for condition in self._mapping.keep):
            self.skipped += 1
            return
        whose = self._whose(line, row)
        found = [*self._sessions(line, row, whose)]
        found += self._scores(line, row, whose) if self._mapping.long is None else []
        if self._mapping.long is not None:
            found += self._item(line, row, whose, self._mapping.long)
        if not found:
            self.skipped += 1
            return
        if self._mapping.patient.unknown == "create":
            yield self._patient(line, row, whose)
        yield from found

    def _whose(self, line: int, row: Row) -> Whose:
        column = self._mapping.patient.column
        try:
            external_id = _token(row.get(column))
        except CellError as error:
            raise LineProblem(line, column, str(error)) from None
        if not external_id or external_id in self._missing:
            raise LineProblem(line, column, "must name the patient")
        return Whose(None, external_id, True, column)

    def _patient(self, line: int, row: Row, whose: Whose) -> Keyed:
        asked = self._mapping.patient
        body: dict[str, Any] = {"external_id": whose.external_id}
        try:
            if asked.label is not None and (label := _token(row.get(asked.label))):
                body["label"] = label
            if asked.birth_year is not None:
                body["birth_year"] = cells.whole(row.get(asked.birth_year))
        except CellError as error:
            raise LineProblem(line, asked.birth_year, str(error)) from None
        return keyed(PATIENTS, whose, "", 1, line, PatientItem(whose, line, body, True))

    def _moment(self, line: int, row: Row, asked: DateColumnIn) -> datetime | None:
        try:
            return self._instant(row, asked)
        except CellError as error:
            raise LineProblem(line, asked.column, str(error)) from None

    def _instant(self, row: Row, asked: DateColumnIn) -> datetime | None:
        cell = row.get(asked.column)
        if cells.is_blank(cell) or (isinstance(cell, str) and cell.strip() in self._missing):
            return None
        reading, has_time = _reading(cell, asked.format)
        if reading.tzinfo is not None:
            return cells.moment(reading)
        hour = self._hour(row, asked)
        if hour is not None and not (has_time and reading.time() != time()):
            reading = datetime.combine(reading.date(), hour)
        elif not has_time:
            raise CellError("must have a time of day: name a time_column, or a time, in the mapping")
        if self._zone is None:
            raise CellError("must have a zone: name the zone of its times in the mapping")
        return cells.in_zone(reading, self._zone)

    @staticmethod
    def _hour(row: Row, asked: DateColumnIn) -> time | None:
        cell = row.get(asked.time_column) if asked.time_column is not None else None
        if isinstance(cell, time):
            return cell
        if cells.is_blank(cell):
            return time.fromisoformat(asked.time) if asked.time is not None else None
        try:
            return datetime.strptime(str(cell).strip(), asked.time_format).time()  # noqa: DTZ007
        except ValueError:
            raise CellError("must have a time of day as the mapping's time_format says") from None

    def _sessions(self, line: int, row: Row, whose: Whose) -> Iterator[Keyed]:
        for infusion in self._mapping.sessions:
            if infusion.only_if is not None and not _holds(infusion.only_if, row):
                continue
            started_at = self._moment(line, row, infusion.date)
            if started_at is None:
                continue
            body = {**infusion.fixed, **self._of_session(line, row, infusion), "started_at": started_at}
            if infusion.ended is not None and (ended_at := self._moment(line, row, infusion.ended)) is not None:
                body["ended_at"] = ended_at
            columns = {**infusion.columns, "started_at": infusion.date.column}
            content = checked_session(line, body, columns)
            one = SessionVersion(1, line, content, None, None)
            yield keyed(SESSIONS, whose, in_time(started_at), 1, line, SessionItem(whose, None, [one]))

    def _of_session(self, line: int, row: Row, infusion: InfusionColumnsIn) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, column in infusion.columns.items():
            cell = row.get(column)
            if cells.is_blank(cell) or (isinstance(cell, str) and cell.strip() in self._missing):
                continue
            try:
                if field in _NUMBERS:
                    found[field] = cells.number(cell, self._mapping.decimal)
                else:
                    found[field] = cells.flag(cell) if field == "sedating_medication" else _token(cell)
            except CellError as error:
                raise LineProblem(line, column, str(error)) from None
        return found

    def _scores(self, line: int, row: Row, whose: Whose) -> Iterator[Keyed]:
        for scale in self._scales:
            if scale.asked.only_if is not None and not _holds(scale.asked.only_if, row):
                continue
            response, is_dropped = scale.response(line, row)
            self.dropped += is_dropped
            if response is not None:
                asked = scale.asked.date or self._mapping.date
                assert asked is not None
                before = scale.asked.before_infusion or self._mapping.before_infusion
                yield self._fragment(line, row, whose, asked, response, before)

    def _fragment(
        self, line: int, row: Row, whose: Whose, asked: DateColumnIn, response: Response, before: RowConditionIn | None,
        item: int | None = None, value: float | int | None = None,
    ) -> Keyed:  # fmt: skip
        taken_at = self._moment(line, row, asked)
        if taken_at is None:
            raise LineProblem(line, asked.column, "must say when it was answered")
        check_in_id = self._id(line, row, whose, asked)
        states_before = before is not None and _holds(before, row)
        fragment = Fragment(
            whose, check_in_id, 1, line, Moment(taken_at), None, states_before, response=response, item=item,
            value=value, at_column=asked.column,
        )  # fmt: skip
        group = in_time(taken_at) if check_in_id is None else check_in_id.hex
        return keyed(CHECK_INS, whose, group, 1, line, fragment)

    def _id(self, line: int, row: Row, whose: Whose, asked: DateColumnIn) -> UUID | None:
        """The id of a submission's check-in: the same whenever the file is sent. A UUID of version 8 (RFC 9562)."""
        if self._mapping.id is None:
            return None
        try:
            submission = _token(row.get(self._mapping.id))
        except CellError as error:
            raise LineProblem(line, self._mapping.id, str(error)) from None
        if not submission:
            raise LineProblem(line, self._mapping.id, "must tell one submission from another")
        of = [self._name, whose.external_id or "", submission, asked.column]
        made = int.from_bytes(hashlib.sha256("\0".join(of).encode()).digest()[:16])
        return UUID(int=(made & ~(0xF << 76) & ~(0x3 << 62)) | (8 << 76) | (2 << 62))

    def _item(self, line: int, row: Row, whose: Whose, asked: LongLayoutIn) -> Iterator[Keyed]:
        try:
            code = _token(row.get(asked.code))
        except CellError as error:
            raise LineProblem(line, asked.code, str(error)) from None
        named = self._codes.get(code or "")
        if named is None:
            if asked.others == "refuse":
                raise LineProblem(line, asked.code, "must be a code that the mapping names")
            return
        instrument = INSTRUMENTS[named.instrument]
        missing = self._missing | frozenset(asked.missing)
        try:
            if named.item:
                value: float | int | None = _answer(
                    row.get(asked.value), instrument.items[named.item - 1], self._values, missing, self._mapping.decimal
                )
            else:
                value = _total(row.get(asked.value), missing, self._mapping.decimal)
        except CellError as error:
            raise LineProblem(line, asked.value, str(error)) from None
        assert self._mapping.date is not None
        response = Response(instrument.code, None, None, line, asked.value)
        item = named.item
        if not instrument.items:  # one number: whole by itself
            if value is None:
                return
            response = Response(instrument.code, None, value, line, asked.value)
            check(response)
            yield self._fragment(line, row, whose, self._mapping.date, response, self._mapping.before_infusion)
            return
        yield self._fragment(line, row, whose, self._mapping.date, response, self._mapping.before_infusion, item, value)


class _Scale:
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
                answers.append(_answer(row.get(column), item, self._values, missing, self._decimal))
            except CellError as error:
                raise LineProblem(line, column, str(error)) from None
        column = self.asked.total or (self._columns[0][0] if self._columns else "")
        total: float | int | None = None
        if self.asked.total is not None:
            try:
                total = _total(row.get(self.asked.total), self._missing, self._decimal)
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


def _answer(cell: Any, item: Item, values: Mapping[str, int], missing: frozenset[str], decimal: str) -> int | None:
    """An item's answer; None where it was not answered. Raises CellError."""
    token = _token(cell)
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


def _total(cell: Any, missing: frozenset[str], decimal: str) -> float | int | None:
    token = _token(cell)
    return None if not token or token in missing else cells.number(cell, decimal)


def _token(cell: Any) -> str:
    """What stands in a cell, as one text: a whole number of a workbook without its `.0`."""
    if cells.is_blank(cell):
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime):
        raise CellError("must not be a date")
    return str(cells.text(cell) if isinstance(cell, str) else cell).strip()


def _reading(cell: Any, form: str | None) -> tuple[datetime, bool]:
    """A date's reading, and whether it has a time of day. Raises CellError."""
    if form == UNIX:
        seconds = cells.number(cell)
        if seconds is None or not _FIRST <= seconds < _LAST:
            raise CellError("must be seconds since 1970")
        return datetime.fromtimestamp(seconds, UTC), True
    if isinstance(cell, datetime):
        return cell, True
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


def _holds(condition: RowConditionIn, row: Row) -> bool:
    try:
        token = _token(row.get(condition.column))
    except CellError:
        return condition.values is None
    return bool(token) if condition.values is None else token in condition.values
