"""Every figure of `docs/benchmarks.md`, in one command: see there for how each is measured.

python -m bench [--seconds 3] [--rounds 5] [--only recording bulk scale]
"""

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import bulk, flat, rates
from bench.report import Report

PARTS = {"recording": rates.measure, "bulk": bulk.measure, "scale": flat.measure}
PROSE = Path(__file__).parent / "prose.md"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=[*PARTS])
    options = parser.parse_args()
    report = Report()
    os.environ.pop("HOLDFAST_TEST_DATABASE_URL", None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
        for part in options.only:
            PARTS[part](report, folder, options.seconds, options.rounds)
    if set(options.only) == set(PARTS):
        report.write(PROSE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
