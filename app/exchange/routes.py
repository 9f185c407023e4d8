"""Routes of exports."""

from collections.abc import Callable, Iterator
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from app.access.dependencies import DoorOf, GuardedRoute
from app.access.door import Door
from app.api.problems import Responses, problems
from app.audit.models import EVERYONE
from app.exchange import service
from app.storage import Transaction

router = APIRouter(prefix="/v1/exports", tags=["exchange"], route_class=GuardedRoute)


def _file(media_type: str) -> Responses:
    content = {media_type: {"schema": {"type": "string", "contentMediaType": media_type}}}
    return {200: {"description": "The file, as it is read", "content": content}} | problems()


@router.get("/scores.csv", summary="Every score, as CSV", response_class=StreamingResponse, responses=_file("text/csv"))
async def export_scores_csv(request: Request, door: DoorOf) -> StreamingResponse:
    """Every score that stands, as of one moment, but for patients entered in error; without what tells who a patient
    is. Columns: patient_id, check_in_id, taken_at, before_infusion, instrument, score, answers (items in order,
    separated by semicolons, an unknown one empty; all empty for a total alone), recorded_at. One export of a clinic at
    a time."""
    return await _exported(request, door, service.comma_separated, "text/csv")


@router.get(
    "/scores.ndjson",
    summary="Every score, a JSON object a line",
    response_class=StreamingResponse,
    responses=_file("application/x-ndjson"),
)
async def export_scores_ndjson(request: Request, door: DoorOf) -> StreamingResponse:
    """The columns of the CSV as members; `answers` is a list, null for a total alone. One export of a clinic at a
    time."""
    return await _exported(request, door, service.ndjson, "application/x-ndjson")


async def _exported(
    request: Request, door: Door, lines: Callable[[Transaction, UUID], Iterator[bytes]], media_type: str
) -> StreamingResponse:
    content = await door.stream((EVERYONE,), lambda db: lines(db, door.act.clinic_id))
    name = request.url.path.rsplit("/", 1)[-1]
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=media_type, headers=headers)
