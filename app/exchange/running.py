"""Carries imports through: reads a file, applies it, takes it back. A few records in each transaction, each of which
says how far the import has come: stopped at any moment, it goes on from there."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.access.door import record_act
from app.access.service import Caller
from app.audit.service import Act
from app.exchange import applying, store
from app.exchange.applying import Applied
from app.exchange.checking import Checker
from app.exchange.items import Item, items_of
from app.exchange.mapping import mapping_of
from app.exchange.models import Import, ImportChunk
from app.exchange.staging import (
    MOST_PROBLEMS,
    Staging,
    cipher,
    full_chunks,
    steps,
    store_problems,
    store_staged,
)
from app.facts import Fact
from app.storage import NO_CLINIC, Database, Transaction, leases

T = TypeVar("T")
Say = Callable[[Import], None]

logger = logging.getLogger("holdfast")

# A process that dies keeps its imports from others for so long.
_LEASE = timedelta(seconds=30)
_RENEWED_AFTER = timedelta(seconds=10)
_LOOK_SECONDS = 1.0
# A part of the work takes so long, and a post waits for one at most: by how many others wrote within a second of late.
_PART_SECONDS = ((5, 0.012), (1, 0.04), (0, 0.15))
# So many records a part has at first, and at most.
_FIRST_PART, _LARGEST_PART = 20, 500
_AT_ONCE = 4
_SAID_EVERY = 1.0
# From so many writes of others a second on, half of the time is theirs.
_BUSY = 40


class LostError(Exception):
    """Another process has the import."""


class TurnedError(Exception):
    """The import is in another state by now: somebody has ended it."""


@dataclass(slots=True)
class _Run:
    """One import in the hands of this process."""

    database: Database
    clinic_id: UUID
    import_id: UUID
    holder: str
    say: Say
    until: datetime
    said_at: float = 0.0
    size: int = _FIRST_PART

    @property
    def name(self) -> str:
        return f"import {self.import_id}"


async def carry_on(database: Database, say: Say = lambda _: None) -> None:
    """Goes on with every import that waits, some at a time, and with those that come meanwhile; returns once none is
    left. An import that fails is logged by the type of its error, and goes on in the next round."""
    begun: dict[UUID, asyncio.Task[None]] = {}
    failed: set[UUID] = set()

    async def one(clinic_id: UUID, import_id: UUID) -> None:
        try:
            await carry_through(database, clinic_id, import_id, say)
        except Exception as error:  # the others go on
            failed.add(import_id)
            logger.warning("an import could not go on: %s", type(error).__name__)

    async with asyncio.TaskGroup() as group:
        while True:
            waiting = await database.read(NO_CLINIC, store.waiting)
            running = {import_id: task for import_id, task in begun.items() if not task.done()}
            clinics = [clinic_id for clinic_id, import_id in waiting if import_id in running]
            new = [which for which in waiting if which[1] not in running and which[1] not in failed]
            while new and len(running) < _AT_ONCE:
                # One clinic's many do not keep the others waiting.
                which = min(new, key=lambda one: clinics.count(one[0]))
                new.remove(which)
                clinics.append(which[0])
                begun[which[1]] = running[which[1]] = group.create_task(one(*which))
            if not running:
                return
            await asyncio.wait(running.values(), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)


async def carry_through(database: Database, clinic_id: UUID, import_id: UUID, say: Say = lambda _: None) -> None:
    """Goes on with an import until there is nothing more to do. Returns at once if another process has it."""
    run = _Run(database, clinic_id, import_id, str(uuid4()), say, clock.now())
    try:
        await _hold(run)
        while await _next_state(run):
            pass
    except LostError:
        return
    finally:
        await database.write(NO_CLINIC, lambda db: leases.end(db, run.name, run.holder))


async def _hold(run: _Run) -> None:
    """Keeps the import for this process. Raises LostError where another one has it."""
    now = clock.now()
    if run.until - now > _LEASE - _RENEWED_AFTER:
        return
    until = now + _LEASE
    if not await run.database.write(NO_CLINIC, lambda db: leases.lease(db, run.name, run.holder, now, until)):
        raise LostError
    run.until = until


async def _next_state(run: _Run) -> bool:
    """Works on what the import's state asks for. Whether there is more to do."""
    found = await run.database.read(run.clinic_id, lambda db: store.find(db, run.clinic_id, run.import_id))
    state = None if found is None else found.state
    try:
        if found is not None and state == "validating":
            await _validate(run, found)
        elif found is not None and state == "applying":
            await _apply(run)
        elif found is not None and state == "cancelling":
            await _take_back(run)
        else:
            return False
    except TurnedError:
        pass
    return True


