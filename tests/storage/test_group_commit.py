"""Group commit is invisible: one bad post refuses only itself, a failed commit fails only its own posts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import Session

from app.errors import Busy, Invalid, Problem
from app.storage import Database, Joined, new_id

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
