"""Routes of a clinic's settings."""

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf, GuardedRoute
from app.alerts.routes import MAIL
from app.api.problems import problems
from app.api.rendering import as_json
from app.api.versions import IfMatch, expected_version, tagged
from app.clinic import service
from app.clinic.models import ClinicOut, ClinicPatch

router = APIRouter(prefix="/v1/clinic", tags=["clinic"], route_class=GuardedRoute)


@router.get("", summary="The clinic's settings", responses=problems())
async def get_clinic(request: Request, response: Response, door: DoorOf) -> ClinicOut:
    """With the ETag that a change must name, and whether alerts reach anybody."""
    mail = MAIL.of(request)
    return tagged(response, await door.read(lambda db: service.one(db, door.act.clinic_id, mail)))


@router.patch(
    "",
    summary="Change the clinic's settings",
    response_model=ClinicOut,
    responses=problems("precondition_failed", "precondition_required"),
)
async def update_clinic(request: Request, door: DoorOf, body: ClinicPatch, if_match: IfMatch = None) -> Response:
    """A merge patch. It counts within 30 seconds."""
    expected, mail = expected_version(if_match), MAIL.of(request)
    return (await door.write(lambda db: service.update(db, door.act, expected, body, mail), as_json)).response()
