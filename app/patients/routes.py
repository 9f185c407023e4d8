"""Routes of patients."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.problems import Responses, problems
from app.api.rendering import Rendered, WrittenOut, as_json, created
from app.api.versions import IfMatch, expected_version, tagged
from app.facts import Fact
from app.patients import history, service
from app.patients.models import (
    CareStatus,
    Indication,
    PatientIn,
    PatientList,
    PatientOut,
    PatientPatch,
    PatientSearch,
    PatientVersionList,
)

REPEATED: Responses = {200: {"model": PatientOut | WrittenOut, "description": "Created before: as it stands now"}}

router = APIRouter(prefix="/v1/patients", tags=["patients"], route_class=GuardedRoute)


@router.post(
    "",
    summary="Add a patient",
    status_code=201,
    response_model=PatientOut | WrittenOut,
    responses=REPEATED | problems("external_id_taken", "already_recorded", "merged"),
)
async def create_patient(door: DoorOf, body: PatientIn, keyed: KeyOf) -> Response:
    """The client may choose the id; the same id with the same content answers 200 with `Replayed: true`."""
    render = door.showing("patients:read", _created, own=True)
    return (await door.write(lambda db: service.create(db, door.caller, door.act, body), render, keyed)).response()


@router.get("", summary="List patients", responses=problems("invalid_cursor"))
async def list_patients(
    door: DoorOf,
    page: PageOf,
    indication: Annotated[Indication | None, Query()] = None,
    care_status: Annotated[CareStatus | None, Query()] = None,
) -> PatientList:
    """Newest first, by indication and care status where given."""
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, door.act.clinic_id, indication, care_status, page.after, page.limit), _position, _patient
        )
    )
    return PatientList(items=found.value, next_cursor=page.next_cursor)


@router.post("/search", summary="Find patients by external id or label", responses=problems("invalid_cursor"))
async def search_patients(door: DoorOf, page: PageOf, body: PatientSearch) -> PatientList:
    """A POST, so that no identifier stands in a URL."""
    bound = page.bound_to(body.model_dump_json())
    found = await door.read(
        lambda db: bound.cut(
            service.search(db, door.act.clinic_id, body, bound.after, bound.limit), _position, _patient
        )
    )
    return PatientList(items=found.value, next_cursor=bound.next_cursor)


@router.get("/{patient_id}", summary="One patient", responses=problems("not_found", "merged"))
async def get_patient(response: Response, door: DoorOf, patient_id: UUID) -> PatientOut:
    """With its ETag, which a change must name."""
    return tagged(response, await door.read(lambda db: service.one(db, door.act.clinic_id, patient_id)))


@router.patch(
    "/{patient_id}",
    summary="Change a patient",
    response_model=PatientOut | WrittenOut,
    responses=problems(
        "not_found", "merged", "external_id_taken", "erased", "precondition_failed", "precondition_required"
    ),
)
async def update_patient(door: DoorOf, patient_id: UUID, body: PatientPatch, if_match: IfMatch = None) -> Response:
    """A merge patch; each change makes a version. Without `patients:read` the answer is the id and version alone.
    Discharged and deceased patients' devices are revoked; their relief is unchanged."""
    expected = expected_version(if_match)
    render = door.showing("patients:read", as_json)
    done = await door.write(lambda db: service.update(db, door.caller, door.act, patient_id, expected, body), render)
    return done.response()


@router.get("/{patient_id}/versions", summary="Every version of a patient", responses=problems("not_found", "merged"))
async def list_patient_versions(door: DoorOf, patient_id: UUID) -> PatientVersionList:
    """Oldest first: who changed what, when and why."""
    found = await door.read(lambda db: history.versions(db, service.find(db, door.act.clinic_id, patient_id)))
    return PatientVersionList(items=found.value, next_cursor=None)


def _position(patient: PatientOut) -> list[str]:
    return [patient.created_at.isoformat(), str(patient.id)]


def _patient(patient: PatientOut) -> tuple[UUID]:
    return (patient.id,)


def _created(fact: Fact[PatientOut]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.id}")
