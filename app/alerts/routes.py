"""HTTP of alerts."""

from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import ActOf, AssignedTo, CallerOf, DatabaseOf, GuardedRoute, assignee, keep, showed
from app.alerts import service
from app.alerts.mailing import reaches_nobody
from app.alerts.models import AcknowledgementIn, AlertList, AlertOut
from app.api import paging
from app.api.idempotency import IdempotencyKey, Reply
from app.api.paging import Cursor, Limit
from app.api.problems import problems

router = APIRouter(prefix="/v1/alerts", tags=["alerts"], route_class=GuardedRoute)


@router.get(
    "",
    operation_id="list_alerts",
    summary="List alerts",
    response_model=AlertList,
    responses=problems("invalid_cursor"),
)
async def list_alerts(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    state: Literal["open", "acknowledged"] | None = None,
    late: Literal["true", "false"] | None = None,
    assigned_to: AssignedTo = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AlertList:
    """Timely ones before late ones; newest first in each."""
    after = paging.after(request, caller.name, cursor)
    only = None if late is None else late == "true"
    found = await database.read(
        caller.clinic_id,
        lambda db: service.listed(db, caller.clinic_id, state, only, assignee(caller, assigned_to), after, limit),
    )
    items, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda a: [a.late, a.raised_at.isoformat(), str(a.id)]
    )
    await showed(request, act, [alert.patient_id for alert in items])
    nobody = reaches_nobody(caller.clinic.alert_recipients, request.app.state.mail)
    return AlertList(alerts_reach_nobody=nobody, items=items, next_cursor=next_cursor)


@router.post(
    "/{alert_id}/acknowledgement",
    operation_id="acknowledge_alert",
    summary="Say what was done about an alert",
    status_code=201,
    response_model=AlertOut,
    responses=problems("not_found", "idempotency_key_reused"),
)
async def acknowledge_alert(
    request: Request, caller: CallerOf, act: ActOf, alert_id: UUID, body: AcknowledgementIn, key: IdempotencyKey = None
) -> Response:
    """Several may be added and none is replaced; `could_not_reach` leaves the alert open."""
    return await keep(request, caller, act, key, lambda db: _acknowledged(service.acknowledge(db, act, alert_id, body)))


def _acknowledged(alert: AlertOut) -> Reply[AlertOut]:
    return Reply(alert, 201, subjects=(alert.patient_id,))
