"""This build beside an earlier one, in one run: processor time for each request, of the service and its database.

python -m bench --against 0950f12 [--only ...]

The earlier commit is installed in a folder of its own, with its own libraries. Both builds run their own service over
their own database, filled by their own generator. They are loaded in turns, A B B A.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import clock
from bench.load import BATCH, GET, POST, Load
from bench.rates import ENDING
from bench.report import Report, Row

_HERE = Path(__file__).parent.parent
_TICKS = os.sysconf("SC_CLK_TCK")
TREND, WORKLIST = "/v1/patients/PATIENT/trend", "/v1/worklist?limit=50"


@dataclass(frozen=True)
class Work:
    """Something to be done by both builds. `clinics`: how many, the patients of each, and the days they are followed.
    `per`: how many items of a batch in a row are for one patient. `longer`: how many times as long a round takes, where
    a request takes long."""

    name: str
    target: float
    script: str
    connections: int = 64
    clinics: tuple[int, int, int] = (1, 500, 60)
    path: str = ""
    per: int = 1
    longer: int = 1
    only: str = ""


_MANY, _HOSTED = (64, 8, 60), (2_000, 1, 8)
WORKS = (
    Work("POST check-in, 64 connections", 1.6, POST, only="SQLite"),
    Work("POST check-in, 1 connection", 2.0, POST, 1, only="SQLite"),
    Work("POST check-in, 64 connections", 2.0, POST, only="PostgreSQL"),
    Work("POST check-in, 1 connection", 2.0, POST, 1, only="PostgreSQL"),
    Work("POST check-in, 64 clinics, 64 connections", 2.5, POST, clinics=_MANY, only="PostgreSQL"),
    Work("POST check-in, 2,000 clinics in turn, 64 connections", 2.5, POST, clinics=_HOSTED, only="PostgreSQL"),
    Work("GET relief, 64 connections", 1.6, GET, path="/v1/patients/PATIENT/relief"),
    Work("GET worklist, a page of 50", 2.0, GET, 4, path=WORKLIST),
    Work("GET trend, five years of daily scores", 3.0, GET, 2, clinics=(0, 0, 0), path=f"{TREND}?instrument=nrs-pain"),
    Work("its picture", 3.0, GET, 1, clinics=(0, 0, 0), path=f"{TREND}.svg?instrument=nrs-pain"),
    Work("POST batch of 500 patients", 2.0, BATCH, 4, clinics=(1, 500, 30), per=1, longer=4),
)
_DAYS = 1_826
_SCORES = 1_000_000
_SETTLING_SECONDS, _IDLE_SHARE = 90, 0.1


class Build:
    """A build's service over a database that it filled."""

    def __init__(self, stack: ExitStack, tree: Path, engine: str, folder: Path, name: str) -> None:
        command = [str(tree / ".venv/bin/python"), str(_HERE / "bench/side.py"), engine]
        self._process = stack.enter_context(
            subprocess.Popen(command, cwd=tree, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        self._folder, self._name = folder, name
        self._loads: dict[Any, Load] = {}
        self._read()

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {self._name} build ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=120)

    def serve(self) -> None:
        found = self.ask("serve")
        self.port, self.roots = found["port"], found["roots"]
        # The first rounds of the hourly jobs come with the start, and take a while where there are many clinics.
        before, deadline = processor_seconds(self.roots), time.monotonic() + _SETTLING_SECONDS
        while time.monotonic() < deadline:
            time.sleep(2)
            now = processor_seconds(self.roots)
            if now - before < _IDLE_SHARE * 2:
                return
            before = now

    def seen(self, work: Work, seconds: int) -> tuple[float, float]:
        """Milliseconds of the processor for each request, and requests a second."""
        load = self._loads.get(work.clinics)
        if load is None:
            name = str(work.clinics)
            load = self._loads[work.clinics] = Load(
                self._folder,
                f"{self._name}-{len(self._loads)}",
                self.port,
                lambda: self.ask("callers", name=name)["callers"],
            )
        values: dict[str, Any] = {"path": work.path} if work.script == GET else {"start": _start(), "per": work.per}
        load.run(work.script, work.connections, work.longer, **values)
        before = processor_seconds(self.roots)
        run = load.run(work.script, work.connections, seconds * work.longer, **values)
        return 1000 * (processor_seconds(self.roots) - before) / run.requests, run.per_second


def _start() -> int:
    return int((clock.now() - ENDING).timestamp()) + 2 * 86_400


def processor_seconds(roots: Sequence[int]) -> float:
    """Seconds of the processor that these processes and all that came from them have taken."""
    ticks, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(entry.name)] = int(fields[1])
            ticks[int(entry.name)] = sum(map(int, fields[11:15]))
    mine, more = set(roots), set(roots)
    while more:
        more = {pid for pid, parent in parents.items() if parent in more} - mine
        mine |= more
    return sum(ticks.get(pid, 0) for pid in mine) / _TICKS


