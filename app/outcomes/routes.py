"""HTTP of outcomes."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, showed
from app.api.fields import DayIn, MomentIn
from app.api.problems import problems
from app.outcomes import service
from app.outcomes.models import ReliefOut

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["outcomes"], route_class=GuardedRoute)


@router.get(
    "/relief",
    operation_id="get_relief",
    summary="Is relief holding?",
    response_model=ReliefOut,
    responses=problems("not_found"),
)
async def get_relief(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    as_of: Annotated[DayIn | None, Query(description="A day in the clinic's zone; today by default")] = None,
    known_at: Annotated[
        MomentIn | None, Query(description="Only what was recorded by then; everything by default")
    ] = None,
    rule: Annotated[str | None, Query(max_length=20, description="Version of the rules; the newest by default")] = None,
) -> ReliefOut:
    """By domain and by instrument, with the rule and the scores it rests on, how long it has held, and what is missing.
    Measured scores against stated lines: no diagnosis, prediction or advice."""
    answer = await database.read(
        caller.clinic_id, lambda db: service.relief_of(db, caller, patient_id, as_of, known_at, rule, act.at)
    )
    await showed(request, act, [patient_id])
    return answer
