"""Lines of a sheet that a mapping reads."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from app.exchange import cells
from app.exchange.assembling import check
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
    in_time,
    keyed,
    made_id,
)
from app.exchange.mapping import (
    DateColumnIn,
    InfusionColumnsIn,
    LongLayoutIn,
    MappingIn,
    RowConditionIn,
)
from app.exchange.own import checked_patient, checked_session
from app.exchange.sheets import ScaleReader, answer_of, holds, reading_of, token_of, total_of
from app.instruments import INSTRUMENTS

T = TypeVar("T")
Row = Mapping[str, Any]
_NUMBERS = ("weight_kg", "dose_mg", "dose_mg_per_kg")


class MappedLayout:
    """Reads the lines of a sheet by a mapping. `name` is a part of the ids of submissions."""

    def __init__(self, mapping: MappingIn, name: str) -> None:
        self._mapping, self._name = mapping, name
        self._zone = ZoneInfo(mapping.zone) if mapping.zone is not None else None
        self._missing = frozenset(mapping.missing)
        self._codes = mapping.long.known if mapping.long is not None else {}
        self._scales = [ScaleReader(scale, self._missing, mapping.decimal) for scale in mapping.scores]
        self._values = {} if mapping.long is None else {k.casefold(): v for k, v in mapping.long.values.items()}
        self.skipped = self.dropped = 0

    @property
    def always_needed(self) -> list[str]:
        """The columns that some line must have, but for those of instruments that not every line has."""
        some = {c for scale in self._mapping.scores if scale.only_if for c in (*scale.columns, scale.total)}
        return [name for name in self._mapping.needed if name not in some]

    def fragments(self, line: int, row: Row) -> Iterator[Keyed]:
        """The fragments of one line. Raises LineProblem."""
        if not all(holds(condition, row) for condition in self._mapping.keep):
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
        external_id = _read(token_of, line, row, column)
        if not external_id or external_id in self._missing:
            raise LineProblem(line, column, "must name the patient")
        return Whose(None, external_id, True, column)

    def _patient(self, line: int, row: Row, whose: Whose) -> Keyed:
        asked = self._mapping.patient
        body: dict[str, Any] = {"external_id": whose.external_id}
        if asked.label is not None and not self._is_blank(row.get(asked.label)):
            body["label"] = _read(token_of, line, row, asked.label)
        if asked.birth_year is not None and not self._is_blank(row.get(asked.birth_year)):
            body["birth_year"] = _read(cells.whole, line, row, asked.birth_year)
        columns = {"external_id": asked.column, "label": asked.label or "", "birth_year": asked.birth_year or ""}
        content = checked_patient(line, body, columns)
        return keyed(PATIENTS, whose, "", 1, line, PatientItem(whose, line, content, True))

    def _is_blank(self, cell: Any) -> bool:
        return cells.is_blank(cell) or (isinstance(cell, str) and cell.strip() in self._missing)

    def _moment(self, line: int, row: Row, asked: DateColumnIn) -> datetime | None:
        try:
            return self._instant(line, row, asked)
        except CellError as error:
            raise LineProblem(line, asked.column, str(error)) from None

    def _instant(self, line: int, row: Row, asked: DateColumnIn) -> datetime | None:
        cell = row.get(asked.column)
        if self._is_blank(cell):
            return None
        reading, has_time = reading_of(cell, asked.format)
        if reading.tzinfo is not None:
            return cells.moment(reading)
        hour = None if has_time else self._hour(line, row, asked)
        if hour is not None:
            reading = datetime.combine(reading.date(), hour)
        elif not has_time:
            raise CellError("must have a time of day: name a time_column, or a time, in the mapping")
        if self._zone is None:
            raise CellError("must have a zone: name the zone of its times in the mapping")
        return cells.in_zone(reading, self._zone)

    @staticmethod
    def _hour(line: int, row: Row, asked: DateColumnIn) -> time | None:
        cell = row.get(asked.time_column) if asked.time_column is not None else None
        if isinstance(cell, time):
            return cell
        if cells.is_blank(cell):
            return time.fromisoformat(asked.time) if asked.time is not None else None
        try:
            return datetime.strptime(str(cell).strip(), asked.time_format).time()  # noqa: DTZ007
        except ValueError:
            rule = "must have a time of day as the mapping's time_format says"
            raise LineProblem(line, asked.time_column, rule) from None

    def _sessions(self, line: int, row: Row, whose: Whose) -> Iterator[Keyed]:
        for infusion in self._mapping.sessions:
            if infusion.only_if is not None and not holds(infusion.only_if, row):
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
        def number(cell: Any) -> float | int | None:
            return cells.number(cell, self._mapping.decimal)

        readers = dict.fromkeys(_NUMBERS, number) | {"sedating_medication": cells.flag}
        return {
            field: _read(readers.get(field, token_of), line, row, column)
            for field, column in infusion.columns.items()
            if not self._is_blank(row.get(column))
        }

    def _scores(self, line: int, row: Row, whose: Whose) -> Iterator[Keyed]:
        for scale in self._scales:
            if scale.asked.only_if is not None and not holds(scale.asked.only_if, row):
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
        states_before = None if before is None else holds(before, row)
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
        submission = _read(token_of, line, row, self._mapping.id)
        if not submission:
            raise LineProblem(line, self._mapping.id, "must tell one submission from another")
        return made_id(self._name, whose.external_id or "", submission, asked.column)

    def _item(self, line: int, row: Row, whose: Whose, asked: LongLayoutIn) -> Iterator[Keyed]:
        named = self._codes.get(_read(token_of, line, row, asked.code))
        if named is None:
            if asked.others == "refuse":
                raise LineProblem(line, asked.code, "must be a code that the mapping names")
            return
        instrument = INSTRUMENTS[named.instrument]
        missing = self._missing | frozenset(asked.missing)

        def read(cell: Any) -> float | int | None:
            if not named.item:
                return total_of(cell, missing, self._mapping.decimal)
            return answer_of(cell, instrument.items[named.item - 1], self._values, missing, self._mapping.decimal)

        value = _read(read, line, row, asked.value)
        assert self._mapping.date is not None
        where = (line, row, whose, self._mapping.date)
        before = self._mapping.before_infusion
        if instrument.items:
            response = Response(instrument.code, None, None, line, asked.value)
            yield self._fragment(*where, response, before, named.item, value)
        elif value is not None:  # one number: whole by itself
            response = Response(instrument.code, None, value, line, asked.value)
            check(response)
            yield self._fragment(*where, response, before)


def _read(read: Callable[[Any], T], line: int, row: Row, column: str) -> T:
    """What stands in a column. Raises LineProblem."""
    try:
        return read(row.get(column))
    except CellError as error:
        raise LineProblem(line, column, str(error)) from None
