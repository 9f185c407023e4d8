"""Routes of webhooks. A secret is shown once."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.access.dependencies import DoorOf, PageOf
from app.access.door import Door
from app.errors import Problem
from app.facts import Fact
from app.outbox.kinds import KIND_MEANINGS
from app.storage import Transaction
from app.web.forms import Form, body_of, form_of
from app.web.pages import PageRoute, page, see_other, shown_once, tried
from app.webhooks import service as webhooks
from app.webhooks.models import WebhookIn, WebhookOut
from app.webhooks.routes import ALLOWED_HOSTS

router = APIRouter(prefix="/admin", include_in_schema=False, route_class=PageRoute)


@router.get("/webhooks", name="list_webhooks")
async def webhooks_page(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Who is told what happens."""
    return await _webhooks(request, door, found)


@router.post("/webhooks", name="create_webhook")
async def create_webhook(request: Request, door: DoorOf, found: PageOf) -> Response:
    """Adds a webhook, and shows its secret once."""
    form, allowed = await form_of(request), ALLOWED_HOSTS.of(request)

    async def work() -> Response:
        body = body_of(WebhookIn, {"url": form.get("url", ""), "events": form.every("events")})
        made = (await door.do(lambda db: webhooks.create(db, door.caller, door.act, body, allowed))).value
        return shown_once(request, made.url, made.secret, "/admin/webhooks")

    return await tried(request, door, work, lambda problem: _webhooks(request, door, found, problem, form))


@router.get("/webhooks/{webhook_id}", name="list_deliveries")
async def deliveries_page(request: Request, door: DoorOf, webhook_id: UUID, found: PageOf) -> Response:
    """What was delivered to a webhook, or is to be, with each try."""

    def work(db: Transaction) -> Fact[Any]:
        rows = webhooks.deliveries(db, door.act.clinic_id, webhook_id, None, found.after, found.limit)
        cut = found.cut(
            rows,
            lambda one: [one[0].position, str(one[0].id)],
            lambda one: () if one[1].patient_id is None else (one[1].patient_id,),
        )
        hook = webhooks.one(db, door.act.clinic_id, webhook_id).value
        return Fact((hook, [shown for _, shown in cut.value]), cut.patient_ids)

    hook, deliveries = (await door.read(work)).value
    return page(request, "admin_webhook.html", hook=hook, deliveries=deliveries, next_cursor=found.next_cursor)


@router.post("/webhooks/{webhook_id}/test", name="test_webhook")
async def test_webhook(door: DoorOf, webhook_id: UUID) -> Response:
    """Sends a test event."""
    await door.do(lambda db: webhooks.test(db, door.act, webhook_id))
    return see_other(f"/admin/webhooks/{webhook_id}")


@router.post("/webhooks/{webhook_id}/removal", name="delete_webhook")
async def delete_webhook(door: DoorOf, webhook_id: UUID) -> Response:
    """Removes a webhook, with what waits for it."""
    await door.do(lambda db: webhooks.remove(db, door.act, webhook_id))
    return see_other("/admin/webhooks")


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", name="replay_delivery")
async def replay_delivery(door: DoorOf, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Delivers once more."""
    await door.do(lambda db: webhooks.replay(db, door.act, webhook_id, delivery_id))
    return see_other(f"/admin/webhooks/{webhook_id}")


async def _webhooks(
    request: Request, door: Door, found: PageOf, problem: Problem | None = None, form: Form | None = None
) -> Response:
    def work(db: Transaction) -> Fact[list[WebhookOut]]:
        rows = webhooks.listed(db, door.act.clinic_id, found.after, found.limit)
        return found.cut(rows, lambda hook: [hook.created_at.isoformat(), str(hook.id)])

    hooks = (await door.read(work)).value
    return page(
        request, "admin_webhooks.html", hooks=hooks, next_cursor=found.next_cursor, kinds=list(KIND_MEANINGS),
        problem=problem, form=form or Form([]),
    )  # fmt: skip
