"""The service's own documents: /docs, /openapi.json as FastAPI makes it, /problems/<code>, /livez and /readyz."""

import json
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.api.fields import Answer
from app.api.versions import Constant, IfNoneMatch
from app.errors import Busy, NotFound, families
from app.storage import NO_CLINIC, Database

router = APIRouter(include_in_schema=False)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Holdfast API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css"></head>
<body><div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>
"""
_START = "SwaggerUIBundle({url: '/openapi.json', dom_id: '#api', deepLinking: true, validatorUrl: null});\n"
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}


class ProblemPage(Answer):
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
    state = request.app.state
    if not hasattr(state, "openapi"):
        state.openapi = Constant(json.dumps(request.app.openapi()))
    document: Constant = state.openapi
    return document.response(if_none_match)


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
    database: Database = request.app.state.database
    head: str = request.app.state.schema_head
    try:
        query = text("select version_num from alembic_version")
        version = await database.read(NO_CLINIC, lambda db: db.connection().execute(query).scalar())
    except Busy:
        return JSONResponse({"status": "unavailable", "reason": "the database does not answer"}, 503)
    except DBAPIError:
        version = None
    if version is None or str(version) < head:
        return JSONResponse({"status": "unavailable", "reason": "the schema is behind: run holdfast migrate"}, 503)
    return JSONResponse({"status": "ready"})
