"""HTTP of the worklist."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import AssignedTo, DoorOf, GuardedRoute, PageOf, assignee
from app.alerts.mailing import reaches_nobody
from app.alerts.routes import MAIL
from app.api.fields import as_bytes
from app.api.problems import problems
from app.patients.models import CareStatus
from app.tracks.days import local_day
from app.tracks.output import Status
from app.worklist import service
from app.worklist.models import WorklistOut

Domain = Literal["mood", "anxiety", "pain", "ptsd", "ocd", "wellbeing"]

router = APIRouter(prefix="/v1/worklist", tags=["outcomes"], route_class=GuardedRoute)


@router.get("", summary="Who waits for a person?", response_model=WorklistOut, responses=problems("invalid_cursor"))
async def get_worklist(
    request: Request,
    response: Response,
    door: DoorOf,
    page: PageOf,
    domain: Annotated[Domain | None, Query(description="Only this domain")] = None,
    status: Annotated[list[Status] | None, Query(description="Only these statuses; may be repeated")] = None,
    assigned_to: AssignedTo = None,
    care_status: Annotated[CareStatus, Query(description="Whom to show")] = "active",
) -> Response:
    """A row per patient and domain, most pressing first: open timely alerts (urgent, high, routine), then lost, fading
    and what fell silent after either, down to holding and not started; the longest standing first in each. A row that
    moves while pages are read can come twice, or not at all: begin again for what is new."""
    caller, at = door.caller, page.after
    day, after = service.position_at(at) if at else (local_day(door.act.at, caller.time_zone), None)
    whose = assignee(caller, assigned_to)
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, caller, day, care_status, domain, status or (), whose, after, page.limit),
            lambda row: service.cursor_of(day, row[0]),
            lambda row: (row[1].patient.id,),
        )
    )
    nobody = reaches_nobody(caller.clinic.alert_recipients, MAIL.of(request))
    items = [item for _, item in found.value]
    shown = WorklistOut(as_of=day, alerts_reach_nobody=nobody, items=items, next_cursor=page.next_cursor)
    return Response(as_bytes(shown), headers=response.headers, media_type="application/json")
