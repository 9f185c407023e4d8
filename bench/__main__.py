"""Every figure of `docs/benchmarks.md`, in one command: see there for how each is measured.

python -m bench [--seconds 3] [--rounds 5] [--only recording bulk scale]
python -m bench --against COMMIT [--rounds 7] [--only SQLite POST]
"""

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench import against, bulk, flat, rates
from bench.report import Report

PARTS = {"recording": rates.measure, "bulk": bulk.measure, "scale": flat.measure}
PROSE, COMPARED = (Path(__file__).parent / name for name in ("prose.md", "compared.md"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], help=f"of {', '.join(PARTS)}; with --against, words of a row")
    parser.add_argument("--against", help="an earlier commit, which is installed and measured beside this one")
    options = parser.parse_args()
    report = Report()
    os.environ.pop("HOLDFAST_TEST_DATABASE_URL", None)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-")))
        if options.against:
            against.measure(report, folder, options.seconds, options.rounds, options.against, options.only)
            if not options.only:
                title = f"Beside the build of {options.against}"
                report.write("compared.md", title, COMPARED.read_text(encoding="utf-8"))
            return
        for part in options.only or PARTS:
            PARTS[part](report, folder, options.seconds, options.rounds)
    if not options.only:
        report.write("benchmarks.md", "Benchmarks", PROSE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
