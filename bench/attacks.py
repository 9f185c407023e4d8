"""Tries the attack list against a running service on both engines and writes docs/attacks.md: what came back."""

import importlib.metadata
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from pydantic import SecretStr

from app.settings import Settings
from tests.conftest import SECRET, postgres_server, postgres_settings
from tests.house import attacks_on_pages  # noqa: F401 - it adds to the list
from tests.house.attacks import ATTACKS, Came, target

PAGE = Path(__file__).parents[1] / "docs" / "attacks.md"

HEAD = """# What was tried against it

`python -m bench.attacks` tries each attack against a running `holdfast serve` with default settings, once on SQLite and
once on PostgreSQL, and writes this page. The test suite also tries all of them (`tests/house/test_attacks.py`). In
addition, `tests/house/test_permissions.py` calls every operation with every kind of caller; the rules are in
[permissions.md](reference/permissions.md). Attacks on the network below HTTP, on the machine and on people are not
tried.

"""


@contextmanager
def settings(kind: str, folder: Path) -> Iterator[Settings]:
    if kind == "SQLite":
        yield Settings(
            database_url=f"sqlite:///{folder}/h.db", migration_database_url=None, secret_key=SecretStr(SECRET)
        )
        return
    with postgres_server() as url:
        yield postgres_settings(url)


def tried(kind: str) -> dict[tuple[str, str], Came]:
    folder = Path(tempfile.mkdtemp(prefix="holdfast-attacks-"))
    with settings(kind, folder) as found:
        running = target(found, folder)
        t = next(running)
        came = {(group, name): attack(t) for group, all_ in ATTACKS.items() for name, attack in all_.items()}
        next(running, None)
    shutil.rmtree(folder, ignore_errors=True)
    return came


def main() -> None:
    warnings.simplefilter("ignore")
    engines = {kind: tried(kind) for kind in ("SQLite", "PostgreSQL")}
    lines = [HEAD, f"Written on {date.today()}, version {importlib.metadata.version('holdfast')}.\n"]  # noqa: DTZ011
    for group, attacks in ATTACKS.items():
        lines += [f"\n## {group}\n", "| tried | came back on SQLite | on PostgreSQL |", "|---|---|---|"]
        for name in attacks:
            one, two = (engines[kind][group, name] for kind in engines)
            said = [c.told.replace("|", "/") if c.held else f"**NOT HELD** {c.told}" for c in (one, two)]
            lines.append(f"| {name} | {said[0]} | {'the same' if said[0] == said[1] else said[1]} |")
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {PAGE.name}: {sum(len(a) for a in ATTACKS.values())} attacks on two engines")


if __name__ == "__main__":
    main()
