"""Mappings: how a sheet that is not in our own layout is read. A wide sheet has a row for each visit and a column for
each item or total; a long one has a row for each item."""

import re
from datetime import datetime
from functools import cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.fields import Flag, RequestBody, Whole, with_examples
from app.exchange.rows import Form
from app.instruments import INSTRUMENTS
from app.sessions.models import SessionIn

_ITEM = "{item}"
UNIX = "unix"
Texts = Annotated[list[str], Field(max_length=200)]


Column = Annotated[str, Field(max_length=200)]


class PatientColumnIn(RequestBody):
    """Which column names the patient, and what becomes of lines of patients who are not known: `refuse` the file,
    `skip` the lines, or `create` the patients, with a label and a year of birth where columns have them."""

    column: Column = ""
    unknown: Literal["refuse", "skip", "create"] = "refuse"
    label: str | None = None
    birth_year: str | None = None


class DateColumnIn(RequestBody):
    """A column with a date, or a date and time. `format`: as strptime has it, as in `%m/%d/%Y %H:%M`, or `unix` for
    seconds since 1970; without one, ISO 8601. `time_column` (`time_format`) or `time` (HH:MM) say the hour of a date
    without one."""

    column: Column = ""
    format: str | None = None
    time_column: str | None = None
    time_format: str = "%H:%M"
    time: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "DateColumnIn":
        if self.format not in (None, UNIX) and not _says_the_day(str(self.format)):
            raise PydanticCustomError("rule", "format must be one of strptime that says year, month and day, or unix")
        return self


class RowConditionIn(RequestBody):
    """Holds where a cell of `column` is one of `values`; without `values`, where anything stands in it."""

    column: Annotated[str, Field(min_length=1, max_length=200)]
    values: Texts | None = None


class ScaleColumnsIn(RequestBody):
    """An instrument: `items`, the columns in the order of its items, or one name with {item} in the place of the
    number; `total`, the column of its score. `values`: what the cells say, with the number it stands for. `missing`:
    what says that an item was not answered; `missing_items` the same for one item alone. `date`: where it is not that
    of the row. `only_if`: of rows alone for which this holds."""

    instrument: Annotated[str, Field(json_schema_extra={"enum": list(INSTRUMENTS)})]
    items: Texts | str | None = None
    total: str | None = None
    values: dict[str, Whole] = Field(default_factory=dict)
    missing: Texts = Field(default_factory=list)
    missing_items: dict[int, Texts] = Field(default_factory=dict)
    only_if: RowConditionIn | None = None
    date: DateColumnIn | None = None
    before_infusion: RowConditionIn | None = None

    @model_validator(mode="after")
    def _fits(self) -> "ScaleColumnsIn":
        instrument = INSTRUMENTS.get(self.instrument)
        if instrument is None:
            raise PydanticCustomError("rule", "instrument must be a code of /v1/instruments")
        if self.items is None and self.total is None:
            raise PydanticCustomError("rule", "an instrument needs items, a total, or both")
        if isinstance(self.items, str) and _ITEM not in self.items:
            raise PydanticCustomError("rule", "items must be a list, or a name with {item} in it")
        if self.items is not None and len(set(self.columns)) != len(instrument.items):
            raise PydanticCustomError("rule", "items must name a column of its own for each item of the instrument")
        if self.total in self.columns:
            raise PydanticCustomError("rule", "total must not be the column of an item")
        return self

    @property
    def columns(self) -> list[str]:
        """The columns of the items, in their order."""
        if isinstance(self.items, str):
            return [self.items.replace(_ITEM, str(item.number)) for item in INSTRUMENTS[self.instrument].items]
        return self.items or []


class InfusionColumnsIn(RequestBody):
    """What makes an infusion session: a date in a column, and `only_if` a condition holds. `columns`: by field of a
    session, the column that has it. `fixed`: by field, what holds for all of them."""

    date: DateColumnIn
    only_if: RowConditionIn | None = None
    ended: DateColumnIn | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    fixed: dict[str, str | float | int | bool] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> "InfusionColumnsIn":
        mapped = set(SessionIn.model_fields) - {"id", "started_at", "ended_at", "vitals", "side_effects"}
        if not (self.columns.keys() | self.fixed.keys()) <= mapped - {"ready_to_leave_at"}:
            raise PydanticCustomError("rule", "columns and fixed must be keyed by fields of a session")
        return self


class ItemCodeIn(RequestBody):
    """An item of an instrument; item 0 is its total."""

    instrument: str
    item: Whole

    @model_validator(mode="after")
    def _fits(self) -> "ItemCodeIn":
        instrument = INSTRUMENTS.get(self.instrument)
        if instrument is None or not 0 <= self.item <= len(instrument.items):
            raise PydanticCustomError("rule", "must be an instrument's code and the number of an item of it, or 0")
        return self


