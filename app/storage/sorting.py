"""Sorts more than fits into memory: in a temporary file without a name, which is gone with the process."""

import sqlite3
from collections.abc import Iterable, Iterator

_FETCHED = 1_000


class Sorted:
    """Texts under keys, given in any order and read in the order of their keys. SQLite keeps them in a temporary
    database of its own, of which a few MiB are in memory."""

    def __init__(self) -> None:
        # An empty name: a database on disk that is deleted when it is closed. Used by one thread at a time.
        self._kept = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._kept.execute("pragma journal_mode=off")
        self._kept.execute("pragma cache_size=-16384")
        self._kept.execute("create table kept (key text not null, content blob not null)")
        self._kept.execute("begin")

    def add(self, some: Iterable[tuple[str, bytes]]) -> None:
        """Takes more (key, content)."""
        self._kept.executemany("insert into kept values (?, ?)", some)

    def in_order(self) -> Iterator[tuple[str, bytes]]:
        """Everything, by key; equal keys as they were given."""
        found = self._kept.execute("select key, content from kept order by key, rowid")
        while rows := found.fetchmany(_FETCHED):
            yield from rows

    def close(self) -> None:
        """Forgets everything."""
        self._kept.close()
