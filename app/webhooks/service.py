"""Webhooks as callers see them: adding, changing, testing and removing them, and what was delivered."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import MISSING

from app.access.service import Caller
from app.audit.service import Act
from app.errors import Fault, Invalid, NotFound, TooManyWebhooks
from app.facts import Fact, require_version
from app.outbox import service as outbox
from app.outbox import store as feeds
from app.outbox.kinds import READ_SCOPES
from app.outgoing.addresses import why_not
from app.storage import Transaction, new_id
from app.webhooks import secrets, store
from app.webhooks.models import (
    TEST,
    Delivery,
    DeliveryOut,
    Try,
    TryOut,
    Webhook,
    WebhookCreated,
    WebhookIn,
    WebhookOut,
    WebhookPatch,
    WebhookRotation,
)

_MOST = 100


def create(
    db: Transaction, caller: Caller, act: Act, body: WebhookIn, allowed: Collection[str]
) -> Fact[WebhookCreated]:
    """Adds a webhook of the caller's. It is told of what happens from now on. Raises Invalid, TooManyWebhooks."""
    _check(caller, body.url, body.events, allowed)
    if store.count(db, act.clinic_id) >= _MOST:
        raise TooManyWebhooks
    while feeds.has_waiting(db, act.clinic_id):  # what happened before now is not for this webhook
        outbox.place(db, act.clinic_id)
    feed = feeds.locked_feed(db, act.clinic_id)
    webhook = Webhook(
        clinic_id=act.clinic_id,
        id=new_id(),
        url=body.url,
        events=body.events,
        secret="",
        previous_secret=None,
        previous_until=None,
        key_id="",
        owner_kind=caller.kind,
        owner_id=caller.id,
        position=feed.last,
        version=1,
        created_at=act.at,
        disabled_at=None,
        disabled_because=None,
    )
    secret = secrets.give(db, webhook, None)
    db.flush()
    return _with_secret(webhook, 0, secret)


def _check(caller: Caller, url: str, events: Sequence[str], allowed: Collection[str]) -> None:
    """Raises Invalid for an address that is not allowed, and for events of which the caller may not read."""
    why = why_not(url, allowed)
    if why is not None:
        raise Invalid(errors=[Fault("pointer", "/url", why)])
    missing = [n for n, event in enumerate(events) if READ_SCOPES[event] not in caller.scopes]
    if missing:
        raise Invalid(
            errors=[Fault("pointer", f"/events/{n}", f"needs the scope {READ_SCOPES[events[n]]}") for n in missing]
        )


def update(
    db: Transaction,
    caller: Caller,
    act: Act,
    webhook_id: UUID,
    expected: int | None,
    patch: WebhookPatch,
    allowed: Collection[str],
) -> Fact[WebhookOut]:
    """Changes a webhook, which is the caller's from then on. Raises NotFound, PreconditionFailed, Invalid."""
    webhook = _locked(db, act.clinic_id, webhook_id)
    require_version(expected, webhook.version)
    url = webhook.url if patch.url is MISSING else patch.url
    events = webhook.events if patch.events is MISSING else patch.events
    _check(caller, url, events, allowed)
    webhook.url, webhook.events = url, events
    webhook.owner_kind, webhook.owner_id = caller.kind, caller.id
    if patch.disabled is True and webhook.disabled_at is None:
        webhook.disabled_at, webhook.disabled_because = act.at, "asked_for"
    if patch.disabled is False and webhook.disabled_at is not None:
        webhook.disabled_at, webhook.disabled_because = None, None
        store.wait_again(db, act.clinic_id, webhook_id, act.at)
    webhook.version += 1
    db.add(webhook)
    db.flush()
    return one(db, act.clinic_id, webhook_id)


def rotate(db: Transaction, act: Act, webhook_id: UUID, body: WebhookRotation) -> Fact[WebhookCreated]:
    """Gives a webhook a new secret. Raises NotFound."""
    webhook = _locked(db, act.clinic_id, webhook_id)
    until = act.at + timedelta(hours=body.overlap_hours) if body.overlap_hours else None
    secret = secrets.give(db, webhook, until)
    webhook.version += 1
    db.flush()
    return _with_secret(webhook, store.waiting(db, act.clinic_id, [webhook_id]).get(webhook_id, 0), secret)


def remove(db: Transaction, act: Act, webhook_id: UUID) -> Fact[None]:
    """Removes a webhook and what waits for it. Raises NotFound."""
    _locked(db, act.clinic_id, webhook_id)
    store.delete_webhook(db, act.clinic_id, webhook_id)
    return Fact(None)


