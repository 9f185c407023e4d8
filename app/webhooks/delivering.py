"""The job that delivers: takes what happened from the feed, and sends it until it is received.

Each webhook is served by a task of its own, so that a slow receiver delays only itself. Of one patient's events the
next is sent once the one before was received; those of other patients go on. An event can come twice: where a process
dies between a receiver's answer and its note, or where two processes hold the job at once. None is left out
within the 90 days for which changes and deliveries are kept.
"""

import asyncio
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from app import clock
from app.access import store as access
from app.access.models import Client, User
from app.access.policies import ROLE_SCOPES
from app.alerts.mailing import Mail
from app.outbox import service as outbox
from app.outbox import store as feed
from app.outbox.kinds import READ_SCOPES
from app.outgoing.sending import Sender, Sent
from app.storage import NO_CLINIC, Database, Transaction, new_id
from app.webhooks import secrets, store
from app.webhooks.models import TEST, Delivery, Try, Webhook, event_of

logger = logging.getLogger("holdfast")

# How long after each failed try the next one comes; after the last one, 25 hours after the first, the webhook is off.
WAITS = (
    *(timedelta(seconds=5), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)),
    *(timedelta(hours=hours) for hours in (1, 2, 4, 6, 6, 6)),
)
_JITTER = 0.1
_SPREAD_AT_ONCE = 1_000
_LOOKED_AT, _SENT_AT_ONCE = 500, 8
_GONE = 410


@dataclass(frozen=True, slots=True)
class _Message:
    """A delivery as it leaves."""

    delivery_id: UUID
    url: str
    body: str
    headers: dict[str, str]


