"""Rows written many at a time, by statements that are compiled once.

The ORM's unit of work costs more than a row itself; a batch of check-ins writes a dozen rows a post. Here a batch is
one statement per table, whatever its size, and values are encoded by their columns' own types. What a session has
pending is flushed first, so that rows go in the order in which they were asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Dialect, Table, bindparam, inspect, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.orm.attributes import manager_of_class
from sqlmodel import Session, SQLModel

M = TypeVar("M", bound=SQLModel)
Encoder = Callable[[Any], Any]
_DIALECTS: dict[str, Dialect] = {
    "sqlite": SQLiteDialect_pysqlite(),
    "postgresql": PGDialect_psycopg(paramstyle="format"),  # type: ignore[no-untyped-call]
}


def plain(model: type[M], **values: Any) -> M:
    """A row that no session watches, with every column given: a fifteenth of the cost of one that may be changed."""
    made: M = manager_of_class(model).new_instance()
    made.__dict__.update(values)
    return made


def insert(db: Session, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that name every column."""
    _run(db, _insert, model, rows)


def upsert(db: Session, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows that name every column, or replaces those with their keys. A row that stands as it is asked for is
    not written again."""
    _run(db, _upsert, model, rows)


def set_column(db: Session, model: type[SQLModel], column: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Sets one column of the rows with these keys."""
    if rows:
        _execute(db, _update(inspect(model).local_table, column, db.get_bind().dialect.name), rows)


class _Prepared:
    """A statement's text on one engine, and how its values are encoded, in order."""

    def __init__(self, statement: Any, table: Table, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.text = str(compiled)
        names = [name.removeprefix("key_") for name in compiled.positiontup]
        self.columns = [(name, table.c[name].type.dialect_impl(dialect).bind_processor(dialect)) for name in names]

    def parameters(self, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
        return list(zip(*(_encoded(rows, name, encode) for name, encode in self.columns), strict=True))


def _encoded(rows: Sequence[Mapping[str, Any]], name: str, encode: Encoder | None) -> list[Any]:
    if encode is None:
        return [row[name] for row in rows]
    return [None if (value := row[name]) is None else encode(value) for row in rows]


def _run(
    db: Session, prepare: Callable[[Table, str], _Prepared], model: type[SQLModel], rows: Sequence[Mapping[str, Any]]
) -> None:
    if rows:
        _execute(db, prepare(inspect(model).local_table, db.get_bind().dialect.name), rows)


def _execute(db: Session, prepared: _Prepared, rows: Sequence[Mapping[str, Any]]) -> None:
    db.flush()
    parameters = prepared.parameters(rows)
    db.connection().exec_driver_sql(prepared.text, parameters if len(parameters) > 1 else parameters[0])


@lru_cache
def _insert(table: Table, engine: str) -> _Prepared:
    return _Prepared(table.insert(), table, _DIALECTS[engine])


@lru_cache
def _upsert(table: Table, engine: str) -> _Prepared:
    statement: Any = (sqlite if engine == "sqlite" else postgresql).insert(table)
    replaced = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
    differs = or_(*(table.c[name].is_distinct_from(value) for name, value in replaced.items()))
    keys = [column.name for column in table.primary_key]
    return _Prepared(
        statement.on_conflict_do_update(index_elements=keys, set_=replaced, where=differs), table, _DIALECTS[engine]
    )


@lru_cache
def _update(table: Table, column: str, engine: str) -> _Prepared:
    # A bind may not be called as a column that is set.
    keys = [key == bindparam(f"key_{key.name}") for key in table.primary_key]
    return _Prepared(update(table).where(*keys).values({column: bindparam(column)}), table, _DIALECTS[engine])
