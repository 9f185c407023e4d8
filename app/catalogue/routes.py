"""HTTP of the catalogue: open to all, the same for all, cacheable."""

from fastapi import APIRouter, Response

from app.api.problems import Responses, problems
from app.api.strict import StrictRoute
from app.api.versions import IfNoneMatch, cacheable
from app.catalogue.models import CATALOGUE, InstrumentList, InstrumentOut
from app.errors import NotFound

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=StrictRoute)

_UNCHANGED: Responses = {304: {"description": "Unchanged"}}
_LIST = InstrumentList(items=list(CATALOGUE.values()), next_cursor=None)


@router.get(
    "", operation_id="list_instruments", summary="List instruments", response_model=InstrumentList,
    responses=_UNCHANGED | problems(),
)  # fmt: skip
async def list_instruments(if_none_match: IfNoneMatch = None) -> Response:
    """Every instrument, with its items, bands and rule."""
    return cacheable(_LIST.model_dump_json(), if_none_match)


@router.get(
    "/{code}", operation_id="get_instrument", summary="One instrument", response_model=InstrumentOut,
    responses=_UNCHANGED | problems("not_found"),
)  # fmt: skip
async def get_instrument(code: str, if_none_match: IfNoneMatch = None) -> Response:
    """With its items, bands and rule."""
    if code not in CATALOGUE:
        raise NotFound
    return cacheable(CATALOGUE[code].model_dump_json(), if_none_match)
