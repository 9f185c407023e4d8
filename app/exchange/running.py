"""Carries imports through: reads a file, applies it, takes it back. A few records in each transaction, each of which
says how far the import has come: stopped at any moment, it goes on from there."""

import asyncio
import logging
import sys
import time
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from app import clock
from app.access import store as access
from app.access.door import record_act
from app.access.service import Caller
from app.audit.service import Act
from app.checkins.refusing import raise_alarms
from app.errors import Problem
from app.exchange import applying, store, undoing
from app.exchange.applying import Applied
from app.exchange.checking import Checker, Unknown
from app.exchange.items import Item, items_of
from app.exchange.models import Import, ImportChunk
from app.exchange.resolving import mapping_of
from app.exchange.staging import (
    MOST_PROBLEMS,
    Chunk,
    ProblemRow,
    Staging,
    cipher,
    full_chunks,
    steps,
    store_problems,
    store_staged,
)
from app.exchange.turns import (
    PART_SECONDS,
    LostError,
    Run,
    Say,
    TurnedError,
    done_aside,
    in_measure,
    is_time,
    leave_room,
    take,
    write,
)
from app.facts import Fact
from app.storage import NO_CLINIC, Database, Transaction, leases

T = TypeVar("T")

logger = logging.getLogger("holdfast")

_LOOK_SECONDS = 1.0
_FAILED_SECONDS = 30.0
_SWITCH_SECONDS = 0.0005
_AT_ONCE = 4


async def carry_on(database: Database) -> None:
    """Goes on with every import that waits, some at a time, and with those that come meanwhile; returns once none is
    left. An import that fails is logged by the type of its error, and goes on in the next round."""
    begun: dict[UUID, asyncio.Task[None]] = {}
    failed: set[UUID] = set()
    usual = sys.getswitchinterval()

    async def one(clinic_id: UUID, import_id: UUID) -> None:
        try:
            await carry_through(database, clinic_id, import_id)
        except Exception as error:  # the others go on, and this one in a while
            failed.add(import_id)
            logger.warning("an import could not go on: %s", type(error).__name__)
            await asyncio.sleep(_FAILED_SECONDS)

    async with asyncio.TaskGroup() as group:
        while True:
            waiting = await database.read(NO_CLINIC, store.waiting)
            # Threads that compute let others on sooner: a post changes threads some times.
            sys.setswitchinterval(_SWITCH_SECONDS if waiting else usual)
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
                sys.setswitchinterval(usual)
                return
            await asyncio.wait(running.values(), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)


async def carry_through(database: Database, clinic_id: UUID, import_id: UUID, say: Say = lambda _: None) -> None:
    """Goes on with an import until there is nothing more to do. Returns at once if another process has it."""
    run = Run(database, clinic_id, import_id, str(uuid4()), say)
    try:
        await database.write(NO_CLINIC, lambda db: take(db, run))
        while await _next_state(run):
            pass
    except LostError:
        return
    finally:
        await database.write(NO_CLINIC, lambda db: leases.end(db, run.name, run.holder))


async def _next_state(run: Run) -> bool:
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


async def _validate(run: Run, found: Import) -> None:
    checker = Checker(run.clinic_id, found.created_at, _unknown(found))
    staging = Staging(run.database, run.clinic_id, run.import_id, checker)
    await write(run, "validating", lambda db, _: store.forget_staged(db, run.clinic_id, run.import_id))
    for step in steps(staging, found):
        staging.is_hurried = run.database.demand() >= PART_SECONDS[0][0]
        began = time.monotonic()
        await done_aside(run, step)
        await leave_room(run, time.monotonic() - began)
        chunks = [] if staging.is_refused else full_chunks(staging, all_of_them=False)
        if chunks or staging.problems or is_time(run):
            problems, staging.problems = staging.problems, []
            await write(run, "validating", partial(_note_read, staging=staging, chunks=chunks, problems=problems))
    chunks = [] if staging.is_refused else full_chunks(staging, all_of_them=True)
    problems, staging.problems = staging.problems, []
    await write(run, "validating", partial(_end_reading, staging=staging, chunks=chunks, problems=problems))
    await _forget_pieces(run)


def _unknown(found: Import) -> Unknown:
    try:
        return "refuse" if found.mapping is None else mapping_of(found.mapping).patient.unknown
    except Problem:  # the mapping is not valid any more, for which the file is refused
        return "refuse"


async def _forget_pieces(run: Run) -> None:
    """Deletes the file as it came, some of it in each transaction."""
    while await run.database.write_part(
        run.clinic_id, lambda db: store.forget_some_pieces(db, run.clinic_id, run.import_id)
    ):
        await asyncio.sleep(0)


def _note_read(
    db: Transaction, mine: Import, staging: Staging, chunks: list[Chunk], problems: list[ProblemRow]
) -> None:
    store_staged(db, staging, chunks, problems)
    mine.lines, mine.problem_count = staging.lines, staging.problem_count
    mine.counts = {**staging.counts}


def _end_reading(
    db: Transaction, mine: Import, staging: Staging, chunks: list[Chunk], problems: list[ProblemRow]
) -> None:
    """What the file has become: refused, ready to be applied, or for a dry run done."""
    _note_read(db, mine, staging, chunks, problems)
    mine.items = staging.items
    if staging.is_refused or mine.dry_run:
        mine.state, mine.ended_at = "refused" if staging.is_refused else "done", clock.now()
        store.forget_unapplied(db, mine.clinic_id, mine.id)
        if staging.is_refused:  # nothing of it comes in
            mine.counts = {"refused": staging.counts["refused"]}
        if staging.alarms and staging.is_refused and not mine.dry_run:
            caller, act = who(db, mine, "refuse_import")
            record_act(db, act, Fact(None, raise_alarms(db, caller, act, staging.alarms).patient_ids))
        return
    mine.state = "applying"
    # From here on counts are of what was applied; what needed nothing counts already.
    mine.counts = {n: staging.counts.get(n, 0) for n in ("unchanged", "skipped", "totals_dropped")}


async def _apply(run: Run) -> None:
    await _forget_pieces(run)
    while True:
        chunk = await run.database.read(
            run.clinic_id, lambda db: _opened(db, store.next_chunk(db, run.clinic_id, run.import_id))
        )
        if chunk is None:
            await write(run, "applying", _end_applying)
            return
        row, items = chunk
        while row.done < row.items:
            some = items[row.done : row.done + run.size]
            part = partial(_apply_part, chunk=row, items=some)
            row.done, row.brought = await in_measure(run, "applying", part)


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
        applied.leave_out(None, 0, None, "was staged under a secret that is not used any more: send the file again")
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


async def _take_back(run: Run) -> None:
    await _forget_pieces(run)
    await write(run, "cancelling", _forget_rest)
    while True:
        if not await in_measure(run, "cancelling", partial(_take_back_part, size=run.size)):
            return


def _forget_rest(db: Transaction, mine: Import) -> None:
    store.forget_unapplied(db, mine.clinic_id, mine.id)


def _take_back_part(db: Transaction, mine: Import, size: int) -> bool:
    """Takes some of what was brought back, the last first. Whether there may be more."""
    chunk = store.last_brought(db, mine.clinic_id, mine.id)
    if chunk is None:
        mine.state, mine.ended_at = "cancelled", clock.now()
        return False
    place = undoing.last_of(chunk.brought, size)
    caller, act = who(db, mine, "undo_import")
    applied = undoing.take_back(db, caller, act, chunk.brought[place:])
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
