"""Exports as Parquet, for data frames and warehouses. The package `pyarrow`, an extra of the service
(`holdfast[parquet]`), writes it."""

import json
from collections.abc import Iterator
from datetime import date, datetime
from importlib import import_module
from typing import IO, Any

from app.errors import Problem
from app.exchange.columns import What, columns_of

_TYPES = {"number": "float64", "whole number": "int32", "true or false": "bool_"}
_ITEMS = ("answers",)


class NoParquet(Problem):
    """Parquet is written by the package pyarrow, an extra of the service: install holdfast[parquet]."""

    code, status, title = "no_parquet", 501, "This service writes no Parquet: install holdfast[parquet]"


def write(out: IO[bytes], what: What, batches: Iterator[list[dict[str, Any]]]) -> None:
    """Writes lines by column, a batch at a time. Instants are of UTC, to the microsecond; ids are text. Raises
    NoParquet."""
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        raise NoParquet from None
    columns = columns_of(what, versions=False)
    schema = arrow.schema([(column.name, _type(arrow, column.name, column.type)) for column in columns])
    with parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        for lines in batches:
            given = {column.name: [_value(column.type, line[column.name]) for line in lines] for column in columns}
            writer.write_table(arrow.table(given, schema=schema))


def _type(arrow: Any, name: str, kind: str) -> Any:
    if kind == "instant":
        return arrow.timestamp("us", tz="UTC")
    if kind == "day":
        return arrow.date32()
    if kind == "list":
        return arrow.list_(arrow.int32() if name in _ITEMS else arrow.string())
    return getattr(arrow, _TYPES.get(kind, "string"))()


def _value(kind: str, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case "instant":
            return datetime.fromisoformat(value)
        case "day":
            return date.fromisoformat(value)
        case "number" | "whole number" | "true or false" | "list":
            return value
        case "JSON":
            return json.dumps(value)
        case _:
            return str(value)
