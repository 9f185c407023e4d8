"""Slow, silent and greedy clients, and what everybody else feels of them.

Posts are measured alone, then beside as many clients as one address may have: silent ones, ones that send half a header
or a body byte by byte, and ones that send a header without end. Says when the service closed them, what it answered and
what memory it took. docs/reliability.md holds the figures.

    python -m bench.slow [--seconds 30]
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from multiprocessing import Process, Queue
from pathlib import Path

from app.storage import Database
from bench import clinics, fairness, services
from bench.rates import SEED, fresh

_ENDING = timedelta(days=400)
_CLIENTS = 480
_HEAD = b"POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-slow-")))
        settings = stack.enter_context(fresh("SQLite", folder / "db"))
        database = Database(settings.database_url, *settings.secrets)
        clinic = clinics.filled(database, 100, 60, SEED, _ENDING)
        service = stack.enter_context(services.holdfast(settings))
        address = f"http://127.0.0.1:{service.port}"
        whose = {"posts": (address, clinics.token(settings, database, clinic), [str(i) for i in clinic.patient_ids])}
        database.close()
        alone, _ = fairness.phase(whose, options.seconds, 0, posts=True, batches=False)
        before = service.memory()
        told: Queue[dict[str, list[tuple[float, str]]]] = Queue()
        slow = Process(target=_slow, args=(service.port, options.seconds, told))
        slow.start()
        beside, _ = fairness.phase(whose, options.seconds, 1, posts=True, batches=False)
        found = told.get(timeout=120)
        slow.join()
        print(
            f"p99 of 50 posts/s alone {fairness.p99(alone):.1f} ms, beside {_CLIENTS} such clients "
            f"{fairness.p99(beside):.1f} ms; memory {before:.0f} MiB, at the most {service.peak_memory():.0f} MiB"
        )
        for kind, ends in found.items():
            seconds = [took for took, _ in ends]
            answers = Counter(answer for _, answer in ends)
            print(
                f"  {kind}: {len(ends)} connections, each ended by the service after {statistics.median(seconds):.1f} s "
                f"(at the most {max(seconds):.1f}): {dict(answers)}"
            )


def _slow(port: int, seconds: float, told: "Queue[dict[str, list[tuple[float, str]]]]") -> None:
    told.put(asyncio.run(_all(port, seconds)))


async def _all(port: int, seconds: float) -> dict[str, list[tuple[float, str]]]:
    """Each client is replaced by another of its kind once it is closed, until the time is over."""
    kinds = {
        "silent": _silent,
        "half a header": _half,
        "a body byte by byte": _trickling,
        "a header without end": _endless,
    }
    ends: dict[str, list[tuple[float, str]]] = {kind: [] for kind in kinds}
    until = time.perf_counter() + seconds

    async def repeat(kind: str) -> None:
        while time.perf_counter() < until:
            began = time.perf_counter()
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                sending = asyncio.create_task(kinds[kind](writer))
                answer = await reader.read()
                sending.cancel()
                writer.close()
            except OSError:
                answer = b""
            ends[kind].append((time.perf_counter() - began, answer[9:12].decode() or "closed"))
            await asyncio.sleep(0.1)

    await asyncio.gather(*(repeat(kind) for kind in kinds for _ in range(_CLIENTS // len(kinds))))
    return ends


async def _silent(_: asyncio.StreamWriter) -> None:
    """Says nothing."""


async def _half(writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD)
    await writer.drain()


async def _trickling(writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD + b"Content-Length: 10000\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.5)


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(_HEAD)
    while True:
        writer.write(b"X-A: " + b"a" * 1_000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
