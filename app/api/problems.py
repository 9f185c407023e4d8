"""The one renderer of refusals: application/problem+json (RFC 9457), never a value that was sent."""

import logging
import traceback
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import Field
from starlette.exceptions import HTTPException

from app.api.fields import Answer
from app.api.strict import Refused, safe_name
from app.errors import Fault, Invalid, MethodNotAllowed, NotFound, Problem, TooLarge, families

logger = logging.getLogger("holdfast")

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
# Messages of these come from our own declarations, not from what was sent.
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
_OWN_WORDS = {"moment", "day", "text", "rule", "number"}


class ProblemOut(Answer):
    """A refusal. `errors` names each place in a malformed request and the rule it breaks."""

    type: str = Field(examples=["/problems/invalid"])
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[dict[str, str]] = Field(default_factory=list, examples=[[{"pointer": "/taken_at", "detail": "..."}]])


PROBLEM_SCHEMA = {"$ref": "#/components/schemas/ProblemOut"}


def problem_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The body of a refusal."""
    body: dict[str, Any] = {
        "type": f"/problems/{problem.code}",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = [fault.as_dict() for fault in problem.errors]
    return body


Responses = dict[int | str, dict[str, Any]]


def problems(*codes: str) -> Responses:
    """The `responses` of an operation that may refuse in these ways, for the OpenAPI document."""
    by_status: Responses = {}
    for code in (*codes, "invalid_token", "insufficient_scope", "invalid", "rate_limited", "internal", "busy"):
        family = families()[code]
        example = problem_body(family(), "0198e0c4-0000-7000-8000-000000000000")
        content = {"application/problem+json": {"schema": PROBLEM_SCHEMA, "examples": {}}}
        entry = by_status.setdefault(family.status, {"description": family.title, "content": content})
        entry["content"]["application/problem+json"]["examples"][code] = {"value": example}
    return by_status


def faults_of(errors: Sequence[Any], prefix: str = "") -> list[Fault]:
    """Validation errors as faults: where, and the rule. Input and messages that could quote it are left out."""
    return [_fault(error, prefix) for error in errors]


def _fault(error: Any, prefix: str) -> Fault:
    kind, loc = error["type"], list(error["loc"])
    place = loc.pop(0) if loc and loc[0] in ("body", "query", "path", "header") else "body"
    rule = _RULES.get(kind) or (error["msg"] if kind in _OWN_WORDS else None) or "is not valid here"
    if kind in _PYDANTIC_WORDS:
        rule = _PYDANTIC_WORDS[kind].format(**error["ctx"])
    if kind == "date_from_datetime_parsing" or kind.startswith("date_"):
        rule = "must be a calendar day, YYYY-MM-DD"
    # A part of the path can be a key that was sent, so each is named only if it looks like a name.
    loc = [part if isinstance(part, int) else safe_name(str(part)) for part in loc]
    if place == "body":
        return Fault("pointer", prefix + "".join(f"/{part}" for part in loc), rule)
    return Fault("header" if place == "header" else "parameter", str(loc[0]) if loc else "", rule)


def install(app: FastAPI) -> None:
    """Registers the renderer for everything that can go wrong."""

    async def refuse(request: Request, error: Exception) -> Response:
        return render(request.scope.get("request_id", ""), _problem_of(error))

    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, refuse)


def render(request_id: str, problem: Problem) -> Response:
    """The refusal as a response."""
    return JSONResponse(problem_body(problem, request_id), problem.status, problem.headers, "application/problem+json")


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, RequestValidationError):
        return Invalid(errors=faults_of(error.errors()))
    assert isinstance(error, HTTPException)  # the last of the kinds installed
    kinds: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}
    kind = kinds.get(error.status_code, Invalid)
    return kind(headers=error.headers) if error.headers else kind()


def log_unexpected(error: Exception) -> None:
    """Type, constraint and our own frames. The message of an exception can quote a patient's values."""
    frames = [
        f"{frame.filename.rsplit('/app/', 1)[-1]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/app/" in frame.filename
    ]
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    logger.error("unexpected %s constraint=%s at %s", type(error).__name__, constraint, " < ".join(reversed(frames)))
