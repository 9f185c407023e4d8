"""Plain requests, answered without the framework: the most frequent ones, in their usual form.

A lane answers such a request, or returns None; then the framework does, from the beginning. So what is unusual or
refused is answered as everywhere, and a lane must mean what the route means. A lane's refusal wrote nothing, and is
worked out once more by the framework.
"""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import render
from app.api.rendering import Rendered
from app.api.strict import OFF_LOOP_BYTES
from app.errors import Internal, Problem

_ID = re.compile(r"(\{\w+\})")
_ID_LENGTH = 36
_NO_DOOR: Any = SimpleNamespace(is_recorded=False)
# With one of these a request is not plain.
_UNUSUAL = frozenset({
    b"idempotency-key", b"if-match", b"if-none-match", b"content-encoding", b"transfer-encoding", b"expect", b"origin",
    b"range",
})  # fmt: skip
_ONCE = frozenset({b"authorization", b"content-type", b"content-length"})
_BEARER = b"Bearer "


class PlainRequest(HTTPConnection):
    """A request for the object with the id `named`, with a token, without a query, and of a small body."""

    def __init__(self, scope: Scope, receive: Receive, named: UUID, given: Mapping[bytes, bytes]) -> None:
        super().__init__(scope)
        self.named, self.door = named, _NO_DOOR
        self.token = given[b"authorization"].removeprefix(_BEARER).decode("latin-1")
        self.received: deque[Message] = deque()
        self._receive = receive

    async def body(self) -> bytes:
        """The whole body. What comes is kept, for the framework to read it again."""
        found, more = b"", True
        while more:
            message = await self._receive()
            self.received.append(message)
            found += message.get("body", b"")
            more = message.get("more_body", False)
        return found

    async def receive(self) -> Message:
        """What comes from the client, from the beginning."""
        return self.received.popleft() if self.received else await self._receive()


Lane = Callable[[PlainRequest], Awaitable[Rendered | None]]
# By method and by the template of the path, which has one id in it.
Lanes = Mapping[tuple[str, str], Lane]


class PlainRequests:
    """Answers plain requests in their lanes, and leaves all others to the framework."""

    def __init__(self, app: ASGIApp, lanes: Lanes) -> None:
        self._app = app
        self._lanes: dict[tuple[str, str, str], tuple[SimpleNamespace, Lane]] = {}
        for (method, template), lane in lanes.items():
            before, _, after = _ID.split(template)
            self._lanes[method, before, after] = (SimpleNamespace(path=template), lane)
        self._befores = tuple({before for _, before, _ in self._lanes})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._found(scope, receive) if scope["type"] == "http" and not scope["query_string"] else None
        if found is None:
            await self._app(scope, receive, send)
            return
        template, lane, request = found
        scope["route"] = template
        try:
            rendered = await lane(request)
        except Problem as problem:
            if problem.status < 500:
                rendered = None
            else:  # asking once more would only add to what keeps the service busy
                await render(scope["request_id"], problem)(scope, receive, send)
                return
        if rendered is None:
            await self._app(scope, request.receive, send)
            return
        if not request.door.is_recorded:
            raise Internal  # a fault of ours: what left no audit event is not shown
        content = rendered.content.encode()
        headers = [(b"content-length", str(len(content)).encode()), (b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in rendered.headers.items()]
        await send({"type": "http.response.start", "status": rendered.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _found(self, scope: Scope, receive: Receive) -> tuple[SimpleNamespace, Lane, PlainRequest] | None:
        path: str = scope["path"]
        for before in self._befores:
            if path.startswith(before):
                end = len(before) + _ID_LENGTH
                found = self._lanes.get((scope["method"], before, path[end:]))
                named = _id(path[len(before) : end]) if found else None
                given = _headers(scope, has_body=scope["method"] == "POST") if named else None
                if found and named and given:
                    return *found, PlainRequest(scope, receive, named, given)
        return None


def _id(text: str) -> UUID | None:
    """The id in its usual form."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


def _headers(scope: Scope, *, has_body: bool) -> dict[bytes, bytes] | None:
    """The headers that a plain request is read by; None if it is not plain."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _UNUSUAL or name in found:
            return None
        if name in _ONCE:
            found[name] = value
    length = found.get(b"content-length", b"0")
    is_small = length.isdigit() and int(length) <= (OFF_LOOP_BYTES if has_body else 0)
    is_json = found.get(b"content-type") == b"application/json" or not has_body
    return found if is_small and is_json and found.get(b"authorization", b"").startswith(_BEARER) else None
