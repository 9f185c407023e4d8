"""HTTP of the audit log."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.access.dependencies import DoorOf, GuardedRoute, PageOf
from app.api.problems import problems
from app.audit import service as audit
from app.audit.models import AuditEventList, AuditEventOut

router = APIRouter(tags=["audit"], route_class=GuardedRoute)


@router.get("/v1/audit-events", summary="Who read or wrote whose data", responses=problems("invalid_cursor"))
async def list_audit_events(
    door: DoorOf,
    page: PageOf,
    patient_id: Annotated[UUID | None, Query(description="Only what showed or changed this patient")] = None,
    actor: Annotated[UUID | None, Query(description="Only what this caller did")] = None,
) -> AuditEventList:
    """Newest first. One event per request, with the patients it showed."""
    found = await door.read(
        lambda db: page.cut(
            audit.events_of(db, door.act.clinic_id, patient_id, actor, page.after, page.limit),
            _position,
            lambda event: event.patient_ids,
        )
    )
    return AuditEventList(items=found.value, next_cursor=page.next_cursor)


def _position(event: AuditEventOut) -> list[object]:
    return [str(event.id)]
