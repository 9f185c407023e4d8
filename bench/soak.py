"""Ten minutes of check-ins at 80% of what one process takes: no error, and memory that does not grow.

First the limit is found, then posts come at four fifths of it, evenly, over 64 connections that stay open; a post that
finds none free is late, and its lateness counts as its time. Appends what was seen to docs/benchmarks.md.

    python -m bench.soak [--minutes 10] [--share 0.8]
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx

from app import clock
from app.storage import Database
from bench import clinics, services
from bench.load import LOAD_CORE, POST, Load
from bench.rates import DAYS, ENDING, PATIENTS, SEED, callers, check_in, fresh
from bench.report import PAGE
from bench.services import Service

CONNECTIONS = 64
_SAMPLED_EVERY = 10.0


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
        tokens = partial(callers, settings, database, filled)
        service = stack.enter_context(services.holdfast(settings))
        load = Load(folder, "limit", service.port, tokens)
        start = int((clock.now() - ENDING + timedelta(days=2)).timestamp())
        load.run(POST, CONNECTIONS, 3, start=start)
        limit = load.run(POST, CONNECTIONS, 10, start=start).per_second
        os.sched_setaffinity(0, {LOAD_CORE})
        told = asyncio.run(_soak(service, tokens, options.share * limit, 60 * options.minutes, limit))
        database.close()
    print(told)
    page = PAGE.read_text(encoding="utf-8").split("\n## Soak\n")[0].rstrip()
    PAGE.write_text(f"{page}\n\n## Soak\n\n{told}\n", encoding="utf-8")


async def _soak(
    service: Service, tokens: "partial[list[tuple[str, str]]]", per_second: float, seconds: float, limit: float
) -> str:
    times: list[float] = []
    refused: list[int | str] = []
    memory: list[float] = []
    known, renewed = list(tokens()), time.monotonic()
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", limits=limits, timeout=30) as client:

        async def post(number: int, due: float) -> None:
            patient_id, token = known[number % len(known)]
            body = check_in(ENDING.days - 90 - number // len(known) / 24)
            headers = {"Authorization": f"Bearer {token}"}
            try:
                answer = await client.post(f"/v1/patients/{patient_id}/check-ins", json=body, headers=headers)
                if answer.status_code != 201:
                    refused.append(answer.status_code)
            except httpx.HTTPError as error:
                refused.append(type(error).__name__)
            times.append(1000 * (time.monotonic() - due))

        began, number, sampled = time.monotonic(), 0, 0.0
        running: set[asyncio.Task[None]] = set()
        while (now := time.monotonic()) - began < seconds:
            while began + number / per_second <= now:
                task = asyncio.create_task(post(number, began + number / per_second))
                running.add(task)
                task.add_done_callback(running.discard)
                number += 1
            if now - sampled >= _SAMPLED_EVERY:
                sampled = now
                memory.append(service.memory())
            if now - renewed > 600:
                known[:], renewed = list(await asyncio.to_thread(tokens)), now
            await asyncio.sleep(0.005)
        await asyncio.gather(*running)
        seconds = time.monotonic() - began
    times.sort()
    quarter = max(1, len(memory) // 4)
    return (
        f"{number:,} check-ins of three instruments in {seconds / 60:.0f} minutes on SQLite, {number / seconds:.0f} a "
        f"second, which is {100 * per_second / limit:.0f}% of the {limit:.0f} that the same service took before: "
        f"{len(refused)} refused or broken{f' ({refused[:5]})' if refused else ''}; from when each was due to its answer "
        f"{times[len(times) // 2]:.0f} ms in the median, {times[int(0.99 * len(times))]:.0f} ms for the slowest "
        f"hundredth, {times[-1]:.0f} ms at most; memory {statistics.mean(memory[quarter : 2 * quarter]):.0f} MiB in the "
        f"second quarter and {statistics.mean(memory[-quarter:]):.0f} MiB in the last."
    )


if __name__ == "__main__":
    main()
