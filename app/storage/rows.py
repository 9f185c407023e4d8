"""Writes many rows at a time, with statements that are compiled once.

The ORM's unit of work costs more than writing a row does. Here a batch is one statement for each table on SQLite,
executed once for each row, with values encoded by the types of their columns. PostgreSQL gets all tables in one
statement, because each statement there costs a round trip; the rows of a table travel as one JSON document, which
PostgreSQL turns into rows. Pending changes of the session are flushed first, so that rows are written in the order in
which they were requested.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, cast

from pydantic_core import to_json
from sqlalchemy import Table, bindparam, inspect, or_, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlmodel import SQLModel

from app.storage.types import Transaction

P = ParamSpec("P")
M = TypeVar("M", bound=SQLModel)
Row = Mapping[str, Any]
# The rows of one table or of several.
Rows = Mapping[type[SQLModel], Sequence[Row]]
_KEYED_BY = "of_"
_SQLITE = SQLiteDialect_pysqlite(json_serializer=lambda value: to_json(value).decode())


def row_maker(model: Callable[P, M]) -> Callable[P, M]:
    """Makes rows of a model that the ORM does not watch: they have its columns and nothing else of it, and cost a
    fortieth. To the type checker it is the model's own constructor, so that a misspelt, missing or wrongly typed column
    is an error. Every column must be given."""
    return cast("Callable[P, M]", SimpleNamespace)


def insert(db: Transaction, rows: Rows) -> None:
    """Inserts rows that name every column. A table that others refer to must come before them."""
    _write(db, rows, "insert")


def upsert(db: Transaction, rows: Rows) -> None:
    """Inserts rows that name every column, or replaces those with the same keys, if they differ."""
    _write(db, rows, "upsert")


def set_column(db: Transaction, column: str, rows: Rows) -> None:
    """Sets one column of the rows with the given primary keys."""
    _write(db, rows, column)


def insert_into(db: Transaction, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows that name every column into a table; bytes too."""
    is_sqlite = db.get_bind().dialect.name == "sqlite"
    # As JSON, PostgreSQL reads bytes as it prints them.
    readable = rows if is_sqlite else [{name: _hex(value) for name, value in row.items()} for row in rows]
    _write_tables(db, {table: readable}, "insert")


def _hex(value: Any) -> Any:
    return "\\x" + value.hex() if isinstance(value, bytes) else value


def _write(db: Transaction, rows: Rows, what: str) -> None:
    tables = {inspect(model).local_table: some for model, some in rows.items() if some}
    if tables:
        _write_tables(db, tables, what)


def _write_tables(db: Transaction, tables: Mapping[Table, Sequence[Row]], what: str) -> None:
    db.flush()
    connection = db.connection()
    if connection.dialect.name != "sqlite":
        text, columns = _on_postgresql(tuple(tables), what)
        named = zip(columns, tables.values(), strict=True)
        documents = (to_json([{name: row[name] for name in names} for row in some]).decode() for names, some in named)
        connection.exec_driver_sql(text, tuple(documents))
        return
    for table, some in tables.items():
        statement = _on_sqlite(table, what)
        encoded = statement.encoded(some)
        connection.exec_driver_sql(statement.text, encoded if len(encoded) > 1 else encoded[0])


class _OneByOne:
    """The text of a statement for SQLite, and the encoders of its values, in order. `keyed_by`: what the names of the
    binds of its keys begin with."""

    def __init__(self, statement: Any, table: Table, keyed_by: str = "") -> None:
        compiled = statement.compile(dialect=_SQLITE)
        self.text = str(compiled)
        names = [name.removeprefix(keyed_by) for name in compiled.positiontup]
        self._columns = [(name, table.c[name].type.dialect_impl(_SQLITE).bind_processor(_SQLITE)) for name in names]

    def encoded(self, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        columns = (
            [row[name] for row in rows] if encode is None else _encoded(name, encode, rows)
            for name, encode in self._columns
        )
        return list(zip(*columns, strict=True))


def _encoded(name: str, encode: Callable[[Any], Any], rows: Sequence[Row]) -> list[Any]:
    """The encoded values of a column. A value that repeats from row to row, such as a clinic's id, is encoded once."""
    found, last, last_encoded = [], None, None
    for row in rows:
        value = row[name]
        if value is not last:
            last, last_encoded = value, None if value is None else encode(value)
        found.append(last_encoded)
    return found


@lru_cache
def _on_sqlite(table: Table, what: str) -> _OneByOne:
    if what == "insert":
        return _OneByOne(table.insert(), table)
    if what == "upsert":
        statement = sqlite.insert(table)
        replaced = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
        differs = or_(*(table.c[name].is_distinct_from(value) for name, value in replaced.items()))
        keys = [column.name for column in table.primary_key]
        return _OneByOne(statement.on_conflict_do_update(index_elements=keys, set_=replaced, where=differs), table)
    # SQLAlchemy reserves the names of the columns that are set, so the binds of the keys get a prefix.
    mine = [key == bindparam(f"{_KEYED_BY}{key.name}") for key in table.primary_key]
    return _OneByOne(update(table).where(*mine).values({what: bindparam(what)}), table, _KEYED_BY)


@lru_cache
def _on_postgresql(tables: tuple[Table, ...], what: str) -> tuple[str, list[list[str]]]:
    """The text of one statement that takes a JSON array of rows for each table, and the columns that the rows of each
    table must name. Foreign keys between the tables are checked at the end of the statement."""
    *firsts, (last, _) = written = [_into(table, what) for table in tables]
    begun = ", ".join(f"part{number} as ({text})" for number, (text, _) in enumerate(firsts))
    return f"with {begun} {last}" if begun else last, [names for _, names in written]


def _into(table: Table, what: str) -> tuple[str, list[str]]:
    name, keys = table.name, [column.name for column in table.primary_key]
    source = f"jsonb_populate_recordset(null::{name}, %s::jsonb)"
    if what not in ("insert", "upsert"):
        mine = " and ".join(f"{name}.{key} = rows.{key}" for key in keys)
        return f"update {name} set {what} = rows.{what} from {source} as rows where {mine}", [*keys, what]
    names = [column.name for column in table.columns]
    listed = ", ".join(f'"{column}"' for column in names)
    text = f"insert into {name} ({listed}) select {listed} from {source}"
    if what == "insert":
        return text, names
    others = [column for column in names if column not in keys]
    replaced = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
    stands, asked = (", ".join(f'{of}."{column}"' for column in others) for of in (name, "excluded"))
    differs = f"({stands}) is distinct from ({asked})"
    return f"{text} on conflict ({', '.join(keys)}) do update set {replaced} where {differs}", names
