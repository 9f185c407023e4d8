"""Strict requests: the body must be exactly one JSON document with finite numbers and no repeated key, and every query
parameter must be known. A request that is refused here never reaches a use case.

What a body may cost is bounded before it is parsed: its bytes, and how many values it can hold. A large one is parsed
off the event loop, so that other requests need not wait."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from app.api.aside import aside
from app.api.faults import MOST_FAULTS, Refused, faults_of, safe_name
from app.errors import Fault, Invalid, Problem, TooLarge, UnsupportedMediaType

_DEPTH = 32
# No object of ours has more members.
_MEMBERS = 64
# Brackets and commas of a body, for each KiB that a route takes: about four times those of the densest real form.
_SIGNS_A_KIBIBYTE = 64
_FEWEST_SIGNS = 2_048
OFF_LOOP_BYTES = 32 * 1024
# With two of these, nobody could know which one is meant.
_ONCE = ("If-Match", "Idempotency-Key")


class _UnacceptableError(ValueError):
    """A document that is valid JSON but that we refuse."""


def parse(body: bytes, most_bytes: int = 4 * 1024 * 1024) -> Any:
    """The one JSON document in `body`, for a route that takes `most_bytes`. Raises Invalid, which names the rule that
    was broken."""
    if holds_too_many(body, most_bytes):
        raise Invalid(errors=[Fault("pointer", "", "must not hold so many values")])
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_no_repeats, parse_constant=_not_finite, parse_float=_finite
        )
    except _UnacceptableError as error:
        raise Invalid(errors=[Fault("pointer", "", str(error))]) from None
    except RecursionError:
        raise Invalid(errors=[Fault("pointer", "", f"must not nest deeper than {_DEPTH}")]) from None
    except ValueError:
        raise Invalid(errors=[Fault("pointer", "", "must be one JSON document in UTF-8")]) from None
    if body.count(b"{") + body.count(b"[") > _DEPTH and _depth(document) > _DEPTH:
        raise Invalid(errors=[Fault("pointer", "", f"must not nest deeper than {_DEPTH}")])
    return document


def holds_too_many(body: bytes, most_bytes: int) -> bool:
    """Whether a body can hold more values than a route that takes `most_bytes` ever needs."""
    signs = body.count(b"{") + body.count(b"[") + body.count(b",")
    return signs > max(_FEWEST_SIGNS, most_bytes // 1024 * _SIGNS_A_KIBIBYTE)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MEMBERS:
        raise _UnacceptableError(f"must not have more than {_MEMBERS} members in one object")
    document = dict(pairs)
    if len(document) != len(pairs):
        raise _UnacceptableError("must not repeat a key")
    return document


def _not_finite(_: str) -> Any:
    raise _UnacceptableError("numbers must be finite")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _UnacceptableError("numbers must be finite")
    return number


def _depth(document: Any) -> int:
    deepest, waiting = 0, [(document, 1)]
    while waiting:
        node, depth = waiting.pop()
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        if children is None:
            continue
        deepest = max(deepest, depth)
        waiting.extend((child, depth + 1) for child in children)
    return deepest


async def body_of(request: Request) -> bytes:
    """The body of a request that is refused; empty if it is too large, or does not come."""
    try:
        return await request.body()
    except (Refused, ClientDisconnect):
        return b""


class _StrictRequest(Request):
    most_bytes = 0

    async def json(self) -> Any:
        body = await self.body()
        try:
            if len(body) > OFF_LOOP_BYTES:
                return await aside(lambda: parse(body, self.most_bytes))
            return parse(body, self.most_bytes)
        except Problem as problem:
            raise Refused(problem) from None


class StrictRoute(APIRoute):
    """A route that parses strictly: refuses unknown query parameters, other media types and large bodies."""

    body_bytes = 1024 * 1024
    # Whether others add parameters of theirs to the query.
    takes_any_query = False

    async def admit(self, request: Request) -> None:
        """Hook: raises a problem if the request must not be processed any further."""

    async def answered(self, request: Request, response: Response) -> Response:
        """The response to be given, once the route has made one."""
        return response

    def most_bytes(self, request: Request) -> int:
        """How large a body the route takes."""
        return self.body_bytes

    async def refused(self, request: Request, problem: Problem) -> Problem:
        """Does what is to be done before a refusal is given. Returns the refusal, which may be another one by then."""
        return problem

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        known = _query(self.dependant)
        takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, Form)

        async def strict(received: Request) -> Response:
            most = self.most_bytes(received)
            request = _StrictRequest(received.scope, _bounded(received.receive, most))
            request.most_bytes = most
            try:
                return await self.answered(request, await unguarded(request))
            except Refused as refused:
                raise await self.refused(request, refused.problem) from None
            except RequestValidationError as error:
                raise await self.refused(request, Invalid(errors=faults_of(error.errors()))) from None
            except Problem as problem:
                raise await self.refused(request, problem) from None

        async def unguarded(request: _StrictRequest) -> Response:
            await self.admit(request)
            _check_headers(request)
            if request.scope["query_string"] and not self.takes_any_query:
                _check_query(request.query_params, known)
            if takes_json and not _is_json(request.headers.get("content-type", "")):
                raise UnsupportedMediaType
            if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
                raise UnsupportedMediaType("the body must not be compressed")
            length = request.headers.get("content-length", "")
            if length.isdigit() and int(length) > request.most_bytes:
                raise TooLarge
            return await handle(request)

        return strict


def _check_headers(request: Request) -> None:
    repeated = [name for name in _ONCE if len(request.headers.getlist(name)) > 1]
    if repeated:
        raise Invalid(errors=[Fault("header", name, "must be given only once") for name in repeated])


def _check_query(given: QueryParams, known: dict[str, bool]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Invalid(
            errors=[Fault("parameter", safe_name(name), "is not known here") for name in unknown[:MOST_FAULTS]]
        )
    repeated = [name for name, may_repeat in known.items() if not may_repeat and len(given.getlist(name)) > 1]
    if repeated:
        raise Invalid(errors=[Fault("parameter", name, "must be given only once") for name in repeated])


def _bounded(receive: Receive, most: int) -> Receive:
    """Wraps `receive`: refuses a body over `most` bytes, whatever the Content-Length header says."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise Refused(TooLarge())
        return message

    return counted


def _query(dependant: Any) -> dict[str, bool]:
    """The query parameters of an operation. True means that the parameter is a list and may be repeated."""
    found = {field.alias: "list[" in str(field.field_info.annotation) for field in dependant.query_params}
    for inner in dependant.dependencies:
        found |= _query(inner)
    return found


def _is_json(content_type: str) -> bool:
    media = content_type.split(";", 1)[0].strip().lower()
    return media == "application/json" or (media.startswith("application/") and media.endswith("+json"))
