"""HTTP of a clinic's callers: its people, its integrations, and the audit log of what all of them did."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access import clients, people
from app.access.dependencies import ActOf, CallerOf, DatabaseOf, GuardedRoute, Honoured, keep, showed
from app.access.faces import (
    ClientCreated,
    ClientIn,
    ClientList,
    ClientOut,
    ClientPatch,
    PasswordCodeOut,
    SecretRotation,
    UserCreated,
    UserIn,
    UserList,
    UserOut,
    UserPatch,
)
from app.api import paging
from app.api.idempotency import IdempotencyKey
from app.api.paging import Cursor, Limit
from app.api.problems import problems
from app.api.versions import IfMatch, expected_version, tag
from app.audit import service as audit
from app.audit.models import AuditEventList

users_router = APIRouter(prefix="/v1/users", tags=["access"], route_class=GuardedRoute)
clients_router = APIRouter(prefix="/v1/clients", tags=["access"], route_class=GuardedRoute)
audit_router = APIRouter(tags=["audit"], route_class=GuardedRoute)

_CHANGING = ("not_found", "precondition_failed", "precondition_required")


@users_router.post(
    "",
    operation_id="create_user",
    summary="Add a person",
    status_code=201,
    response_model=UserCreated,
    responses=problems("email_taken", "already_done", "request_in_progress"),
)
async def create_user(
    request: Request, caller: CallerOf, act: ActOf, body: UserIn, key: IdempotencyKey = None
) -> Response:
    """They set their own password with the code, which is shown once and valid for 72 hours."""
    return await keep(request, caller, act, key, lambda db: people.create(db, act, body))


@users_router.get(
    "",
    operation_id="list_users",
    summary="List people",
    response_model=UserList,
    responses=problems("invalid_cursor"),
)
async def list_users(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> UserList:
    """Newest first, disabled ones too."""
    after = paging.after(request, caller.name, cursor)
    found = await database.read(caller.clinic_id, lambda db: people.listed(db, caller.clinic_id, after, limit))
    items, next_cursor = paging.page(request, response, caller.name, found, limit, _position)
    await showed(request, act, [])
    return UserList(items=items, next_cursor=next_cursor)


@users_router.get(
    "/{user_id}",
    operation_id="get_user",
    summary="One person",
    response_model=UserOut,
    responses=problems("not_found"),
)
async def get_user(
    request: Request, response: Response, caller: CallerOf, act: ActOf, database: DatabaseOf, user_id: UUID
) -> UserOut:
    """With the ETag that a change must name."""
    user = await database.read(caller.clinic_id, lambda db: people.answer(people.one(db, caller.clinic_id, user_id)))
    await showed(request, act, [])
    tag(response, user.version)
    return user


@users_router.patch(
    "/{user_id}",
    operation_id="update_user",
    summary="Change a person's role, or disable them",
    response_model=UserOut,
    responses=problems(*_CHANGING, "last_administrator"),
)
async def update_user(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    user_id: UUID,
    body: UserPatch,
    if_match: IfMatch = None,
) -> UserOut:
    """A disabled person's sessions end: they are refused everywhere within 30 seconds."""
    expected = expected_version(if_match)
    user = await database.write(caller.clinic_id, lambda db: people.update(db, act, user_id, expected, body))
    _look_anew(request)
    tag(response, user.version)
    return user


@users_router.post(
    "/{user_id}/password-reset",
    operation_id="reset_password",
    summary="Reset a person's password",
    status_code=201,
    response_model=PasswordCodeOut,
    responses=problems("not_found", "already_done", "request_in_progress"),
)
async def reset_password(
    request: Request, caller: CallerOf, act: ActOf, user_id: UUID, key: IdempotencyKey = None
) -> Response:
    """The password and every session of theirs end now. The code to set a new one is shown once; hand it over in
    person or by a way you trust."""
    answer = await keep(request, caller, act, key, lambda db: people.reset_password(db, act, user_id))
    _look_anew(request)
    return answer


@users_router.delete(
    "/{user_id}/second-factor",
    operation_id="remove_second_factor",
    summary="Take a person's second factor off",
    status_code=204,
    responses=problems("not_found"),
)
async def remove_second_factor(
    request: Request, caller: CallerOf, act: ActOf, database: DatabaseOf, user_id: UUID
) -> Response:
    """For one who lost it and their recovery codes. Where the clinic requires one, they must set up another first."""
    await database.write(caller.clinic_id, lambda db: people.remove_second_factor(db, act, user_id))
    _look_anew(request)
    return Response(status_code=204)