async def _validate(run: _Run, found: Import) -> None:
    unknown = "refuse" if found.mapping is None else mapping_of(found.mapping).patient.unknown
    checker = Checker(run.clinic_id, found.created_at, unknown)
    staging = Staging(run.database, run.clinic_id, run.import_id, checker)
    await _write(run, "validating", lambda db, _: store.forget_staged(db, run.clinic_id, run.import_id))
    for step in steps(staging, found):
        staging.is_hurried = run.database.demand() >= _PART_SECONDS[0][0]
        began = time.monotonic()
        await run.database.compute(run.clinic_id, step)
        await _leave_room(run, time.monotonic() - began)
        chunks = full_chunks(staging, all_of_them=False) if not staging.is_refused else ()
        if chunks or staging.problems or _is_time(run):
            await _write(run, "validating", partial(_note_read, staging=staging, chunks=chunks))
    await _write(run, "validating", partial(_end_reading, staging=staging))


def _note_read(db: Transaction, mine: Import, staging: Staging, chunks: Sequence[tuple[int, int, int, bytes]]) -> None:
    store_staged(db, staging, chunks)
    mine.lines, mine.problem_count = staging.lines, staging.problem_count
    mine.counts = {**staging.counts}


def _end_reading(db: Transaction, mine: Import, staging: Staging) -> None:
    """What the file has become: refused, ready to be applied, or for a dry run done."""
    _note_read(db, mine, staging, [] if staging.is_refused else list(full_chunks(staging, all_of_them=True)))
    mine.items = staging.items
    store.forget_pieces(db, mine.clinic_id, mine.id)
    if staging.is_refused or mine.dry_run:
        mine.state, mine.ended_at = "refused" if staging.is_refused else "done", clock.now()
        store.forget_unapplied(db, mine.clinic_id, mine.id)
        if staging.is_refused:  # nothing of it comes in
            mine.counts = {"refused": staging.counts["refused"]}
        return
    mine.state = "applying"
    # From here on counts are of what was applied; what needed nothing counts already.
    mine.counts = {n: staging.counts.get(n, 0) for n in ("unchanged", "skipped", "totals_dropped")}


async def _apply(run: _Run) -> None:
    while True:
        chunk = await run.database.read(
            run.clinic_id, lambda db: _opened(db, store.next_chunk(db, run.clinic_id, run.import_id))
        )
        if chunk is None:
            await _write(run, "applying", _end_applying)
            return
        row, items = chunk
        while row.done < row.items:
            some = items[row.done : row.done + run.size]
            part = partial(_apply_part, chunk=row, items=some)
            row.done, row.brought = await _in_measure(run, "applying", part)


def _opened(db: Transaction, chunk: ImportChunk | None) -> tuple[ImportChunk, list[Item]] | None:
    if chunk is None:
        return None
    assert chunk.content is not None
    content = cipher(db).open(chunk.content)
    db.expunge(chunk)
    return chunk, ([] if content is None else items_of(content))


def _apply_part(db: Transaction, mine: Import, chunk: ImportChunk, items: list[Item]) -> tuple[int, bytes]:
    """Applies some records of a chunk, and says so in the same transaction. Returns how many of the chunk are done, and
    what it has brought."""
    where = store.place(db, chunk)
    if where != chunk.done:
        raise LostError
    if not items:  # sealed with a secret that is not used any more
        applied = Applied()
        applied.leave_out(0, None, "was staged under a secret that is not used any more: send the file again")
        done = chunk.items
    else:
        caller, act = who(db, mine, "apply_import")
        applied = applying.apply(db, caller, act, items)
        _keep_event(db, act, applied)
        done = chunk.done + len(items)
    brought = chunk.brought + b"".join(applied.brought)
    content = {} if done < chunk.items else {"content": None}
    store.keep_place(db, chunk, done=done, brought=brought, **content)
    mine.applied += done - chunk.done
    _add(db, mine, applied)
    return done, brought


