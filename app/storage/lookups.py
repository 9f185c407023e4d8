"""Reads rows of one table by a list of ids, on the hot path: one statement that is written once, asked of the driver
itself. Several lookups travel to PostgreSQL in one round trip, together with what begins the transaction."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Dialect, inspect
from sqlmodel import SQLModel

from app.storage.faults import as_database_error
from app.storage.rows import begin, note, send
from app.storage.types import Repeated, Transaction

# SQLite takes at most 32,766 values in a statement.
_AT_ONCE = 10_000
# PostgreSQL's type of all our numbers with a fraction; only their columns ask for it.
_DOUBLE = 701


class Lookup:
    """Some columns of the rows of a clinic with some ids, `where` a condition holds; `also` columns of another table's
    rows with the same ids. `lock`: locks them, in the order of their ids, until the transaction ends."""

    def __init__(
        self,
        model: type[SQLModel],
        columns: Sequence[str],
        by: str,
        *,
        also: tuple[type[SQLModel], Sequence[str]] | None = None,
        where: str = "true",
        lock: bool = False,
    ) -> None:
        table = inspect(model).local_table
        found = [table.c[name] for name in columns]
        rows = table.name
        if also is not None:
            other = inspect(also[0]).local_table
            found += [other.c[name] for name in also[1]]
            rows += f" join {other.name} using (clinic_id, {by})"
        self._types: list[Any] = [Repeated() if column.name == by else column.type for column in found]
        listed = ", ".join(f"{column.table.name}.{column.name}" for column in found)
        asked = f"clinic_id = {{}} and {by} {{}} and {where}"
        self._text = f"select {listed} from {rows} where {asked}"  # noqa: S608 - our names
        self.on_postgresql = self._text.format("%s", "= any(%s)") + (f" order by {by} for update" if lock else "")
        self._readers: dict[str, list[tuple[int, Callable[[Any], Any]]]] = {}

    def on_sqlite(self, count: int) -> str:
        """The statement for so many ids."""
        return self._text.format("?", f"in ({', '.join('?' * count)})")

    def read(self, rows: Iterable[tuple[Any, ...]], dialect: Dialect) -> list[tuple[Any, ...]]:
        """Rows of the driver, with values as the types of their columns have them."""
        readers = self._readers.get(dialect.name)
        if readers is None:
            found = [kind.dialect_impl(dialect).result_processor(dialect, _DOUBLE) for kind in self._types]
            readers = [(n, read) for n, read in enumerate(found) if read is not None]
            self._readers[dialect.name] = readers
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        if columns:
            for n, read in readers:
                columns[n] = map(read, columns[n])
        return list(zip(*columns, strict=True))


def look_up(db: Transaction, clinic_id: UUID, ids: Collection[UUID], *lookups: Lookup) -> list[list[tuple[Any, ...]]]:
    """The rows that answer each question, as tuples."""
    db.flush()
    connection = db.connection()
    driver: Any = connection.connection.driver_connection
    with as_database_error(connection):
        if connection.dialect.name == "sqlite":
            return [q.read(_of_sqlite(connection, clinic_id, ids, q), connection.dialect) for q in lookups]
        send(connection)
        with driver.pipeline():
            begin(connection)
            asked = []
            for lookup in lookups:
                values = (clinic_id, sorted(ids))
                note(connection, lookup.on_postgresql, values)
                asked.append(driver.execute(lookup.on_postgresql, values, prepare=True))
        return [q.read(cursor, connection.dialect) for q, cursor in zip(lookups, asked, strict=True)]


def _of_sqlite(
    connection: Connection, clinic_id: UUID, ids: Collection[UUID], lookup: Lookup
) -> Iterator[tuple[Any, ...]]:
    driver: Any = connection.connection.driver_connection
    every = [one.bytes for one in ids]
    for first in range(0, len(every), _AT_ONCE):
        some = every[first : first + _AT_ONCE]
        text, values = lookup.on_sqlite(len(some)), (clinic_id.bytes, *some)
        note(connection, text, values)
        yield from driver.execute(text, values)
