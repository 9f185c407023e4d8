"""The service's own documents: /docs, /openapi.json, /problems/<code>, /livez and /readyz."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from app.api import store
from app.api.fields import ResponseBody
from app.api.parts import DATABASE, SCHEMA_HEAD, Part
from app.api.versions import Constant, IfNoneMatch
from app.errors import Busy, NotFound, families
from app.storage import NO_CLINIC, DatabaseError

router = APIRouter(include_in_schema=False)
# The OpenAPI document, made when it is first asked for.
OPENAPI: Part[Callable[[], Constant]] = Part("openapi")

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null});\n"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class ProblemPage(ResponseBody):
    """What a code means."""

    code: str
    status: int
    title: str
    meaning: str


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


@router.get("/openapi.json")
async def openapi(request: Request, if_none_match: IfNoneMatch = None) -> Response:
    return OPENAPI.of(request)().response(if_none_match)


@router.get("/problems/{code}")
async def problem(code: str) -> ProblemPage:
    family = families().get(code)
    if family is None:
        raise NotFound
    meaning = " ".join((family.__doc__ or "").split())
    return ProblemPage(code=code, status=family.status, title=family.title, meaning=meaning)


@router.get("/livez")
async def livez() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


@router.get("/readyz")
async def readyz(request: Request) -> JSONResponse:
    """Ready when the database answers and its schema is at this build's head or a later one."""
    try:
        revision = await DATABASE.of(request).read(NO_CLINIC, store.schema_revision)
    except Busy:
        return JSONResponse({"status": "unavailable", "reason": "the database does not answer"}, 503)
    except DatabaseError:
        revision = None
    if revision is None or revision < SCHEMA_HEAD.of(request):
        return JSONResponse({"status": "unavailable", "reason": "the schema is behind: run holdfast migrate"}, 503)
    return JSONResponse({"status": "ready"})
