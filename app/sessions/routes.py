"""HTTP of sessions."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, keep, showed
from app.api import paging
from app.api.idempotency import IdempotencyKey
from app.api.paging import Cursor, Limit
from app.api.problems import Responses, problems
from app.api.versions import IfMatch, expected_version, tag
from app.errors import InsufficientScope
from app.sessions import service
from app.sessions.models import SessionIn, SessionList, SessionOut, SessionPatch, SessionVersionList
from app.tracks.effects import SessionEffectOut
from app.tracks.events import local_day

REPEATED: Responses = {200: {"model": SessionOut, "description": "Created before: as it stands now"}}

router = APIRouter(prefix="/v1/patients/{patient_id}/sessions", tags=["sessions"], route_class=GuardedRoute)


@router.post(
    "",
    operation_id="record_session",
    summary="Record an infusion session",
    status_code=201,
    response_model=SessionOut,
    responses=REPEATED
    | problems(
        "not_found",
        "already_recorded",
        "session_overlaps",
        "dose_mismatch",
        "idempotency_key_reused",
        "request_in_progress",
    ),
)
async def record_session(
    request: Request, caller: CallerOf, act: ActOf, patient_id: UUID, body: SessionIn, key: IdempotencyKey = None
) -> Response:
    """The client may choose the id; the same id with the same content answers 200 with `Replayed: true`."""
    return await keep(request, caller, act, key, lambda db: service.record(db, caller, act, patient_id, body))


@router.get(
    "",
    operation_id="list_sessions",
    summary="List a patient's sessions",
    response_model=SessionList,
    response_model_exclude_unset=True,
    responses=problems("not_found", "invalid_cursor"),
)
async def list_sessions(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    include: Annotated[
        Literal["effect"] | None, Query(description="`effect`: what each did; needs the scope outcomes:read")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> SessionList:
    """Newest first. With `include=effect` also what each session did, and whether boosters come to hold for less."""
    after = paging.after(request, caller.name, cursor)
    effects_on = None
    if include is not None:
        if "outcomes:read" not in caller.scopes:
            raise InsufficientScope("include=effect needs the scope outcomes:read")
        effects_on = local_day(act.at, caller.time_zone)
    found, changes = await database.read(
        caller.clinic_id, lambda db: service.listed(db, caller, patient_id, after, limit, effects_on)
    )
    items, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda s: [s.started_at.isoformat(), str(s.id)]
    )
    await showed(request, act, [patient_id])
    if changes is None:
        return SessionList(items=items, next_cursor=next_cursor)
    return SessionList(items=items, next_cursor=next_cursor, change_per_booster=changes)


@router.get(
    "/{session_id}",
    operation_id="get_session",
    summary="One session",
    response_model=SessionOut,
    responses=problems("not_found"),
)
async def get_session(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    session_id: UUID,
) -> SessionOut:
    """With its ETag, which a change must name."""
    session = await database.read(caller.clinic_id, lambda db: service.one(db, caller, patient_id, session_id))
    await showed(request, act, [patient_id])
    tag(response, session.version)
    return session


@router.patch(
    "/{session_id}",
    operation_id="update_session",
    summary="Change a session",
    response_model=SessionOut,
    responses=problems(
        "not_found", "session_overlaps", "dose_mismatch", "precondition_failed", "precondition_required"
    ),
)
async def update_session(
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: UUID,
    session_id: UUID,
    body: SessionPatch,
    if_match: IfMatch = None,
) -> SessionOut:
    """Each change makes a version; a change of times or status needs a reason. Relief is folded again."""
    expected = expected_version(if_match)
    session = await database.write(
        caller.clinic_id, lambda db: service.update(db, caller, act, patient_id, session_id, expected, body)
    )
    tag(response, session.version)
    return session


@router.get(
    "/{session_id}/effect",
    operation_id="get_session_effect",
    summary="What one session did",
    tags=["outcomes"],
    response_model=SessionEffectOut,
    responses=problems("not_found"),
)
async def get_session_effect(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID, session_id: UUID
) -> SessionEffectOut:
    """By every instrument with a score before or after it: before and after, hours to response, days of relief and how
    it ended."""
    as_of = local_day(act.at, caller.time_zone)
    answer = await database.read(caller.clinic_id, lambda db: service.effect(db, caller, patient_id, session_id, as_of))
    await showed(request, act, [patient_id])
    return answer


@router.get(
    "/{session_id}/versions",
    operation_id="list_session_versions",
    summary="Every version of a session",
    response_model=SessionVersionList,
    responses=problems("not_found"),
)
async def list_session_versions(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, patient_id: UUID, session_id: UUID
) -> SessionVersionList:
    """Oldest first."""
    items = await database.read(
        caller.clinic_id, lambda db: service.versions(db, caller.clinic_id, patient_id, session_id)
    )
    await showed(request, act, [patient_id])
    return SessionVersionList(items=list(items), next_cursor=None)
