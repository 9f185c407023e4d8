"""HTTP of patients' devices."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access import attempts, store, tokens
from app.access.dependencies import DOOR_PARTS, DoorOf, GuardedRoute, KeyOf, origin_of
from app.access.door import prove
from app.access.tokens import token_out
from app.api.parts import DATABASE, PUBLIC_URL
from app.api.problems import problems
from app.api.rendering import created, no_content
from app.devices import service
from app.devices.models import DeviceList, DeviceTokenOut, EnrolmentOut, RedeemIn
from app.errors import InvalidToken
from app.storage import NO_CLINIC

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
    database, origin = DATABASE.of(request), origin_of(request)
    await attempts.count(database, "", origin.address)
    clinic_id = await database.read(NO_CLINIC, lambda db: store.enrolment_clinic(db, tokens.digest(body.code)))
    if clinic_id is None:
        raise InvalidToken("the code is unknown, used or expired")
    parts = DOOR_PARTS.of(request)
    granted = await prove(parts, clinic_id, lambda db: service.redeem(db, body.code, body.device_name, origin))
    await attempts.forgive(database, "", origin.address)
    assert granted.patient_id is not None  # a device's tokens name its patient
    return DeviceTokenOut(**token_out(granted).model_dump(exclude_unset=True), patient_id=granted.patient_id)
