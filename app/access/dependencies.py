"""The door in FastAPI: routes that identify their caller before they read the body, and a dependency."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.security import OAuth2PasswordBearer

from app import clock
from app.access.door import Door, DoorParts, permit
from app.access.policies import OPEN_OPERATIONS
from app.access.service import Caller
from app.api.idempotency import Keyed, compared
from app.api.limits import count
from app.api.paging import Cursor, Limit, Page
from app.api.parts import Part
from app.api.strict import StrictRoute
from app.audit.service import Act, Origin
from app.errors import Fault, Internal, Invalid, InvalidToken, Merged, Problem
from app.logs import log_unexpected

bearer = OAuth2PasswordBearer(tokenUrl="/oauth/token", auto_error=False)

DOOR_PARTS: Part[DoorParts] = Part("door_parts")
TOKEN_KEY: Part[str] = Part("token_key")


class NotThroughTheDoorError(Exception):
    """A route answered without the door, so that nothing was recorded. A fault of ours: the answer is not given."""


class GuardedRoute(StrictRoute):
    """A route that knows its caller, and that they may do this, before it reads the body. Its response leaves only once
    the door has recorded the request; a refusal is recorded too."""

    async def admit(self, request: Request) -> None:
        """Identifies, counts and permits. Raises InvalidToken, RateLimited, InsufficientScope, NotFound."""
        operation: str = request.scope["route"].name
        request.state.door = None
        if operation in OPEN_OPERATIONS:
            count(request, f"address:{address_of(request)}")
            return
        caller = await identify(request)
        whose, request_id = (caller.clinic_id, caller.kind, caller.id), request.scope["request_id"]
        act = Act(*whose, operation, request_id, clock.now(), address_of(request))
        request.state.door = Door(DOOR_PARTS.of(request), caller, act)
        count(request, caller.name)
        try:
            permit(caller, operation, request.path_params.get("patient_id"))
        except Merged:  # who may do it, at the address of a record that was
            request.state.door.is_permitted = True
            raise
        request.state.door.is_permitted = True

    async def answered(self, request: Request, response: Response) -> Response:
        door: Door | None = request.state.door
        if door is not None and not door.is_recorded:
            log_unexpected(NotThroughTheDoorError())
            raise Internal
        return response

    async def refused(self, request: Request, problem: Problem) -> None:
        door: Door | None = getattr(request.state, "door", None)
        if door is not None:
            if not door.caller.knows_merges:
                problem.more.pop("into", None)
            await door.refuse(problem, request.path_params)


async def identify(request: Request) -> Caller:
    """The caller whose token the request bears. Raises InvalidToken; such a request counts for its address."""
    try:
        token = await bearer(request)
        if token is None:
            raise InvalidToken
        return await DOOR_PARTS.of(request).callers.caller(token)
    except InvalidToken:
        count(request, f"address:{address_of(request)}")
        raise


def address_of(request: Request) -> str:
    """The network address a request came from; behind a trusted proxy, the address that the proxy names."""
    return request.client.host if request.client else ""


def origin_of(request: Request) -> Origin:
    """What is known of a request whose caller is not known yet."""
    return Origin(request.scope["request_id"], clock.now(), address_of(request))


async def _door(request: Request) -> Door:
    door: Door | None = request.state.door
    if door is None:
        raise InvalidToken
    return door


DoorOf = Annotated[Door, Depends(_door)]


async def _keyed(
    request: Request,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Any unique text: the first answer is given again for 24 hours"),
    ] = None,
) -> Keyed | None:
    if key is None:
        return None
    target = f"{request.method} {request.url.path}?{request.url.query}"
    return Keyed(key, target.encode() + b"\0" + compared(await request.body()))


KeyOf = Annotated[Keyed | None, Depends(_keyed)]


async def _page(request: Request, response: Response, door: DoorOf, cursor: Cursor = None, limit: Limit = 50) -> Page:
    return Page(request, response, door.caller.name, cursor, limit)


PageOf = Annotated[Page, Depends(_page)]

AssignedTo = Annotated[Literal["me"] | None, Query(description="`me`: only patients on whose care team I am")]


def assignee(caller: Caller, assigned_to: str | None) -> UUID | None:
    """The person whose patients alone are asked for, or None. Raises Invalid for callers on no care team."""
    if assigned_to is None:
        return None
    if caller.kind != "user":
        raise Invalid(errors=[Fault("parameter", "assigned_to", "is for people: integrations are on no care team")])
    return caller.id
