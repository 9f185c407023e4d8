"""One clinic's share: what another clinic's posts feel of two callers that send batches of 500 without a pause.

Each round measures the posts alone, the batches alone, and both together, one after the other. Prints one line for each
engine; docs/reliability.md holds the figures.

    python -m bench.fairness [--seconds 60] [--rounds 5]
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from itertools import count, islice
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import httpx

from app import clock
from app.storage import Database
from bench import clinics, services
from bench.rates import SEED, fresh

_POSTS_A_SECOND = 50
_PHONES = 10
_BATCH = 500
_CALLERS = 2
_ENDING = timedelta(days=400)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for engine in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-fair-")))
            settings = stack.enter_context(fresh(engine, folder / "db"))
            database = Database(settings.database_url, *settings.secrets)
            greedy, other = (clinics.filled(database, 100, 60, SEED + n, _ENDING) for n in range(2))
            service = stack.enter_context(services.holdfast(settings))
            address = f"http://127.0.0.1:{service.port}"
            ratios, rates, alone_99, both_99 = [], [], [], []
            for number in range(options.rounds):
                whose = {  # a token is good for 15 minutes
                    name: (address, clinics.token(settings, database, clinic), [str(i) for i in clinic.patient_ids])
                    for name, clinic in (("posts", other), ("batches", greedy))
                }
                alone, _ = phase(whose, options.seconds, number * 3, posts=True, batches=False)
                _, free = phase(whose, options.seconds, number * 3 + 1, posts=False, batches=True)
                beside, kept = phase(whose, options.seconds, number * 3 + 2, posts=True, batches=True)
                alone_99.append(p99(alone))
                both_99.append(p99(beside))
                ratios.append(both_99[-1] / alone_99[-1])
                rates.append(kept / free)
                print(f"  {alone_99[-1]:.1f} {both_99[-1]:.1f} ms, {free:.0f} {kept:.0f} check-ins/s", flush=True)
            database.close()
        print(
            f"{engine}: p99 of 50 posts/s alone {statistics.median(alone_99):.1f} ms, beside the batches "
            f"{statistics.median(both_99):.1f} ms: {statistics.median(ratios):.1f} times ({min(ratios):.1f} to "
            f"{max(ratios):.1f}); the batches keep {statistics.median(rates):.2f} of their rate ({min(rates):.2f} to "
            f"{max(rates):.2f}); {options.rounds} rounds of {options.seconds:.0f} s",
            flush=True,
        )


def phase(whose: Any, seconds: float, turn: int, *, posts: bool, batches: bool) -> tuple[list[float], float]:
    """Milliseconds of each post, and check-ins a second of the batches."""
    told: Queue[Any] = multiprocessing.Queue()
    running = []
    if posts:
        running.append(multiprocessing.Process(target=_post, args=(*whose["posts"], seconds, turn, told)))
    if batches:
        for caller in range(_CALLERS):
            mine = (*whose["batches"], seconds, turn * _CALLERS + caller, told)
            running.append(multiprocessing.Process(target=_batches, args=mine))
    for process in running:
        process.start()
    found = [told.get(timeout=seconds + 120) for _ in running]
    for process in running:
        process.join()
    times = [took for name, took in found if name == "posts"]
    rate = sum(took for name, took in found if name == "batches")
    return (times[0] if times else []), rate


def _post(address: str, token: str, patients: list[str], seconds: float, turn: int, told: "Queue[Any]") -> None:
    """Posts at a steady rate, from phones that know nothing of each other; a time counts from when the post was due."""
    forms = list(islice(_forms(patients, turn), int(seconds * _POSTS_A_SECOND)))
    began = time.perf_counter() + 1

    def phone(which: int) -> list[float]:
        times = []
        with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
            client.get("/v1/me")
            for number in range(which, len(forms), _PHONES):
                due = began + number / _POSTS_A_SECOND
                patient_id, body = forms[number]
                time.sleep(max(0, due - time.perf_counter()))
                answer = client.post(f"/v1/patients/{patient_id}/check-ins", json=body)
                assert answer.status_code == 201, answer.text
                times.append(1000 * (time.perf_counter() - due))
        return times

    with ThreadPoolExecutor(_PHONES) as phones:
        told.put(("posts", [took for times in phones.map(phone, range(_PHONES)) for took in times]))


def _batches(address: str, token: str, patients: list[str], seconds: float, turn: int, told: "Queue[Any]") -> None:
    """Batches of a backlog, one after the other, as an import sends them. Their sender gives way to the one that
    measures."""
    os.nice(10)
    done, forms = 0, _forms(patients[turn % _CALLERS :: _CALLERS], turn // _CALLERS)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
        client.get("/v1/me")
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            items = [{"patient_id": patient_id, **body} for patient_id, body in islice(forms, _BATCH)]
            answer = client.post("/v1/check-ins/batch", content=json.dumps({"items": items}))
            assert answer.status_code == 200, answer.text
            done += sum(result["http_status"] == 201 for result in answer.json()["results"])
        told.put(("batches", done / (time.perf_counter() - began)))


def _forms(patients: list[str], turn: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Check-ins of all patients, 15 minutes apart, with scores that change little. Each turn begins 20 days later, which
    is after all that the turn before can send, so that none is taken before one that is known."""
    rng = random.Random(turn)
    usual = {patient_id: rng.randint(4, 20) for patient_id in patients}
    for step in count():
        at = clock.now() - timedelta(days=380 - 20 * turn) + step * timedelta(minutes=15)
        for patient_id in patients:
            score = usual[patient_id] + rng.choice((-1, 0, 0, 0, 1))
            responses = [
                {"instrument": "phq-9", "answers": [(score + item) // 8 for item in range(8)] + [0]},
                {"instrument": "nrs-pain", "score": score // 2},
            ]
            yield patient_id, {"taken_at": at.isoformat(), "responses": responses}


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[98]


if __name__ == "__main__":
    main()
