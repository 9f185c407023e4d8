"""From validation errors to faults: where a request breaks a rule, and which; never the value that was sent."""

import re
from collections.abc import Sequence
from typing import Any

from fastapi.exceptions import HTTPException

from app.errors import Fault, Problem

_A_NAME = re.compile(r"[a-z][A-Za-z_]{0,38}\d?")

_RULES = {
    "missing": "is required",
    "extra_forbidden": "is not known here",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "uuid_type": "must be a UUID",
    "uuid_parsing": "must be a UUID",
    "none_required": "must be null",
}
# The messages of these are made from our own declarations, not from what was sent.
_PYDANTIC_WORDS = {
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be one of: {expected}",
}
# A request with more faults than this is told of the first ones.
MOST_FAULTS = 20
_OWN_WORDS = {"moment", "day", "text", "rule", "number"}


class Refused(HTTPException):
    """Carries a Problem through FastAPI's body parsing, which lets only HTTPException pass."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status)
        self.problem = problem


def faults_of(errors: Sequence[Any], prefix: str = "") -> list[Fault]:
    """Converts the first 20 validation errors to faults, without the input and without messages that could quote it."""
    return [_fault(error, prefix) for error in errors[:MOST_FAULTS]]


def _fault(error: Any, prefix: str) -> Fault:
    kind, loc = error["type"], list(error["loc"])
    place = loc.pop(0) if loc and loc[0] in ("body", "query", "path", "header") else "body"
    rule = _RULES.get(kind) or (error["msg"] if kind in _OWN_WORDS else None) or "is not valid here"
    if kind in _PYDANTIC_WORDS:
        rule = _PYDANTIC_WORDS[kind].format(**error["ctx"])
    if kind == "date_from_datetime_parsing" or kind.startswith("date_"):
        rule = "must be a calendar day, YYYY-MM-DD"
    # A part of the path can be a key that the client sent, so a part is shown only if it looks like a field name.
    loc = [part if isinstance(part, int) else safe_name(str(part)) for part in loc]
    if place == "body":
        return Fault("pointer", prefix + "".join(f"/{part}" for part in loc), rule)
    return Fault("header" if place == "header" else "parameter", str(loc[0]) if loc else "", rule)


def safe_name(name: str) -> str:
    """The name, if it looks like a field name and so may be repeated in an error; otherwise a placeholder."""
    return name if _A_NAME.fullmatch(name) else "(unnamed)"
