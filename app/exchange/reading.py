"""From the bytes of a file to its rows: a line number, and the cells by column.

Rows of CSV, NDJSON and HL7 are read one after the other, whatever the size of the file.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from itertools import chain, islice
from typing import IO, Any

from app.errors import Problem
from app.exchange.books import spss, workbook, xport
from app.exchange.hl7v2 import observations
from app.exchange.rows import CHUNK, FileError, Form, LineError, Row, Rows, by_name, header_of
from app.storage import DatabaseError

CSV, NDJSON = "text/csv", "application/x-ndjson"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SAV, XPT, HL7 = "application/x-spss-sav", "application/x-sas-xport", "x-application/hl7-v2+er7"
# It is to be seen from the file itself what it is.
ANY = "application/octet-stream"
_SIGNS = ((b"PK\x03\x04", XLSX), (b"$FL2", SAV), (b"$FL3", SAV), (b"HEADER RECORD", XPT), (b"MSH", HL7), (b"{", NDJSON))
# The extra of the package that reads a kind of file, where it is not among those that the service needs.
EXTRAS = {SAV: ("spss", "pyreadstat"), XPT: ("spss", "pyreadstat"), HL7: ("hl7", "hl7")}
MEDIA_TYPES = (CSV, NDJSON, XLSX, SAV, XPT, HL7)
SUFFIXES = {
    ".csv": CSV, ".txt": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON, ".json": NDJSON, ".xlsx": XLSX,
    ".sav": SAV, ".xpt": XPT, ".hl7": HL7, ".er7": HL7,
}  # fmt: skip
_DELIMITERS = ",;\t|"
_LARGEST_CELL = 1024 * 1024


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


def is_readable(media_type: str) -> bool:
    """Whether the package that reads this kind of file is there."""
    if media_type not in EXTRAS:
        return media_type in MEDIA_TYPES
    try:
        import_module(EXTRAS[media_type][1])
    except ImportError:
        return False
    return True


def why_not_readable(media_type: str) -> str:
    """Which package would read this kind of file."""
    extra, package = EXTRAS[media_type]
    return f"this service reads no such files: it lacks {package} (holdfast[{extra}])"


def seen(first: bytes) -> str:
    """What kind of file begins with these bytes; CSV where nothing tells."""
    begins = first.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x0b\r\n\t ")
    return next((media_type for sign, media_type in _SIGNS if begins.startswith(sign)), CSV)


def read(media_type: str, raw: io.RawIOBase, form: Form) -> Rows:
    """The rows of a file. Raises FileError, here and while they are read."""
    file = io.BufferedReader(raw, CHUNK)
    if media_type == ANY:
        media_type = seen(file.peek(CHUNK))
    if not is_readable(media_type):
        raise FileError(why_not_readable(media_type))
    try:
        found = _READERS[media_type](file, form)
    except (FileError, Problem, DatabaseError):
        raise
    except Exception:  # a library that was handed something else than it reads
        raise FileError("must be a file of the kind that it is sent as") from None
    rows = Rows(found.header, _guarded(iter(found)), found.more_headers)
    rows.varies, rows.held = media_type == NDJSON, found.held
    return rows


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
    lines = csv.reader(chain(before[-1:], _bounded_lines(text)), delimiter=delimiter, strict=True)
    start = form.rows_before
    numbered = _numbered(lines, start)
    _, names = next(numbered, (1, []))
    header = header_of(names)
    more = [dict(zip(header, cells, strict=False)) for _, cells in islice(numbered, form.header_rows - 1)]
    return Rows(header, by_name(numbered, header), more)


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


def _ndjson(file: IO[bytes], form: Form) -> Rows:
    lines = _flattened(_objects(file)) if form.flat else _objects(file)
    first = next(lines, None)
    if first is None:
        raise FileError("must hold a JSON object on each line")
    if isinstance(first, LineError):
        raise FileError(str(first), first.line)
    return Rows(list(first[1]), chain([first], lines))


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


def _hl7(file: IO[bytes], _: Form) -> Rows:
    # Segments end in CR by the standard; senders use LF and CRLF too, all of which this takes for the end of a line.
    text = io.TextIOWrapper(file, "utf-8-sig", newline=None)
    found = observations(_bounded_lines(text))
    first = next(found, None)
    if first is None:
        raise FileError("must hold messages of HL7 version 2 with OBX segments")
    return Rows(list(first[1]), chain([first], found))


def _bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text. Raises FileError for one that is too long."""
    number = 0
    while line := text.readline(_LARGEST_CELL):
        number += 1
        if len(line) == _LARGEST_CELL:
            raise FileError("must not have a line of more than 1 MiB", number)
        yield line


_READERS: Mapping[str, Callable[[IO[bytes], Form], Rows]] = {
    CSV: _csv, NDJSON: _ndjson, XLSX: workbook, SAV: spss, XPT: xport, HL7: _hl7,
}  # fmt: skip
