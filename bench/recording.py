"""Recording with and without audit and alerts, in turns in one run: what the two cost a post of three instruments.

The application is called in-process, 32 posts at a time; times are of the whole round, so only the ratios say anything.
"""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx

from app import clock
from app.access import clinics, tokens
from app.access.models import User
from app.alerts import raising
from app.audit import service as audit
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, new_id
from app.tracks import service as tracks
from tests.conftest import SECRET, days_ago, postgres_server, postgres_settings

ROUNDS, POSTS, AT_ONCE, PATIENTS = 7, 480, 32, 60


@contextmanager
def without(*parts: str) -> Iterator[None]:
    """The service with a part of recording taken out."""
    nothing: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "audit": (audit, "record_many", lambda db, clinic_id, events: [None] * len(events)),
        "alerts": (raising, "raise_for", lambda *_: []),
        "worsened": (tracks, "_worsened", lambda *_: []),
    }
    patches = [mock.patch.object(*nothing[part]) for part in parts]
    for patch in patches:
        patch.start()
    yield
    for patch in patches:
        patch.stop()


VARIANTS: dict[str, Sequence[str]] = {
    "neither": ("audit", "alerts", "worsened"),
    "alerts, no audit": ("audit",),
    "audit, no alerts": ("alerts", "worsened"),
    "both": (),
}


async def measured(settings: Settings) -> dict[str, list[float]]:
    app = create_app(settings)
    database: Database = app.state.database
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Bench", "UTC", [], now))
    user = User(clinic_id=clinic_id, id=new_id(), email=f"{new_id()}@example.org", role="admin", password_hash=None,
                created_at=now, disabled_at=None)  # fmt: skip

    def add(db: Any) -> str:
        db.add(user)
        db.flush()
        return tokens.open_session(db, app.state.key, user, now).access_token

    headers = {"Authorization": f"Bearer {database.writing(clinic_id, add)}"}
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench", headers=headers, timeout=60) as client:
        ids = []
        for _ in range(PATIENTS):
            made = await client.post("/v1/patients", json={"external_id": secrets.token_hex(6)})
            ids.append(made.json()["id"])
            await client.post(f"/v1/patients/{ids[-1]}/sessions", json={"started_at": days_ago(300)})
        taken = dict.fromkeys(VARIANTS, 0)
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        day = 299.0
        for turn in range(ROUNDS + 1):
            for name in sorted(VARIANTS, key=lambda _: secrets.randbits(16)):
                day -= 4
                with without(*VARIANTS[name]):
                    seconds = await round_of(client, ids, day)
                if turn:  # the first warms up
                    found[name].append(seconds)
                taken[name] += 1
    database.close()
    return found


async def round_of(client: httpx.AsyncClient, ids: list[str], day: float) -> float:
    gate = asyncio.Semaphore(AT_ONCE)

    async def post(number: int) -> None:
        body = {
            "taken_at": days_ago(day - number // PATIENTS / 3),
            "responses": [
                {"instrument": "phq-9", "answers": [1, 1, 2, 1, 0, 1, 2, 0, int(number % 20 == 0)]},
                {"instrument": "gad-7", "answers": [1, 1, 2, 1, 0, 1, number % 4]},
                {"instrument": "nrs-pain", "score": number % 11},
            ],
        }
        async with gate:
            answer = await client.post(f"/v1/patients/{ids[number % PATIENTS]}/check-ins", json=body)
        assert answer.status_code == 201, answer.text

    started = time.perf_counter()
    await asyncio.gather(*(post(number) for number in range(POSTS)))
    return time.perf_counter() - started


def told(engine: str, found: dict[str, list[float]]) -> None:
    base = statistics.median(found["neither"])
    print(f"\n{engine}: {POSTS} posts of three instruments, {AT_ONCE} at a time, {ROUNDS} rounds in turns")
    for name, seconds in found.items():
        median = statistics.median(seconds)
        spread = f"{POSTS / max(seconds):.0f} to {POSTS / min(seconds):.0f}"
        print(f"  {name:18} {POSTS / median:6.0f} posts/s ({spread}), {base / median:.2f} of neither")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sqlite = Settings(
            database_url=f"sqlite:///{Path(folder)}/h.db", migration_database_url=None, secret_key=SECRET, rate_limit=0
        )
        upgrade(sqlite)
        told("SQLite", asyncio.run(measured(sqlite)))
    with postgres_server() as url:
        postgresql = postgres_settings(url).model_copy(update={"rate_limit": 0})
        upgrade(postgresql)
        told("PostgreSQL", asyncio.run(measured(postgresql)))


if __name__ == "__main__":
    main()
