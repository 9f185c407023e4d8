"""HTTP of the relief answer."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import DoorOf, GuardedRoute, admitted
from app.access.door import Audited
from app.api.fields import DayIn, MomentIn
from app.api.parts import Part
from app.api.plain import Lanes, PlainRequest
from app.api.problems import problems
from app.api.rendering import Rendered, as_json
from app.relief import EARLIER_VERSIONS, VERSION
from app.relief_answers import service
from app.relief_answers.models import ReliefOut
from app.relief_answers.service import Question

_RULES = {"enum": [VERSION, *EARLIER_VERSIONS]}
# Questions of one clinic that arrive together share a transaction.
RELIEF: Part[Audited[Question, ReliefOut]] = Part("relief")

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["outcomes"], route_class=GuardedRoute)


@router.get(
    "/relief", summary="Is relief holding?", response_model=ReliefOut, responses=problems("not_found", "merged")
)
async def get_relief(
    request: Request,
    door: DoorOf,
    patient_id: UUID,
    as_of: Annotated[DayIn | None, Query(description="A day in the clinic's zone; today by default")] = None,
    known_at: Annotated[
        MomentIn | None, Query(description="Only what was recorded by then; everything by default")
    ] = None,
    rule: Annotated[
        str | None,
        Query(max_length=20, description="Version of the rules; the newest by default", json_schema_extra=_RULES),
    ] = None,
) -> Response:
    """By domain and by instrument, with the rule and the scores it rests on, how long it has held, and what is missing.
    Measured scores against stated lines: no diagnosis, prediction or advice."""
    question = Question(door.caller, door.act, patient_id, as_of, known_at, rule)
    fact = await door.join(RELIEF.of(request), question) if known_at is None else None
    if fact is None:
        fact = await door.read(lambda db: service.relief_of(db, question))
    return as_json(fact).response()


async def _get_relief_plainly(request: PlainRequest) -> Rendered | None:
    """`get_relief` without a query."""
    door = admitted(request, "get_relief")
    question = door and Question(door.caller, door.act, request.named)
    fact = await door.join(RELIEF.of(request), question) if door and question else None
    return None if fact is None else as_json(fact)


PLAIN: Lanes = {("GET", f"{router.prefix}/relief"): _get_relief_plainly}
