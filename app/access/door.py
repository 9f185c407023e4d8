"""The one door: every request of a known caller comes through here and leaves one audit event (but not a 429 or 5xx);
one that is written in parts leaves one for each.

`permit` says whether the caller may do the operation. Then `read`, `write`, `join` or `stream` does the work, which
returns a fact: its value and whose data it shows. The door records the event, with the patients that the fact names,
before anything of the response leaves. What is refused is recorded by `refuse`.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Generic, Protocol, TypeVar
from uuid import UUID, uuid4

from app import clock
from app.access.policies import PAGES, PERMISSIONS
from app.access.service import Caller, CallerCache
from app.api import idempotency
from app.api.idempotency import Done, Keyed
from app.api.rendering import Rendered, unseen
from app.audit import recording as audit
from app.audit.service import Act, AuditEntry
from app.errors import Busy, InsufficientScope, Merged, NotFound, Problem, RequestInProgress
from app.facts import Fact, Outcome
from app.storage import Database, Joined, Stream, Transact, Transaction, leases

T = TypeVar("T")

# How often a request that waits for something looks.
_LOOK_SECONDS = 1.0
_KEY_WAIT_SECONDS = 2.0
_KEY_POLL_SECONDS = 0.05
# Longer than a batch takes. If one takes longer, two do the same items, which each is safe against.
_ALONE_FOR = timedelta(minutes=2)
# A request without a valid token has no known caller; one beyond the limit is not looked at.
_NOT_RECORDED = frozenset({401, 429})
_OUTCOMES: Mapping[int, Outcome] = {403: "denied", 404: "not_found"}


class HasAct(Protocol):
    """A question that knows which act it belongs to."""

    @property
    def act(self) -> Act: ...


Q = TypeVar("Q", bound=HasAct)
Answers = Sequence[Fact[T] | Problem | None]


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What all doors of a process share: the database, the queue of reads' events, the cached callers, and whether the
    process is ending."""

    database: Database
    events: Joined[AuditEntry, None]
    callers: CallerCache
    is_stopping: Callable[[], bool]


def permit(caller: Caller, operation: str, patient_id: str | None) -> None:
    """Raises unless the caller may do this operation. `patient_id` is the one in the path, if there is one: a device
    that names another patient gets NotFound, or Merged for a record that was merged into its patient's. Everything else
    is InsufficientScope, also an operation that is not in the table of permissions."""
    permission = PERMISSIONS.get(operation) or PAGES.get(operation)
    if permission is None or not permission.admits(caller.kind, caller.role):
        raise InsufficientScope
    if caller.is_unfinished and not permission.unfinished:
        raise InsufficientScope("your clinic requires a second factor: set one up, or log in with the one you have")
    missing = permission.missing(caller.scopes)
    if missing is not None and not caller.is_unfinished:
        raise InsufficientScope(f"this operation needs the scope {missing}")
    if caller.patient_id is not None:
        if patient_id is not None and patient_id.lower() != str(caller.patient_id):
            if patient_id.lower() not in map(str, caller.former_patient_ids):
                raise NotFound
            if not permission.former:
                raise Merged(caller.patient_id)
        if not permission.is_shown(caller.clinic.patient_view):
            raise InsufficientScope("the clinic does not show this to patients")


