"""ETag and If-Match: a change states the version that it is based on."""

import hashlib
import re
from typing import Annotated

from fastapi import Header, Response

from app.api.problems import Responses
from app.errors import Fault, Invalid, PreconditionRequired
from app.facts import Fact, T

IfMatch = Annotated[
    str | None,
    Header(
        description='The ETag of the version the change was made from, as in `"3"`; `*` for any',
        examples=['"3"'],
        json_schema_extra={"pattern": r'^("[1-9][0-9]{0,8}"|\*)$'},
    ),
]

IfNoneMatch = Annotated[str | None, Header(description="The ETag of the answer you hold")]


def expected_version(if_match: str | None) -> int | None:
    """The version number in If-Match; None for `*` (any version). Raises PreconditionRequired or Invalid."""
    if if_match is None:
        raise PreconditionRequired
    if if_match.strip() == "*":
        return None
    match = re.fullmatch(r'"([1-9]\d{0,8})"', if_match.strip())
    if not match:
        raise Invalid(errors=[Fault("header", "If-Match", 'must be one ETag, as in "3"')])
    return int(match.group(1))


UNCHANGED: Responses = {304: {"description": "Unchanged: the answer that you hold is the current one"}}


class Constant:
    """A JSON response that is the same for everyone. Its ETag is computed once."""

    def __init__(self, content: str) -> None:
        self._content = content
        etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'
        self._headers = {"ETag": etag, "Cache-Control": "public, max-age=3600"}

    def response(self, held: str | None) -> Response:
        """The response, or 304 if the caller already has it."""
        if held is not None and self._headers["ETag"] in [tag.strip().removeprefix("W/") for tag in held.split(",")]:
            return Response(status_code=304, headers=self._headers)
        return Response(self._content, media_type="application/json", headers=self._headers)


def tagged(response: Response, fact: Fact[T]) -> T:
    """The fact's value, with its version as the response's ETag."""
    response.headers["ETag"] = f'"{fact.version}"'
    return fact.value
