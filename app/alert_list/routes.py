"""The route of the list of alerts."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import WithJsonSchema

from app.access import store as access
from app.access.dependencies import AssignedTo, DoorOf, GuardedRoute, PageOf, assignee
from app.alert_list import service
from app.alert_list.models import AlertList
from app.alerts.mailing import reaches_nobody
from app.alerts.routes import MAIL
from app.alerts.store import Wanted
from app.api.problems import problems

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=GuardedRoute)

State = Literal["open", "acknowledged", "withdrawn", "historic"]
Kind = Literal["self_harm_item", "reliable_deterioration", "relief_lost", "severe_side_effect"]
Priority = Literal["urgent", "high", "routine"]


@router.get("", summary="List alerts", responses=problems("invalid_cursor"))
async def list_alerts(
    request: Request,
    door: DoorOf,
    page: PageOf,
    state: State | None = None,
    late: Annotated[Literal["true", "false"] | None, WithJsonSchema({"type": "boolean"})] = None,
    patient_id: UUID | None = None,
    kind: Kind | None = None,
    priority: Priority | None = None,
    assigned_to: AssignedTo = None,
) -> AlertList:
    """Urgent, high, routine; in each the timely ones first, then the newest."""
    clinic_id, whose = door.act.clinic_id, assignee(door.caller, assigned_to)
    wanted = Wanted(
        state=state,
        late=None if late is None else late == "true",
        patient_id=patient_id,
        kind=kind,
        priority=priority,
        patient_ids=None if whose is None else access.cared_for(clinic_id, whose),
    )
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, clinic_id, wanted, page.after, page.limit),
            service.place,
            lambda alert: (alert.patient_id,),
        )
    )
    nobody = reaches_nobody(door.caller.clinic.alert_recipients, MAIL.of(request))
    return AlertList(alerts_reach_nobody=nobody, items=found.value, next_cursor=page.next_cursor)
