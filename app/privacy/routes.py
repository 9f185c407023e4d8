"""HTTP of privacy."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, Honoured, keep, showed
from app.api.idempotency import IdempotencyKey
from app.api.problems import problems
from app.patients.models import PatientOut
from app.privacy import service
from app.privacy.models import ErasureIn, PatientRecord

router = APIRouter(prefix="/v1/patients/{patient_id}", tags=["privacy"], route_class=GuardedRoute)


@router.get(
    "/record",
    operation_id="get_patient_record",
    summary="Everything that is stored of a patient",
    response_model=PatientRecord,
    responses=problems("not_found"),
)
async def get_patient_record(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID
) -> PatientRecord:
    """Every version of everything: to be handed to the patient who asks for it."""
    record = await database.read(caller.clinic_id, lambda db: service.record_of(db, caller, act, patient_id))
    await showed(request, act, [patient_id])
    return record


@router.post(
    "/erasure",
    operation_id="erase_patient",
    summary="Erase who a patient is",
    response_model=PatientOut,
    responses=problems("not_found"),
)
async def erase_patient(
    request: Request,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    body: ErasureIn,
    key: IdempotencyKey = None,
) -> Response:
    """Cannot be undone. Identifiers and the key that opens them are destroyed, answers kept for repeats go, and the
    patient's devices are revoked. The clinical record stays under a pseudonym. Texts that people wrote (notes, reasons)
    stay as they are."""
    answer = await keep(request, caller, act, key, lambda db: service.erase(db, act, patient_id, body))
    await database.overwrite_deleted()
    honoured: Honoured = request.app.state.honoured
    honoured.forget()
    return answer
