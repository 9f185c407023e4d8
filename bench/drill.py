"""A backup under load, restored into both engines and compared: rows, seconds, answers.

python -m bench.drill [--patients 1000] [--days 200]
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from uuid import UUID

from app import clock, keeping
from app.access import store as access
from app.patients import store as patients
from app.storage import NO_CLINIC, Database
from app.work import seal
from bench import clinics, services
from bench.fairness import phase
from bench.rates import SEED, fresh

_CLINICS = 2
_ENDING = timedelta(days=400)
_LOAD_SECONDS = 30


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--days", type=int, default=200)
    options = parser.parse_args()
    for engine in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-drill-")))
            settings = stack.enter_context(fresh(engine, folder / "from"))
            database = Database(settings.database_url, *settings.secrets)
            database.unlock(clock.now())
            filled = [
                clinics.filled(database, options.patients, options.days, SEED + n, _ENDING) for n in range(_CLINICS)
            ]
            seal(database)
            service = stack.enter_context(services.holdfast(settings))
            token = clinics.token(settings, database, filled[0])
            ids = [str(i) for i in filled[0].patient_ids]
            file = folder / "backup.holdfast"
            whose = {"posts": (f"http://127.0.0.1:{service.port}", token, ids)}
            load = Thread(target=partial(phase, whose, _LOAD_SECONDS, 0, posts=True, batches=False))
            load.start()
            time.sleep(2)
            before = time.perf_counter()
            manifest = keeping.backup(database, file, lambda _: None)
            seconds = time.perf_counter() - before
            load.join()
            rows = sum(table["rows"] for table in manifest["tables"].values())
            print(
                f"{engine}: {rows:,} rows, {file.stat().st_size / 2**20:.1f} MiB, in {seconds:.1f} s beside 50 posts/s"
            )
            for other in ("SQLite", "PostgreSQL"):
                target = stack.enter_context(fresh(other, folder / f"into-{other}"))
                empty = Database(target.database_url, *settings.secrets)
                before = time.perf_counter()
                restored = keeping.restore(empty, file, lambda _: None)
                put = time.perf_counter()
                wrong = list(keeping.verify(empty, file, lambda _: None))
                compared = sum(_patients(empty, clinic_id) for clinic_id in empty.reading(NO_CLINIC, access.clinic_ids))
                print(
                    f"  into {other}: {restored:,} rows in {put - before:.1f} s; {compared:,} patients' answers compared "
                    f"and folded anew in {time.perf_counter() - put:.1f} s; {len(wrong)} differ",
                    flush=True,
                )
                empty.close()
            database.close()


def _patients(database: Database, clinic_id: UUID) -> int:
    count, after = 0, None
    while ids := database.reading(
        clinic_id, partial(patients.ids_after, clinic_id=clinic_id, after=after, limit=1_000)
    ):
        count, after = count + len(ids), ids[-1]
    return count


if __name__ == "__main__":
    main()
