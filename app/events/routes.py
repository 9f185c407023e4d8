"""Routes of events."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.problems import Responses, problems
from app.api.rendering import Rendered, WrittenOut, as_json, created
from app.api.versions import IfMatch, expected_version, tagged
from app.events import service
from app.events.models import EventAmendmentIn, EventIn, EventList, EventOut, EventVersionList
from app.facts import Fact

REPEATED: Responses = {200: {"model": EventOut | WrittenOut, "description": "Recorded before: as it stands now"}}

UNCHANGED: Responses = {200: {"model": EventOut | WrittenOut, "description": "Nothing changed: as it stands now"}}

router = APIRouter(prefix="/v1/patients/{patient_id}/events", tags=["events"], route_class=GuardedRoute)


@router.post(
    "",
    summary="Record what else happened",
    status_code=201,
    response_model=EventOut | WrittenOut,
    responses=REPEATED | problems("not_found", "merged", "already_recorded"),
)
async def record_event(door: DoorOf, patient_id: UUID, body: EventIn, keyed: KeyOf) -> Response:
    """A change of medication, another treatment, an admission, a missed session: what a verdict beside it may owe to
    it. No verdict rests on it. The client may choose the id; the same id with the same content answers 200."""
    render = door.showing("sessions:read", _created)
    done = await door.write(lambda db: service.record(db, door.caller, door.act, patient_id, body), render, keyed)
    return done.response()


@router.get("", summary="List what else happened", responses=problems("not_found", "merged", "invalid_cursor"))
async def list_events(door: DoorOf, page: PageOf, patient_id: UUID) -> EventList:
    """The latest day first, voided ones too."""
    found = await door.read(
        lambda db: page.cut(
            service.listed(db, door.caller, patient_id, page.after, page.limit),
            lambda event: [event.on.isoformat(), str(event.id)],
        ).about(patient_id)
    )
    return EventList(items=found.value, next_cursor=page.next_cursor)


@router.get("/{event_id}", summary="One event", responses=problems("not_found", "merged"))
async def get_event(response: Response, door: DoorOf, patient_id: UUID, event_id: UUID) -> EventOut:
    """With its ETag, which an amendment must name."""
    return tagged(response, await door.read(lambda db: service.one(db, door.caller, patient_id, event_id)))


@router.get("/{event_id}/versions", summary="Every version of an event", responses=problems("not_found", "merged"))
async def list_event_versions(door: DoorOf, patient_id: UUID, event_id: UUID) -> EventVersionList:
    """Oldest first."""
    found = await door.read(lambda db: service.versions(db, door.caller, patient_id, event_id))
    return EventVersionList(items=found.value, next_cursor=None)


@router.post(
    "/{event_id}/amendments",
    summary="Amend an event, or take it back",
    status_code=201,
    response_model=EventOut | WrittenOut,
    responses=UNCHANGED
    | problems(
        "not_found",
        "merged",
        "precondition_failed",
        "precondition_required",
    ),
)
async def amend_event(
    door: DoorOf, patient_id: UUID, event_id: UUID, body: EventAmendmentIn, keyed: KeyOf, if_match: IfMatch = None
) -> Response:
    """Each amendment makes a version; nothing is overwritten."""
    expected = expected_version(if_match)
    done = await door.write(
        lambda db: service.amend(db, door.caller, door.act, patient_id, event_id, expected, body),
        door.showing("sessions:read", _amended),
        keyed,
    )
    return done.response()


def _created(fact: Fact[EventOut]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.patient_id}/events/{fact.value.id}")


def _amended(fact: Fact[EventOut]) -> Rendered:
    return as_json(fact, 201 if fact.is_new else 200)
