"""HTTP of a clinic's settings."""

from fastapi import APIRouter, Request, Response

from app.access import store
from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, Honoured
from app.alerts.mailing import Mail
from app.api.problems import problems
from app.api.versions import IfMatch, expected_version, tag
from app.clinic import service
from app.clinic.models import ClinicOut, ClinicPatch

router = APIRouter(prefix="/v1/clinic", tags=["clinic"], route_class=GuardedRoute)


@router.get(
    "",
    operation_id="get_clinic",
    summary="The clinic's settings",
    response_model=ClinicOut,
    responses=problems(),
)
async def get_clinic(request: Request, response: Response, caller: CallerOf, database: DatabaseOf) -> ClinicOut:
    """With the ETag that a change must name, and whether alerts reach anybody."""
    mail: Mail | None = request.app.state.mail
    clinic = await database.read(caller.clinic_id, lambda db: store.clinic(db, caller.clinic_id))
    answer = service.answer(clinic or caller.clinic, mail)
    tag(response, answer.version)
    return answer


@router.patch(
    "",
    operation_id="update_clinic",
    summary="Change the clinic's settings",
    response_model=ClinicOut,
    responses=problems("precondition_failed", "precondition_required"),
)
async def update_clinic(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    body: ClinicPatch,
    if_match: IfMatch = None,
) -> ClinicOut:
    """A merge patch. It counts within 30 seconds."""
    expected, mail = expected_version(if_match), request.app.state.mail
    answer = await database.write(caller.clinic_id, lambda db: service.update(db, act, expected, body, mail))
    honoured: Honoured = request.app.state.honoured
    honoured.forget()
    tag(response, answer.version)
    return answer
