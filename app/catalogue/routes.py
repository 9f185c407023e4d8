"""HTTP of the catalogue: open to all, the same for all, cacheable."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.api.fields import Answer
from app.api.problems import Responses, problems
from app.api.strict import StrictRoute
from app.catalogue.models import CATALOGUE, InstrumentList, InstrumentOut
from app.errors import NotFound

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=StrictRoute)

IfNoneMatch = Annotated[str | None, Header(description="The ETag of the answer you hold")]
_UNCHANGED: Responses = {304: {"description": "Unchanged"}}
_LIST = InstrumentList(items=list(CATALOGUE.values()), next_cursor=None)


@router.get(
    "", operation_id="list_instruments", summary="List instruments", response_model=InstrumentList,
    responses=_UNCHANGED | problems(),
)  # fmt: skip
async def list_instruments(if_none_match: IfNoneMatch = None) -> Response:
    """Every instrument, with its items, bands and rule."""
    return _cacheable(_LIST, if_none_match)


@router.get(
    "/{code}", operation_id="get_instrument", summary="One instrument", response_model=InstrumentOut,
    responses=_UNCHANGED | problems("not_found"),
)  # fmt: skip
async def get_instrument(code: str, if_none_match: IfNoneMatch = None) -> Response:
    """With its items, bands and rule."""
    if code not in CATALOGUE:
        raise NotFound
    return _cacheable(CATALOGUE[code], if_none_match)


def _cacheable(answer: Answer, held: str | None) -> Response:
    content = answer.model_dump_json()
    etag = f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "public, max-age=3600"}
    if held is not None and etag in [tag.strip().removeprefix("W/") for tag in held.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
