"""Routes of imports: a file that is sent with a form, how far it is, and which lines were refused."""

from collections.abc import Awaitable, Callable
from pathlib import PurePath
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf, PageOf
from app.access.door import Door
from app.errors import Fault, Invalid, Problem
from app.exchange import service
from app.exchange.models import ImportOut
from app.exchange.reading import ANY, SUFFIXES
from app.facts import Fact
from app.storage import Transaction
from app.web.pages import PageRoute, page, see_other, tried

_LARGEST = 64 * 1024 * 1024
_PIECE = 1024 * 1024
_MOVING = ("receiving", "validating", "applying", "cancelling")


class UploadRoute(PageRoute):
    """A route that takes a file. Larger ones come in by the API, or by `holdfast import`, which take 1 GiB."""

    body_bytes = _LARGEST


router = APIRouter(prefix="/admin/imports", include_in_schema=False, route_class=UploadRoute)


@router.get("", name="list_imports")
async def imports_page(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Every import, the newest first, and the form for another one."""
    return await _imports(request, door, found)


@router.post("", name="create_import")
async def create_import(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Takes a file, and leads to the page that says how far it is."""
    async with request.form() as sent:
        file, named = sent.get("file"), str(sent.get("mapping", "")) or None
        dry_run = sent.get("dry_run") == "yes"

        async def work() -> Response:
            if file is None or isinstance(file, str) or not file.filename:
                raise Invalid(errors=[Fault("pointer", "/file", "must be a file")])
            media_type = SUFFIXES.get(PurePath(file.filename).suffix.lower(), ANY)
            import_id = await _taken(door, file.read, media_type, named, dry_run=dry_run)
            return see_other(f"/admin/imports/{import_id}")

        return await tried(request, door, work, lambda problem: _imports(request, door, found, problem, named, dry_run))


@router.get("/{import_id}", name="get_import")
async def import_page(request: Request, door: DoorOf, import_id: UUID) -> Response:
    """How far an import is, what it brings, and the lines that were refused or left out."""
    found = (await door.read(lambda db: service.one(db, door.act.clinic_id, import_id))).value
    counts = {name: number for name, number in dict(found.counts).items() if number}
    moving = found.state in _MOVING
    headers = {"Refresh": "5"} if moving else {}
    return page(request, "admin_import.html", headers=headers, found=found, counts=counts, moving=moving)


@router.post("/{import_id}/end", name="cancel_import")
async def end_import(door: DoorOf, import_id: UUID) -> Response:
    """Ends an import, or takes back what it brought."""
    await door.do(lambda db: service.end(db, door.act, import_id))
    return see_other(f"/admin/imports/{import_id}")


async def _taken(
    door: Door, read: Callable[[int], Awaitable[bytes]], media_type: str, named: str | None, *, dry_run: bool
) -> UUID:
    """Keeps the file piece by piece, and begins its import."""
    begun: list[UUID] = []
    await door.prepare(lambda db: begun.append(service.begin(db, door.act, media_type, named, dry_run=dry_run)))
    import_id, size, number = begun[-1], 0, 0
    try:
        while piece := await read(_PIECE):
            size += len(piece)
            await door.prepare(
                lambda db, place=number, some=piece: service.receive(db, door.act.clinic_id, import_id, place, some)  # type: ignore[misc]
            )
            number += 1
        await door.do(lambda db: service.received(db, door.act, import_id, size))
    except BaseException:
        await door.prepare(lambda db: service.discard(db, door.act.clinic_id, import_id))
        raise
    return import_id


async def _imports(
    request: Request,
    door: Door,
    found: PageOf,
    problem: Problem | None = None,
    named: str | None = None,
    dry_run: bool = False,
) -> Response:
    def work(db: Transaction) -> Fact[tuple[list[ImportOut], list[object]]]:
        clinic_id = door.act.clinic_id
        rows = service.listed(db, clinic_id, found.after, found.limit)
        shown = found.cut(rows, lambda one: [one.created_at.isoformat(), str(one.id)])
        return Fact((shown.value, [*service.mappings(db, clinic_id).value]))

    shown, mappings = (await door.read(work)).value
    return page(
        request,
        "admin_imports.html",
        imports=shown,
        next_cursor=found.next_cursor,
        mappings=mappings,
        named=named,
        dry_run=dry_run,
        problem=problem,
    )