def one(db: Transaction, clinic_id: UUID, webhook_id: UUID) -> Fact[WebhookOut]:
    """A webhook of this clinic. Raises NotFound."""
    webhook = _found(db, clinic_id, webhook_id)
    return Fact(_out(webhook, store.waiting(db, clinic_id, [webhook_id]).get(webhook_id, 0)), version=webhook.version)


def listed(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> list[WebhookOut]:
    """A page, newest first; one more than `limit` where there is more."""
    found = store.page(db, clinic_id, after, limit)
    waiting = store.waiting(db, clinic_id, [webhook.id for webhook in found])
    return [_out(webhook, waiting.get(webhook.id, 0)) for webhook in found]


def test(db: Transaction, act: Act, webhook_id: UUID) -> Fact[DeliveryOut]:
    """Sends a test event to a webhook, ahead of what waits. Raises NotFound, Invalid where it is off."""
    webhook = _locked(db, act.clinic_id, webhook_id)
    if webhook.disabled_at is not None:
        raise Invalid("the webhook is switched off")
    delivery = Delivery(
        clinic_id=act.clinic_id,
        id=new_id(),
        webhook_id=webhook_id,
        change_id=new_id(),
        kind=TEST,
        patient_id=None,
        about_id=None,
        happened_at=act.at,
        position=webhook.position,
        state="waiting",
        tries=0,
        next_at=act.at,
        created_at=act.at,
    )
    db.add(delivery)
    db.flush()
    return Fact(_delivery_out(delivery, []), is_new=True)


def replay(db: Transaction, act: Act, webhook_id: UUID, delivery_id: UUID) -> Fact[DeliveryOut]:
    """Sends a delivery again, under the same `webhook-id`. Raises NotFound."""
    _found(db, act.clinic_id, webhook_id)
    delivery = store.delivery(db, act.clinic_id, webhook_id, delivery_id, lock=True)
    if delivery is None:
        raise NotFound
    delivery.state, delivery.tries, delivery.next_at = "waiting", 0, act.at
    db.add(delivery)
    db.flush()
    return Fact(
        _delivery_out(delivery, store.tries(db, act.clinic_id, [delivery_id]).get(delivery_id, [])), _whose([delivery])
    )


def deliveries(
    db: Transaction, clinic_id: UUID, webhook_id: UUID, state: str | None, after: Sequence[str] | None, limit: int
) -> list[tuple[Delivery, DeliveryOut]]:
    """A page of what was delivered or is to be, newest first; one more than `limit` where there is more."""
    _found(db, clinic_id, webhook_id)
    found = store.deliveries(db, clinic_id, webhook_id, state, after, limit)
    tries = store.tries(db, clinic_id, [delivery.id for delivery in found])
    return [(delivery, _delivery_out(delivery, tries.get(delivery.id, []))) for delivery in found]


def _whose(found: Sequence[Delivery]) -> tuple[UUID, ...]:
    return tuple(delivery.patient_id for delivery in found if delivery.patient_id is not None)


def _found(db: Transaction, clinic_id: UUID, webhook_id: UUID) -> Webhook:
    webhook = store.find(db, clinic_id, webhook_id)
    if webhook is None:
        raise NotFound
    return webhook


def _locked(db: Transaction, clinic_id: UUID, webhook_id: UUID) -> Webhook:
    webhook = store.find(db, clinic_id, webhook_id, lock=True)
    if webhook is None:
        raise NotFound
    return webhook


def _out(webhook: Webhook, waiting: int) -> WebhookOut:
    return WebhookOut(
        id=webhook.id,
        url=webhook.url,
        events=webhook.events,
        disabled=webhook.disabled_at is not None,
        disabled_because=webhook.disabled_because,
        waiting=waiting,
        previous_secret_expires_at=webhook.previous_until,
        created_at=webhook.created_at,
        version=webhook.version,
    )


def _with_secret(webhook: Webhook, waiting: int, secret: str) -> Fact[WebhookCreated]:
    value = WebhookCreated(**_out(webhook, waiting).model_dump(), secret=secret)
    return Fact(value, version=webhook.version, is_new=True, is_secret=True)


def _delivery_out(delivery: Delivery, tries: Sequence[Try]) -> DeliveryOut:
    return DeliveryOut(
        id=delivery.id,
        change_id=delivery.change_id,
        kind=delivery.kind,
        patient_id=delivery.patient_id,
        happened_at=delivery.happened_at,
        state=delivery.state,
        next_at=delivery.next_at,
        tries=[TryOut(at=t.at, status=t.status, error=t.error, milliseconds=t.milliseconds) for t in tries],
    )
