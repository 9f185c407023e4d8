"""Routes of privacy."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf
from app.api.parts import DATABASE
from app.api.problems import problems
from app.api.rendering import as_json
from app.patients.models import PatientOut
from app.privacy import service
from app.privacy.models import ErasureIn, PatientRecord

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["privacy"], route_class=GuardedRoute)


@router.get("/record", summary="Everything that is stored of a patient", responses=problems("not_found", "merged"))
async def get_patient_record(door: DoorOf, patient_id: UUID) -> PatientRecord:
    """Every version of everything: to be handed to the patient who asks for it."""
    return (await door.read(lambda db: service.record_of(db, door.caller, door.act, patient_id))).value


@router.post(
    "/erasure", summary="Erase who a patient is", response_model=PatientOut, responses=problems("not_found", "merged")
)
async def erase_patient(request: Request, door: DoorOf, patient_id: UUID, body: ErasureIn, keyed: KeyOf) -> Response:
    """Cannot be undone. Identifiers and the key that opens them are destroyed, answers kept for repeats go, and the
    patient's devices are revoked. The clinical record stays under a pseudonym. Texts that people wrote (notes, reasons)
    stay as they are."""
    done = await door.write(lambda db: service.erase(db, door.act, patient_id, body), as_json, keyed)
    await DATABASE.of(request).overwrite_deleted()
    return done.response()
