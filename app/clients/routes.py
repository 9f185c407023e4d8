"""HTTP of integrations."""

from uuid import UUID

from fastapi import APIRouter, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.problems import problems
from app.api.rendering import Rendered, as_json, created
from app.api.versions import IfMatch, expected_version, tagged
from app.clients import service
from app.clients.models import ClientCreated, ClientIn, ClientList, ClientOut, ClientPatch, SecretRotation
from app.facts import Fact

router = APIRouter(prefix="/v1/clients", tags=["access"], route_class=GuardedRoute)


@router.post(
    "",
    summary="Add an integration",
    status_code=201,
    response_model=ClientCreated,
    responses=problems("already_done"),
)
async def create_client(door: DoorOf, body: ClientIn, keyed: KeyOf) -> Response:
    """Its secret is shown once."""
    return (await door.write(lambda db: service.create(db, door.act, body), _created, keyed)).response()


@router.get("", summary="List integrations", responses=problems("invalid_cursor"))
async def list_clients(door: DoorOf, page: PageOf) -> ClientList:
    """Newest first, disabled ones too."""
    found = await door.read(
        lambda db: page.cut(service.listed(db, door.act.clinic_id, page.after, page.limit), _position)
    )
    return ClientList(items=found.value, next_cursor=page.next_cursor)


@router.get("/{client_id}", summary="One integration", responses=problems("not_found"))
async def get_client(response: Response, door: DoorOf, client_id: UUID) -> ClientOut:
    """With the ETag that a change must name."""
    return tagged(response, await door.read(lambda db: service.one(db, door.act.clinic_id, client_id)))


@router.patch(
    "/{client_id}",
    summary="Change an integration, or disable it",
    response_model=ClientOut,
    responses=problems("not_found", "precondition_failed", "precondition_required"),
)
async def update_client(door: DoorOf, client_id: UUID, body: ClientPatch, if_match: IfMatch = None) -> Response:
    """Disabled, or without a scope it had, it is refused within 30 seconds."""
    expected = expected_version(if_match)
    return (await door.write(lambda db: service.update(db, door.act, client_id, expected, body), as_json)).response()


@router.post(
    "/{client_id}/secrets",
    summary="Give an integration a new secret",
    status_code=201,
    response_model=ClientCreated,
    responses=problems("not_found", "already_done"),
)
async def rotate_client_secret(door: DoorOf, client_id: UUID, body: SecretRotation, keyed: KeyOf) -> Response:
    """Shown once. The secret before goes on working for `overlap_hours`, so that nothing stops meanwhile."""
    return (await door.write(lambda db: service.rotate(db, door.act, client_id, body), created, keyed)).response()


def _position(client: ClientOut) -> list[object]:
    return [client.created_at.isoformat(), str(client.id)]


def _created(fact: Fact[ClientCreated]) -> Rendered:
    return created(fact, f"/v1/clients/{fact.value.id}")
