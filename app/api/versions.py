"""ETag and If-Match: a change names the version it was made from."""

import re
from typing import Annotated

from fastapi import Header, Response

from app.errors import Fault, Invalid, PreconditionFailed, PreconditionRequired

IfMatch = Annotated[str | None, Header(description='The ETag of the version the change was made from, as in `"3"`')]


def expected_version(if_match: str | None) -> int | None:
    """The version number in If-Match; None for `*` (any). Raises PreconditionRequired or Invalid."""
    if if_match is None:
        raise PreconditionRequired
    if if_match.strip() == "*":
        return None
    match = re.fullmatch(r'"(\d{1,9})"', if_match.strip())
    if not match:
        raise Invalid(errors=[Fault("header", "If-Match", 'must be one ETag, as in "3"')])
    return int(match.group(1))


def require_version(expected: int | None, current: int) -> None:
    """Raises PreconditionFailed when the object has moved on."""
    if expected is not None and expected != current:
        raise PreconditionFailed


def tag(response: Response, version: int) -> None:
    response.headers["ETag"] = f'"{version}"'
