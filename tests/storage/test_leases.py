"""Of several processes one at a time does a job, and one that dies keeps it for a while only."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from app import clock
from app.storage import NO_CLINIC, Database, leases, new_id


def test_one_holder_at_a_time(database: Database) -> None:
    now, name = clock.now(), str(new_id())

    def take(holder: str, minutes: int) -> bool:
        at = now + timedelta(minutes=minutes)
        return database.writing(NO_CLINIC, lambda db: leases.lease(db, name, holder, at, at + timedelta(minutes=3)))

    assert take("one", 0)
    assert not take("two", 1)
    assert take("one", 2), "its holder leases it on"
    assert not take("two", 4)
    assert take("two", 5), "it ran out"
    assert not take("one", 6)
    database.writing(NO_CLINIC, lambda db: leases.give_up(db, name, "two", now + timedelta(minutes=6)))
    assert take("one", 6)


def test_of_many_at_once_one_gets_it(database: Database) -> None:
    now, name = clock.now(), str(new_id())
    until = now + timedelta(minutes=3)
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(
                lambda n: database.writing(NO_CLINIC, lambda db: leases.lease(db, name, str(n), now, until)), range(8)
            )
        )
    assert sum(taken) == 1


def test_a_lease_that_a_clock_took_which_was_ahead_is_taken_over(database: Database) -> None:
    """Clock ahead by a day, crash, clock right again: the job does not wait until tomorrow."""
    now, name = clock.now(), str(new_id())

    def take(holder: str, at: datetime) -> bool:
        return database.writing(NO_CLINIC, lambda db: leases.lease(db, name, holder, at, at + timedelta(seconds=35)))

    assert take("dead", now + timedelta(days=1))
    assert take("alive", now)
    assert not take("third", now - timedelta(seconds=3)), "clocks may differ by a little"
