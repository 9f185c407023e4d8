"""Rate limits: over all processes, told in the answer, and apart for each caller."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from app.api import limits
from app.api.limits import RateLimiter
from app.errors import RateLimited
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import NO_CLINIC, Database
from tests.conftest import SECRET, Api, fresh_settings, new_clinic, new_person


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Api]:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/h.db", secret_key=SecretStr(SECRET), rate_limit=20)
    upgrade(settings)
    with TestClient(create_app(settings)) as server:
        yield new_clinic(server)


@pytest.fixture
def clock_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    def stand(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: 6_000_000.0 + seconds)

    stand(0)
    return stand


def test_a_caller_is_told_where_they_stand_and_refused_beyond(limited: Api, clock_at: Any) -> None:
    answers = [limited.get("/v1/me") for _ in range(22)]
    assert [a.status_code for a in answers] == [200] * 20 + [429] * 2
    assert answers[0].headers["ratelimit-policy"] == '"caller";q=20;w=60'
    assert answers[0].headers["ratelimit"] == '"caller";r=19;t=60'
    assert answers[-1].headers["content-type"] == "application/problem+json"
    assert answers[-1].json()["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 61
    other = new_person(limited.server, limited.clinic_id, "clinician")
    assert other.get("/v1/me").status_code == 200, "each caller for themselves"
    clock_at(62)
    assert [limited.get("/v1/me").status_code for _ in range(2)] == [200, 429], "the last minute still counts"
    clock_at(125)
    assert limited.get("/v1/me").status_code == 200


def test_who_has_no_token_is_counted_by_address(limited: Api, clock_at: Any) -> None:
    bad = {"Authorization": "Bearer nonsense"}
    statuses = [limited.server.get("/v1/me", headers=bad).status_code for _ in range(22)]
    assert statuses == [401] * 20 + [429] * 2
    assert limited.get("/v1/me").status_code == 200
    assert limited.server.get("/livez").status_code == 200


def test_waiting_as_long_as_told_is_enough(clock_at: Any) -> None:
    limiter, now = RateLimiter(10), 0.0
    for _ in range(200):
        try:
            limiter.take("a")
            now += 0.5
        except RateLimited as refusal:
            now += float(refusal.headers["Retry-After"])
            clock_at(now)
            limiter.take("a")
        clock_at(now)


def test_zero_is_no_limit() -> None:
    limiter = RateLimiter(0)
    assert [limiter.take("a") for _ in range(1000)] == [{}] * 1000


@pytest.mark.postgresql
def test_processes_share_their_counts(request: pytest.FixtureRequest, tmp_path: Path, clock_at: Any) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    one, two = RateLimiter(20), RateLimiter(20)

    def share() -> None:
        for limiter in (one, two, one):
            asyncio.run(limiter.shared_once(database))

    for _ in range(12):
        one.take("a")
    for _ in range(7):
        two.take("a")
    two.take("b")
    share()
    share()
    assert [two.take("a")["RateLimit"][:12] for _ in range(1)] == ['"caller";r=0']
    with pytest.raises(RateLimited):
        two.take("a")
    assert two.take("b")["RateLimit"].startswith('"caller";r=18')
    database.writing(NO_CLINIC, limits.purge)
    database.close()
