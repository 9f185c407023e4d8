"""One build to be measured beside another: `bench.against` runs this file with the interpreter of each build, in its tree.

It reads commands from standard input, a JSON object a line, and answers each with one.
"""

import asyncio
import gc
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

sys.path.insert(0, os.getcwd())

from app import clock, work
from app.storage import Database
from bench import bulk, clinics, rates, services

SEED = 7


class Side:
    """A database of this build, its clinics, and the service over it."""

    def __init__(self, stack: ExitStack, engine: str) -> None:
        self._stack, self._engine = stack, engine
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-side-")))
        self._settings = stack.enter_context(rates.fresh(engine, self._folder / "database"))
        self._database = Database(self._settings.database_url, self._settings.secret)
        if hasattr(self._database, "unlock"):
            self._database.unlock(clock.now())
        self._filled: dict[str, list[Any]] = {}
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as the service runs

    def fill(self, name: str, count: int, patients: int, days: int) -> dict[str, Any]:
        """Makes `count` clinics, known by a name from now on."""
        self._filled[name] = [clinics.filled(self._database, patients, days, SEED, rates.ENDING) for _ in range(count)]
        self._settle()
        return {}

    def _settle(self) -> None:
        """Does what the first rounds of the background jobs would do, so that they are not measured."""
        if hasattr(work, "turn"):
            asyncio.run(work.turn(self._database))
        work.seal(self._database)

    def daily(self, name: str, days: int) -> dict[str, Any]:
        """Records a score a day for one patient of a clinic that is called so from now on."""
        clinic = clinics.filled(self._database, 1, 60, SEED, timedelta(days=days))
        self._filled[name] = [clinic]
        posts = bulk._posts(clinic, days)
        start = clock.now() - timedelta(days=days)
        for n, post in enumerate(posts):
            post.body.taken_at = start + timedelta(days=n)
            post.body.responses = post.body.responses[-1:]
        for first in range(0, days, 500):
            some = posts[first : first + 500]
            self._database.writing(clinic.id, partial(bulk._record, clinic_id=clinic.id, posts=some))
        self._settle()
        return {}

    def serve(self) -> dict[str, Any]:
        """Starts the service. Gives its port, the root processes of service and database, and the processor's seconds
        until it answered."""
        service = self._stack.enter_context(services.holdfast(self._settings))
        database = self._settings.migration_database_url
        roots = [service.pid, *([] if database is None else [_postmaster(self._database)])]
        return {"port": service.port, "roots": roots}

    def start(self) -> dict[str, Any]:
        """Starts another service over the same database. Gives the processor's seconds until it answered, and its
        memory in MiB a while later."""
        with services.holdfast(self._settings) as service:
            fields = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
            time.sleep(3)
            return {"seconds": sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK"), "memory": service.memory()}

    def help(self) -> dict[str, Any]:
        """The processor's seconds of `holdfast --help`."""
        return {"seconds": help_seconds()}

    def callers(self, name: str) -> dict[str, Any]:
        return {"callers": rates.callers(self._settings, self._database, self._filled[name])}

    def record(self, scores: int) -> dict[str, Any]:
        """Records so many scores by `checkins.record`, 2,000 check-ins a transaction. Gives the seconds it took."""
        share = scores // 3
        clinic = clinics.filled(self._database, max(1, share // 33), 3, SEED, timedelta(days=200))
        posts, seconds = bulk._posts(clinic, share), 0.0
        for first in range(0, share, 2_000):
            some = posts[first : first + 2_000]
            began = time.perf_counter()
            self._database.writing(clinic.id, partial(bulk._record, clinic_id=clinic.id, posts=some))
            seconds += time.perf_counter() - began
        return {"seconds": seconds}

    def size(self) -> dict[str, Any]:
        """The bytes of the database."""
        if self._engine == "SQLite":
            file = self._settings.database_url.removeprefix("sqlite:///")
            with sqlite3.connect(file) as connection:
                connection.execute("pragma wal_checkpoint(truncate)")
            return {"bytes": Path(file).stat().st_size}
        with psycopg.connect(str(self._settings.migration_database_url), autocommit=True) as connection:
            found = connection.execute("select pg_database_size(current_database())").fetchone()
        assert found is not None
        return {"bytes": found[0]}


def help_seconds() -> float:
    """Seconds of the processor that `holdfast --help` takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(Path(sys.executable).with_name("holdfast")), "--help"], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _postmaster(database: Database) -> int:
    """The process whose children are the database's."""
    with database.engine.connect() as connection:
        backend = connection.exec_driver_sql("select pg_backend_pid()").scalar_one()
    status = Path(f"/proc/{backend}/stat").read_text()
    return int(status.rpartition(")")[2].split()[1])


def main() -> None:
    with ExitStack() as stack:
        side = Side(stack, sys.argv[1])
        print("{}", flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(getattr(side, asked.pop("do"))(**asked)), flush=True)


if __name__ == "__main__":
    main()
