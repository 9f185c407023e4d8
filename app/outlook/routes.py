"""HTTP of the outlook."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.access.dependencies import DoorOf, GuardedRoute
from app.api.fields import DayIn, MomentIn
from app.api.parameters import RuledInstrument
from app.api.problems import problems
from app.outlook import service
from app.outlook.models import OutlookOut
from app.outlook.service import Question

router = APIRouter(prefix="/v1/patients/{patient_id}/relief", tags=["outcomes"], route_class=GuardedRoute)


@router.get(
    "/outlook", summary="What happened to others who held this long?", responses=problems("not_found", "merged")
)
async def get_outlook(
    door: DoorOf,
    patient_id: UUID,
    instrument: RuledInstrument,
    as_of: Annotated[DayIn | None, Query(description="A day in the clinic's zone; today by default")] = None,
    known_at: Annotated[
        MomentIn | None, Query(description="Only what was recorded by then; everything by default")
    ] = None,
) -> OutlookOut:
    """While relief is holding: of this clinic's earlier spells of other patients that were in response about as long,
    how many held 14, 28 and 56 days more. Measured past, not a forecast."""
    question = Question(patient_id, instrument, as_of, known_at)
    return (await door.read(lambda db: service.outlook_of(db, door.caller, question, door.act.at))).value