def _keep_event(db: Transaction, act: Act, applied: Applied) -> None:
    if applied.patient_ids:
        record_act(db, act, Fact(None, tuple(sorted(applied.patient_ids))))


def _add(db: Transaction, mine: Import, applied: Applied) -> None:
    mine.counts = {
        name: mine.counts.get(name, 0) + applied.counts.get(name, 0) for name in {*mine.counts, *applied.counts}
    }
    room = max(0, MOST_PROBLEMS - mine.problem_count)
    mine.problem_count += len(applied.problems)
    store_problems(db, mine.clinic_id, mine.id, applied.problems[:room], mine.problem_count)


def _end_applying(_: Transaction, mine: Import) -> None:
    mine.state, mine.ended_at = "done", clock.now()


async def _take_back(run: _Run) -> None:
    await _write(run, "cancelling", _forget_rest)
    while True:
        if not await _in_measure(run, "cancelling", partial(_take_back_part, size=run.size)):
            return


def _forget_rest(db: Transaction, mine: Import) -> None:
    store.forget_pieces(db, mine.clinic_id, mine.id)
    store.forget_unapplied(db, mine.clinic_id, mine.id)


def _take_back_part(db: Transaction, mine: Import, size: int) -> bool:
    """Takes some of what was brought back, the last first. Whether there may be more."""
    chunk = store.last_brought(db, mine.clinic_id, mine.id)
    if chunk is None:
        mine.state, mine.ended_at = "cancelled", clock.now()
        return False
    place = applying.last_of(chunk.brought, size)
    caller, act = who(db, mine, "undo_import")
    applied = applying.take_back(db, caller, act, chunk.brought[place:])
    _keep_event(db, act, applied)
    store.keep_place(db, chunk, brought=chunk.brought[:place])
    _add(db, mine, applied)
    return True


def who(db: Transaction, mine: Import, operation: str) -> tuple[Caller, Act]:
    """The caller in whose name an import is applied, and the act: who sent the file, whatever they may do by now."""
    clinic = access.clinic(db, mine.clinic_id)
    assert clinic is not None
    zone = ZoneInfo(clinic.time_zone)
    caller = Caller(mine.actor_kind, mine.actor_id, mine.clinic_id, "admin", frozenset(), None, zone, clinic)
    return caller, Act(mine.clinic_id, mine.actor_kind, mine.actor_id, operation, mine.request_id, clock.now())


async def _write(run: _Run, state: str, work: Callable[[Transaction, Import], T]) -> T:
    """The result of work on the import, which is locked and still in this state. Raises TurnedError where it is not."""
    await _hold(run)

    def locked(db: Transaction) -> tuple[T, Import]:
        mine = store.find(db, run.clinic_id, run.import_id, lock=True)
        if mine is None or mine.state != state:
            raise TurnedError
        result = work(db, mine)
        db.add(mine)
        return result, mine

    result, mine = await run.database.write_part(run.clinic_id, locked)
    run.said_at = time.monotonic()
    run.say(mine)
    return result


async def _in_measure(run: _Run, state: str, work: Callable[[Transaction, Import], T]) -> T:
    """`_write` of a part of the work, after which the next one is made larger or smaller, and others have a turn."""
    seconds = 0.0

    def timed(db: Transaction, mine: Import) -> T:
        nonlocal seconds
        began = time.monotonic()
        result = work(db, mine)
        seconds = time.monotonic() - began
        return result

    result = await _write(run, state, timed)
    demand = run.database.demand()
    wanted = next(most for others, most in _PART_SECONDS if demand >= others)
    factor = min(2.0, max(0.25, wanted / max(seconds, 1e-4)))
    run.size = min(_LARGEST_PART, max(1, round(run.size * factor)))
    await _leave_room(run, seconds)
    return result


def _is_time(run: _Run) -> bool:
    return time.monotonic() - run.said_at > _SAID_EVERY


async def _leave_room(run: _Run, seconds: float) -> None:
    """Leaves the processor to others who want to write: the longer, the more often they do."""
    await asyncio.sleep(seconds * min(1.0, run.database.demand() / _BUSY))
