"""Routes of alerts."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf
from app.alerts import service
from app.alerts.mailing import Mail
from app.alerts.models import AcknowledgementIn, AlertOut
from app.api.parts import Part
from app.api.problems import problems
from app.api.rendering import WrittenOut, created

# The mail server, where one is set.
MAIL: Part[Mail | None] = Part("mail")

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=GuardedRoute)


@router.post(
    "/{alert_id}/acknowledgement",
    summary="Say what was done about an alert",
    status_code=201,
    response_model=AlertOut | WrittenOut,
    responses=problems("not_found"),
)
async def acknowledge_alert(door: DoorOf, alert_id: UUID, body: AcknowledgementIn, keyed: KeyOf) -> Response:
    """Several may be added and none is replaced; `could_not_reach` leaves the alert open."""
    render = door.showing("alerts:read", created)
    return (await door.write(lambda db: service.acknowledge(db, door.act, alert_id, body), render, keyed)).response()