@dataclass(slots=True)
class Courier:
    """Delivers for all clinics."""

    database: Database
    sender: Sender
    mail: Mail | None
    _running: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)

    async def round(self) -> None:
        """Takes what happened from the feeds, and begins to send what is due. Sending goes on after it returns."""
        for clinic_id in await self.database.read(NO_CLINIC, store.clinics_with_some):
            try:
                for webhook_id in await self.database.write(clinic_id, partial(spread, clinic_id=clinic_id)):
                    if webhook_id not in self._running:
                        task = asyncio.create_task(self._serve(clinic_id, webhook_id))
                        self._running[webhook_id] = task
                        task.add_done_callback(lambda _, one=webhook_id: self._running.pop(one, None))  # type: ignore[misc]
            except Exception as error:  # an error in one clinic must not stop the others
                logger.warning("webhooks could not be served: %s", type(error).__name__)

    async def finish(self) -> None:
        """Waits for what is being sent."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _serve(self, clinic_id: UUID, webhook_id: UUID) -> None:
        """Sends what is due to one webhook, until nothing is."""
        try:
            while messages := await self.database.write(
                clinic_id, partial(_due, clinic_id=clinic_id, webhook_id=webhook_id)
            ):
                sent = await asyncio.gather(*(self._send(message) for message in messages))
                for message, what in zip(messages, sent, strict=True):
                    told = partial(
                        _note, clinic_id=clinic_id, webhook_id=webhook_id, delivery_id=message.delivery_id, sent=what
                    )
                    owner = await self.database.write(clinic_id, told)
                    if owner is not None:
                        await self._tell(owner, message.url)
        except Exception as error:  # the next round begins again
            logger.warning("a webhook could not be served: %s", type(error).__name__)

    async def _send(self, message: _Message) -> Sent:
        return await self.sender.send(message.url, message.body.encode(), message.headers)

    async def _tell(self, to: Sequence[str], url: str) -> None:
        """Tells people that a webhook was switched off."""
        if self.mail is None:
            return
        body = (
            "A webhook was switched off: its receiver could not be reached for a day, or said that it is gone.\n\n"
            f"Its address: {url}\n\nWhat it missed is kept for 90 days. Switch it on again, and it is sent.\n"
        )
        for address in to:
            try:
                await asyncio.to_thread(self.mail.send, address, "A webhook was switched off", body, str(new_id()))
            except Exception as error:  # the webhook says so itself
                logger.warning("nobody could be told of a webhook that was switched off: %s", type(error).__name__)


def spread(db: Transaction, clinic_id: UUID) -> list[UUID]:
    """Makes a delivery of each change for each webhook that is told of its kind, of 1,000 changes for each at most: the
    rest comes with the next round. Returns the webhooks that are on."""
    if feed.has_waiting(db, clinic_id):
        outbox.place(db, clinic_id)
    webhooks, now = store.active(db, clinic_id, lock=True), clock.now()
    for webhook in webhooks:
        changes = feed.after(db, clinic_id, webhook.position, _SPREAD_AT_ONCE)
        if changes:
            db.add_all(
                Delivery(
                    clinic_id=clinic_id,
                    id=new_id(),
                    webhook_id=webhook.id,
                    change_id=change.id,
                    kind=change.kind,
                    patient_id=change.patient_id,
                    about_id=change.about_id,
                    happened_at=change.at,
                    position=change.position or 0,
                    state="waiting",
                    tries=0,
                    next_at=now,
                    created_at=now,
                )
                for change in changes
                if change.kind in webhook.events
            )
            webhook.position = changes[-1].position or webhook.position
            db.add(webhook)
            db.flush()
    return [webhook.id for webhook in webhooks]


def _due(db: Transaction, clinic_id: UUID, webhook_id: UUID) -> list[_Message]:
    """The messages that are to be sent now: of each patient the first that waits, if its time has come. What the owner
    may no longer read is not sent."""
    webhook, now = store.find(db, clinic_id, webhook_id, lock=True), clock.now()
    if webhook is None or webhook.disabled_at is not None:
        return []
    scopes, held = scopes_of_owner(db, webhook), secrets.held(db, webhook, now)
    found: list[_Message] = []
    behind: set[UUID] = set()
    for delivery in store.first_waiting(db, clinic_id, webhook_id, _LOOKED_AT):
        if delivery.kind != TEST and READ_SCOPES[delivery.kind] not in scopes:
            delivery.state, delivery.next_at = "not_allowed", None
            db.add(delivery)
            continue
        if delivery.patient_id in behind:
            continue
        if delivery.patient_id is not None:
            behind.add(delivery.patient_id)
        if delivery.next_at is not None and delivery.next_at <= now and len(found) < _SENT_AT_ONCE:
            body = json.dumps(event_of(delivery), separators=(",", ":"))
            signed = secrets.headers(held, str(delivery.change_id), now, body)
            headers = {"Content-Type": "application/json", **signed}
            found.append(_Message(delivery.id, webhook.url, body, headers))
    return found


def _note(db: Transaction, clinic_id: UUID, webhook_id: UUID, delivery_id: UUID, sent: Sent) -> list[str] | None:
    """Notes what became of a try. Returns whom to tell, where the webhook is off now."""
    webhook = store.find(db, clinic_id, webhook_id, lock=True)
    delivery = store.delivery(db, clinic_id, webhook_id, delivery_id, lock=True)
    if webhook is None or delivery is None:  # it was removed meanwhile
        return None
    now = clock.now()
    db.add(
        Try(
            clinic_id=clinic_id, id=new_id(), delivery_id=delivery_id, at=now, status=sent.status, error=sent.error,
            milliseconds=sent.milliseconds,
        )
    )  # fmt: skip
    delivery.tries += 1
    db.add(delivery)
    if sent.is_received:
        delivery.state, delivery.next_at = "delivered", None
        return None
    is_over = delivery.tries > len(WAITS)
    if not is_over and sent.status != _GONE:
        delivery.next_at = _next_at(now, delivery.tries)
        return None
    delivery.state, delivery.next_at = "failed", None
    if webhook.disabled_at is not None:
        return None
    webhook.disabled_at, webhook.disabled_because = now, "failing" if is_over else "gone"
    webhook.version += 1
    db.add(webhook)
    return _told_of(db, webhook)


def _next_at(now: datetime, tries: int) -> datetime:
    """When to try again: later each time, drawn at chance so that not all come at once."""
    return now + WAITS[tries - 1] * random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret


def scopes_of_owner(db: Transaction, webhook: Webhook) -> frozenset[str]:
    """What the owner may read now."""
    owner = access.caller(db, webhook.clinic_id, webhook.owner_kind, webhook.owner_id)
    if owner is None or owner.disabled_at is not None:
        return frozenset()
    if isinstance(owner, Client):
        return frozenset(owner.scope.split())
    return ROLE_SCOPES[owner.role] if isinstance(owner, User) else frozenset()


def _told_of(db: Transaction, webhook: Webhook) -> list[str]:
    """The owner, if that is a person; else the clinic's recipients of alerts."""
    owner = access.caller(db, webhook.clinic_id, webhook.owner_kind, webhook.owner_id)
    if isinstance(owner, User):
        return [owner.email]
    clinic = access.clinic(db, webhook.clinic_id)
    return [] if clinic is None else [*clinic.alert_recipients]


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes deliveries that are older than 90 days, received or not."""
    store.delete_before(db, clinic_id, now - outbox.KEPT_FOR)
