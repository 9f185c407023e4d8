"""Routes of the catalogue. They need no token, are the same for all callers, and can be cached."""

from fastapi import APIRouter, Response

from app.api.problems import OF_ALL, only
from app.api.strict import StrictRoute
from app.api.versions import UNCHANGED, Constant, IfNoneMatch
from app.catalogue.models import CATALOGUE, InstrumentList, InstrumentOut
from app.errors import NotFound

router = APIRouter(prefix="/v1/instruments", tags=["instruments"], route_class=StrictRoute)

_LIST = Constant(InstrumentList(items=list(CATALOGUE.values()), next_cursor=None).model_dump_json())
_EACH = {code: Constant(instrument.model_dump_json()) for code, instrument in CATALOGUE.items()}


@router.get("", summary="List instruments", response_model=InstrumentList, responses=UNCHANGED | only(*OF_ALL))
async def list_instruments(if_none_match: IfNoneMatch = None) -> Response:
    """Every instrument, with its items, bands and rule."""
    return _LIST.response(if_none_match)


@router.get(
    "/{code}", summary="One instrument", response_model=InstrumentOut, responses=UNCHANGED | only("not_found", *OF_ALL)
)
async def get_instrument(code: str, if_none_match: IfNoneMatch = None) -> Response:
    """With its items, bands and rule."""
    if code not in _EACH:
        raise NotFound
    return _EACH[code].response(if_none_match)
