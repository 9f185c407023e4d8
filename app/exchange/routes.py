"""Routes of exports and imports."""

import hashlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.access.dependencies import DoorOf, GuardedRoute, PageOf
from app.access.door import Door
from app.api.fields import MomentIn
from app.api.idempotency import Keyed, key_of
from app.api.problems import Responses, problems
from app.api.rendering import Rendered, as_json, no_content
from app.audit.models import EVERYONE
from app.exchange import exporting, service
from app.exchange.columns import What, dictionary
from app.exchange.exporting import Form
from app.exchange.mapping import MappingIn
from app.exchange.models import DictionaryOut, ImportList, ImportOut, MappingList, MappingOut
from app.exchange.reading import ANY, CSV, MEDIA_TYPES, NDJSON
from app.facts import Fact

_PIECE = 256 * 1024


class FileRoute(GuardedRoute):
    """A route that takes a file as its body, which is kept piece by piece as it comes."""

    body_bytes = 1024 * 1024 * 1024


router = APIRouter(prefix="/v1/exports", tags=["exchange"], route_class=GuardedRoute)
mappings = APIRouter(prefix="/v1/imports/mappings", tags=["exchange"], route_class=GuardedRoute)
imports = APIRouter(prefix="/v1/imports", tags=["exchange"], route_class=GuardedRoute)
files = APIRouter(prefix="/v1/imports", tags=["exchange"], route_class=FileRoute)

Since = Annotated[
    MomentIn | None, Query(description="Only what was recorded from this instant on, each version of its own")
]
Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,59}$", description="Small letters, digits, . _ and -")]


def _file(media_type: str) -> Responses:
    content = {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}
    return {200: {"description": "The file, as it is read", "content": content}} | problems()


def _csv(what: str) -> dict[str, Any]:
    return {"summary": f"{what}, as CSV", "response_class": StreamingResponse, "responses": _file(CSV)}


def _ndjson(what: str) -> dict[str, Any]:
    found = {"summary": f"{what}, a JSON object a line", "response_class": StreamingResponse}
    return {**found, "responses": _file(NDJSON)}


@router.get("/dictionary", summary="What each column of an export means", responses=problems())
async def get_export_dictionary(door: DoorOf) -> DictionaryOut:
    """With types, units and ranges, and which columns an import reads."""
    return (await door.read(lambda _: Fact(dictionary()))).value


@router.get("/scores.csv", **_csv("Every score that stands"))
async def export_scores_csv(door: DoorOf, since: Since = None) -> StreamingResponse:
    """For people and spreadsheets, as of one moment, but for patients entered in error. `external_id` is there for who
    may read patients. An import takes it back. One export of a clinic at a time."""
    return await _exported(door, "scores", "csv", since)


@router.get("/scores.ndjson", **_ndjson("Every version of every score"))
async def export_scores_ndjson(door: DoorOf, since: Since = None) -> StreamingResponse:
    """Versions that were replaced or voided too, told apart by `status`: count those alone that are `recorded`. One
    export of a clinic at a time."""
    return await _exported(door, "scores", "ndjson", since)


@router.get("/sessions.csv", **_csv("Every session"))
async def export_sessions_csv(door: DoorOf, since: Since = None) -> StreamingResponse:
    """As each stands now. Vitals and side effects are JSON. One export of a clinic at a time."""
    return await _exported(door, "sessions", "csv", since)


@router.get("/sessions.ndjson", **_ndjson("Every version of every session"))
async def export_sessions_ndjson(door: DoorOf, since: Since = None) -> StreamingResponse:
    """Those of a session in order; the last one stands. One export of a clinic at a time."""
    return await _exported(door, "sessions", "ndjson", since)


@router.get("/patients.csv", **_csv("Every patient"))
async def export_patients_csv(door: DoorOf, since: Since = None) -> StreamingResponse:
    """As each stands now, but for those entered in error. Keep `external_id` as text: 0042 is no 42."""
    return await _exported(door, "patients", "csv", since)


@router.get("/patients.ndjson", **_ndjson("Every patient"))
async def export_patients_ndjson(door: DoorOf, since: Since = None) -> StreamingResponse:
    """As each stands now, those entered in error too. What told who they were is not kept from version to version."""
    return await _exported(door, "patients", "ndjson", since)


async def _exported(door: Door, what: What, form: Form, since: MomentIn | None) -> StreamingResponse:
    names, zone = "patients:read" in door.caller.scopes, door.caller.time_zone
    content = await door.stream(
        (EVERYONE,),
        lambda db: exporting.export(db, door.act.clinic_id, zone, what, form, since, names=names),
    )
    headers = {"Content-Disposition": f'attachment; filename="{what}.{form}"'}
    return StreamingResponse(content, media_type=CSV if form == "csv" else NDJSON, headers=headers)