@dataclass(slots=True)
class Door:
    """The door for one request of one caller who may do its operation. `is_recorded`: whether the request's event is
    committed. `is_proof`: a body that is refused is a failed proof of who the caller is, and is recorded as denied.
    `is_permitted`: the caller may do this operation."""

    parts: DoorParts
    caller: Caller
    act: Act
    is_recorded: bool = False
    is_proof: bool = False
    is_permitted: bool = False

    async def read(self, work: Callable[[Transaction], Fact[T]]) -> Fact[T]:
        """The result of `work` on one snapshot. Its event shares a transaction with other reads of the moment."""
        fact = await self.parts.database.read(self.act.clinic_id, work)
        await self._record(audit.entry_of(self.act, fact))
        return fact

    async def read_once_there(
        self,
        work: Callable[[Caller], Callable[[Transaction], Fact[T]]],
        is_there: Callable[[T], bool],
        identify: Callable[[], Awaitable[Caller]],
        has_waiting: Callable[[Transaction], bool],
        prepare: Callable[[Transaction], object],
        seconds: float,
    ) -> Fact[T]:
        """As `read`, but waits so long for an answer in which something is there; no longer where the service stops.
        Before each look it does what the read needs (`prepare`), as long as `has_waiting` says so, and asks who the
        caller is by then: scopes and people change while one waits."""
        database, clinic_id, deadline = self.parts.database, self.act.clinic_id, time.monotonic() + seconds
        caller = self.caller
        while True:
            while await database.read(clinic_id, has_waiting):
                await database.write(clinic_id, prepare)
                if time.monotonic() > deadline or self.parts.is_stopping():  # an import makes them faster than that
                    break
            fact = await database.read(clinic_id, work(caller))
            left = deadline - time.monotonic()
            if is_there(fact.value) or left <= 0 or self.parts.is_stopping():
                await self._record(audit.entry_of(self.act, fact))
                return fact
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            caller = await identify()

    async def write(
        self, work: Callable[[Transaction], Fact[T]], render: Callable[[Fact[T]], Rendered], keyed: Keyed | None = None
    ) -> Rendered:
        """What `render` makes of the result of `work`, committed together with its event. With an Idempotency-Key
        `work` is done once: a repeat gets the stored response, recorded as shown again. Raises as `idempotency.once`;
        a request whose first run is still under way is waited for, 2 seconds at most."""

        def do(db: Transaction) -> Done:
            fact = work(db)
            return Done(render(fact), fact)

        def recorded(db: Transaction) -> Done:
            done = do(db) if keyed is None else idempotency.once(db, self.act.clinic_id, self.caller.name, keyed, do)
            audit.record(db, audit.entry_of(self.act, done.fact))
            return done

        done = await self._once_free(recorded)
        self.is_recorded = True
        if done.fact.changes_callers:
            self.parts.callers.clear()
        return done.rendered

    async def do(self, work: Callable[[Transaction], Fact[T]]) -> Fact[T]:
        """The result of `work`, committed together with its event: for faces that render it themselves."""
        fact = await self.parts.database.write(self.act.clinic_id, self._with_event(work))
        self.is_recorded = True
        if fact.changes_callers:
            self.parts.callers.clear()
        return fact

    async def write_parts(
        self,
        order: Sequence[int],
        work: Callable[[Sequence[int]], Callable[[Transaction], Fact[T]]],
        render: Callable[[Sequence[Fact[T]], Busy | None], Rendered],
        keyed: Keyed | None = None,
    ) -> Rendered:
        """What `render` makes of the results of `work`, which is done on a part of `order` after the other. Each part
        is committed by itself, with an event of its own, so that others are not kept waiting by a long request. Once a
        part finds the database busy, the rest is not done, and `render` is told; the first part raises Busy. The
        response is kept under an Idempotency-Key once every part is done; until then a repeat does the parts again, so
        each must be safe to repeat."""
        if keyed is None:
            return await self._parts(order, work, render, None)
        async with self._alone(keyed):
            return await self._kept(keyed) or await self._parts(order, work, render, keyed)

    async def _parts(
        self,
        order: Sequence[int],
        work: Callable[[Sequence[int]], Callable[[Transaction], Fact[T]]],
        render: Callable[[Sequence[Fact[T]], Busy | None], Rendered],
        keyed: Keyed | None,
    ) -> Rendered:
        database, found, busy, at = self.parts.database, list[Fact[T]](), None, 0
        while at < len(order) and busy is None:
            part = order[at : at + database.part_size()]
            try:
                found.append(await database.write_part(self.act.clinic_id, self._with_event(work(part))))
                self.is_recorded, at = True, at + len(part)
            except Busy as met:
                if not found:
                    raise
                busy = met
        rendered = await self.compute(lambda: render(found, busy))
        if keyed is not None and busy is None:
            await self._keep(keyed, rendered, found)
        return rendered

    @asynccontextmanager
    async def _alone(self, keyed: Keyed) -> AsyncIterator[None]:
        """Only one request with this key at a time, in all processes. Raises RequestInProgress after 2 seconds; where a
        process dies meanwhile, for as long as a lease lasts."""
        whose = f"{self.act.clinic_id} {self.caller.name} {keyed.key}".encode()
        name, holder = f"key {hashlib.sha256(whose).hexdigest()}", str(uuid4())

        def taken(db: Transaction) -> None:
            if not leases.lease(db, name, holder, clock.now(), clock.now() + _ALONE_FOR):
                raise RequestInProgress

        await self._once_free(taken)
        try:
            yield
        finally:
            await self.parts.database.write_part(self.act.clinic_id, lambda db: leases.end(db, name, holder))

    async def compute(self, work: Callable[[], T]) -> T:
        """The result of computing that takes long. It shows nothing, so it is no event."""
        return await self.parts.database.compute(self.act.clinic_id, work)

    def _with_event(self, part: Callable[[Transaction], Fact[T]]) -> Callable[[Transaction], Fact[T]]:
        def recorded(db: Transaction) -> Fact[T]:
            fact = part(db)
            audit.record(db, audit.entry_of(self.act, fact))
            return fact

        return recorded

    async def _kept(self, keyed: Keyed) -> Rendered | None:
        """The response that is kept under a key already, recorded as shown again."""

        def again(db: Transaction) -> Rendered | None:
            done = idempotency.kept(db, self.act.clinic_id, self.caller.name, keyed)
            if done is None:
                return None
            audit.record(db, audit.entry_of(self.act, done.fact))
            return done.rendered

        rendered = await self.parts.database.write_part(self.act.clinic_id, again)
        self.is_recorded = rendered is not None
        return rendered

    async def _keep(self, keyed: Keyed, rendered: Rendered, facts: Sequence[Fact[T]]) -> None:
        shown, refused = (
            tuple(dict.fromkeys(patient_id for ids in some for patient_id in ids))
            for some in ([fact.patient_ids for fact in facts], [fact.refused_patient_ids for fact in facts])
        )
        outcomes = {fact.outcome for fact in facts}
        outcome: Outcome = outcomes.pop() if len(outcomes) == 1 else "partly_refused"
        done = Done(rendered, Fact(None, shown, outcome=outcome, refused_patient_ids=refused))

        def keep(db: Transaction) -> None:
            idempotency.once(db, self.act.clinic_id, self.caller.name, keyed, lambda _: done)

        await self.parts.database.write_part(self.act.clinic_id, keep)

    def showing(
        self, scope: str, render: Callable[[Fact[T]], Rendered], *, own: bool = False, known_as: UUID | None = None
    ) -> Callable[[Fact[T]], Rendered]:
        """`render` for callers with this scope. Others get the id and version of what they wrote alone; `own`: unless
        they have just made it, and all that it shows is what they sent. `known_as`: the id of what has none itself."""

        def rendered(fact: Fact[T]) -> Rendered:
            found = render(fact)
            may_see = scope in self.caller.scopes or (own and fact.is_new)
            return found if may_see else unseen(found, fact, known_as)

        return rendered

    async def prepare(self, work: Callable[[Transaction], object]) -> None:
        """Does what a read needs to be there first. It shows nothing, so it is no event."""
        await self.parts.database.write(self.act.clinic_id, work)

    async def join(self, queue: "Audited[Q, T]", question: Q) -> Fact[T] | None:
        """The answer to a question. The question shares a transaction, with the events in it, with others that arrive
        at the same moment. Returns None, and records nothing, if the shared transaction cannot answer it."""
        fact = await queue.submit(self.act.clinic_id, question)
        self.is_recorded = fact is not None
        return fact

    async def stream(self, patient_ids: tuple[UUID, ...], work: Callable[[Transaction], Iterator[T]]) -> Stream[T]:
        """What `work` yields on one snapshot. Its event is recorded before the first piece leaves; none if Busy."""
        content = await self.parts.database.stream(self.act.clinic_id, work)
        try:
            await self._record(AuditEntry(self.act, patient_ids))
        except BaseException:
            content.end()
            raise
        return content

    async def refuse(
        self, problem: Problem, named: Mapping[str, str], work: Callable[[Transaction], Fact[T]] | None = None
    ) -> T | None:
        """Records a refused request: its outcome, the ids `named` in its address, and the patient it asked for. What
        the refusal itself calls for is done by `work` and committed together with that."""
        if self.is_recorded or problem.status in _NOT_RECORDED or problem.status >= 500:
            return None
        ids = {name: value for name, value in named.items() if _is_id(value)}
        asked_for = (UUID(ids["patient_id"]),) if "patient_id" in ids else ()
        outcome = "denied" if self.is_proof and problem.status == 422 else _OUTCOMES.get(problem.status, "refused")
        entry = AuditEntry(self.act, (), outcome, tuple(ids.items()), asked_for)
        if work is None:
            await self._record(entry)
            return None

        def recorded(db: Transaction) -> T:
            fact = work(db)
            whose = tuple(dict.fromkeys([*asked_for, *fact.patient_ids]))
            audit.record(db, replace(entry, refused_patient_ids=whose))
            return fact.value

        value = await self.parts.database.write(self.act.clinic_id, recorded)
        self.is_recorded = True
        return value

    async def _record(self, entry: AuditEntry) -> None:
        await self.parts.events.submit(self.act.clinic_id, entry)
        self.is_recorded = True

    async def _once_free(self, work: Callable[[Transaction], T]) -> T:
        deadline = time.monotonic() + _KEY_WAIT_SECONDS
        while True:
            try:
                return await self.parts.database.write(self.act.clinic_id, work)
            except RequestInProgress:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_KEY_POLL_SECONDS)


