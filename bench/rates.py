"""Recording and answering against the bare framework: both servers on one core, in turns, under the same load."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from pydantic import SecretStr

from app import clock
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, derived_key
from bench import clinics, services
from bench.clinics import Clinic
from bench.counting import counter
from bench.load import GET, LOAD_CORE, POST, Load, Seen
from bench.report import Report, Row
from tests.conftest import SECRET, postgres_server, postgres_settings

PATIENTS, DAYS, SEED = 500, 60, 7
ENDING = timedelta(days=200)
RELIEF = {"path": "/v1/patients/PATIENT/relief"}


def measure(report: Report, folder: Path, seconds: int, rounds: int) -> None:
    """Rows of both engines; on PostgreSQL in one clinic and spread over 64."""
    for engine, count, most in (("SQLite", 1, 0.5), ("PostgreSQL", 1, 0.4), ("PostgreSQL, 64 clinics", 64, 0.4)):
        with ExitStack() as stack:
            settings = stack.enter_context(fresh(engine, folder / f"{engine[:4]}-{count}"))
            database = Database(settings.database_url, settings.secret)
            filled = [clinics.filled(database, max(8, PATIENTS // count), DAYS, SEED, ENDING) for _ in range(count)]
            service = stack.enter_context(services.holdfast(settings))
            token = clinics.token(settings, database, filled[0])
            with counter(settings, token) as count_of:
                whose = f"/v1/patients/{filled[0].patient_ids[1]}"
                bodies = [check_in(ENDING.days - 0.5), check_in(ENDING.days - 0.7)]
                posted, read = count_of("POST", f"{whose}/check-ins", *bodies), count_of("GET", f"{whose}/relief")
            receipt, relief = _examples(service.port, token, filled[0])
            bare = stack.enter_context(
                services.bare(derived_key(settings.secret, "access tokens").hex(), receipt, relief)
            )
            mine, theirs = (
                Load(folder, name, port, partial(callers, settings, database, filled))
                for name, port in (("mine", service.port), ("bare", bare.port))
            )
            for connections, target in ((64, most), (16, 0.4)):
                start = {"start": int((clock.now() - ENDING + timedelta(days=2)).timestamp())}
                seen = in_turns(mine, theirs, POST, connections, seconds, rounds, start)
                report.add(_row(f"POST check-in, {engine}, {connections} connections", target, seen, posted))
            if count == 1:
                for connections in (64, 16):
                    seen = in_turns(mine, theirs, GET, connections, seconds, rounds, RELIEF)
                    report.add(_row(f"GET relief, {engine}, {connections} connections", 0.4, seen, read))
            report.say(
                f"{engine}: `holdfast serve` answered {service.started_in:.1f} s after its start (the bare application "
                f"{bare.started_in:.1f} s); peak memory {service.peak_memory():.0f} MiB."
            )
            database.close()


@contextmanager
def fresh(engine: str, folder: Path) -> Iterator[Settings]:
    """A migrated database; PostgreSQL runs on the core of the load."""
    folder.mkdir(parents=True, exist_ok=True)
    if engine == "SQLite":
        settings = Settings(
            database_url=f"sqlite:///{folder}/h.db", migration_database_url=None, secret_key=SecretStr(SECRET)
        )
        upgrade(settings)
        yield settings
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {LOAD_CORE})
    with postgres_server() as url:
        os.sched_setaffinity(0, cores)
        settings = postgres_settings(url)
        upgrade(settings)
        yield settings


def in_turns(
    mine: Load, theirs: Load, request: str, connections: int, seconds: int, rounds: int, values: Mapping[str, object]
) -> list[tuple[Seen, Seen]]:
    """Pairs of runs: one of the service, one of the bare framework. A run of each to warm up comes first."""
    for load in (mine, theirs):
        load.run(request, connections, 1, **values)
    return [
        (mine.run(request, connections, seconds, **values), theirs.run(request, connections, seconds, **values))
        for _ in range(rounds)
    ]


def _row(work: str, target: float, seen: Sequence[tuple[Seen, Seen]], queries: int | None) -> Row:
    middle = sorted(seen, key=lambda pair: pair[0].per_second / pair[1].per_second)[len(seen) // 2]
    return Row(
        work,
        "the same route and models, no database",
        target,
        [mine.per_second / bare.per_second for mine, bare in seen],
        f"{middle[0].per_second:.0f}/s of {middle[1].per_second:.0f}/s",
        p50=middle[0].p50,
        p99=middle[0].p99,
        queries=queries,
    )


def callers(settings: Settings, database: Database, filled: Sequence[Clinic]) -> list[tuple[str, str]]:
    """Pairs of patient id and a token of the patient's clinic; the clinics alternate."""
    tokens = [clinics.token(settings, database, clinic) for clinic in filled]
    most = max(len(clinic.patient_ids) for clinic in filled)
    return [
        (str(clinic.patient_ids[n]), token)
        for n in range(most)
        for clinic, token in zip(filled, tokens, strict=True)
        if n < len(clinic.patient_ids)
    ]


def check_in(days_ago: float) -> dict[str, object]:
    """A check-in of three instruments."""
    return {
        "taken_at": (clock.now() - timedelta(days=days_ago)).isoformat(),
        "responses": [
            {"instrument": "phq-9", "answers": [1, 1, 1, 1, 1, 1, 0, 2, 0]},
            {"instrument": "gad-7", "answers": [1, 1, 1, 1, 0, 1, 1]},
            {"instrument": "nrs-pain", "score": 3},
        ],
    }


def _examples(port: int, token: str, clinic: Clinic) -> tuple[str, str]:
    """A receipt and an answer about relief, for the yardstick to give."""
    headers = {"Authorization": f"Bearer {token}"}
    base = f"http://127.0.0.1:{port}/v1/patients/{clinic.patient_ids[0]}"
    receipt = httpx.post(f"{base}/check-ins", json=check_in(ENDING.days - 1), headers=headers)
    relief = httpx.get(f"{base}/relief", headers=headers)
    if (receipt.status_code, relief.status_code) != (201, 200):
        raise RuntimeError("the service does not answer as it should")
    return receipt.text, relief.text
