"""Routes of the audit log."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from app.access.dependencies import DoorOf, PageOf
from app.audit import service as audit
from app.facts import Fact
from app.storage import Transaction
from app.web.forms import filled
from app.web.pages import PageRoute, page
from app.web.patient.gathering import colleagues

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=PageRoute)

AnyId = Annotated[UUID | None, BeforeValidator(filled), Query()]


@router.get("/audit", name="list_audit_events")
async def audit_page(
    request: Request, door: DoorOf, found: PageOf, patient_id: AnyId = None, actor: AnyId = None
) -> Response:
    """Who read or wrote whose data, the newest first."""
    clinic_id = door.act.clinic_id

    def work(db: Transaction) -> Fact[Any]:
        events = found.cut(
            audit.events_of(db, clinic_id, patient_id, actor, found.after, found.limit),
            lambda event: [str(event.id)],
            lambda event: event.patient_ids,
        )
        return Fact((events.value, colleagues(db, door.caller)), events.patient_ids)

    events, names = (await door.read(work)).value
    return page(
        request, "admin_audit.html", events=events, people=names, patient_id=patient_id, actor=actor,
        next_cursor=found.next_cursor,
    )  # fmt: skip
