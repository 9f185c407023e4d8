"""The engine and its transactions. No other module opens, commits or rolls back a transaction.

A transaction belongs to one clinic. `work` gets the transaction and returns a result. The caller gets that result only
after the commit, so everything a caller has seen is stored.
"""

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from enum import Enum
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError

from app import clock
from app.errors import Busy
from app.storage import keyring
from app.storage.engines import BUSY_MILLISECONDS, open_engine
from app.storage.faults import is_disk_full, is_lost, is_passing
from app.storage.keys import Keyring
from app.storage.shares import Pool
from app.storage.streams import Stream
from app.storage.types import Transaction

T = TypeVar("T")

# The error that SQLAlchemy makes of a driver's error. Other packages import this name, not the library's.
DatabaseError = DBAPIError

NO_CLINIC = UUID(int=0)
_ATTEMPTS = 6
_STREAMS = 4
# Page cache of the SQLite connection that writes. Readers keep SQLite's 2 MiB, because every commit empties their
# cache.
_WRITER_CACHE_KIBIBYTES = 32 * 1024
_RETRYING_SECONDS = 3.0
# Items of a long request in one transaction: some 40 ms. While others write too: on SQLite they wait for all of it, on
# PostgreSQL they share the processor with it.
_PART, _PART_ON_SQLITE, _PART_ON_POSTGRESQL = 50, 4, 8
_LEAST_FREE_BYTES = 16 * 1024 * 1024


class _Kind(Enum):
    """What a transaction is for, and the statements that begin it on SQLite and on PostgreSQL."""

    READ = ("BEGIN", "BEGIN isolation level repeatable read, read only")
    WRITE = ("BEGIN IMMEDIATE", "BEGIN")
    WRITE_ON_SNAPSHOT = ("BEGIN IMMEDIATE", "BEGIN isolation level repeatable read")


