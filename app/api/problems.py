"""Renders every error response as application/problem+json (RFC 9457). Never repeats a value that was sent."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.api.faults import Refused, faults_of
from app.errors import Invalid, MethodNotAllowed, NotFound, Problem, TooLarge, families

PROBLEM_SCHEMA = {"$ref": "#/components/schemas/ProblemOut"}


def problem_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The body of an error response."""
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
    return body | problem.more


Responses = dict[int | str, dict[str, Any]]
# What any operation under /v1 may refuse a request for.
OF_ALL = ("bad_request", "request_timeout", "invalid", "rate_limited", "headers_too_large", "internal", "busy")


def problems(*codes: str) -> Responses:
    """The `responses` of an operation that may give these errors, for the OpenAPI document."""
    return only(*codes, "invalid_token", "insufficient_scope", *OF_ALL)


def only(*codes: str) -> Responses:
    """The same of an operation that may give these errors and no other."""
    by_status: Responses = {}
    for code in codes:
        family = families()[code]
        example = problem_body(family(), "0198e0c4-0000-7000-8000-000000000000")
        content = {"application/problem+json": {"schema": PROBLEM_SCHEMA, "examples": {}}}
        entry = by_status.setdefault(family.status, {"description": family.title, "content": content})
        entry["content"]["application/problem+json"]["examples"][code] = {"value": example}
    return by_status


def install(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Registers the error handlers for every kind of error. A 405 names every method that one of the routers takes at
    the address."""

    async def refuse(request: Request, error: Exception) -> Response:
        problem = _problem_of(error)
        if isinstance(problem, MethodNotAllowed):
            problem.headers["Allow"] = ", ".join(_methods(routers, request.url.path))
        return render(request.scope.get("request_id", ""), problem)

    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, refuse)


def _methods(routers: Sequence[APIRouter], path: str) -> list[str]:
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    taken = {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}
    return sorted(taken | ({"HEAD"} if "GET" in taken else set()))


def render(request_id: str, problem: Problem) -> Response:
    """The problem as a response."""
    return JSONResponse(problem_body(problem, request_id), problem.status, problem.headers, "application/problem+json")


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return error.problem
    if isinstance(error, RequestValidationError):
        return Invalid(errors=faults_of(error.errors()))
    assert isinstance(error, HTTPException)  # the last of the kinds that `install` registers
    kinds: dict[int, type[Problem]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}
    kind = kinds.get(error.status_code, Invalid)
    return kind(headers=error.headers) if error.headers else kind()