class LongLayoutIn(RequestBody):
    """A row for each item: the column of the item's code, that of the answer, and what each code stands for. `loinc`:
    the LOINC codes of our instruments are known without being listed. `others`: rows with other codes are skipped, or
    refuse the file."""

    code: Column = ""
    value: Column = ""
    codes: dict[str, ItemCodeIn] = Field(default_factory=dict)
    loinc: Flag = False
    values: dict[str, Whole] = Field(default_factory=dict)
    missing: Texts = Field(default_factory=list)
    others: Literal["skip", "refuse"] = "refuse"

    @property
    def known(self) -> dict[str, ItemCodeIn]:
        """What each code stands for."""
        return (_of_loinc() if self.loinc else {}) | self.codes


_EXAMPLE = {
    "zone": "America/New_York",
    "patient": {"column": "mrn"},
    "date": {"column": "visit", "format": "%m/%d/%Y", "time": "09:00"},
    "scores": [{"instrument": "phq-9", "items": "phq9_{item}", "total": "phq9_total"}],
    "sessions": [{"date": {"column": "infusion", "format": "%m/%d/%Y", "time": "10:00"}, "columns": {"dose_mg": "mg"}}],
}


class MappingIn(RequestBody):
    """How a sheet is read. `extends`: the name of a ready mapping that this one goes on from; what is given takes the
    place of what that one has. `zone`: the IANA zone of times that have none; without it they are refused.
    `zone_from_header`: the sheet names it in its header, as that of Qualtrics does. `keep`: rows for which all of these
    hold, the others are skipped. `id`: a column that tells one submission from another. `missing`: what stands in a
    cell where nothing was said."""

    model_config = with_examples(_EXAMPLE)

    extends: str | None = None
    about: str | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    encoding: Literal["utf-8", "utf-16", "windows-1252", "iso-8859-1", "mac-roman"] = "utf-8"
    header_rows: Annotated[Whole, Field(ge=1, le=20)] = 1
    rows_before: Annotated[Whole, Field(ge=0, le=100)] = 0
    sheet: str | None = None
    zone: str | None = None
    zone_from_header: Flag = False
    decimal: Literal[".", ","] = "."
    missing: Texts = Field(default_factory=list)
    keep: list[RowConditionIn] = Field(default_factory=list)
    patient: PatientColumnIn = Field(default_factory=PatientColumnIn)
    id: str | None = None
    date: DateColumnIn | None = None
    before_infusion: RowConditionIn | None = None
    scores: Annotated[list[ScaleColumnsIn], Field(max_length=200)] = Field(default_factory=list)
    sessions: Annotated[list[InfusionColumnsIn], Field(max_length=100)] = Field(default_factory=list)
    long: LongLayoutIn | None = None

    @model_validator(mode="after")
    def _fits(self) -> "MappingIn":
        if self.zone is not None:
            try:
                ZoneInfo(self.zone)
            except (KeyError, ValueError, OSError):
                raise PydanticCustomError("rule", "zone must be an IANA time zone, as in America/New_York") from None
        return self

    @property
    def form(self) -> Form:
        """How the sheet is laid out."""
        encoding = "utf-8-sig" if self.encoding == "utf-8" else self.encoding
        return Form(self.delimiter, encoding, self.header_rows, self.rows_before, self.sheet, flat=True)

    @property
    def needed(self) -> list[str]:
        """The columns without which the sheet cannot be read."""
        found = [self.patient.column, self.patient.label, self.patient.birth_year, self.id]
        found += [condition.column for condition in self.keep]
        found += [scale.only_if.column for scale in self.scores if scale.only_if]
        moments = [self.date, *(scale.date for scale in self.scores)]
        for infusion in self.sessions:
            moments += [infusion.date, infusion.ended]
            found += [*infusion.columns.values(), infusion.only_if.column if infusion.only_if else None]
        for moment in moments:
            found += [] if moment is None else [moment.column, moment.time_column]
        for scale in self.scores:
            found += [*scale.columns, scale.total, scale.before_infusion.column if scale.before_infusion else None]
        found += [self.before_infusion.column] if self.before_infusion else []
        found += [] if self.long is None else [self.long.code, self.long.value]
        return list(dict.fromkeys(name for name in found if name is not None))


def _says_the_day(form: str) -> bool:
    """Whether a format of strptime says which day it is."""
    day = datetime(2024, 2, 29)  # noqa: DTZ001 - a day
    if "%Z" in form:  # a name of a zone, which strptime reads and forgets
        return False
    try:
        return datetime.strptime(day.strftime(form), form).date() == day.date()  # noqa: DTZ007
    except (ValueError, re.error):
        return False


@cache
def _of_loinc() -> dict[str, ItemCodeIn]:
    found = {}
    for code, instrument in INSTRUMENTS.items():
        if instrument.loinc is not None:
            found[instrument.loinc] = ItemCodeIn(instrument=code, item=0)
        # Items that two instruments share stand for those of the longer one, which comes first.
        for item in instrument.items:
            if item.loinc is not None:
                found.setdefault(item.loinc, ItemCodeIn(instrument=code, item=item.number))
    return found