@contextmanager
def installed(commit: str, folder: Path) -> Iterator[Path]:
    """The tree of a commit, with an environment of its own. BENCH_TREE names one that is there already."""
    ready = os.environ.get("BENCH_TREE")
    if ready:
        yield Path(ready)
        return
    tree = folder / "earlier"
    tree.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=_HERE, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-x"], cwd=tree, input=archive.stdout, check=True)
    subprocess.run(["make", "--silent", "setup"], cwd=tree, check=True, stdout=sys.stderr)
    yield tree


def measure(report: Report, folder: Path, seconds: int, rounds: int, commit: str, only: Sequence[str]) -> None:
    """Rows of both engines."""
    with installed(commit, folder) as earlier:
        for engine in ("SQLite", "PostgreSQL"):
            works = [w for w in WORKS if w.only in ("", engine) and all(o in f"{engine} {w.name}" for o in only)]
            if works:
                _engine(report, engine, folder, earlier, works, seconds, rounds)
            if not only or "flat" in only:
                _flat(report, engine, folder, seconds, rounds)
            if not only or "bulk" in only:
                _bulk(report, engine, folder, earlier, rounds)
            if (not only or "start" in only) and engine == "SQLite":
                _start_up(report, folder, earlier, rounds)


def _engine(
    report: Report, engine: str, folder: Path, earlier: Path, works: Sequence[Work], seconds: int, rounds: int
) -> None:
    with ExitStack() as stack:
        old, new = (
            Build(stack, tree, engine, folder, f"{engine[0]}-{name}")
            for tree, name in ((earlier, "old"), (_HERE, "new"))
        )
        for build in (old, new):
            for clinics in {work.clinics for work in works}:
                count, patients, days = clinics
                if count:
                    build.ask("fill", name=str(clinics), count=count, patients=patients, days=days)
                else:
                    build.ask("daily", name=str(clinics), days=_DAYS)
            build.serve()
        for work in works:
            rows: list[tuple[tuple[float, float], tuple[float, float]]] = []
            for number in range(rounds):
                pair = {}
                for build in (old, new) if number % 2 == 0 else (new, old):
                    pair[build] = build.seen(work, seconds)
                rows.append((pair[old], pair[new]))
            report.add(_row(f"{work.name}, {engine}", work.target, rows))
        loaded = [_memory(build.roots[0]) for build in (old, new)]
        report.say(f"{engine}: memory of the service after this load {loaded[1]:.0f} MiB, before {loaded[0]:.0f}.")
        old.end()
        new.end()