# One kind alone, so that generated clients do not choose a wrong one: the service sees what it is.
_FILE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file as it is, up to 1 GiB. Its media type may say what it is: " + ", ".join(MEDIA_TYPES),
        "content": {ANY: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@files.post(
    "",
    summary="Import a file",
    status_code=202,
    response_model=ImportOut,
    responses=problems("unsupported_media_type", "too_large", "too_many_imports", "idempotency_key_reused"),
    openapi_extra=_FILE_BODY,
)
async def create_import(
    request: Request,
    door: DoorOf,
    mapping: Annotated[
        str | None, Query(max_length=60, description="The name of the mapping that reads it; our own layout needs none")
    ] = None,
    dry_run: Annotated[bool, Query(description="Read and checked alone; nothing is applied")] = False,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="Any unique text: the same file under it is imported once"),
    ] = None,
) -> Response:
    """The file as the body: CSV, NDJSON or XLSX, and SPSS or HL7 where the service has what reads them. It is checked
    whole: one bad line refuses it, and the import says which lines and why. Then it is applied bit by bit: see
    `Location`. The same file again changes nothing. Its records are the import's own, at the time it records them:
    `source_recorded_at` keeps when they were recorded where they come from."""
    clinic_id, media_type = door.act.clinic_id, request.headers.get("content-type", "").split(";")[0].strip().lower()
    begun: list[UUID] = []
    keyed = None if key is None else key_of(key)
    await door.prepare(lambda db: begun.append(service.begin(db, door.act, media_type, mapping, dry_run=dry_run)))
    import_id, rendered = begun[-1], None
    try:
        size, digest = await _received(request, door, import_id)
        content = b"\n".join([b"POST", str(request.url.path).encode(), request.scope["query_string"], digest])
        rendered = await door.write(
            lambda db: service.received(db, door.act, import_id, size),
            _accepted,
            None if keyed is None else Keyed(keyed, content),
        )
    finally:
        if rendered is None or "Idempotency-Replayed" in rendered.headers:
            await door.prepare(lambda db: service.discard(db, clinic_id, import_id))
    return rendered.response()


async def _received(request: Request, door: Door, import_id: UUID) -> tuple[int, bytes]:
    """Keeps the file piece by piece. Returns its size and its SHA-256."""
    size, digest, number, waiting = 0, hashlib.sha256(), 0, bytearray()

    async def keep(piece: bytes) -> None:
        nonlocal number
        place, number = number, number + 1
        await door.prepare(lambda db: service.receive(db, door.act.clinic_id, import_id, place, piece))

    async for some in request.stream():
        size += len(some)
        digest.update(some)
        waiting += some
        while len(waiting) >= _PIECE:
            await keep(bytes(waiting[:_PIECE]))
            del waiting[:_PIECE]
    if waiting:
        await keep(bytes(waiting))
    return size, digest.digest()


def _accepted(fact: Fact[ImportOut]) -> Rendered:
    return as_json(fact, 202, f"/v1/imports/{fact.value.id}")


@imports.get("", summary="List imports", responses=problems("invalid_cursor"))
async def list_imports(door: DoorOf, page: PageOf) -> ImportList:
    """Newest first, without their problems."""
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, door.act.clinic_id, page.after, page.limit),
            lambda one: [one.created_at.isoformat(), str(one.id)],
        )
    )
    return ImportList(items=found.value, next_cursor=page.next_cursor)


@imports.get("/{import_id:uuid}", summary="One import", responses=problems("not_found"))
async def get_import(door: DoorOf, import_id: UUID) -> ImportOut:
    """How far it is, what it brings, and the first hundred lines that were refused or left out, with the rule; never
    the value."""
    return (await door.read(lambda db: service.one(db, door.act.clinic_id, import_id))).value


@imports.get(
    "/{import_id:uuid}/problems/all.csv",
    summary="Every line that was refused or left out",
    response_class=Response,
    responses=_file(CSV) | problems("not_found"),
)
async def list_import_problems(door: DoorOf, import_id: UUID) -> Response:
    """Line, column and rule of each, the first 10,000. The column is empty where the whole line is to blame."""
    found = await door.read(lambda db: service.problems_file(db, door.act.clinic_id, import_id))
    headers = {"Content-Disposition": 'attachment; filename="problems.csv"'}
    return Response(found.value, media_type=CSV, headers=headers)


@imports.delete(
    "/{import_id:uuid}",
    summary="End an import, or undo it",
    status_code=202,
    response_model=ImportOut,
    responses=problems("not_found"),
)
async def cancel_import(door: DoorOf, import_id: UUID) -> Response:
    """Nothing more is applied. What it has brought is taken back: check-ins are voided, sessions and patients entered
    in error, each with a reason. What was changed since stays, and is counted in `kept`."""
    return (
        await door.write(lambda db: service.end(db, door.act, import_id), lambda fact: as_json(fact, 202))
    ).response()


@mappings.get("", summary="List mappings", responses=problems())
async def list_import_mappings(door: DoorOf) -> MappingList:
    """The clinic's own, then those that are ready for the files of some tools."""
    found = await door.read(lambda db: service.mappings(db, door.act.clinic_id))
    return MappingList(items=found.value, next_cursor=None)


@mappings.get("/{name}", summary="One mapping", responses=problems("not_found"))
async def get_import_mapping(door: DoorOf, name: Name) -> MappingOut:
    """As it was kept; a ready one as it is extended by others."""
    return (await door.read(lambda db: service.mapping(db, door.act.clinic_id, name))).value


@mappings.put("/{name}", summary="Keep a mapping", response_model=MappingOut, responses=problems("too_many_mappings"))
async def put_import_mapping(door: DoorOf, name: Name, body: MappingIn) -> Response:
    """In the place of one of that name. Imports that have begun keep the one before."""
    content = body.model_dump(mode="json", exclude_unset=True)
    return (await door.write(lambda db: service.put_mapping(db, door.act, name, content), as_json)).response()


@mappings.delete("/{name}", summary="Delete a mapping", status_code=204, responses=problems("not_found"))
async def delete_import_mapping(door: DoorOf, name: Name) -> Response:
    """Imports that have begun keep it."""
    return (await door.write(lambda db: service.delete_mapping(db, door.act, name), no_content)).response()
