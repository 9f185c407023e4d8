"""Group commit is invisible: one bad post refuses only itself, a failed commit fails only its own posts."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import Session

from app.errors import Busy, Invalid, Problem
from app.storage import Database, Joined, joining, new_id

CLINIC = new_id()


@pytest.fixture
def database(tmp_path: Path) -> Database:  # type: ignore[misc]
    found = Database(f"sqlite:///{tmp_path}/group.db")
    found.writing(CLINIC, lambda db: db.connection().execute(text("create table posts (n integer primary key)")))
    yield found
    found.close()


def record(db: Session, _: UUID, posts: Sequence[int]) -> list[int | Problem]:
    """Writes numbers; refuses negative ones; breaks the whole transaction on a repeat."""
    kept = [n for n in posts if n >= 0]
    for n in kept:
        db.connection().execute(text("insert into posts values (:n)"), {"n": n})
    return [n if n >= 0 else Invalid() for n in posts]


def stored(database: Database) -> list[int]:
    query = text("select n from posts order by n")
    return database.reading(CLINIC, lambda db: list(db.connection().execute(query).scalars()))


def test_posts_that_wait_share_a_commit(database: Database) -> None:
    batches: list[int] = []

    def counted(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        batches.append(len(posts))
        return record(db, clinic, posts)

    async def run() -> list[int]:
        group: Joined[int, int] = Joined(database.write, counted)
        return await asyncio.gather(*(group.submit(CLINIC, n) for n in range(200)))

    assert asyncio.run(run()) == list(range(200))
    assert stored(database) == list(range(200))
    assert len(batches) < 10


def test_a_post_is_refused_alone_and_one_that_breaks_the_transaction_breaks_alone(database: Database) -> None:
    async def run() -> list[int | BaseException]:
        group: Joined[int, int] = Joined(database.write, record)
        await group.submit(CLINIC, 7)
        return await asyncio.gather(*(group.submit(CLINIC, n) for n in (1, -1, 7, 2)), return_exceptions=True)

    one, refused, broken, two = asyncio.run(run())
    assert (one, two) == (1, 2)
    assert isinstance(refused, Invalid)
    assert type(broken).__name__ in ("IntegrityError", "Busy")
    assert stored(database) == [1, 2, 7]


def test_a_full_queue_is_said_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.joining._QUEUE", 3)

    async def run() -> list[int | BaseException]:
        group: Joined[int, int] = Joined(database.write, record)
        return await asyncio.gather(*(group.submit(CLINIC, n) for n in range(10)), return_exceptions=True)

    outcomes = asyncio.run(run())
    assert sum(isinstance(outcome, Busy) for outcome in outcomes) == 7
    assert len(stored(database)) == 3


def test_a_caller_that_hangs_up_loses_nothing(database: Database) -> None:
    async def run() -> None:
        group: Joined[int, int] = Joined(database.write, record)
        tasks = [asyncio.create_task(group.submit(CLINIC, n)) for n in range(5)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert stored(database) == [0, 1, 2, 3, 4]


def test_what_keeps_all_from_committing_is_said_to_all_at_once(database: Database) -> None:
    calls = 0

    def locked(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        nonlocal calls
        calls += 1
        raise Busy

    async def run() -> list[int | BaseException]:
        group: Joined[int, int] = Joined(database.write, locked)
        return await asyncio.gather(*(group.submit(CLINIC, n) for n in range(50)), return_exceptions=True)

    assert all(isinstance(outcome, Busy) for outcome in asyncio.run(run()))
    assert calls <= 2


def test_a_database_that_cannot_be_reached_is_busy_not_broken() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(Busy):
        database.reading(CLINIC, lambda db: db.connection())
    database.close()


def test_a_flood_of_some_clinics_does_not_shut_out_another(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.storage.joining._MOST_WAITING", 20)
    monkeypatch.setattr("app.storage.joining._BATCH", 4)

    async def run() -> tuple[list[int | BaseException], int]:
        group: Joined[int, int] = Joined(database.write, record)
        flood = [asyncio.create_task(group.submit(CLINIC, n)) for n in range(40)]
        await asyncio.sleep(0)
        alone = await group.submit(new_id(), 1_000)
        return await asyncio.gather(*flood, return_exceptions=True), alone

    flood, alone = asyncio.run(run())
    assert alone == 1_000
    assert sum(isinstance(outcome, Busy) for outcome in flood) == 20
    assert len(stored(database)) == 21


def test_a_commit_that_fails_tells_exactly_its_own_posts_to_come_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.joining._BATCH", 5)
    batches = 0

    def failing(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        nonlocal batches
        batches += 1
        kept = record(db, clinic, posts)
        if batches == 2:
            raise Busy
        return kept

    async def run() -> list[int | BaseException]:
        group: Joined[int, int] = Joined(database.write, failing)
        return await asyncio.gather(*(group.submit(CLINIC, n) for n in range(15)), return_exceptions=True)

    outcomes = asyncio.run(run())
    told = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Busy)]
    assert told == [5, 6, 7, 8, 9]
    assert stored(database) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_whatever_ends_the_work_nobody_waits_for_ever(database: Database) -> None:
    def short(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        return []  # an answer too few

    async def run() -> tuple[list[int | BaseException], int]:
        group: Joined[int, int] = Joined(database.write, short)
        first = asyncio.gather(*(group.submit(CLINIC, n) for n in range(3)), return_exceptions=True)
        outcomes = await asyncio.wait_for(first, 5)
        group._work = record
        return outcomes, await asyncio.wait_for(group.submit(CLINIC, 9), 5)

    outcomes, after = asyncio.run(run())
    assert all(isinstance(outcome, Exception) for outcome in outcomes)
    assert after == 9


def test_posts_that_are_still_being_read_come_along(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_GATHERING_SECONDS", 5)  # so that a busy machine does not cut it short
    batches: list[int] = []

    def counted(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        batches.append(len(posts))
        return record(db, clinic, posts)

    async def post(group: Joined[int, int], n: int) -> int:
        for _ in range(n % 3):  # a request reaches the queue some turns after another
            await asyncio.sleep(0)
        return await group.submit(CLINIC, n)

    async def run() -> list[int]:
        group: Joined[int, int] = Joined(database.write, counted)
        return await asyncio.gather(*(post(group, n) for n in range(30)))

    assert asyncio.run(run()) == list(range(30))
    assert batches == [30]


def test_a_batch_begins_though_posts_keep_coming(database: Database) -> None:
    began: list[int] = []

    def noted(db: Session, clinic: UUID, posts: Sequence[int]) -> list[int | Problem]:
        began.append(len(posts))
        return record(db, clinic, posts)

    async def run() -> int:
        group: Joined[int, int] = Joined(database.write, noted)
        posts: list[asyncio.Task[int]] = []
        while not began:
            posts.append(asyncio.create_task(group.submit(CLINIC, len(posts))))
            time.sleep(0.005)  # what else the loop has to do
            await asyncio.sleep(0)
        await asyncio.gather(*posts)
        return began[0]

    assert asyncio.run(run()) < joining._BATCH