@clients_router.post(
    "",
    operation_id="create_client",
    summary="Add an integration",
    status_code=201,
    response_model=ClientCreated,
    responses=problems("already_done", "request_in_progress"),
)
async def create_client(
    request: Request, caller: CallerOf, act: ActOf, body: ClientIn, key: IdempotencyKey = None
) -> Response:
    """Its secret is shown once."""
    return await keep(request, caller, act, key, lambda db: clients.create(db, act, body))


@clients_router.get(
    "",
    operation_id="list_clients",
    summary="List integrations",
    response_model=ClientList,
    responses=problems("invalid_cursor"),
)
async def list_clients(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ClientList:
    """Newest first, disabled ones too."""
    after = paging.after(request, caller.name, cursor)
    found = await database.read(caller.clinic_id, lambda db: clients.listed(db, caller.clinic_id, after, limit))
    items, next_cursor = paging.page(request, response, caller.name, found, limit, _position)
    await showed(request, act, [])
    return ClientList(items=items, next_cursor=next_cursor)


@clients_router.get(
    "/{client_id}",
    operation_id="get_client",
    summary="One integration",
    response_model=ClientOut,
    responses=problems("not_found"),
)
async def get_client(
    request: Request, response: Response, caller: CallerOf, act: ActOf, database: DatabaseOf, client_id: UUID
) -> ClientOut:
    """With the ETag that a change must name."""
    client = await database.read(
        caller.clinic_id, lambda db: clients.answer(clients.one(db, caller.clinic_id, client_id))
    )
    await showed(request, act, [])
    tag(response, client.version)
    return client


@clients_router.patch(
    "/{client_id}",
    operation_id="update_client",
    summary="Change an integration, or disable it",
    response_model=ClientOut,
    responses=problems(*_CHANGING),
)
async def update_client(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    client_id: UUID,
    body: ClientPatch,
    if_match: IfMatch = None,
) -> ClientOut:
    """Disabled, or without a scope it had, it is refused within 30 seconds."""
    expected = expected_version(if_match)
    client = await database.write(caller.clinic_id, lambda db: clients.update(db, act, client_id, expected, body))
    _look_anew(request)
    tag(response, client.version)
    return client


@clients_router.post(
    "/{client_id}/secrets",
    operation_id="rotate_client_secret",
    summary="Give an integration a new secret",
    status_code=201,
    response_model=ClientCreated,
    responses=problems("not_found", "already_done", "request_in_progress"),
)
async def rotate_client_secret(
    request: Request, caller: CallerOf, act: ActOf, client_id: UUID, body: SecretRotation, key: IdempotencyKey = None
) -> Response:
    """Shown once. The secret before goes on working for `overlap_hours`, so that nothing stops meanwhile."""
    return await keep(request, caller, act, key, lambda db: clients.rotate(db, act, client_id, body))


@audit_router.get(
    "/v1/audit-events",
    operation_id="list_audit_events",
    summary="Who read or wrote whose data",
    response_model=AuditEventList,
    responses=problems("invalid_cursor"),
)
async def list_audit_events(
    request: Request,
    response: Response,
    caller: CallerOf,
    act: ActOf,
    database: DatabaseOf,
    patient_id: Annotated[UUID | None, Query(description="Only what showed or changed this patient")] = None,
    actor: Annotated[UUID | None, Query(description="Only what this caller did")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> AuditEventList:
    """Newest first. One event per request, with the patients it showed."""
    after = paging.after(request, caller.name, cursor)
    found = await database.read(
        caller.clinic_id, lambda db: audit.events_of(db, caller.clinic_id, patient_id, actor, after, limit)
    )
    items, next_cursor = paging.page(
        request, response, caller.name, found, limit, lambda e: [e.at.isoformat(), str(e.id)]
    )
    await showed(request, act, [identifier for event in items for identifier in event.patient_ids])
    return AuditEventList(items=items, next_cursor=next_cursor)


def _look_anew(request: Request) -> None:
    honoured: Honoured = request.app.state.honoured
    honoured.forget()


def _position(item: UserOut | ClientOut) -> list[object]:
    return [item.created_at.isoformat(), str(item.id)]
