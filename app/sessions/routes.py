"""Routes of sessions."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.problems import Responses, problems
from app.api.rendering import Rendered, WrittenOut, as_json, created
from app.api.versions import IfMatch, expected_version, tagged
from app.effects.models import ChangePerBoosterOut, SessionEffectOut
from app.errors import InsufficientScope
from app.facts import Fact
from app.sessions import service
from app.sessions.models import SessionIn, SessionList, SessionListed, SessionOut, SessionPatch, SessionVersionList
from app.storage import Transaction
from app.tracks.days import local_day

REPEATED: Responses = {200: {"model": SessionOut | WrittenOut, "description": "Created before: as it stands now"}}

router = APIRouter(prefix="/v1/patients/{patient_id}/sessions", tags=["sessions"], route_class=GuardedRoute)


@router.post(
    "",
    summary="Record an infusion session",
    status_code=201,
    response_model=SessionOut | WrittenOut,
    responses=REPEATED
    | problems(
        "not_found",
        "merged",
        "already_recorded",
        "session_overlaps",
        "dose_mismatch",
    ),
)
async def record_session(door: DoorOf, patient_id: UUID, body: SessionIn, keyed: KeyOf) -> Response:
    """The client may choose the id; the same id with the same content answers 200 with `Replayed: true`."""
    render = door.showing("sessions:read", _created)
    done = await door.write(lambda db: service.record(db, door.caller, door.act, patient_id, body), render, keyed)
    return done.response()


@router.get(
    "",
    summary="List a patient's sessions",
    response_model_exclude_unset=True,
    responses=problems("not_found", "merged", "invalid_cursor"),
)
async def list_sessions(
    door: DoorOf,
    page: PageOf,
    patient_id: UUID,
    include: Annotated[
        Literal["effect"] | None, Query(description="`effect`: what each did; needs the scope outcomes:read")
    ] = None,
) -> SessionList:
    """Newest first. With `include=effect` also what each session did, and whether boosters come to hold for less."""
    caller, effects_on = door.caller, None
    if include is not None:
        if "outcomes:read" not in caller.scopes:
            raise InsufficientScope("include=effect needs the scope outcomes:read")
        effects_on = local_day(door.act.at, caller.time_zone)
    changes: list[ChangePerBoosterOut] | None = None

    def work(db: Transaction) -> Fact[list[SessionListed]]:
        nonlocal changes
        found, changes = service.listed(db, caller, patient_id, page.after, page.limit, effects_on)
        return page.cut(found, lambda s: [s.started_at.isoformat(), str(s.id)]).about(patient_id)

    items = (await door.read(work)).value
    if changes is None:
        return SessionList(items=items, next_cursor=page.next_cursor)
    return SessionList(items=items, next_cursor=page.next_cursor, change_per_booster=changes)


@router.get("/{session_id}", summary="One session", responses=problems("not_found", "merged"))
async def get_session(response: Response, door: DoorOf, patient_id: UUID, session_id: UUID) -> SessionOut:
    """With its ETag, which a change must name."""
    return tagged(response, await door.read(lambda db: service.one(db, door.caller, patient_id, session_id)))


@router.patch(
    "/{session_id}",
    summary="Change a session",
    response_model=SessionOut | WrittenOut,
    responses=problems(
        "not_found", "merged", "session_overlaps", "dose_mismatch", "precondition_failed", "precondition_required"
    ),
)
async def update_session(
    door: DoorOf, patient_id: UUID, session_id: UUID, body: SessionPatch, if_match: IfMatch = None
) -> Response:
    """Each change makes a version; a change of times or status needs a reason. Relief is folded again. Without
    `sessions:read` the answer is the id and version alone."""
    expected = expected_version(if_match)
    done = await door.write(
        lambda db: service.update(db, door.caller, door.act, patient_id, session_id, expected, body),
        door.showing("sessions:read", as_json),
    )
    return done.response()


@router.get("/{session_id}/effect", summary="What one session did", responses=problems("not_found", "merged"))
async def get_session_effect(door: DoorOf, patient_id: UUID, session_id: UUID) -> SessionEffectOut:
    """By every instrument with a score before or after it: before and after, hours to response, days of relief and how
    it ended."""
    as_of = local_day(door.act.at, door.caller.time_zone)
    return (await door.read(lambda db: service.effect(db, door.caller, patient_id, session_id, as_of))).value


@router.get("/{session_id}/versions", summary="Every version of a session", responses=problems("not_found", "merged"))
async def list_session_versions(door: DoorOf, patient_id: UUID, session_id: UUID) -> SessionVersionList:
    """Oldest first."""
    found = await door.read(lambda db: service.versions(db, door.act.clinic_id, patient_id, session_id))
    return SessionVersionList(items=found.value, next_cursor=None)


def _created(fact: Fact[SessionOut]) -> Rendered:
    return created(fact, f"/v1/patients/{fact.value.patient_id}/sessions/{fact.value.id}")
