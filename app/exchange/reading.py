"""From the bytes of a file to its rows: a line number, and the cells by column.

Rows are read one after the other, whatever the size of the file; a workbook and an SPSS file are copied to a temporary
file first, because their libraries must jump about in them.
"""

import csv
import io
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from app.errors import Problem
from app.exchange.cells import UNCALCULATED, is_blank
from app.exchange.hl7v2 import observations
from app.storage import DatabaseError

CSV, NDJSON = "text/csv", "application/x-ndjson"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SAV, XPT, HL7 = "application/x-spss-sav", "application/x-sas-xport", "x-application/hl7-v2+er7"
# The extra of the package that reads a kind of file, where it is not among those that the service needs.
EXTRAS = {SAV: ("spss", "pyreadstat"), XPT: ("spss", "pyreadstat"), HL7: ("hl7", "hl7")}
MEDIA_TYPES = (CSV, NDJSON, XLSX, SAV, XPT, HL7)
SUFFIXES = {
    ".csv": CSV, ".txt": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".json": NDJSON, ".xlsx": XLSX,
    ".sav": SAV, ".xpt": XPT, ".hl7": HL7, ".er7": HL7,
}  # fmt: skip
_DELIMITERS = ",;\t|"
_LARGEST_CELL = 1024 * 1024
_LARGEST_WORKBOOK = 1024 * 1024 * 1024
_MOST_COLUMNS = 2_000
_IN_MEMORY = 8 * 1024 * 1024
_SAV_ROWS = 5_000
_CHUNK = 64 * 1024

Row = tuple[int, Mapping[str, Any]]


class FileError(Exception):
    """The file cannot be read on from here. The message is the rule it breaks; `line` is where."""

    def __init__(self, rule: str, line: int = 1) -> None:
        super().__init__(rule)
        self.line = line


class LineError(Exception):
    """One line cannot be read; those after it can."""

    def __init__(self, rule: str, line: int) -> None:
        super().__init__(rule)
        self.line = line


@dataclass(frozen=True, slots=True)
class Form:
    """How a sheet is laid out: `delimiter` of CSV (None: the one that its header has most of), `encoding`, the rows at
    the top of which the first has the names of the columns, rows to leave out before them, and the sheet's name.
    `flat`: the members of a JSON object within another one are columns too, as in `a.b`, and those of a list by their
    number, from 1, as in `a.1`."""

    delimiter: str | None = None
    encoding: str = "utf-8-sig"
    header_rows: int = 1
    rows_before: int = 0
    sheet: str | None = None
    flat: bool = False


class Pieces(io.RawIOBase):
    """A file that comes in pieces, from the first on; `piece` gives one by its number, None after the last."""

    def __init__(self, piece: Callable[[int], bytes | None]) -> None:
        super().__init__()
        self._piece, self._number, self._left = piece, 0, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            found = self._piece(self._number)
            if found is None:
                return 0
            self._number, self._left = self._number + 1, found
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


