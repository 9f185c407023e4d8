"""HTTP of patients' devices."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DOOR_PARTS, DoorOf, GuardedRoute, KeyOf, origin_of
from app.access.tokens import token_out
from app.api.parts import PUBLIC_URL
from app.api.problems import problems
from app.api.rendering import created, no_content
from app.devices import service
from app.devices.models import DeviceList, DeviceTokenOut, EnrolmentOut, RedeemIn
from app.devices.redeeming import redeemed

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["patients"], route_class=GuardedRoute)
open_router = APIRouter(prefix="/v1/enrolments", tags=["access"], route_class=GuardedRoute)


@router.post(
    "/enrolments",
    summary="Make a code for a patient's device",
    status_code=201,
    response_model=EnrolmentOut,
    responses=problems("not_found", "merged", "already_done", "erased"),
)
async def enrol_device(request: Request, door: DoorOf, patient_id: UUID, keyed: KeyOf) -> Response:
    """Single use, valid for 72 hours, shown once."""
    public_url = PUBLIC_URL.of(request)
    done = await door.write(lambda db: service.enrol(db, door.act, patient_id, public_url), created, keyed)
    return done.response()


@router.get("/devices", summary="A patient's devices", responses=problems("not_found", "merged"))
async def list_devices(door: DoorOf, patient_id: UUID) -> DeviceList:
    """Newest first, revoked ones too."""
    found = await door.read(lambda db: service.of_patient(db, door.act.clinic_id, patient_id))
    return DeviceList(items=found.value, next_cursor=None)


@router.delete(
    "/devices/{device_id}",
    summary="Revoke a patient's device",
    status_code=204,
    responses=problems("not_found", "merged"),
)
async def revoke_device(door: DoorOf, patient_id: UUID, device_id: UUID) -> Response:
    """It is refused everywhere within 30 seconds. What it recorded stays."""
    done = await door.write(lambda db: service.revoke(db, door.act, patient_id, device_id), no_content)
    return done.response()


@open_router.post("/redeem", summary="Make this device a patient's own", responses=problems("invalid_token"))
async def redeem_enrolment(request: Request, body: RedeemIn) -> DeviceTokenOut:
    """Single use. The refresh token lives 400 days from its last use."""
    granted = await redeemed(DOOR_PARTS.of(request), body, origin_of(request))
    assert granted.patient_id is not None  # a device's tokens name its patient
    return DeviceTokenOut(**token_out(granted).model_dump(exclude_unset=True), patient_id=granted.patient_id)
