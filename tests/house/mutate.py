"""Removes the audit from the code, one place at a time, and checks that the tests fail each time:
`python -m tests.house.mutate`. It takes minutes, so it is not part of the suite.

Each line that records an event is deleted, and each place that names patients in a fact (`(patient_id,)`,
`.about(patient_id)` and the like) is emptied, in a copy of the checkout; then `tests/house/test_door.py` and
`tests/audit` run on it, on SQLite. Exits with 1 if the tests pass in spite of some change.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Patterns of code that names patients, and the code that names nobody.
_NAMED = {
    r"\((?:\w+\.)*patient_id,\)|\(row\[1\]\.patient\.id,\)|\(patient\.id,\)|\(EVERYONE,\)": "()",
    r"\.about\(patient_id\)": "",
    r"tuple\(shown\)|tuple\(patient_ids\)|tuple\(dict\.fromkeys\((?:asked_for|patient_id .*\(item\))\)\)": "()",
    r"event\.patient_ids,$": "(),",
    r"(?<=return AuditEntry\(act), fact\.patient_ids": ", ()",
    r"(?<=outcome, \(\)), fact\.refused_patient_ids": ", ()",
    r"(?<=subjects=)\[str\(patient_id\) .*\]": "[]",
    r"(?<=self\.act, \(\), outcome, )tuple\(ids\.items\(\)\)": "()",
    r"(?<=tuple\(ids\.items\(\)\), )asked_for": "()",
}
# The lines that record.
_RECORDS = r"(?<=  )(?:audit\.record(?:_many)?|await self\._record|await self\.parts\.events\.submit|record_act)\(.*\)$"
Place = tuple[Path, int, str, str]


def places() -> list[Place]:
    """Every place to change: its file, its position, the text there, and the text that replaces it."""
    found = []
    for file in sorted((ROOT / "app").rglob("*.py")):
        if not {"demo", "cli"} & set(file.parts) and file.name != "backfilling.py":
            text = file.read_text(encoding="utf-8")
            for pattern, instead in {**_NAMED, _RECORDS: "pass"}.items():
                matches = re.finditer(pattern, text, re.MULTILINE)
                found += [(file.relative_to(ROOT), match.start(), match[0], instead) for match in matches]
    return found


def notices(place: Place | None) -> bool:
    """Whether the tests fail once this place is changed; without a place, whether they fail as the code is."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("app", "tests", "migrations"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        if place is not None:
            file, at, stands, instead = place
            text = (ROOT / file).read_text(encoding="utf-8")
            (Path(folder) / file).write_text(text[:at] + instead + text[at + len(stands) :], encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-k",
            "sqlite",
            "tests/house/test_door.py",
            "tests/audit",
        ]
        ran = subprocess.run(
            command, cwd=folder, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, check=False
        )
        return ran.returncode == 1


def main() -> int:
    if notices(None):
        print("the suite fails on the code as it stands")
        return 1
    found = places()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = list(pool.map(notices, found))
    for (file, at, stands, _), seen in zip(found, noticed, strict=True):
        line = (ROOT / file).read_text(encoding="utf-8")[:at].count("\n") + 1
        print(f"{'noticed' if seen else 'NOT NOTICED'}  {file}:{line}  {stands}")
    print(f"{sum(noticed)} of {len(found)} noticed")
    return 0 if all(noticed) else 1


if __name__ == "__main__":
    sys.exit(main())
