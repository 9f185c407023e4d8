"""What a route asks for: the caller, already allowed to do this operation, and the act to be audited."""

import time
from collections.abc import Callable
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.security import OAuth2PasswordBearer
from sqlmodel import Session

from app import clock
from app.access import service, tokens
from app.access.policies import OPEN_OPERATIONS, PERMISSIONS
from app.access.service import Caller
from app.access.tokens import Claims
from app.api.fields import Answer
from app.api.idempotency import Reply, once
from app.api.strict import StrictRoute
from app.audit import service as audit
from app.audit.service import Act, Shown
from app.errors import InsufficientScope, InvalidToken, NotFound
from app.storage import Database

A = TypeVar("A", bound=Answer)

_HONOURED_SECONDS = 30.0
_MOST_HONOURED = 10_000

bearer = OAuth2PasswordBearer(tokenUrl="/oauth/token", auto_error=False)


class Honoured:
    """Callers whose tokens were verified within the last 30 seconds, by token: a disabled caller is refused within
    that time, and a busy one costs no query per request."""

    def __init__(self, database: Database, key: str) -> None:
        self._database = database
        self._key = key
        self._known: dict[str, tuple[float, Caller]] = {}

    async def caller(self, token: str) -> Caller:
        """The caller of a token. Raises InvalidToken."""
        now = time.monotonic()
        known = self._known.get(token)
        if known is not None and known[0] > now:
            return known[1]
        claims: Claims = tokens.read_token(self._key, token)
        caller = await self._database.read(claims.clinic_id, lambda db: service.honour(db, claims))
        if len(self._known) >= _MOST_HONOURED:
            self._known.clear()
        left = claims.expires_at - clock.now().timestamp()
        self._known[token] = (now + min(_HONOURED_SECONDS, left), caller)
        return caller


async def authorise(request: Request) -> Caller | None:
    """The caller, allowed to do this operation; None for an open one. An operation without an entry in the table of
    permissions is refused to everyone. Raises InvalidToken, InsufficientScope, NotFound (another patient's object)."""
    operation = getattr(request.scope["route"], "operation_id", None)
    if operation in OPEN_OPERATIONS:
        return None
    token = await bearer(request)
    if token is None:
        raise InvalidToken
    honoured: Honoured = request.app.state.honoured
    caller = await honoured.caller(token)
    permission = PERMISSIONS.get(operation or "")
    if permission is None:
        raise InsufficientScope
    missing = permission.missing(caller.scopes)
    if missing is not None:
        raise InsufficientScope(f"this operation needs the scope {missing}")
    if permission.people and caller.kind != "user":
        raise InsufficientScope
    if caller.patient_id is not None:
        if not permission.patients:
            raise InsufficientScope
        if request.path_params.get("patient_id", str(caller.patient_id)).lower() != str(caller.patient_id):
            raise NotFound
    return caller


class GuardedRoute(StrictRoute):
    """A route that knows its caller, and that they may do this, before it reads a byte of the body."""

    async def admit(self, request: Request) -> None:
        request.state.caller = await authorise(request)


async def known_caller(request: Request) -> Caller:
    """The caller of an operation that needs one."""
    caller: Caller | None = request.state.caller
    if caller is None:
        raise InvalidToken
    return caller


async def act_of(request: Request, caller: Annotated[Caller, Depends(known_caller)]) -> Act:
    """The act to be audited: this caller doing this operation in this request, now."""
    operation = request.scope["route"].operation_id
    request_id: str = request.scope["request_id"]
    return Act(caller.clinic_id, caller.kind, caller.id, operation, request_id, clock.now())


CallerOf = Annotated[Caller, Depends(known_caller)]
ActOf = Annotated[Act, Depends(act_of)]


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


DatabaseOf = Annotated[Database, Depends(_database)]


async def showed(request: Request, act: Act, patient_ids: list[UUID]) -> None:
    """Audits a read before its answer leaves, together with other reads of the moment."""
    await request.app.state.reads.submit(act.clinic_id, Shown(act, tuple(patient_ids)))


async def keep(
    request: Request, caller: Caller, act: Act, key: str | None, work: Callable[[Session], Reply[A]]
) -> Response:
    """The response of `work`, done once per Idempotency-Key; giving a kept answer again is audited like a read."""
    return await once(
        request, caller.clinic_id, caller.name, key, work, lambda db, patient_ids: audit.record(db, act, patient_ids)
    )
