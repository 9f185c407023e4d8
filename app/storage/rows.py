"""Writes many rows at a time, with statements that are compiled once.

The ORM's unit of work costs more than writing a row does. Here a batch is one statement for each table on SQLite,
executed once for each row, with values encoded by the types of their columns. On PostgreSQL rows wait until the next
statement or the commit, and travel with it: all tables in one statement of row values, in one round trip, which a
cluster sharded by clinic takes too. Pending changes of the session are flushed first, so that rows are written in the
order in which they were requested.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from functools import lru_cache
from itertools import count
from types import SimpleNamespace
from typing import Any, Literal, ParamSpec, TypeVar, cast
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import JSON, Connection, Table, bindparam, inspect, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import PendingRollbackError
from sqlmodel import SQLModel

from app.storage.faults import as_database_error
from app.storage.types import Transaction

P = ParamSpec("P")
M = TypeVar("M", bound=SQLModel)
Row = Mapping[str, Any]
# The rows of one table or of several.
Rows = Mapping[type[SQLModel], Sequence[Row]]
# Inserts, or inserts and replaces, or the columns that are set.
What = Literal["insert", "upsert"] | tuple[str, ...]
_POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
_KEYED_BY = "of_"
_as_json: Callable[[Any], str] = lambda value: to_json(value).decode()  # noqa: E731
_text: Callable[[Any], Any] = lambda value: _TEXTS[type(value)](value)  # noqa: E731
_SQLITE = SQLiteDialect_pysqlite(json_serializer=_as_json)


def row_maker(model: Callable[P, M]) -> Callable[P, M]:
    """Makes rows of a model that the ORM does not watch: they have its columns and nothing else of it, and cost a
    fortieth. To the type checker it is the model's own constructor, so that a misspelt, missing or wrongly typed column
    is an error. Every column must be given."""
    return cast("Callable[P, M]", SimpleNamespace)


def insert(db: Transaction, rows: Rows) -> None:
    """Inserts rows that name every column. A table that others refer to must come before them. On PostgreSQL rows may
    wait until the commit: nobody may change them meanwhile."""
    _write(db, rows, "insert")


def upsert(db: Transaction, rows: Rows) -> None:
    """Inserts rows that name every column, or replaces those with the same keys, if they differ."""
    _write(db, rows, "upsert")


def set_columns(db: Transaction, columns: tuple[str, ...], rows: Rows) -> None:
    """Sets these columns of the rows with the given primary keys."""
    _write(db, rows, columns)


def insert_into(db: Transaction, table: Table, rows: Sequence[Row]) -> None:
    """Inserts rows that name every column into a table."""
    _write_tables(db, {table: rows}, "insert")


def _write(db: Transaction, rows: Rows, what: What) -> None:
    tables = {inspect(model).local_table: some for model, some in rows.items() if some}
    if tables:
        _write_tables(db, tables, what)


def _write_tables(db: Transaction, tables: Mapping[Table, Sequence[Row]], what: What) -> None:
    db.flush()
    connection = db.connection()
    if connection.dialect.name != "sqlite":
        waiting = connection.info.setdefault(_WAITING, [])
        waiting += [(table, what, some) for table, some in tables.items()]
        return
    for table, some in tables.items():
        statement = _on_sqlite(table, what)
        driver: Any = connection.connection.driver_connection
        encoded = statement.encoded(some)
        note(connection, statement.text, encoded, many=True)
        with as_database_error(connection):
            driver.executemany(statement.text, encoded)


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
def _on_sqlite(table: Table, what: What) -> _OneByOne:
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
    return _OneByOne(update(table).where(*mine).values({name: bindparam(name) for name in what}), table, _KEYED_BY)


_WAITING, BEGINNING = "holdfast_rows", "holdfast_beginning"
# A statement of more values is not kept prepared. PostgreSQL takes at most 65,535.
_MOST_VALUES = 4_000
_FEW_ROWS, _MOST_ROWS = 4, 64


def send(connection: Connection, *, commit: bool = False) -> None:
    """Sends the rows that wait on PostgreSQL, in one round trip, with the commit if there is one."""
    waiting = connection.info.pop(_WAITING, ())
    driver: Any = connection.connection.driver_connection
    if commit and driver.info.transaction_status.name == "INERROR":
        # PostgreSQL would roll back, and answer the COMMIT as if it were none of its concern.
        raise PendingRollbackError("a statement of the transaction failed")
    if not waiting:
        return
    library: Any = connection.dialect.loaded_dbapi
    with as_database_error(connection), driver.pipeline():
        cursor = library.RawCursor(driver)
        begin(connection)
        for text, values in _statements(waiting):
            note(connection, text, values)
            cursor.execute(text, values, prepare=len(values) < _MOST_VALUES)
        if commit:
            cursor.execute("COMMIT", prepare=True)


@contextmanager
def savepoint(db: Transaction) -> Iterator[None]:
    """What is done within is undone alone if it fails. Rows that were requested before it are sent first, and those
    requested within it at its end, so that errors are raised where they belong."""
    _sent(db)
    with db.begin_nested():
        yield
        _sent(db)


def _sent(db: Transaction) -> None:
    db.flush()
    send(db.connection())


def note(connection: Connection, text: str, values: Any, *, many: bool = False) -> None:
    """Tells who listens to the library's statements of one that goes to the driver itself."""
    for listener in connection.engine.dispatch.before_cursor_execute:
        listener(connection, None, text, values, None, many)


