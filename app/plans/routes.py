"""HTTP of plans."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, showed
from app.access.service import Caller
from app.api.fields import DayIn
from app.api.problems import problems
from app.api.versions import IfMatch, expected_version, tag
from app.audit.service import Act
from app.errors import NotFound
from app.plans import service
from app.plans.models import ClinicPlanIn, DueList, PlanIn, PlanOut
from app.storage import Database

router = APIRouter(prefix="/v1/patients/{patient_id}/plan", tags=["plans"], route_class=GuardedRoute)
clinic_router = APIRouter(prefix="/v1/clinic/plan", tags=["plans"], route_class=GuardedRoute)
my_router = APIRouter(prefix="/v1/me/due", tags=["plans"], route_class=GuardedRoute)

_CHANGING = ("precondition_failed", "precondition_required")
First = Annotated[DayIn | None, Query(alias="from", description="First day; four weeks ago by default")]
Last = Annotated[DayIn | None, Query(alias="to", description="Last day, included; in 60 days by default")]


@clinic_router.get(
    "",
    operation_id="get_clinic_plan",
    summary="What the clinic asks of its patients",
    response_model=PlanOut,
    responses=problems(),
)
async def get_clinic_plan(response: Response, caller: CallerOf, database: DatabaseOf) -> PlanOut:
    """With the ETag that a change must name."""
    plan = await database.read(caller.clinic_id, lambda db: service.clinic_plan(db, caller))
    tag(response, plan.version)
    return plan


@clinic_router.put(
    "",
    operation_id="put_clinic_plan",
    summary="Set what the clinic asks of its patients",
    response_model=PlanOut,
    responses=problems(*_CHANGING),
)
async def put_clinic_plan(
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    body: ClinicPlanIn,
    if_match: IfMatch = None,
) -> PlanOut:
    """It counts from tomorrow: what was due until today stays as it was."""
    expected = expected_version(if_match)
    plan = await database.write(caller.clinic_id, lambda db: service.put_clinic_plan(db, caller, act, expected, body))
    tag(response, plan.version)
    return plan


@router.get(
    "",
    operation_id="get_plan",
    summary="What is asked of a patient",
    response_model=PlanOut,
    responses=problems("not_found"),
)
async def get_plan(
    request: Request, response: Response, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID
) -> PlanOut:
    """The patient's own plan, or the clinic's, or the default."""
    plan = await database.read(caller.clinic_id, lambda db: service.plan(db, caller, patient_id))
    await showed(request, act, [patient_id])
    tag(response, plan.version)
    return plan


@router.put(
    "",
    operation_id="put_plan",
    summary="Set what is asked of a patient",
    response_model=PlanOut,
    responses=problems("not_found", *_CHANGING),
)
async def put_plan(
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    body: PlanIn,
    if_match: IfMatch = None,
) -> PlanOut:
    """It counts from tomorrow: what was due until today stays as it was. `items` null goes back to the clinic's."""
    expected = expected_version(if_match)
    plan = await database.write(
        caller.clinic_id, lambda db: service.put_plan(db, caller, act, patient_id, expected, body)
    )
    tag(response, plan.version)
    return plan


@router.get(
    "/due",
    operation_id="list_due",
    summary="What is due of a patient",
    response_model=DueList,
    responses=problems("not_found"),
)
async def list_due(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    first: First = None,
    last: Last = None,
) -> DueList:
    """Worked out from the sessions, the plan in force on each day, and the check-ins."""
    return await _due(request, caller, act, database, patient_id, first, last)


@my_router.get(
    "",
    operation_id="list_my_due",
    summary="What is due of me",
    response_model=DueList,
    responses=problems(),
)
async def list_my_due(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, first: First = None, last: Last = None
) -> DueList:
    """For a patient's own device."""
    if caller.patient_id is None:
        raise NotFound
    return await _due(request, caller, act, database, caller.patient_id, first, last)


async def _due(
    request: Request,
    caller: Caller,
    act: Act,
    database: Database,
    patient_id: UUID,
    first: DayIn | None,
    last: DayIn | None,
) -> DueList:
    found = await database.read(
        caller.clinic_id, lambda db: service.due_of(db, caller, patient_id, first, last, act.at)
    )
    await showed(request, act, [patient_id])
    return found
