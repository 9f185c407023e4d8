"""Workbooks, and files of SPSS and SAS, as rows. Their libraries must jump about in a file, so it is copied to a
temporary one without a name."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from app.exchange.cells import UNCALCULATED, is_blank
from app.exchange.rows import CHUNK, FileError, Form, LineError, Row, Rows, by_name, header_of

_LARGEST_WORKBOOK = 100 * 1024 * 1024
_IN_MEMORY = 8 * 1024 * 1024
_SAV_ROWS = 5_000
_BY_NUMBER = Path("/proc/self/fd")


def _copied(file: IO[bytes], most: int, held: ExitStack) -> IO[bytes]:
    copy = held.enter_context(tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115 - `held` closes it
    size = 0
    while some := file.read(CHUNK):
        size += len(some)
        if size > most:
            raise FileError("must not hold more than 100 MiB: send it as CSV")
        copy.write(some)
    copy.seek(0)
    return copy


def workbook(file: IO[bytes], form: Form) -> Rows:
    with ExitStack() as held:
        found = _workbook(_copied(file, _LARGEST_WORKBOOK, held), form)
        found.held = held.pop_all()
        return found


def _workbook(copy: IO[bytes], form: Form) -> Rows:
    try:
        with zipfile.ZipFile(copy) as parts:
            if sum(part.file_size for part in parts.infolist()) > _LARGEST_WORKBOOK:
                raise FileError("must not hold more than 100 MiB: send it as CSV")
        books = [load_workbook(copy, read_only=True, data_only=seen, keep_links=False) for seen in (True, False)]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, OSError):
        raise FileError("must be a workbook (.xlsx) without a password") from None
    if form.sheet is not None and form.sheet not in books[0].sheetnames:
        raise FileError("must have the sheet that the mapping names")
    lines = _calculated(*(_sheet(book, form) for book in books))
    rows = enumerate(islice(lines, form.rows_before, None), form.rows_before + 1)
    header = header_of(_trimmed(next(rows, (1, ()))[1]))
    more = [dict(zip(header, cells, strict=False)) for _, cells in islice(rows, form.header_rows - 1)]
    return Rows(header, by_name(_padded(rows, len(header)), header), more)


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


def spss(file: IO[bytes], _: Form) -> Rows:
    # With what the file declares to be missing: without it, nobody could see that it was declared.
    return _statistical(file, "read_sav", user_missing=True)


def xport(file: IO[bytes], _: Form) -> Rows:
    return _statistical(file, "read_xport")


def _statistical(file: IO[bytes], reader: str, **how: Any) -> Rows:
    with ExitStack() as held:
        found = _first_cases(_on_disk(file, held), reader, how)
        found.held = held.pop_all()
        return found


def _first_cases(copy: Any, reader: str, how: Mapping[str, Any]) -> Rows:
    library = import_module("pyreadstat")
    try:
        read_it = getattr(library, reader)
        frames = library.read_file_in_chunks(read_it, copy.name, chunksize=_SAV_ROWS, **how)
        first = next(frames, None)
    except Exception:
        raise FileError("must be a file of SPSS (.sav) or SAS (.xpt)") from None
    if first is None:
        raise FileError("must hold at least one case")
    header = header_of(list(first[0].columns))
    return Rows(header, _cases(first, frames, header))


def _on_disk(file: IO[bytes], held: ExitStack) -> Any:
    """A copy with a path, which the library wants. It is gone with the process: on Linux the file has no name of its
    own, and the path leads to it by its number."""
    copy: Any = held.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115 - `held` closes it
    shutil.copyfileobj(file, copy, CHUNK)
    copy.flush()
    if _BY_NUMBER.exists():
        os.unlink(copy.name)
        copy._closer.delete = False
        copy.name = str(_BY_NUMBER / str(copy.fileno()))
    return copy


def _cases(first: Any, frames: Any, header: list[str]) -> Iterator[Row | LineError]:
    line = 0
    for frame, meta in chain([first], frames):
        declared = [meta.missing_ranges.get(name, ()) for name in frame.columns]
        for cells in frame.astype(object).where(frame.notna(), None).itertuples(index=False, name=None):
            line += 1
            yield line, dict(zip(header, map(_case, cells, declared), strict=True))


def _case(cell: Any, declared: Sequence[Mapping[str, Any]]) -> Any:
    """A cell of SPSS; None for a value that the file itself declares to be missing."""
    if any(one["lo"] <= cell <= one["hi"] for one in declared if isinstance(cell, type(one["lo"]))):
        return None
    return cell.to_pydatetime() if hasattr(cell, "to_pydatetime") else cell