def begin(connection: Connection) -> None:
    """In a pipeline to PostgreSQL: begins the transaction, unless it has begun. It travels with what comes next."""
    driver: Any = connection.connection.driver_connection
    for statement in connection.info.pop(BEGINNING, ()):
        driver.execute(statement, prepare=statement.startswith("BEGIN"))


def before_statement(connection: Connection, *_: Any) -> None:
    """Sends what must come before a statement of the library: what begins the transaction, and the rows that wait."""
    if BEGINNING in connection.info:
        driver: Any = connection.connection.driver_connection
        with as_database_error(connection):
            driver.execute("; ".join(connection.info.pop(BEGINNING)))
    send(connection)


def forget(connection: Connection, *_: Any) -> None:
    """Drops what waits: its transaction, or its nested one, is rolled back."""
    connection.info.pop(_WAITING, None)
    connection.info.pop(BEGINNING, None)


def _statements(waiting: Sequence[tuple[Table, What, Sequence[Row]]]) -> Iterator[tuple[str, list[Any]]]:
    """Statements of many tables each. PostgreSQL plans a statement once for a number of rows: long lists of rows are
    cut into powers of two, so that there are few such numbers. A table is changed once in a statement."""
    shape: list[tuple[Table, What, int]] = []
    values: list[Any] = []
    for table, what, rows in waiting:
        at = 0
        while at < len(rows):
            left = len(rows) - at
            size = left if left <= _FEW_ROWS else min(_MOST_ROWS, 1 << (left.bit_length() - 1))
            if any(table is other for other, _, _ in shape) or len(values) > _MOST_VALUES:
                yield _together(tuple(shape)), values
                shape, values = [], []
            shape.append((table, what, size))
            encoders = _encoders(table, what)
            values += [
                None if (value := row[name]) is None else encode(value)
                for row in rows[at : at + size]
                for name, encode in encoders
            ]
            at += size
    yield _together(tuple(shape)), values


class _Texts(dict[type, Callable[[Any], Any]]):
    """How a value of a type is written for PostgreSQL, which reads it by the type of its column."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        found = self[kind] = int.__repr__ if issubclass(kind, int) else str.__str__  # members of enumerations
        return found


_TEXTS: _Texts = _Texts(
    {UUID: str, float: repr, bool: str, datetime: datetime.isoformat, date: date.isoformat, bytes: bytes}
)


@lru_cache
def _encoders(table: Table, what: What) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(name, _as_json if isinstance(table.c[name].type, JSON) else _text) for name in _names(table, what)]


def _names(table: Table, what: What) -> list[str]:
    if what in ("insert", "upsert"):
        return [column.name for column in table.columns]
    return [*(key.name for key in table.primary_key), *what]


@lru_cache(1_024)
def _together(shape: tuple[tuple[Table, What, int], ...]) -> str:
    """One statement that changes all these tables. Foreign keys are checked at its end."""
    place = count(1)
    *firsts, last = (_into(*one, place) for one in shape)
    begun = ", ".join(f"part{number} as ({text})" for number, text in enumerate(firsts))
    return f"with {begun} {last}" if begun else last


def _into(table: Table, what: What, rows: int, place: Iterator[int]) -> str:
    name, names, keys = table.name, _names(table, what), [column.name for column in table.primary_key]
    listed = ", ".join(f'"{column}"' for column in names)
    if what not in ("insert", "upsert"):
        kinds = [table.c[column].type.compile(dialect=_POSTGRESQL) for column in names]
        given = ", ".join("(" + ", ".join(f"${next(place)}::{kind}" for kind in kinds) + ")" for _ in range(rows))
        mine = " and ".join(f"{name}.{key} = rows.{key}" for key in keys)
        changes = ", ".join(f"{column} = rows.{column}" for column in what)
        return f"update {name} set {changes} from (values {given}) as rows ({listed}) where {mine}"
    given = ", ".join("(" + ", ".join(f"${next(place)}" for _ in names) + ")" for _ in range(rows))
    text = f"insert into {name} ({listed}) values {given}"
    if what == "insert":
        return text
    others = [column for column in names if column not in keys]
    replaced = ", ".join(f'"{column}" = excluded."{column}"' for column in others)
    stands, asked = (", ".join(f'{of}."{column}"' for column in others) for of in (name, "excluded"))
    return (
        f"{text} on conflict ({', '.join(keys)}) do update set {replaced} where ({stands}) is distinct from ({asked})"
    )
