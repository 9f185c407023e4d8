"""`serve` is killed while it imports, and while it takes an import back: the end must be as if nothing had happened.

    python -m bench.import_kills [--kills 6] [--scores 30000]

At moments drawn at chance the process gets SIGKILL and is started anew, first while a file is read and applied, then
while the import is undone. At the end the records are counted, and compared with the file; after the undo none may stand.
A killed process keeps its import from the next one for half a minute, which is most of the time that this takes.
"""

import argparse
import random
import tempfile
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from app.storage import Database
from bench import clinics, services
from bench.imports import _VISITS, _lines, _visits
from bench.rates import SEED, fresh


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--scores", type=int, default=30_000)
    options = parser.parse_args()
    for engine in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-import-kills-")))
            settings = stack.enter_context(fresh(engine, folder / "db"))
            database = Database(settings.database_url, *settings.secrets)
            clinic = clinics.filled(database, 2, 1, SEED, timedelta(days=400))
            before = _standing(settings, database, clinic)
            killed = _Killed(settings, database, clinic, random.Random(SEED))
            patients = options.scores // 3 // _VISITS + 1
            names = "external_id\n" + "\n".join(f"P{n:06d}" for n in range(patients)) + "\n"
            killed.until_ended(killed.sent(names.encode()), 0)
            file = b"".join(_lines(_visits(patients, options.scores // 3)))
            import_id = killed.sent(file)
            done = killed.until_ended(import_id, options.kills)
            after = _standing(settings, database, clinic)
            killed.delete(import_id)
            undone = killed.until_ended(import_id, options.kills)
            left = _standing(settings, database, clinic)
            recorded = {name: done["counts"][name] for name in ("check_ins", "scores", "left_out", "unchanged")}
            is_right = (
                len(after) - len(before) == options.scores // 3 * 3
                and len(set(after)) == len(after)
                and left == before
                and recorded == {"check_ins": options.scores // 3, "scores": options.scores // 3 * 3, "left_out": 0,
                                 "unchanged": 0}
                and undone["counts"]["taken_back"] == options.scores // 3
            )  # fmt: skip
            print(
                f"{engine}: killed {killed.count} times; {recorded}, {len(after) - len(before)} scores stand, then "
                f"{undone['counts']['taken_back']} check-ins taken back: {'as without' if is_right else 'WRONG'}",
                flush=True,
            )
            killed.end()
            database.close()
            if not is_right:
                raise SystemExit(1)


def _standing(settings: Any, database: Database, clinic: Any) -> list[str]:
    """Every score that stands: whose, when, by what and how much."""
    with services.holdfast(settings) as service:
        token = clinics.token(settings, database, clinic)
        answer = httpx.get(
            f"http://127.0.0.1:{service.port}/v1/exports/scores.csv",
            headers={"Authorization": f"Bearer {token}"},
            timeout=120,
        ).raise_for_status()
    lines = (line.split(",") for line in answer.text.splitlines()[1:])
    return sorted(",".join((line[0], line[4], *line[7:9])) for line in lines)


class _Killed:
    """A service that is killed now and then, and its caller."""

    def __init__(self, settings: Any, database: Database, clinic: Any, chance: random.Random) -> None:
        self._settings, self._database, self._clinic, self._chance = settings, database, clinic, chance
        self.count = 0
        self._start()

    def _start(self) -> None:
        self._stack = ExitStack()
        self._service = self._stack.enter_context(services.holdfast(self._settings))
        token = clinics.token(self._settings, self._database, self._clinic)
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{self._service.port}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    def sent(self, file: bytes) -> str:
        answer = self._http.post("/v1/imports", content=file, headers={"Content-Type": "text/csv"})
        return str(answer.raise_for_status().json()["id"])

    def delete(self, import_id: str) -> None:
        self._http.delete(f"/v1/imports/{import_id}").raise_for_status()

    def until_ended(self, import_id: str, kills: int) -> Any:
        """The import once it is ended; on the way the process is killed so many times, a moment after it has begun to
        work on it again."""
        left = kills
        while True:
            seen = self._http.get(f"/v1/imports/{import_id}").raise_for_status().json()
            if seen["ended_at"] is not None:
                return seen
            if left and self._is_at_work(import_id, seen):
                time.sleep(self._chance.uniform(0, 0.6))
                self._service.kill()
                left, self.count = left - 1, self.count + 1
                self.end()
                self._start()
            time.sleep(0.2)

    def _is_at_work(self, import_id: str, seen: Any) -> bool:
        time.sleep(0.2)
        now = self._http.get(f"/v1/imports/{import_id}").raise_for_status().json()
        return bool(now["ended_at"] is None and (now["progress"], now["counts"]) != (seen["progress"], seen["counts"]))

    def end(self) -> None:
        self._http.close()
        self._stack.close()


if __name__ == "__main__":
    main()