class Database:
    """One database, embedded SQLite or PostgreSQL. `read` and `write` run blocking work in threads, off the event loop.
    Encrypted values can be read and written only if the service's secret is given; while secrets are rotated, both are
    (the new one first)."""

    def __init__(self, url: str, *secrets: str) -> None:
        self.engine = open_engine(url, is_limited=True)
        self.keyring = Keyring(tuple(filter(None, secrets)))
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        # SQLite has one writer, and queueing in this thread costs less than waiting for its lock. The writer keeps a
        # connection of its own, because a commit empties the page cache of every other connection.
        self._writers = Pool(1 if self.is_sqlite else 8, 1 if self.is_sqlite else 3, "holdfast-write")
        self._turn = Lock()
        self._writer: Connection | None = None
        self._readers = Pool(3 if self.is_sqlite else 8, 2 if self.is_sqlite else 4, "holdfast-read")
        self._prober = ThreadPoolExecutor(1, "holdfast-probe")
        self._probing: asyncio.Future[Any] | None = None
        self._was_full = False
        self._streaming: set[UUID] = set()

    def unlock(self, now: datetime) -> None:
        """Makes sure that the secrets given are those of this database, and seals with the one that it names. A
        database without a clinic takes the first one. Raises WrongSecretError."""
        known = self.reading(NO_CLINIC, keyring.states)
        if self.keyring.ids[0] not in known:
            known = self.writing(NO_CLINIC, lambda db: keyring.begin(db, self.keyring, now))
        ring = keyring.fitting(known, self.keyring)
        if ring != self.keyring:
            self.keyring = ring

    async def read(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """Runs `work` on one snapshot and returns its result."""
        return await self._readers.run(clinic_id, partial(self.reading, clinic_id, work))

    async def write(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """Runs `work` and returns its result after the commit."""
        return await self._writers.run(clinic_id, partial(self.writing, clinic_id, work))

    async def write_part(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """`write` for a part of a long request."""
        return await self._writers.run_part(clinic_id, partial(self.writing, clinic_id, work))

    async def compute(self, clinic_id: UUID, work: Callable[[], T]) -> T:
        """The result of what a long request computes before and after its parts."""
        return await self._writers.compute(clinic_id, work)

    def demand(self) -> int:
        """How often somebody wanted to write within a second of late, other than for a part of a long work."""
        return self._writers.asked_of_late()

    def part_size(self) -> int:
        """How many items of a long request to write in one transaction, at most, as long as it is now: less while
        others want to write."""
        if not self._writers.is_in_demand():
            return _PART
        return _PART_ON_SQLITE if self.is_sqlite else _PART_ON_POSTGRESQL

    async def write_on_snapshot(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """Like `write`, but everything `work` reads is of one snapshot. For work that only inserts."""
        return await self._writers.run(clinic_id, partial(self._run, clinic_id, work, _Kind.WRITE_ON_SNAPSHOT))

    async def probe(self, work: Callable[[Transaction], T], seconds: float) -> T:
        """Runs `work` on a snapshot, in a thread of its own. Raises Busy if the result does not come within `seconds`;
        while the database does not answer, all probes wait for the same one."""
        if self._probing is None or self._probing.done():
            run = partial(self.reading, NO_CLINIC, work)
            self._probing = asyncio.get_running_loop().run_in_executor(self._prober, run)
        probing: asyncio.Future[T] = self._probing
        done, _ = await asyncio.wait((probing,), timeout=seconds)
        if not done:
            raise Busy
        return probing.result()

    def is_full(self) -> bool:
        """Whether the last write found no room, or the disk of an SQLite file has hardly any left."""
        if self._was_full or not self.is_sqlite:
            return self._was_full
        folder = Path(self.engine.url.database or ".").parent
        return shutil.disk_usage(folder).free < _LEAST_FREE_BYTES

    async def stream(self, clinic_id: UUID, work: Callable[[Transaction], Iterator[T]]) -> Stream[T]:
        """Yields what `work` yields on one snapshot, piece by piece, on demand. The first piece is read before this
        returns, so that an error can still become an error response. One stream at a time for a clinic and four in all;
        raises Busy for more, and when the database cannot be reached."""
        if clinic_id in self._streaming or len(self._streaming) >= _STREAMS:
            raise Busy
        stream = Stream(self._pieces(clinic_id, work), clinic_id, self._streaming)
        try:
            await stream.begin()
        except DBAPIError as error:
            if is_lost(error) or is_passing(error):
                raise Busy from error
            raise
        return stream

    def _pieces(self, clinic_id: UUID, work: Callable[[Transaction], Iterator[T]]) -> Generator[T, None, None]:
        with self._transaction(clinic_id, _Kind.READ) as db:
            yield from work(db)

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """A snapshot of everything, of no clinic until `name_clinic` names one. For callers without an event loop."""
        with self._transaction(NO_CLINIC, _Kind.READ) as db:
            yield db

    @contextmanager
    def refilling(self) -> Iterator[Transaction]:
        """A transaction in which rows of all clinics are inserted; SQLite looks at foreign keys at its end only."""
        with self._transaction(NO_CLINIC, _Kind.WRITE) as db:
            if self.is_sqlite:
                db.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
            yield db

    def name_clinic(self, db: Transaction, clinic_id: UUID) -> None:
        """Makes a transaction go on as one of another clinic. Only for work on all clinics: backups and restores."""
        if not self.is_sqlite:
            db.connection().exec_driver_sql(_naming(clinic_id))

    def transactions(self) -> set[tuple[int, datetime]]:
        """The service's transactions that run now on PostgreSQL. On SQLite writers take turns, and none is told."""
        if self.is_sqlite:
            return set()
        query = (
            "select pid, xact_start from pg_stat_activity where datname = current_database() "
            "and usename = current_user and xact_start is not null and pid <> pg_backend_pid()"
        )
        return self.reading(NO_CLINIC, lambda db: {(row[0], row[1]) for row in db.connection().exec_driver_sql(query)})

    def now(self) -> datetime:
        """The time of the database's own clock; on SQLite that is this machine's."""
        if self.is_sqlite:
            return clock.now()
        query = "select clock_timestamp()"
        found: datetime = self.reading(NO_CLINIC, lambda db: db.connection().exec_driver_sql(query).scalar_one())
        return found

    def faults(self) -> list[str]:
        """What is damaged in an SQLite file. PostgreSQL checks its own files (amcheck, checksums)."""
        if not self.is_sqlite:
            return []

        def check(db: Transaction) -> list[str]:
            connection = db.connection()
            said = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(10)")]
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(10)
            astray = [f"{row[0]} refers to a row that is not there" for row in orphans]
            return [line for line in said if line != "ok"] + astray

        return self.reading(NO_CLINIC, check)

    def reading(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """`read` for callers without an event loop."""
        return self._run(clinic_id, work, _Kind.READ)

    def writing(self, clinic_id: UUID, work: Callable[[Transaction], T]) -> T:
        """`write` without an event loop. Retries temporary errors; then raises Busy, and nothing is written."""
        return self._run(clinic_id, work, _Kind.WRITE)

    async def overwrite_deleted(self) -> None:
        """Empties SQLite's journal, so that it keeps no deleted rows. Does nothing while a reader uses the journal, and
        nothing on PostgreSQL, which reuses the space by itself."""
        await self._writers.run(NO_CLINIC, self.overwriting_deleted)

    def overwriting_deleted(self) -> None:
        """`overwrite_deleted` for callers without an event loop."""
        if not self.is_sqlite:
            return
        with self._in_turn() as writer, closing(writer.connection.cursor()) as cursor:
            cursor.execute("PRAGMA busy_timeout=0")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")

    @contextmanager
    def _in_turn(self) -> Iterator[Connection]:
        """SQLite's writing connection, for one caller at a time. An error closes it: its state is unknown."""
        with self._turn:
            if self._writer is None:
                self._writer = self.engine.connect()
                with closing(self._writer.connection.cursor()) as cursor:
                    cursor.execute(f"PRAGMA cache_size=-{_WRITER_CACHE_KIBIBYTES}")
            try:
                yield self._writer
            except (SQLAlchemyError, sqlite3.Error):
                self._writer.invalidate()
                self._close_writer()
                raise

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def close(self) -> None:
        self._writers.shutdown()
        self._readers.shutdown()
        self._prober.shutdown(wait=False)
        with self._turn:  # a job's thread may still be running
            self._close_writer()
        self.engine.dispose()

    def _run(self, clinic_id: UUID, work: Callable[[Transaction], T], kind: _Kind) -> T:
        deadline = time.monotonic() + _RETRYING_SECONDS
        for attempt in range(_ATTEMPTS):
            try:
                with self._transaction(clinic_id, kind) as db:
                    result = work(db)
                    db.flush()
                self._was_full = self._was_full and kind is _Kind.READ
                return result
            except (DBAPIError, PendingRollbackError) as error:
                if is_disk_full(error):
                    self._was_full = True
                if is_lost(error):
                    raise Busy from error
                if not is_passing(error):
                    raise
                if time.monotonic() > deadline:
                    break
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise Busy

    @contextmanager
    def _transaction(self, clinic_id: UUID, kind: _Kind) -> Iterator[Transaction]:
        with (
            self._connection(clinic_id, kind) as connection,
            connection.begin(),
            Transaction(connection, expire_on_commit=False) as db,
        ):
            db.info["keyring"] = self.keyring
            yield db

    def _connection(self, clinic_id: UUID, kind: _Kind) -> AbstractContextManager[Connection]:
        if self.is_sqlite and kind != _Kind.READ:
            return self._in_turn()
        on_sqlite, on_postgresql = kind.value
        begin = (on_sqlite,) if self.is_sqlite else (on_postgresql, _naming(clinic_id))
        return self.engine.connect().execution_options(holdfast_begin=begin)


def _naming(clinic_id: UUID) -> str:
    """Sets the clinic id that row-level security reads. The id is a UUID by type, so it is safe in the SQL text. This
    way it is sent together with BEGIN, without a further round trip."""
    return f"SET LOCAL holdfast.clinic_id = '{UUID(str(clinic_id))}'"
