"""Importing a file: how fast, beside sending the same scores as batches; how much memory; and what posts feel of it.

Each round sends a part of the file's scores as batches of 500, in the order of the file, which was the only way in
before there were imports; then imports the whole file. The file is in the order of visits, as spreadsheets are. At the
end single posts are sent without an import and during one. Prints a line for each figure; docs/benchmarks.md holds them.

    python -m bench.imports [--scores 1000000] [--rounds 3] [--seconds 30] [--only SQLite PostgreSQL]
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from app import clock
from app.storage import Database
from bench import clinics, services
from bench.clinics import Clinic
from bench.rates import fresh

_VISITS = 33
_BATCH = 500
_POSTS_A_SECOND = 20
_COMPARED = 60_000
Visit = tuple[int, str, list[dict[str, Any]]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scores", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--only", nargs="+", default=["SQLite", "PostgreSQL"])
    options = parser.parse_args()
    for engine in options.only:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-imports-")))
            settings = stack.enter_context(fresh(engine, folder / "db"))
            database = Database(settings.database_url, *settings.secrets)
            patients = options.scores // 3 // _VISITS + 1
            service = stack.enter_context(services.holdfast(settings))
            _measure(engine, service, settings, database, patients, options)
            database.close()


def _measure(
    engine: str, service: services.Service, settings: Any, database: Database, patients: int, options: Any
) -> None:
    ratios, speeds = [], []
    for number in range(options.rounds):
        clinic = clinics.filled(database, 2, 1, number, timedelta(days=400))
        caller = _Caller(service.port, settings, database, clinic)
        ids = caller.patients(patients)
        few = caller.patients(_COMPARED // 3 // _VISITS + 1, "few-")
        batches = caller.batches(_visits(len(few), _COMPARED // 3), few)
        file = b"".join(_lines(_visits(len(ids), options.scores // 3)))
        before = service.memory()
        seconds, peak = caller.imported(file, service)
        speed = options.scores // 3 * 3 / seconds
        ratios.append(speed / batches)
        speeds.append(speed)
        print(
            f"{engine} round {number + 1}: {speed:.0f} scores/s by import ({len(file) / 2**20:.0f} MiB, {seconds:.0f} s), "
            f"{batches:.0f} by batches, {ratios[-1]:.2f}; memory {before:.0f} MiB before, at most {peak:.0f}",
            flush=True,
        )
    print(f"{engine}: {statistics.median(ratios):.2f} times ({statistics.median(speeds):.0f} scores/s), target 2.5")
    clinic = clinics.filled(database, 100, 10, 99, timedelta(days=400))
    caller = _Caller(service.port, settings, database, clinic)
    ids = caller.patients(2_000)
    alone = caller.posts(options.seconds)
    file = b"".join(_lines(_visits(len(ids), 2_000 * _VISITS)))
    import_id = caller.sent(file)
    time.sleep(2)
    during = caller.posts(options.seconds)
    state = caller.get(f"/v1/imports/{import_id}")
    for name, seen in (("alone", alone), ("during an import", during)):
        print(f"{engine}: posts {name}: median {_at(seen, 50):.1f} ms, p99 {_at(seen, 99):.1f} ms of {len(seen)}")
    print(
        f"{engine}: p99 {_at(during, 99) / _at(alone, 99):.2f} times, target 2; meanwhile the import came to "
        f"{state['state']}, {state['progress']}"
    )


def _at(seen: list[float], percent: int) -> float:
    return statistics.quantiles(seen, n=100)[percent - 1] * 1000


def _visits(patients: int, count: int) -> Iterator[Visit]:
    """Check-ins of three instruments, visit by visit over all patients."""
    start = clock.now() - timedelta(days=5 * _VISITS + 5)
    for n in range(count):
        visit, patient = divmod(n, patients)
        at = start + timedelta(days=visit * 5, seconds=patient % 86_000)
        responses: list[dict[str, Any]] = [
            {"instrument": "phq-9", "answers": [n % 4, 1, 1, 2, 1, 1, 0, 2, 0]},
            {"instrument": "gad-7", "answers": [1, n % 4, 1, 1, 0, 1, 1]},
            {"instrument": "nrs-pain", "score": n % 11},
        ]
        yield patient, at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), responses


def _lines(visits: Iterator[Visit]) -> Iterator[bytes]:
    yield b"external_id,taken_at,instrument,score,answers\n"
    for patient, at, responses in visits:
        text = ""
        for one in responses:
            answers = ";".join(map(str, one.get("answers", [])))
            text += f"P{patient:06d},{at},{one['instrument']},{one.get('score', '')},{answers}\n"
        yield text.encode()


class _Caller:
    """An administrator of one clinic."""

    def __init__(self, port: int, settings: Any, database: Database, clinic: Clinic) -> None:
        token = clinics.token(settings, database, clinic)
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {token}"}, timeout=120
        )
        self._post_to = str(clinic.patient_ids[0])

    def get(self, path: str) -> Any:
        return self._http.get(path).raise_for_status().json()

    def patients(self, count: int, prefix: str = "") -> list[str]:
        """Makes patients by an import; their ids in order."""
        names = [f"{prefix}P{n:06d}" for n in range(count)]
        self._wait(self.sent(("external_id\n" + "\n".join(names) + "\n").encode()))
        lines = self._http.get("/v1/exports/patients.ndjson").raise_for_status().text.splitlines()
        ids = {line["external_id"]: line["patient_id"] for line in map(json.loads, lines)}
        return [ids[name] for name in names]

    def sent(self, file: bytes) -> str:
        answer = self._http.post("/v1/imports", content=file, headers={"Content-Type": "text/csv"})
        return str(answer.raise_for_status().json()["id"])

    def batches(self, visits: Iterator[Visit], ids: list[str]) -> float:
        """Scores a second, by batches of 500 check-ins one after the other."""
        items = [{"patient_id": ids[patient], "taken_at": at, "responses": r} for patient, at, r in visits]
        began, count = time.perf_counter(), 0
        for first in range(0, len(items), _BATCH):
            answer = self._http.post("/v1/check-ins/batch", json={"items": items[first : first + _BATCH]})
            results = answer.raise_for_status().json()["results"]
            count += 3 * sum(one["http_status"] == 201 for one in results)
        if count != 3 * len(items):
            raise RuntimeError("items were refused inside a batch")
        return count / (time.perf_counter() - began)

    def imported(self, file: bytes, service: services.Service) -> tuple[float, float]:
        """Seconds from sending the file until all of it is recorded, and the most memory seen meanwhile in MiB."""
        peak, is_over = [0.0], threading.Event()

        def watch() -> None:
            while not is_over.wait(0.2):
                peak[0] = max(peak[0], service.memory())

        watching = threading.Thread(target=watch)
        watching.start()
        began = time.perf_counter()
        self._wait(self.sent(file))
        seconds = time.perf_counter() - began
        is_over.set()
        watching.join()
        return seconds, peak[0]

    def _wait(self, import_id: str) -> None:
        while True:
            found = self.get(f"/v1/imports/{import_id}")
            if found["state"] == "done":
                return
            if found["state"] in ("refused", "cancelled"):
                raise RuntimeError(str(found["problems"][:3]))
            time.sleep(2)  # as a client does that shows how far it is

    def posts(self, seconds: float) -> list[float]:
        """Seconds that single posts take, which are sent at an even pace."""
        seen, began, start = [], time.perf_counter(), clock.now() - timedelta(days=3)
        for n in range(int(seconds * _POSTS_A_SECOND)):
            time.sleep(max(0, began + n / _POSTS_A_SECOND - time.perf_counter()))
            body = {
                "taken_at": (start + timedelta(seconds=time.time() % 86_400, microseconds=n)).isoformat(),
                "responses": [{"instrument": "phq-9", "answers": [1, 1, 1, 2, 1, 1, 0, 2, 0]}],
            }
            sent = time.perf_counter()
            self._http.post(f"/v1/patients/{self._post_to}/check-ins", json=body).raise_for_status()
            seen.append(time.perf_counter() - sent)
        return seen


if __name__ == "__main__":
    main()