def audited(
    work: Callable[[Transaction, UUID, Sequence[Q]], Answers[T]],
) -> Callable[[Transaction, UUID, Sequence[Q]], Answers[T]]:
    """Work on several questions of one clinic that also records, in the same transaction, one event for each question
    that it answers. A refusal is recorded where it is given."""

    def recorded(db: Transaction, clinic_id: UUID, questions: Sequence[Q]) -> Answers[T]:
        answers = work(db, clinic_id, questions)
        pairs = zip(questions, answers, strict=True)
        entries = [audit.entry_of(question.act, answer) for question, answer in pairs if isinstance(answer, Fact)]
        if entries:
            audit.record_many(db, clinic_id, entries)
        return answers

    return recorded


class Audited(Joined[Q, Fact[T] | None], Generic[Q, T]):
    """Joins questions of one clinic into one call of `work`, which `audited` wraps."""

    def __init__(self, transact: Transact, work: Callable[[Transaction, UUID, Sequence[Q]], Answers[T]]) -> None:
        super().__init__(transact, audited(work))


def operate(
    database: Database,
    act: Act,
    work: Callable[[Transaction], Fact[T]],
    *,
    attempted: tuple[tuple[str, str], ...] = (),
) -> T:
    """Does an operator's work, or that of a job, and records it in the same transaction, with what else the event is to
    say (`attempted`). Without an event loop."""

    def recorded(db: Transaction) -> T:
        fact = work(db)
        audit.record(db, replace(audit.entry_of(act, fact), attempted=attempted))
        return fact.value

    return database.writing(act.clinic_id, recorded)


async def prove(parts: DoorParts, clinic_id: UUID, work: Callable[[Transaction], tuple[Act | None, Fact[T]]]) -> T:
    """For requests that prove, in this very work, who is calling: the act becomes known with the result. Both are
    committed together; without an act nothing is recorded."""

    def recorded(db: Transaction) -> Fact[T]:
        act, fact = work(db)
        if act is not None:
            record_act(db, act, fact)
        return fact

    fact = await parts.database.write(clinic_id, recorded)
    if fact.changes_callers:
        parts.callers.clear()
    return fact.value


def record_act(db: Transaction, act: Act, fact: Fact[T]) -> T:
    """Records an act in the transaction that did it. Returns the fact's value."""
    audit.record(db, audit.entry_of(act, fact))
    return fact.value


def _is_id(value: str) -> bool:
    try:
        return bool(UUID(value))
    except ValueError:
        return False
