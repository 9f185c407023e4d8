"""What was seen, as a table on the screen and as the page `docs/benchmarks.md`."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "benchmarks.md"
_SHOWN = ("fastapi", "starlette", "uvicorn", "pydantic", "sqlmodel", "sqlalchemy", "psycopg", "msgspec")


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratios` holds one number per round. The target is a least ratio where more is better
    (speeds), and a greatest ratio where less is better (times: `is_at_most`)."""

    work: str
    against: str
    target: float
    ratios: Sequence[float]
    seen: str
    is_at_most: bool = False
    p50: float | None = None
    p99: float | None = None
    queries: int | None = None

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        return self.ratio <= self.target if self.is_at_most else self.ratio >= self.target

    def cells(self) -> list[str]:
        words = "at most" if self.is_at_most else "at least"
        return [
            self.work,
            self.against,
            f"{words} {self.target:g}",
            f"{self.ratio:.2f}",
            f"{min(self.ratios):.2f} to {max(self.ratios):.2f}",
            "yes" if self.is_met else "no",
            self.seen,
            "" if self.p50 is None else f"{self.p50:.1f}",
            "" if self.p99 is None else f"{self.p99:.1f}",
            "" if self.queries is None else str(self.queries),
        ]


_HEAD = ["Work", "Against", "Target", "Ratio", "Rounds", "Met", "Seen", "p50 ms", "p99 ms", "Queries"]


@dataclass
class Report:
    """The table, filled row by row, and what else was seen."""

    rows: list[Row] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        print(" | ".join(cell for cell in row.cells() if cell), flush=True)

    def say(self, fact: str) -> None:
        self.facts.append(fact)
        print(fact, flush=True)

    def write(self, page: str, title: str, prose: str) -> None:
        """A page of docs/: the machine, the versions, the day, the table, and how it was measured."""
        lines = [_HEAD, ["---"] * len(_HEAD), *(row.cells() for row in self.rows)]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
        facts = "\n".join(f"- {fact}" for fact in self.facts)
        (DOCS / page).write_text(
            f"# {title}\n\n{machine()}\n\n{table}\n\n## What else was seen\n\n{facts}\n\n{prose.strip()}\n",
            encoding="utf-8",
        )


def machine() -> str:
    """Where and when, in one paragraph."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in _SHOWN)
    return (
        f"Seen on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{versions}. Written by `python -m bench`."
    )
