"""Routes of alerts."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import AssignedTo, DoorOf, GuardedRoute, KeyOf, PageOf, assignee
from app.alerts import service
from app.alerts.mailing import Mail, reaches_nobody
from app.alerts.models import AcknowledgementIn, AlertList, AlertOut
from app.api.parts import Part
from app.api.problems import problems
from app.api.rendering import created

# The mail server, where one is set.
MAIL: Part[Mail | None] = Part("mail")

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=GuardedRoute)


@router.get("", summary="List alerts", responses=problems("invalid_cursor"))
async def list_alerts(
    request: Request,
    door: DoorOf,
    page: PageOf,
    state: Literal["open", "acknowledged"] | None = None,
    late: Literal["true", "false"] | None = None,
    assigned_to: AssignedTo = None,
) -> AlertList:
    """Timely ones before late ones; newest first in each."""
    clinic_id, only = door.act.clinic_id, None if late is None else late == "true"
    whose = assignee(door.caller, assigned_to)
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, clinic_id, state, only, whose, page.after, page.limit),
            lambda alert: [alert.late, alert.raised_at.isoformat(), str(alert.id)],
            lambda alert: (alert.patient_id,),
        )
    )
    nobody = reaches_nobody(door.caller.clinic.alert_recipients, MAIL.of(request))
    return AlertList(alerts_reach_nobody=nobody, items=found.value, next_cursor=page.next_cursor)


@router.post(
    "/{alert_id}/acknowledgement",
    summary="Say what was done about an alert",
    status_code=201,
    response_model=AlertOut,
    responses=problems("not_found", "idempotency_key_reused"),
)
async def acknowledge_alert(door: DoorOf, alert_id: UUID, body: AcknowledgementIn, keyed: KeyOf) -> Response:
    """Several may be added and none is replaced; `could_not_reach` leaves the alert open."""
    return (await door.write(lambda db: service.acknowledge(db, door.act, alert_id, body), created, keyed)).response()
