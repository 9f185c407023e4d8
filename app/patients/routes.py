"""HTTP of patients."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access import devices
from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, keep, showed
from app.access.faces import DeviceList, EnrolmentOut
from app.api import paging
from app.api.idempotency import IdempotencyKey
from app.api.paging import Cursor, Limit
from app.api.problems import Responses, problems
from app.api.versions import IfMatch, expected_version, tag
from app.patients import service, store
from app.patients.models import (
    CareStatus,
    Indication,
    PatientIn,
    PatientList,
    PatientOut,
    PatientPatch,
    PatientSearch,
)

REPEATED: Responses = {200: {"model": PatientOut, "description": "Created before: as it stands now"}}

router = APIRouter(prefix="/v1/patients", tags=["patients"], route_class=GuardedRoute)


@router.post(
    "",
    operation_id="create_patient",
    summary="Add a patient",
    status_code=201,
    response_model=PatientOut,
    responses=REPEATED
    | problems("external_id_taken", "already_recorded", "idempotency_key_reused", "request_in_progress"),
)
async def create_patient(
    request: Request, caller: CallerOf, act: ActOf, body: PatientIn, key: IdempotencyKey = None
) -> Response:
    """The client may choose the id; the same id with the same content answers 200 with `Replayed: true`."""
    return await keep(request, caller, act, key, lambda db: service.create(db, caller, act, body))


@router.get(
    "",
    operation_id="list_patients",
    summary="List patients",
    response_model=PatientList,
    responses=problems("invalid_cursor"),
)
async def list_patients(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    indication: Annotated[Indication | None, Query()] = None,
    care_status: Annotated[CareStatus | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PatientList:
    """Newest first, by indication and care status where given."""
    after = paging.after(request, caller.name, cursor)
    found = await database.read(
        caller.clinic_id,
        lambda db: service.answers(
            db, caller.clinic_id, store.page(db, caller.clinic_id, indication, care_status, after, limit)
        ),
    )
    items, next_cursor = paging.page(request, response, caller.name, found, limit, _position)
    await showed(request, act, [p.id for p in items])
    return PatientList(items=items, next_cursor=next_cursor)


@router.post(
    "/search",
    operation_id="search_patients",
    summary="Find patients by external id or label",
    response_model=PatientList,
    responses=problems("invalid_cursor"),
)
async def search_patients(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    body: PatientSearch,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PatientList:
    """A POST, so that no identifier stands in a URL."""
    binding = f"{caller.name} {body.model_dump_json()}"
    after = paging.after(request, binding, cursor)
    found = await database.read(
        caller.clinic_id,
        lambda db: service.search(db, caller.clinic_id, body, after, limit),
    )
    items, next_cursor = paging.page(request, response, binding, found, limit, _position)
    await showed(request, act, [p.id for p in items])
    return PatientList(items=items, next_cursor=next_cursor)


@router.get(
    "/{patient_id}",
    operation_id="get_patient",
    summary="One patient",
    response_model=PatientOut,
    responses=problems("not_found"),
)
async def get_patient(
    request: Request, response: Response, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID
) -> PatientOut:
    """With its ETag, which a change must name."""
    patient = await database.read(
        caller.clinic_id, lambda db: service.answer(db, service.one(db, caller.clinic_id, patient_id))
    )
    await showed(request, act, [patient_id])
    tag(response, patient.version)
    return patient


@router.patch(
    "/{patient_id}",
    operation_id="update_patient",
    summary="Change a patient",
    response_model=PatientOut,
    responses=problems("not_found", "external_id_taken", "erased", "precondition_failed", "precondition_required"),
)
async def update_patient(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    body: PatientPatch,
    if_match: IfMatch = None,
) -> PatientOut:
    """A merge patch. Discharged and deceased patients' devices are revoked; their relief is unchanged."""
    expected = expected_version(if_match)
    patient = await database.write(
        caller.clinic_id, lambda db: service.update(db, caller, act, patient_id, expected, body)
    )
    if patient.care_status != "active":  # whose devices may have been revoked
        request.app.state.honoured.forget()
    tag(response, patient.version)
    return patient


@router.post(
    "/{patient_id}/enrolments",
    operation_id="enrol_device",
    summary="Make a code for a patient's device",
    status_code=201,
    response_model=EnrolmentOut,
    responses=problems("not_found", "already_done", "erased"),
)
async def enrol_device(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, key: IdempotencyKey = None
) -> Response:
    """Single use, valid for 72 hours, shown once."""
    public_url: str = request.app.state.public_url
    return await keep(request, caller, act, key, lambda db: service.enrol(db, act, patient_id, public_url))


@router.get(
    "/{patient_id}/devices",
    operation_id="list_devices",
    summary="A patient's devices",
    response_model=DeviceList,
    responses=problems("not_found"),
)
async def list_devices(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID
) -> DeviceList:
    """Newest first, revoked ones too."""
    items = await database.read(caller.clinic_id, lambda db: service.devices_of(db, caller.clinic_id, patient_id))
    await showed(request, act, [patient_id])
    return DeviceList(items=items, next_cursor=None)


@router.delete(
    "/{patient_id}/devices/{device_id}",
    operation_id="revoke_device",
    summary="Revoke a patient's device",
    status_code=204,
    responses=problems("not_found"),
)
async def revoke_device(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID, device_id: UUID
) -> Response:
    """It is refused everywhere within 30 seconds. What it recorded stays."""
    await database.write(caller.clinic_id, lambda db: devices.revoke(db, act, patient_id, device_id))
    request.app.state.honoured.forget()
    return Response(status_code=204)


def _position(patient: PatientOut) -> list[str]:
    return [patient.created_at.isoformat(), str(patient.id)]
