"""parse-server 9.10.0 beside this build, both on PostgreSQL, in turns: processor time of service and database.

python -m bench.peers [--seconds 4] [--rounds 7]     (needs node, npm and wrk; not part of CI)

It records one score as one object, and finds a patient's 24 scores of one instrument by an index. It checks no caller,
scores nothing, folds nothing and audits nothing. Ours records three scores in a post, with all of that, and answers
whether relief is holding.
"""

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import create_engine, make_url, text

from app import clock
from app.settings import Settings
from app.storage import Database
from bench import clinics, rates, services
from bench.against import processor_seconds
from bench.load import GET, POST, SERVER_CORE, Load
from bench.report import Report, Row

# Express takes router 2.3.0 otherwise, with which parse-server cannot answer: see findings/.
_PACKAGE = {"private": True, "dependencies": {"parse-server": "9.10.0", "express": "5.2.1", "router": "2.2.0"}}
_HEADERS = {"X-Parse-Application-Id": "peer", "X-Parse-REST-API-Key": "peer-rest"}
_MASTER = {"X-Parse-Application-Id": "peer", "X-Parse-Master-Key": "peer-master"}
_CLASS = {
    "className": "Score",
    "fields": {
        "patient": {"type": "String"}, "instrument": {"type": "String"}, "takenAt": {"type": "Date"},
        "points": {"type": "Number"}, "answers": {"type": "Array"},
    },
    "indexes": {"place": {"patient": 1, "instrument": 1, "takenAt": 1}},
}  # fmt: skip
_FIELDS = "{{ " + ", ".join(f'["{name}"] = "{value}"' for name, value in _HEADERS.items())
_FIELDS += ', ["Content-Type"] = "application/json" }}'
RECORD = f"""
local fields = {_FIELDS}
request = function()
  local at = os.date("!%Y-%m-%dT%H:%M:%S.000Z", 1767225600 + math.floor(n / 500) * 21600 + n % 3600)
  local a, b, c = n % 4, math.floor(n / 4) % 4, math.floor(n / 16) % 4
  local body = string.format(
    '{{{{"patient":"p%03d","instrument":"phq-9","takenAt":{{{{"__type":"Date","iso":"%s"}}}},"points":%d,' ..
    '"answers":[%d,%d,%d,%d,1,1,0,2,0]}}}}', n % 500, at, 2 * a + b + c + 4, a, b, c, a)
  n = n + 1
  return wrk.format("POST", "/parse/classes/Score", fields, body)
end
"""
FIND = f"""
local fields = {_FIELDS}
request = function()
  local path = string.format("/parse/classes/Score?where=%%7B%%22patient%%22%%3A%%22p%03d%%22%%2C" ..
    "%%22instrument%%22%%3A%%22phq-9%%22%%7D&order=takenAt&limit=24", n % 500)
  n = n + 1
  return wrk.format("GET", path, fields)
end
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    report = Report()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-peers-")))
        settings = stack.enter_context(rates.fresh("PostgreSQL", folder / "database"))
        database = Database(settings.database_url, settings.secret)
        filled = [clinics.filled(database, 500, 60, 7, rates.ENDING)]
        service = stack.enter_context(services.holdfast(settings))
        port, process, backend = stack.enter_context(_parse_server(settings, folder))
        mine = Load(folder, "mine", service.port, lambda: rates.callers(settings, database, filled))
        theirs = Load(folder, "theirs", port, lambda: [("x", "x")])
        start = {"start": int(clock.now().timestamp() - rates.ENDING.total_seconds()) + 2 * 86_400}
        for name, target, ours, peers, per in (
            ("a score recorded", 2.0, (POST, start), (RECORD, {}), 3),
            ("relief against its query of 24 records", 1.5, (GET, rates.RELIEF), (FIND, {}), 1),
        ):
            seen = []
            for number in range(options.rounds):
                pair = {}
                for which in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
                    load, (script, values) = (mine, ours) if which == "ours" else (theirs, peers)
                    roots = [service.pid if which == "ours" else process, backend]
                    pair[which] = _milliseconds(load, script, values, roots, options.seconds)
                seen.append((pair["theirs"], pair["ours"] / per))
            report.add(_row(name, target, seen))
        database.close()


def _milliseconds(load: Load, script: str, values: dict[str, Any], roots: list[int], seconds: int) -> float:
    load.run(script, 64, 1, **values)
    before = processor_seconds(roots)
    run = load.run(script, 64, seconds, **values)
    return 1000 * (processor_seconds(roots) - before) / run.requests


def _row(name: str, target: float, seen: list[tuple[float, float]]) -> Row:
    middle = sorted(seen, key=lambda pair: pair[0] / pair[1])[len(seen) // 2]
    told = f"{middle[1]:.2f} ms of {middle[0]:.2f} ms"
    return Row(name, "parse-server 9.10.0, processor time", target, [theirs / ours for theirs, ours in seen], told)


@contextmanager
def _parse_server(settings: Settings, folder: Path) -> Iterator[tuple[int, int, int]]:
    """A parse-server over a database of its own: its port, its process, and PostgreSQL's first process."""
    if shutil.which("npm") is None:
        raise RuntimeError("npm is missing")
    (folder / "package.json").write_text(json.dumps(_PACKAGE))
    shutil.copy(Path(__file__).with_name("server.js"), folder)
    subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder, check=True
    )
    socket_folder, backend = _its_database(settings)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = ["taskset", "-c", str(SERVER_CORE), "node", "server.js", str(port), socket_folder, "parse", "parse"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline().strip() != "ready":
                pass
            base = f"http://127.0.0.1:{port}/parse"
            httpx.post(f"{base}/schemas/Score", json=_CLASS, headers=_MASTER).raise_for_status()
            yield port, process.pid, backend
        finally:
            process.terminate()
            process.wait(timeout=30)


def _its_database(settings: Settings) -> tuple[str, int]:
    """Makes parse-server's role and database as the superuser. Returns the folder of the socket and the process."""
    url = make_url(str(settings.migration_database_url)).set(
        drivername="postgresql+psycopg", username="postgres", password=None, database="postgres"
    )
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("create role parse login nosuperuser nobypassrls"))
        connection.execute(text("create database parse owner parse"))
        folder = connection.execute(text("show unix_socket_directories")).scalar_one()
        pid = connection.execute(text("select pg_backend_pid()")).scalar_one()
        status = Path(f"/proc/{pid}/stat").read_text()
    engine.dispose()
    return str(folder), int(status.rpartition(")")[2].split()[1])


if __name__ == "__main__":
    main()
