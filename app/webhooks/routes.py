"""HTTP of webhooks."""

from collections.abc import Collection
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from app.access.dependencies import DoorOf, GuardedRoute, KeyOf, PageOf
from app.api.parts import Part
from app.api.problems import problems
from app.api.rendering import Rendered, as_json, created, no_content
from app.api.versions import IfMatch, expected_version, tagged
from app.facts import Fact
from app.webhooks import service
from app.webhooks.models import (
    DeliveryList,
    DeliveryOut,
    WebhookCreated,
    WebhookIn,
    WebhookList,
    WebhookOut,
    WebhookPatch,
    WebhookRotation,
)

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], route_class=GuardedRoute)

# The hosts to which the operator allows webhooks by name.
ALLOWED_HOSTS: Part[Collection[str]] = Part("webhook_hosts")
State = Literal["waiting", "delivered", "failed", "not_allowed"]


@router.post(
    "",
    summary="Add a webhook",
    status_code=201,
    response_model=WebhookCreated,
    responses=problems("already_done", "too_many_webhooks"),
)
async def create_webhook(request: Request, door: DoorOf, body: WebhookIn, keyed: KeyOf) -> Response:
    """By Standard Webhooks 1.0. It is told of what happens from now on: ids and kinds, never values, of each kind only
    while its owner may read the resource. The secret is shown once."""
    allowed = ALLOWED_HOSTS.of(request)
    done = await door.write(lambda db: service.create(db, door.caller, door.act, body, allowed), _created, keyed)
    return done.response()


@router.get("", summary="List webhooks", responses=problems("invalid_cursor"))
async def list_webhooks(door: DoorOf, page: PageOf) -> WebhookList:
    """Newest first, those that are off too."""
    found = await door.read(
        lambda db: page.cut(service.listed(db, door.act.clinic_id, page.after, page.limit), _position)
    )
    return WebhookList(items=found.value, next_cursor=page.next_cursor)


@router.get("/{webhook_id}", summary="One webhook", responses=problems("not_found"))
async def get_webhook(response: Response, door: DoorOf, webhook_id: UUID) -> WebhookOut:
    """With how much waits for it, and whether it is off."""
    return tagged(response, await door.read(lambda db: service.one(db, door.act.clinic_id, webhook_id)))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook, or switch it off or on",
    response_model=WebhookOut,
    responses=problems("not_found", "precondition_failed", "precondition_required"),
)
async def update_webhook(
    request: Request, door: DoorOf, webhook_id: UUID, body: WebhookPatch, if_match: IfMatch = None
) -> Response:
    """It is the caller's from then on. Switched on again, it is told what it has missed."""
    expected, allowed = expected_version(if_match), ALLOWED_HOSTS.of(request)
    done = await door.write(
        lambda db: service.update(db, door.caller, door.act, webhook_id, expected, body, allowed), as_json
    )
    return done.response()


@router.delete("/{webhook_id}", summary="Remove a webhook", status_code=204, responses=problems("not_found"))
async def delete_webhook(door: DoorOf, webhook_id: UUID) -> Response:
    """With what waits for it."""
    return (await door.write(lambda db: service.remove(db, door.act, webhook_id), no_content)).response()


@router.post(
    "/{webhook_id}/secrets",
    summary="Give a webhook a new secret",
    status_code=201,
    response_model=WebhookCreated,
    responses=problems("not_found", "already_done"),
)
async def rotate_webhook_secret(door: DoorOf, webhook_id: UUID, body: WebhookRotation, keyed: KeyOf) -> Response:
    """Shown once. For `overlap_hours` deliveries are signed with the one before as well."""
    return (await door.write(lambda db: service.rotate(db, door.act, webhook_id, body), created, keyed)).response()


@router.post(
    "/{webhook_id}/test",
    summary="Send a test event",
    status_code=201,
    response_model=DeliveryOut,
    responses=problems("not_found"),
)
async def test_webhook(door: DoorOf, webhook_id: UUID, keyed: KeyOf) -> Response:
    """An event of the type `test`, about nobody. What became of it stands in the deliveries a moment later."""
    return (await door.write(lambda db: service.test(db, door.act, webhook_id), created, keyed)).response()


@router.get(
    "/{webhook_id}/deliveries",
    summary="What was delivered, or is to be",
    responses=problems("not_found", "invalid_cursor"),
)
async def list_deliveries(
    door: DoorOf,
    page: PageOf,
    webhook_id: UUID,
    state: Annotated[State | None, Query(description="Only deliveries in this state")] = None,
) -> DeliveryList:
    """Newest first, each with its tries. Kept for 90 days."""
    found = await door.read(
        lambda db: page.cut(
            service.deliveries(db, door.act.clinic_id, webhook_id, state, page.after, page.limit),
            lambda one: [one[0].position, str(one[0].id)],
            lambda one: () if one[1].patient_id is None else (one[1].patient_id,),
        )
    )
    return DeliveryList(items=[shown for _, shown in found.value], next_cursor=page.next_cursor)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    summary="Deliver again",
    status_code=201,
    response_model=DeliveryOut,
    responses=problems("not_found"),
)
async def replay_delivery(door: DoorOf, webhook_id: UUID, delivery_id: UUID, keyed: KeyOf) -> Response:
    """Under the same `webhook-id`, so that a receiver knows it."""
    done = await door.write(lambda db: service.replay(db, door.act, webhook_id, delivery_id), _replayed, keyed)
    return done.response()


def _replayed(fact: Fact[DeliveryOut]) -> Rendered:
    return as_json(fact, 201)


def _position(webhook: WebhookOut) -> list[object]:
    return [webhook.created_at.isoformat(), str(webhook.id)]


def _created(fact: Fact[WebhookCreated]) -> Rendered:
    return created(fact, f"/v1/webhooks/{fact.value.id}")
