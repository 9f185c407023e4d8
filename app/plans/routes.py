"""Routes of plans."""

from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.access.dependencies import DoorOf, GuardedRoute
from app.access.door import Door
from app.api.fields import DayIn
from app.api.problems import problems
from app.api.rendering import WrittenOut, as_json
from app.api.versions import IfMatch, expected_version, tagged
from app.errors import NotFound
from app.plans import service
from app.plans.models import ClinicPlanIn, DueList, PlanIn, PlanOut

router = APIRouter(prefix="/v1/patients/{patient_id}/plan", tags=["plans"], route_class=GuardedRoute)
clinic_router = APIRouter(prefix="/v1/clinic/plan", tags=["plans"], route_class=GuardedRoute)
me_router = APIRouter(prefix="/v1/me/due", tags=["plans"], route_class=GuardedRoute)

_CHANGING = ("precondition_failed", "precondition_required")
First = Annotated[DayIn | None, Query(alias="from", description="First day; four weeks ago by default")]
Last = Annotated[DayIn | None, Query(alias="to", description="Last day, included; in 60 days by default")]


@clinic_router.get("", summary="What the clinic asks of its patients", responses=problems())
async def get_clinic_plan(response: Response, door: DoorOf) -> PlanOut:
    """With the ETag that a change must name."""
    return tagged(response, await door.read(lambda db: service.clinic_plan(db, door.caller)))


@clinic_router.put(
    "", summary="Set what the clinic asks of its patients", response_model=PlanOut, responses=problems(*_CHANGING)
)
async def put_clinic_plan(door: DoorOf, body: ClinicPlanIn, if_match: IfMatch = None) -> Response:
    """It counts from tomorrow: what was due until today stays as it was."""
    expected = expected_version(if_match)
    done = await door.write(lambda db: service.put_clinic_plan(db, door.caller, door.act, expected, body), as_json)
    return done.response()


@router.get("", summary="What is asked of a patient", responses=problems("not_found", "merged"))
async def get_plan(response: Response, door: DoorOf, patient_id: UUID) -> PlanOut:
    """The patient's own plan, or the clinic's, or the default."""
    return tagged(response, await door.read(lambda db: service.plan(db, door.caller, patient_id)))


@router.put(
    "",
    summary="Set what is asked of a patient",
    response_model=PlanOut | WrittenOut,
    responses=problems("not_found", "merged", *_CHANGING),
)
async def put_plan(door: DoorOf, patient_id: UUID, body: PlanIn, if_match: IfMatch = None) -> Response:
    """It counts from tomorrow: what was due until today stays as it was. `items` null goes back to the clinic's."""
    expected = expected_version(if_match)
    # Without items the answer is the clinic's plan, which the caller did not send.
    render = as_json if body.items is not None else door.showing("plans:read", as_json, known_as=patient_id)
    done = await door.write(lambda db: service.put_plan(db, door.caller, door.act, patient_id, expected, body), render)
    return done.response()


@router.get("/due", summary="What is due of a patient", responses=problems("not_found", "merged"))
async def list_due(door: DoorOf, patient_id: UUID, first: First = None, last: Last = None) -> DueList:
    """Worked out from the sessions, the plan in force on each day, and the check-ins."""
    return await _due(door, patient_id, first, last)


@me_router.get("", summary="What is due of me", responses=problems())
async def list_my_due(door: DoorOf, first: First = None, last: Last = None) -> DueList:
    """For a patient's own device."""
    if door.caller.patient_id is None:
        raise NotFound
    return await _due(door, door.caller.patient_id, first, last)


async def _due(door: Door, patient_id: UUID, first: date | None, last: date | None) -> DueList:
    found = await door.read(lambda db: service.due_of(db, door.caller, patient_id, first, last, door.act.at))
    return found.value
