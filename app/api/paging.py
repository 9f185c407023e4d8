"""Lists: keyset pages with opaque, encrypted cursors bound to caller, route and filters."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Query, Request, Response
from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from app.api.encryption import Cipher
from app.api.parts import DATABASE
from app.errors import InvalidCursor
from app.facts import Fact

T = TypeVar("T")


def _plain_number(value: Any) -> Any:
    """Query parameters are text; only plain digits are accepted as a number."""
    if isinstance(value, str) and not re.fullmatch(r"[1-9]\d{0,3}", value):
        raise PydanticCustomError("rule", "must be a whole number from 1 to 200")
    return value


Limit = Annotated[int, Query(ge=1, le=200, description="Most items in one page"), BeforeValidator(_plain_number)]
Cursor = Annotated[str | None, Query(max_length=2_000, description="`next_cursor` of the page before")]


def cursors(request: Request) -> Cipher:
    """What encrypts cursors, and decrypts them."""
    return Cipher(DATABASE.of(request).keyring.keys("cursors"))


class Page:
    """The page that a request asks for. `binding` is what a cursor is bound to, beside the route and the filters: the
    caller, and for a search its body."""

    def __init__(self, request: Request, response: Response, binding: str, cursor: str | None, limit: int) -> None:
        self.limit = limit
        self.next_cursor: str | None = None
        """The cursor of the page after this one, once this one is cut; None for the last."""
        self._request, self._response, self._binding, self._cursor = request, response, binding, cursor

    def bound_to(self, more: str) -> "Page":
        """The same page, its cursor bound to something more."""
        return Page(self._request, self._response, f"{self._binding} {more}", self._cursor, self.limit)

    @property
    def after(self) -> list[Any] | None:
        """The position of the last row of the page before; None for the first page. Raises InvalidCursor."""
        if self._cursor is None:
            return None
        content = cursors(self._request).decrypt(self._cursor)
        if not isinstance(content, list) or content[0] != self._bound():
            raise InvalidCursor
        position: list[Any] = content[1]
        return position

    def cut(
        self,
        found: Sequence[T],
        position: Callable[[T], list[Any]],
        patients_of: Callable[[T], Collection[UUID]] = lambda _: (),
    ) -> Fact[list[T]]:
        """At most `limit` of `found` (which holds one more where there is more), and the patients whom those show. The
        cursor of the next page stands in `next_cursor` and in a `Link` header."""
        items = list(found[: self.limit])
        if len(found) > self.limit:
            self.next_cursor = cursors(self._request).encrypt([self._bound(), position(items[-1])])
            address = self._request.url.include_query_params(cursor=self.next_cursor)
            # Relative: the name under which the client called says nothing that is to be trusted.
            self._response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
        return Fact(items, tuple(dict.fromkeys(patient_id for item in items for patient_id in patients_of(item))))

    def _bound(self) -> list[Any]:
        given = self._request.query_params.multi_items()
        filters = sorted([k, v] for k, v in given if k not in ("cursor", "limit"))
        return [self._binding, self._request.url.path, filters]
