"""Lists: keyset pages with opaque, sealed cursors bound to caller, route and filters."""

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query, Request, Response
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from app.api.sealing import Sealer
from app.errors import InvalidCursor

T = TypeVar("T")


def _plain_number(value: Any) -> Any:
    """Query parameters are text; only plain digits are a number."""
    if isinstance(value, str) and not re.fullmatch(r"[1-9]\d{0,3}", value):
        raise PydanticCustomError("rule", "must be a whole number from 1 to 200")
    return value


Limit = Annotated[int, BeforeValidator(_plain_number), Query(ge=1, le=200, description="Most items in one page")]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next_cursor` of the page before")]


def _binding(request: Request, caller: str) -> list[Any]:
    filters = sorted((k, v) for k, v in request.query_params.multi_items() if k not in ("cursor", "limit"))
    return [caller, request.url.path, filters]


def after(request: Request, caller: str, cursor: str | None) -> list[Any] | None:
    """The keyset position that `cursor` stands for; None for the first page. Raises InvalidCursor."""
    if cursor is None:
        return None
    sealer: Sealer = request.app.state.cursors
    content = sealer.open(cursor)
    if not isinstance(content, list) or content[0] != _jsonable(_binding(request, caller)):
        raise InvalidCursor
    position: list[Any] = content[1]
    return position


def page(
    request: Request,
    response: Response,
    caller: str,
    found: Sequence[T],
    limit: int,
    position: Callable[[T], list[Any]],
) -> tuple[list[T], str | None]:
    """At most `limit` of `found` (which holds one more where there is more), and the cursor of the next page, also as
    a `Link` header."""
    items = list(found[:limit])
    if len(found) <= limit:
        return items, None
    sealer: Sealer = request.app.state.cursors
    cursor = sealer.seal([_binding(request, caller), position(items[-1])])
    response.headers["Link"] = f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'
    return items, cursor


def _jsonable(binding: list[Any]) -> list[Any]:
    caller, path, filters = binding
    return [caller, path, [list(pair) for pair in filters]]
