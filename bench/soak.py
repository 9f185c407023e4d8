"""Ten minutes of check-ins at 80% of what one process takes: no error, and memory that does not grow.

It first measures the limit. Then each of 64 connections waits before its next post, just long enough that together they
reach four fifths of the limit. Adds the results to docs/benchmarks.md.

    python -m bench.soak [--minutes 10] [--share 0.8]
"""

import argparse
import statistics
import tempfile
import threading
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

from app import clock
from app.storage import Database
from bench import clinics, services
from bench.load import POST, Load, Seen
from bench.rates import DAYS, PATIENTS, SEED, callers, fresh
from bench.report import PAGE
from bench.services import Service

CONNECTIONS = 64
# Far enough back for a million posts: those of one patient are dated six hours apart.
ENDING = timedelta(days=600)
_SAMPLED_EVERY = 5.0
_WAITING = POST + "delay = function() return {wait} end\n"
# A token is good for 15 minutes.
_MOST_SECONDS = 600


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--share", type=float, default=0.8)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-soak-")))
        settings = stack.enter_context(fresh("SQLite", folder / "db"))
        database = Database(settings.database_url, settings.secret)
        filled = [clinics.filled(database, PATIENTS, DAYS, SEED, ENDING)]
        service = stack.enter_context(services.holdfast(settings))
        load = Load(folder, "soak", service.port, partial(callers, settings, database, filled))
        start = int((clock.now() - ENDING + timedelta(days=2)).timestamp())
        load.run(POST, CONNECTIONS, 3, start=start)
        limit = load.run(POST, CONNECTIONS, 10, start=start)
        # With fewer posts, each takes about four fifths of the time that it takes at the limit.
        wait = round(1000 * CONNECTIONS / (options.share * limit.per_second) - 0.8 * limit.p50)
        seconds = min(_MOST_SECONDS, round(60 * options.minutes))
        memory, seen = _watched(service, partial(load.run, _WAITING, CONNECTIONS, seconds, start=start, wait=wait))
        database.close()
    quarter = max(1, len(memory) // 4)
    quarters = [statistics.mean(memory[at : at + quarter]) for at in range(0, 4 * quarter, quarter)]
    told = (
        f"{seen.requests:,} check-ins of three instruments in {seconds / 60:.0f} minutes on SQLite, {seen.per_second:.0f} "
        f"a second, which is {100 * seen.per_second / limit.per_second:.0f}% of the {limit.per_second:.0f} that the same "
        f"service took before: none refused or broken; {seen.p50:.0f} ms in the median, {seen.p99:.0f} ms for the slowest "
        f"hundredth; memory {', '.join(f'{mean:.0f}' for mean in quarters)} MiB in the mean of each quarter."
    )
    print(told)
    page = PAGE.read_text(encoding="utf-8").split("\n## Soak\n")[0].rstrip()
    PAGE.write_text(f"{page}\n\n## Soak\n\n{told}\n", encoding="utf-8")


def _watched(service: Service, run: "partial[Seen]") -> tuple[list[float], Seen]:
    """The service's memory while `run` goes on, and what it came to."""
    memory, over = [service.memory()], threading.Event()

    def watch() -> None:
        while not over.wait(_SAMPLED_EVERY):
            memory.append(service.memory())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        return memory, run()
    finally:
        over.set()
        watching.join()


if __name__ == "__main__":
    main()
