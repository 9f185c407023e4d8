"""What every kind of file becomes: rows with a line number, and the cells by column; or why it cannot be read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from app.exchange.cells import is_blank

CHUNK = 64 * 1024
_MOST_COLUMNS = 2_000

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


class Rows:
    """The rows of a file, the names of its columns, and further rows of its header by column. `varies`: each row has
    columns of its own, and those of the first one are named. `held`: what is open until `close`."""

    def __init__(
        self, header: Sequence[str], rows: Iterator[Row | LineError], more_headers: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.header = list(header)
        self.more_headers = more_headers
        self.varies = False
        self.held = ExitStack()
        self._rows = rows

    def __iter__(self) -> Iterator[Row | LineError]:
        return self._rows

    def close(self) -> None:
        """Forgets the copies that the libraries read from."""
        self.held.close()


def header_of(names: Sequence[Any]) -> list[str]:
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


def by_name(lines: Iterator[tuple[int, Sequence[Any]]], header: list[str]) -> Iterator[Row | LineError]:
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
