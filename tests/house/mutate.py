"""Takes the audit away, one place in the code after the other, and sees whether the suite notices:
`python -m tests.house.mutate`. Minutes long, so it is no test itself.

Each line that records an event is deleted, and each place that names patients in a fact (`(patient_id,)`,
`.about(patient_id)` and the like) is emptied, in a copy of the checkout; then `tests/house/test_door.py` and
`tests/audit` run on it. Ends with 1 where the suite notices nothing.
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
_NAMED = re.compile(
    r"\((?:\w+\.)*patient_id,\)|\.about\(patient_id\)|\(row\[1\]\.patient\.id,\)|\(patient\.id,\)|event\.patient_ids,$"
    r"|tuple\(shown\)|tuple\(dict\.fromkeys\(asked_for\)\)|\(EVERYONE,\)|, fact\.patient_ids|, done\.patient_ids"
    r"|(?<= )(?:audit\.record(?:_many)?|await self\._record|await self\._parts\.events\.submit)\(.*\)$",
    re.MULTILINE,
)
_SEARCHED = ("service.py", "reading.py", "amending.py", "routes.py", "door.py")


def places() -> list[tuple[Path, int, str]]:
    """Every place: its file, where in it, and what stands there."""
    return [
        (file.relative_to(ROOT), found.start(), found[0])
        for file in sorted((ROOT / "app").rglob("*.py"))
        if file.name in _SEARCHED
        for found in _NAMED.finditer(file.read_text(encoding="utf-8"))
        if "asked_for = (UUID" not in file.read_text(encoding="utf-8")[found.start() - 40 : found.start()]
    ]


def emptied(place: tuple[Path, int, str]) -> bool:
    """Whether the suite notices that a place names nobody."""
    file, at, stands = place
    with tempfile.TemporaryDirectory() as folder:
        for name in ("app", "tests", "migrations"):
            shutil.copytree(ROOT / name, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        text = (ROOT / file).read_text(encoding="utf-8")
        nobody = "()"
        if "record" in stands or "submit" in stands:
            nobody = "pass"
        elif stands.startswith(".about"):
            nobody = ""
        elif stands.startswith(", "):
            nobody = ", ()"
        nobody += "," if stands.endswith("ids,") else ""
        (Path(folder) / file).write_text(text[:at] + nobody + text[at + len(stands) :], encoding="utf-8")
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
    found = places()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = list(pool.map(emptied, found))
    for (file, at, stands), seen in zip(found, noticed, strict=True):
        line = (ROOT / file).read_text(encoding="utf-8")[:at].count("\n") + 1
        print(f"{'noticed' if seen else 'NOT NOTICED'}  {file}:{line}  {stands}")
    print(f"{sum(noticed)} of {len(found)} noticed")
    return 0 if all(noticed) else 1


if __name__ == "__main__":
    sys.exit(main())