def _memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _flat(report: Report, engine: str, folder: Path, seconds: int, rounds: int) -> None:
    """This build in a large clinic and in a small one."""
    with ExitStack() as stack:
        build = Build(stack, _HERE, engine, folder, f"{engine[0]}-flat")
        small, large = (1, 100, 8), (1, 10_000, 8)
        for clinics in (small, large):
            build.ask("fill", name=str(clinics), count=1, patients=clinics[1], days=clinics[2])
        build.serve()
        # In this order, because posts raise more alerts than a clinic leaves open.
        for name, script, path in (("GET worklist, a page of 50", GET, WORKLIST), ("POST check-in", POST, "")):
            few, many = (Work(name, 0.95, script, 16, clinics, path) for clinics in (small, large))
            seen = [(build.seen(few, seconds)[0], build.seen(many, seconds)[0]) for _ in range(rounds)]
            before, after = (statistics.median(pair[side] for pair in seen) for side in (0, 1))
            ratios = [a / b for a, b in seen]
            against = "100 patients, processor time"
            report.add(
                Row(f"{name}, 10,000 patients, {engine}", against, 0.95, ratios, f"{after:.2f} of {before:.2f} ms")
            )
        build.end()


def _bulk(report: Report, engine: str, folder: Path, earlier: Path, rounds: int) -> None:
    """A million scores recorded, a part in each round, and what they take."""
    with ExitStack() as stack:
        old, new = (
            Build(stack, tree, engine, folder, f"{engine[0]}-bulk-{name}")
            for tree, name in ((earlier, "old"), (_HERE, "new"))
        )
        part, seconds = _SCORES // rounds, []
        for number in range(rounds):
            pair = {}
            for build in (old, new) if number % 2 == 0 else (new, old):
                pair[build] = build.ask("record", scores=part)["seconds"]
            seconds.append((pair[old], pair[new]))
        before, after = (statistics.median(pair[side] for pair in seconds) for side in (0, 1))
        seen = f"{part / after:.0f} of {part / before:.0f} scores/s"
        ratios = [a / b for a, b in seconds]
        report.add(Row(f"recording {_SCORES:,} scores, {engine}", "the earlier build, time", 2.5, ratios, seen))
        sizes = [build.ask("size")["bytes"] / _SCORES for build in (old, new)]
        seen = f"{sizes[1]:.0f} of {sizes[0]:.0f} bytes a score"
        report.add(
            Row(f"bytes stored, {engine}", "the earlier build", 0.5, [sizes[1] / sizes[0]], seen, is_at_most=True)
        )
        old.end()
        new.end()


def _start_up(report: Report, folder: Path, earlier: Path, rounds: int) -> None:
    with ExitStack() as stack:
        builds = [
            Build(stack, tree, "SQLite", folder, f"start-{name}") for tree, name in ((earlier, "old"), (_HERE, "new"))
        ]
        for build in builds:
            build.ask("fill", name="few", count=1, patients=20, days=30)
        starts, helps = ([[build.ask(do) for build in builds] for _ in range(rounds)] for do in ("start", "help"))
        for name, target, found in (("serve until ready", 0.6, starts), ("holdfast --help", 0.3, helps)):
            seconds = [statistics.median(pair[side]["seconds"] for pair in found) for side in (0, 1)]
            is_share = name.startswith("serve")
            ratios = [new["seconds"] / (old["seconds"] if is_share else 1) for old, new in found]
            against = "the earlier build, processor time" if is_share else "seconds of the processor"
            told = f"{seconds[1]:.2f} of {seconds[0]:.2f} s"
            report.add(Row(name, against, target, ratios, told, is_at_most=True))
        memory = [statistics.median(pair[side]["memory"] for pair in starts) for side in (0, 1)]
        told = f"{memory[1]:.0f} of {memory[0]:.0f} MiB"
        report.add(
            Row("memory, idle, SQLite", "MiB", 100, [pair[1]["memory"] for pair in starts], told, is_at_most=True)
        )
        for build in builds:
            build.end()


def _row(work: str, target: float, rows: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Row:
    ratios = [old[0] / new[0] for old, new in rows]
    before, after = (statistics.median(pair[side][0] for pair in rows) for side in (0, 1))
    speed = statistics.median(new[1] / old[1] for old, new in rows)
    seen = f"{after:.2f} of {before:.2f} ms; {speed:.2f} times the requests a second"
    return Row(work, "the earlier build, processor time", target, ratios, seen)
