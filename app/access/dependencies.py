"""What a route asks for: the caller, already allowed to do this operation, and the act to be audited."""

import time
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.security import OAuth2PasswordBearer
from sqlmodel import Session

from app import clock
from app.access import service, store, tokens
from app.access.outside import OutsideIssuer
from app.access.policies import OPEN_OPERATIONS, PERMISSIONS, Permission
from app.access.service import Caller
from app.api.fields import Answer
from app.api.idempotency import Reply, once
from app.api.limits import count
from app.api.strict import StrictRoute
from app.audit import service as audit
from app.audit.service import Act, Shown
from app.errors import Fault, InsufficientScope, Invalid, InvalidToken, NotFound, Problem
from app.storage import NO_CLINIC, Database

A = TypeVar("A", bound=Answer)

_HONOURED_SECONDS = 25.0
_MOST_HONOURED = 10_000

bearer = OAuth2PasswordBearer(tokenUrl="/oauth/token", auto_error=False)


class Honoured:
    """Callers whose tokens were verified within the last 25 seconds, by token: a disabled caller is refused within
    that time, and a busy one costs no query per request. Tokens are ours, or those of an outside issuer."""

    def __init__(self, database: Database, key: str, outside: OutsideIssuer | None) -> None:
        self._database = database
        self._key = key
        self._outside = outside
        self._known: dict[str, tuple[float, Caller]] = {}

    async def caller(self, token: str) -> Caller:
        """The caller of a token. Raises InvalidToken."""
        now = time.monotonic()
        known = self._known.get(token)
        if known is not None and known[0] > now:
            return known[1]
        if self._outside is not None and self._outside.issued(token):
            caller, expires_at = await self._vouched(self._outside, token)
        else:
            claims = tokens.read_token(self._key, token)
            caller = await self._database.read(claims.clinic_id, lambda db: service.honour(db, claims))
            expires_at = claims.expires_at
        if len(self._known) >= _MOST_HONOURED:
            self._known.clear()
        left = expires_at - clock.now().timestamp()
        self._known[token] = (now + min(_HONOURED_SECONDS, left), caller)
        return caller

    def forget(self) -> None:
        """Looks at every caller anew: here what changes for somebody counts at once."""
        self._known.clear()

    async def _vouched(self, outside: OutsideIssuer, token: str) -> tuple[Caller, float]:
        vouched = await outside.vouched(token)
        user = await self._database.read(NO_CLINIC, lambda db: store.user_by_email(db, vouched.email))
        if user is None:
            raise InvalidToken
        caller = await self._database.read(
            user.clinic_id,
            lambda db: service.honour_person(db, user.clinic_id, user.id, has_factor=vouched.has_factor),
        )
        return caller, vouched.expires_at


async def authorise(request: Request) -> None:
    """Raises unless the request's caller may do this operation; an operation without an entry in the table of
    permissions is refused to everyone. The caller is kept on the request's state, None for an open operation. Raises
    InvalidToken, InsufficientScope, NotFound (another patient's object), RateLimited."""
    operation = getattr(request.scope["route"], "operation_id", None)
    request.state.caller = None
    if operation in OPEN_OPERATIONS:
        count(request, f"address:{address_of(request)}")
        return
    try:
        token = await bearer(request)
        if token is None:
            raise InvalidToken
        honoured: Honoured = request.app.state.honoured
        caller = await honoured.caller(token)
    except InvalidToken:
        count(request, f"address:{address_of(request)}")
        raise
    request.state.caller = caller
    count(request, caller.name)
    _permit(request, caller, PERMISSIONS.get(operation or ""))


def _permit(request: Request, caller: Caller, permission: Permission | None) -> None:
    if permission is None or not permission.admits(caller.kind, caller.role):
        raise InsufficientScope
    if caller.is_unfinished and not permission.unfinished:
        raise InsufficientScope("your clinic requires a second factor: set one up, or log in with the one you have")
    missing = permission.missing(caller.scopes)
    if missing is not None and not caller.is_unfinished:
        raise InsufficientScope(f"this operation needs the scope {missing}")
    if caller.patient_id is not None:
        if request.path_params.get("patient_id", str(caller.patient_id)).lower() != str(caller.patient_id):
            raise NotFound
        if not permission.is_shown(caller.clinic.patient_view):
            raise InsufficientScope("the clinic does not show this to patients")


def address_of(request: Request) -> str:
    """The network address a request came from; of a trusted proxy, whom it names."""
    return request.client.host if request.client else ""


class GuardedRoute(StrictRoute):
    """A route that knows its caller, and that they may do this, before it reads a byte of the body. What a known caller
    was refused, or did not find, is audited in a transaction of its own."""

    async def admit(self, request: Request) -> None:
        await authorise(request)

    async def refused(self, request: Request, problem: Problem) -> None:
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None or problem.status not in _AUDITED:
            return
        act = await act_of(request, caller)
        attempted = tuple((name, value) for name, value in request.path_params.items() if _is_id(value))
        asked = request.path_params.get("patient_id")
        patients = (UUID(str(asked)),) if asked is not None and _is_id(asked) else ()
        shown = Shown(act, (), _AUDITED[problem.status], attempted, patients)
        await request.app.state.reads.submit(act.clinic_id, shown)


# A conflict answers from what is recorded, so it tells something of it.
_AUDITED = {403: "denied", 404: "not_found", 409: "refused", 412: "refused"}


def _is_id(value: str) -> bool:
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False


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
    return Act(caller.clinic_id, caller.kind, caller.id, operation, request_id, clock.now(), address_of(request))


CallerOf = Annotated[Caller, Depends(known_caller)]
ActOf = Annotated[Act, Depends(act_of)]


async def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


DatabaseOf = Annotated[Database, Depends(_database)]


AssignedTo = Annotated[Literal["me"] | None, Query(description="`me`: only patients on whose care team I am")]


def assignee(caller: Caller, assigned_to: str | None) -> UUID | None:
    """Whose patients alone are asked for. Raises Invalid for callers who are nobody's care team: only people are."""
    if assigned_to is None:
        return None
    if caller.kind != "user":
        raise Invalid(errors=[Fault("parameter", "assigned_to", "is for people: integrations are on no care team")])
    return caller.id


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