class Rows:
    """The rows of a file, the names of its columns, and further rows of its header by column."""

    def __init__(
        self, header: Sequence[str], rows: Iterator[Row | LineError], more_headers: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.header = list(header)
        self.more_headers = more_headers
        self._rows = rows

    def __iter__(self) -> Iterator[Row | LineError]:
        return self._rows


def is_readable(media_type: str) -> bool:
    """Whether the package that reads this kind of file is there."""
    if media_type not in EXTRAS:
        return media_type in MEDIA_TYPES
    try:
        import_module(EXTRAS[media_type][1])
    except ImportError:
        return False
    return True


def read(media_type: str, raw: io.RawIOBase, form: Form) -> Rows:
    """The rows of a file. Raises FileError, here and while they are read."""
    file = io.BufferedReader(raw, _CHUNK)
    try:
        found = _READERS[media_type](file, form)
    except (FileError, Problem, DatabaseError):
        raise
    except Exception:  # a library that was handed something else than it reads
        raise FileError("must be a file of the kind that it is sent as") from None
    return Rows(found.header, _guarded(iter(found)), found.more_headers)


def _guarded(rows: Iterator[Row | LineError]) -> Iterator[Row | LineError]:
    line = 1
    while True:
        try:
            row = next(rows, None)
        except (FileError, Problem, DatabaseError):
            raise
        except Exception:
            raise FileError("cannot be read on from here", line) from None
        if row is None:
            return
        line = row.line if isinstance(row, LineError) else row[0]
        yield row


def _csv(file: IO[bytes], form: Form) -> Rows:
    try:
        text = io.TextIOWrapper(file, form.encoding, newline="")
    except LookupError:
        raise FileError("must be of an encoding that is known") from None
    before = _first_lines(text, form)
    delimiter = form.delimiter or max(_DELIMITERS, key=before[-1].count)
    csv.field_size_limit(_LARGEST_CELL)
    lines = csv.reader(_replayed(before[-1:], text), delimiter=delimiter, strict=True)
    start = form.rows_before
    numbered = _numbered(lines, start)
    _, names = next(numbered, (1, []))
    header = _header(names)
    more = [dict(zip(header, cells, strict=False)) for _, cells in islice(numbered, form.header_rows - 1)]
    return Rows(header, _by_name(numbered, header), more)


def _first_lines(text: io.TextIOWrapper, form: Form) -> list[str]:
    try:
        found = [text.readline(_LARGEST_CELL) for _ in range(form.rows_before + 1)]
    except UnicodeError:
        raise FileError("must be text in UTF-8, or in the encoding that the mapping names") from None
    if not found[-1].strip():
        raise FileError("must begin with the names of the columns")
    if "\0" in found[-1]:
        raise FileError("must be text in UTF-8, or in the encoding that the mapping names")
    return found


def _replayed(first: Sequence[str], rest: io.TextIOWrapper) -> Iterator[str]:
    yield from first
    yield from rest


def _numbered(lines: Any, start: int) -> Iterator[tuple[int, list[str]]]:
    while True:
        line = start + lines.line_num + 1
        try:
            cells = next(lines, None)
        except UnicodeError:
            raise FileError("must be text in UTF-8, or in the encoding that the mapping names", line) from None
        except csv.Error:
            raise FileError("must be CSV: a quotation mark is not closed, or a cell is too large", line) from None
        if cells is None:
            return
        yield line, cells


def _header(names: Sequence[Any]) -> list[str]:
    header = ["" if is_blank(name) else str(name).strip() for name in names]
    if len(header) > _MOST_COLUMNS:
        raise FileError(f"must not have more than {_MOST_COLUMNS} columns")
    if not any(header):
        raise FileError("must begin with the names of the columns")
    # Labels may repeat, as in REDCap's: such a column is not to be taken for another one of the same name.
    seen, often = Counter[str](), Counter(header)
    for place, name in enumerate(header):
        if name and often[name] > 1:
            seen[name] += 1
            header[place] = f"{name} ({seen[name]} of {often[name]})"
    return header


def _by_name(lines: Iterator[tuple[int, Sequence[Any]]], header: list[str]) -> Iterator[Row | LineError]:
    width = len(header)
    for line, cells in lines:
        if not any(cells) and all(map(is_blank, cells)):
            continue
        if len(cells) == width:
            yield line, dict(zip(header, cells, strict=True))
        elif len(cells) > width and not all(map(is_blank, cells[width:])):
            yield LineError("has more cells than there are columns", line)
        elif len(cells) < width:
            yield LineError("has fewer cells than there are columns", line)
        else:
            yield line, dict(zip(header, cells[:width], strict=True))


def _ndjson(file: IO[bytes], form: Form) -> Rows:
    lines = _flattened(_objects(file)) if form.flat else _objects(file)
    first = next(lines, None)
    if first is None:
        raise FileError("must hold a JSON object on each line")
    if isinstance(first, LineError):
        raise FileError(str(first), first.line)
    return Rows(list(first[1]), _replayed_rows(first, lines))


def _flattened(lines: Iterator[Row | LineError]) -> Iterator[Row | LineError]:
    for line in lines:
        yield line if isinstance(line, LineError) else (line[0], dict(_members("", line[1])))


def _members(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for part, inner in parts:
            yield from _members(f"{name}.{part}" if name else str(part), inner)
    else:
        yield name, value


def _replayed_rows(first: Row, rest: Iterator[Row | LineError]) -> Iterator[Row | LineError]:
    yield first
    yield from rest


def _objects(file: IO[bytes]) -> Iterator[Row | LineError]:
    line = 0
    while text := file.readline(_LARGEST_CELL + 1):
        line += 1
        if len(text) > _LARGEST_CELL:
            raise FileError("must not have a line of more than 1 MiB", line)
        if not text.strip():
            continue
        try:
            found = json.loads(text.decode("utf-8-sig" if line == 1 else "utf-8"), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            yield LineError("must be one JSON object in UTF-8, without a repeated name", line)
            continue
        if not isinstance(found, dict):
            yield LineError("must be one JSON object", line)
            continue
        yield line, found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _copied(file: IO[bytes], most: int) -> IO[bytes]:
    copy = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - it lives as long as the rows are read
    size = 0
    while some := file.read(_CHUNK):
        size += len(some)
        if size > most:
            raise FileError("must not be so large: send it as CSV")
        copy.write(some)
    copy.seek(0)
    return copy


def _xlsx(file: IO[bytes], form: Form) -> Rows:
    copy = _copied(file, _LARGEST_WORKBOOK)
    try:
        with zipfile.ZipFile(copy) as parts:
            if sum(part.file_size for part in parts.infolist()) > _LARGEST_WORKBOOK:
                raise FileError("must not be so large: send it as CSV")
        books = [load_workbook(copy, read_only=True, data_only=seen, keep_links=False) for seen in (True, False)]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise FileError("must be a workbook (.xlsx) without a password") from None
    if form.sheet is not None and form.sheet not in books[0].sheetnames:
        raise FileError("must have the sheet that the mapping names")
    lines = _calculated(*(_sheet(book, form) for book in books))
    rows = enumerate(islice(lines, form.rows_before, None), form.rows_before + 1)
    header = _header(_trimmed(next(rows, (1, ()))[1]))
    more = [dict(zip(header, cells, strict=False)) for _, cells in islice(rows, form.header_rows - 1)]
    return Rows(header, _by_name(_closing(copy, _padded(rows, len(header))), header), more)


def _closing(file: IO[bytes], rows: Iterator[tuple[int, Sequence[Any]]]) -> Iterator[tuple[int, Sequence[Any]]]:
    with file:
        yield from rows


def _sheet(book: Any, form: Form) -> Iterator[Sequence[Any]]:
    sheet = book[form.sheet] if form.sheet is not None else book.worksheets[0]
    sheet.reset_dimensions()  # what a sheet says of its own size is not always so
    return sheet.iter_rows(values_only=True)  # type: ignore[no-any-return]


def _calculated(values: Iterator[Sequence[Any]], formulas: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Rows of values. A formula that was never calculated has none, which is not to be read as nothing."""
    for cells, written in zip(values, formulas, strict=True):
        yield [
            UNCALCULATED if cell is None and isinstance(text, str) and text.startswith("=") else cell
            for cell, text in zip(cells, written, strict=True)
        ]


def _trimmed(names: Sequence[Any]) -> Sequence[Any]:
    end = len(names)
    while end and is_blank(names[end - 1]):
        end -= 1
    return names[:end]


def _padded(rows: Iterator[tuple[int, Sequence[Any]]], width: int) -> Iterator[tuple[int, Sequence[Any]]]:
    """Rows of a workbook, which ends each where its last cell is."""
    for line, cells in rows:
        yield line, [*cells, *[None] * (width - len(cells))]


def _sav(file: IO[bytes], _: Form) -> Rows:
    # With what the file declares to be missing: without it, nobody could see that it was declared.
    return _statistical(file, "read_sav", user_missing=True)


def _xpt(file: IO[bytes], _: Form) -> Rows:
    return _statistical(file, "read_xport")


def _statistical(file: IO[bytes], reader: str, **how: Any) -> Rows:
    library = import_module("pyreadstat")
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "file"
    with path.open("wb") as copy:
        while some := file.read(_CHUNK):
            copy.write(some)
    try:
        read_it = getattr(library, reader)
        frames = library.read_file_in_chunks(read_it, str(path), chunksize=_SAV_ROWS, **how)
        first = next(frames, None)
    except Exception:
        raise FileError("must be a file of SPSS (.sav) or SAS (.xpt)") from None
    if first is None:
        raise FileError("must hold at least one case")
    header = _header(list(first[0].columns))
    return Rows(header, _cases(folder, first, frames, header))


def _cases(folder: Any, first: Any, frames: Any, header: list[str]) -> Iterator[Row | LineError]:
    line = 0
    with folder:
        for frame, meta in chain([first], frames):
            declared = [meta.missing_ranges.get(name, ()) for name in frame.columns]
            for cells in frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None):
                line += 1
                pairs = zip(header, map(_case, cells, declared), strict=True)
                yield line, dict(pairs)


def _case(cell: Any, declared: Sequence[Mapping[str, Any]]) -> Any:
    """A cell of SPSS; None for a value that the file itself declares to be missing."""
    if any(one["lo"] <= cell <= one["hi"] for one in declared if isinstance(cell, type(one["lo"]))):
        return None
    return cell.to_pydatetime() if hasattr(cell, "to_pydatetime") else cell


def _hl7(file: IO[bytes], _: Form) -> Rows:
    try:
        found = observations(file.read().decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FileError("must be text in UTF-8") from None
    rows = list(found)
    if not rows:
        raise FileError("must hold messages of HL7 version 2 with OBX segments")
    return Rows(list(rows[0][1]), iter(rows))


_READERS: Mapping[str, Callable[[IO[bytes], Form], Rows]] = {
    CSV: _csv, NDJSON: _ndjson, XLSX: _xlsx, SAV: _sav, XPT: _xpt, HL7: _hl7,
}  # fmt: skip
