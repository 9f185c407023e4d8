"""Reading piece by piece: a few at a time, and whoever hangs up makes room."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.errors import Busy
from app.storage import Database, new_id
from app.storage import database as database_module


def pieces(db: Any) -> Iterator[int]:
    for number in range(1_000):
        yield int(db.execute(text("select 1")).scalar()) + number


def test_a_second_reader_of_a_clinic_is_busy_until_the_first_hangs_up(database: Database) -> None:
    async def work() -> list[int]:
        clinic = new_id()
        first, other = await database.stream(clinic, pieces), await database.stream(new_id(), pieces)
        assert [await anext(first), await anext(first), await anext(other)] == [1, 2, 1]
        with pytest.raises(Busy):
            await database.stream(clinic, pieces)
        del first
        return [piece async for piece in await database.stream(clinic, pieces)]

    assert asyncio.run(work()) == list(range(1, 1_001))


def test_one_that_nobody_began_to_read_makes_room(database: Database) -> None:
    async def work() -> None:
        clinic = new_id()
        for _ in range(3):
            await database.stream(clinic, pieces)

    asyncio.run(work())


def test_a_caller_cut_off_in_the_middle_makes_room(database: Database) -> None:
    async def work() -> None:
        clinic = new_id()

        async def read() -> None:
            async for _ in await database.stream(clinic, pieces):
                await asyncio.sleep(0.001)

        for _ in range(5):
            task = asyncio.create_task(read())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del task
        assert [piece async for piece in await database.stream(clinic, pieces)]

    asyncio.run(work())


def test_whoever_falls_asleep_over_it_makes_room_and_is_told(
    database: Database,
) -> None:

    async def work() -> None:
        clinic = new_id()
        stream = await database.stream(clinic, pieces)
        assert await anext(stream) == 1
        stream.expire()  # as it does by itself after an hour
        assert await anext(await database.stream(clinic, pieces)) == 1
        with pytest.raises(Busy):
            await anext(stream)

    asyncio.run(work())


def test_what_breaks_before_the_first_piece_is_raised_and_makes_room(database: Database) -> None:
    def broken(_: Any) -> Iterator[int]:
        raise ValueError("broken")
        yield 1

    async def work() -> None:
        for _ in range(database_module._STREAMS + 1):
            with pytest.raises(ValueError, match="broken"):
                await database.stream(new_id(), broken)

    asyncio.run(work())
