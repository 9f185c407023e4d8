"""What the outbox costs a check-in: recording with it and without it, in turns, in one process.

python -m bench.outbox
"""

import gc
import statistics
import tempfile
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from app import clock
from app.outbox import service as outbox
from app.storage import Database
from bench import bulk, clinics
from bench.rates import fresh

_ROUNDS, _CHECK_INS, _PER_PATIENT = 12, 2_000, 33


def main() -> None:
    """Prints the ratio for recording one check-in in a transaction, and 64."""
    record = outbox.record
    for engine in ("SQLite", "PostgreSQL"):
        with tempfile.TemporaryDirectory() as folder, fresh(engine, Path(folder) / "database") as settings:
            database = Database(settings.database_url, settings.secret)
            database.unlock(clock.now())
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 20, 100)  # as the service runs
            for at_once in (1, 64):
                ratios = []
                for number in range(_ROUNDS):
                    seconds = {}
                    for with_it in (True, False) if number % 2 else (False, True):
                        outbox.record = record if with_it else lambda *_: None
                        seconds[with_it] = _seconds(database, at_once, number)
                    ratios.append(seconds[True] / seconds[False])
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                print(f"{engine}, {at_once} in a transaction: {statistics.median(ratios):.3f} ({spread})")
            outbox.record = record
            database.close()


def _seconds(database: Database, at_once: int, seed: int) -> float:
    count = _CHECK_INS // (8 if at_once == 1 else 1)
    clinic = clinics.filled(database, max(1, count // _PER_PATIENT), 3, seed, timedelta(days=200))
    posts, found = bulk._posts(clinic, count), 0.0
    for first in range(0, count, at_once):
        work = partial(bulk._record, clinic_id=clinic.id, posts=posts[first : first + at_once])
        began = time.process_time()
        database.writing(clinic.id, work)
        found += time.process_time() - began
    return found


if __name__ == "__main__":
    main()
