"""The door in FastAPI: routes that identify their caller before they read the body, and a dependency."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Header, Query, Request, Response
from fastapi.requests import HTTPConnection
from fastapi.security import OAuth2PasswordBearer

from app import clock
from app.access import cookies, store
from app.access.door import Door, DoorParts, permit
from app.access.policies import OPEN_OPERATIONS, OPEN_PAGES
from app.access.service import Caller
from app.addresses import network_of
from app.api.aside import aside
from app.api.idempotency import Keyed, compared, key_of
from app.api.limits import count
from app.api.paging import Cursor, Limit, Page
from app.api.parts import PUBLIC_URL, Part
from app.api.plain import PlainRequest
from app.api.strict import OFF_LOOP_BYTES, StrictRoute
from app.audit.service import Act, Origin
from app.errors import Fault, Internal, Invalid, InvalidToken, Merged, NotFound, Problem
from app.logs import log_unexpected

# What a request without a token may send.
_OPEN_BYTES = 16 * 1024
# Statuses of requests that are malformed, whatever they are about.
_OF_SHAPE = frozenset({400, 413, 415, 422, 428})
_OPEN = OPEN_OPERATIONS | OPEN_PAGES
# A browser sends its cookies along whatever page asks, so nothing is written on account of a cookie alone.
_READING = ("GET", "HEAD")

bearer = OAuth2PasswordBearer(tokenUrl="/oauth/token", auto_error=False)

DOOR_PARTS: Part[DoorParts] = Part("door_parts")


class NotThroughTheDoorError(Exception):
    """A route answered without the door, so that nothing was recorded. A fault of ours: the answer is not given."""


class GuardedRoute(StrictRoute):
    """A route that knows its caller, and that they may do this, before it reads the body. Its response leaves only once
    the door has recorded the request; a refusal is recorded too."""

    async def admit(self, request: Request) -> None:
        """Identifies, counts and permits. Raises InvalidToken, RateLimited, InsufficientScope, NotFound."""
        operation: str = request.scope["route"].name
        request.state.door = None
        if operation in _OPEN:
            count(request, _counted(request))
            return
        caller = await self.identified(request)
        request.state.door = Door(DOOR_PARTS.of(request), caller, _act(request, caller, operation))
        count(request, caller.name)
        try:
            permit(caller, operation, request.path_params.get("patient_id"))
        except Merged:  # who may do it, at the address of a record that was
            request.state.door.is_permitted = True
            raise
        request.state.door.is_permitted = True

    async def identified(self, request: Request) -> Caller:
        """Who is calling. Raises InvalidToken."""
        return await identify(request)

    async def answered(self, request: Request, response: Response) -> Response:
        door: Door | None = request.state.door
        if door is not None and not door.is_recorded:
            log_unexpected(NotThroughTheDoorError())
            raise Internal
        return response

    def most_bytes(self, request: Request) -> int:
        """Who is not known yet gets to send little."""
        return min(self.body_bytes, _OPEN_BYTES) if request.scope["route"].name in _OPEN else self.body_bytes

    async def refused(self, request: Request, problem: Problem) -> Problem:
        door: Door | None = getattr(request.state, "door", None)
        if door is None:
            return problem
        problem = await self.where_it_is_theirs(request, door, problem)
        if not door.caller.knows_merges:
            problem.more.pop("into", None)
        await door.refuse(problem, _named(request))
        return problem

    async def where_it_is_theirs(self, request: Request, door: Door, problem: Problem) -> Problem:
        """The refusal of a malformed request; NotFound where its address names something that is not the caller's,
        which goes before everything that the request gets wrong."""
        if problem.status not in _OF_SHAPE or not door.is_permitted:
            return problem
        try:
            ids = {name: UUID(value) for name, value in _named(request).items() if name.endswith("_id")}
        except ValueError:
            return problem
        clinic_id, whose = door.act.clinic_id, door.caller.whose
        if "patient_id" in ids:
            ids["patient_id"] = whose(ids["patient_id"])
        database = DOOR_PARTS.of(request).database
        is_there = not ids or await database.read(clinic_id, lambda db: store.are_there(db, clinic_id, ids))
        return problem if is_there else NotFound()


def _named(request: Request) -> dict[str, str]:
    """What the address names, as text; a route may have made ids of it."""
    return {name: str(value) for name, value in request.path_params.items()}


def admitted(request: PlainRequest, operation: str) -> Door | None:
    """The door for a plain request, if its caller is known of late and may do this. It is counted then. Raises
    RateLimited."""
    parts = DOOR_PARTS.of(request)
    caller = parts.callers.remembered(request.token)
    if caller is None:
        return None
    permit(caller, operation, str(request.named))
    count(request, caller.name)
    door = request.door = Door(parts, caller, _act(request, caller, operation), is_permitted=True)
    return door


async def identify(request: Request) -> Caller:
    """The caller whose token the request bears; for reading, also the one who is signed in to the pages in this
    browser. Raises InvalidToken; such a request counts for its address."""
    try:
        token = await bearer(request)
        if token is None and request.method in _READING and "authorization" not in request.headers:
            token = cookies.access_token(request.cookies, PUBLIC_URL.of(request), cookies.PERSON)
        if token is None:
            raise InvalidToken(was_sent=False)
        return await DOOR_PARTS.of(request).callers.caller(token)
    except InvalidToken:
        count(request, _counted(request))
        raise


def _counted(request: Request) -> str:
    """What the requests of one network address count for."""
    return f"address:{network_of(address_of(request))}"


def _act(request: HTTPConnection, caller: Caller, operation: str) -> Act:
    whose, request_id = (caller.clinic_id, caller.kind, caller.id), request.scope["request_id"]
    return Act(*whose, operation, request_id, clock.now(), address_of(request))


def address_of(request: HTTPConnection) -> str:
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
    door: DoorOf,
    key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Any unique text: the first answer is given again for 24 hours. In quotation marks, it is a "
            "string of structured fields (RFC 9651); without them, it is taken as it stands",
            examples=['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
            json_schema_extra={"pattern": r'^("([ !#-\[\]-~]|\\[\\"])+"|[!#-~][!-~]{0,254})$'},
        ),
    ] = None,
) -> Keyed | None:
    if key is None:
        return None
    target = f"{request.method} {request.url.path}?{request.url.query}"
    # What is shown depends on the token's scopes, so a token with others does not get the stored answer.
    scopes = " ".join(sorted(door.caller.scopes))
    body = await request.body()
    content = await aside(lambda: compared(body)) if len(body) > OFF_LOOP_BYTES else compared(body)
    return Keyed(key_of(key), f"{target}\0{scopes}\0".encode() + content)


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
