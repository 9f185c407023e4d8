"""The service's own documents: /docs, /openapi.json, /problems, /livez and /readyz."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import MISSING

from app.api import store
from app.api.fields import ResponseBody, grows
from app.api.parts import DATABASE, SCHEMA_HEAD, Part
from app.api.problems import only
from app.api.versions import UNCHANGED, Constant, IfNoneMatch
from app.errors import Busy, NotFound, families
from app.storage import DatabaseError

router = APIRouter(include_in_schema=False)
service = APIRouter(tags=["service"])
# The OpenAPI document, made when it is first asked for.
OPENAPI: Part[Callable[[], Constant]] = Part("openapi")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_OPEN = only("headers_too_large")
_READY_SECONDS = 1.8
_START = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null});\n"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class ProblemPage(ResponseBody):
    """What a code of a refusal means."""

    code: str
    status: int
    title: str
    meaning: str


class ProblemIndex(ResponseBody):
    """Every code of a refusal."""

    items: list[ProblemPage]


class ReadyOut(ResponseBody):
    """Whether the service can do its work. `reason` is there where it cannot."""

    status: str = grows("ready", "unavailable")
    reason: str | MISSING = MISSING
    """What stands in the way, in words for operators."""


@cache
def _content(name: str) -> bytes:
    return (files("fastapi_swagger") / "resources" / name).read_bytes()


@router.get("/docs")
async def docs() -> HTMLResponse:
    return HTMLResponse(_PAGE)


@router.get("/docs/start.js")
async def docs_start() -> Response:
    return Response(_START, media_type="text/javascript")


@router.get("/docs/{name}")
async def docs_file(name: str) -> Response:
    if name not in _FILES:
        raise NotFound
    return Response(_content(name), media_type=_FILES[name], headers={"Cache-Control": "public, max-age=86400"})


@service.get("/openapi.json", summary="This document", response_class=JSONResponse, responses=UNCHANGED | _OPEN)
def get_openapi(request: Request, if_none_match: IfNoneMatch = None) -> Response:
    """The OpenAPI document. It is the same for everyone."""
    # In a thread: the first time it is made, which takes half a second.
    return OPENAPI.of(request)().response(if_none_match)


@service.get("/problems", summary="List the codes of refusals", responses=_OPEN)
async def list_problems() -> ProblemIndex:
    """Every code that a refusal can have, and what it means."""
    return ProblemIndex(items=[_page(code) for code in sorted(families())])


@service.get("/problems/{code}", summary="What a code of a refusal means", responses=_OPEN | only("not_found"))
async def get_problem(code: str) -> ProblemPage:
    """A refusal's `type` leads here."""
    if code not in families():
        raise NotFound
    return _page(code)


def _page(code: str) -> ProblemPage:
    family = families()[code]
    meaning = " ".join((family.__doc__ or "").split())
    return ProblemPage(code=code, status=family.status, title=family.title, meaning=meaning)


@service.get("/livez", summary="Does the process answer?", response_class=PlainTextResponse, responses=_OPEN)
async def livez() -> str:
    """For a supervisor that restarts what does not answer."""
    return "ok\n"


@service.get(
    "/readyz",
    summary="Can the service do its work?",
    response_model=ReadyOut,
    responses=_OPEN | {503: {"model": ReadyOut, "description": "It cannot, for a reason"}},
)
async def readyz(request: Request) -> JSONResponse:
    """Ready when the database answers within 2 seconds, has room, and its schema is at this build's head or later."""
    database = DATABASE.of(request)
    try:
        revision = await database.probe(store.schema_revision, _READY_SECONDS)
    except Busy:
        return _unavailable("the database does not answer")
    except DatabaseError:
        revision = None
    if database.is_full():
        return _unavailable("the disk is full, or has less than 16 MiB left")
    if revision is None or revision < SCHEMA_HEAD.of(request):
        return _unavailable("the schema is behind: run holdfast migrate")
    return JSONResponse({"status": "ready"})


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"status": "unavailable", "reason": reason}, 503)
