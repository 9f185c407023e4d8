"""Queries on webhooks."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlmodel import col, select

from app.storage import Transaction, below
from app.webhooks.models import Delivery, Try, Webhook


def clinics_with_some(db: Transaction) -> list[UUID]:
    """The clinics that have a webhook that is on."""
    return list(db.exec(select(Webhook.clinic_id).where(col(Webhook.disabled_at).is_(None)).distinct()))


def find(db: Transaction, clinic_id: UUID, webhook_id: UUID, *, lock: bool = False) -> Webhook | None:
    query = select(Webhook).where(col(Webhook.clinic_id) == clinic_id, col(Webhook.id) == webhook_id)
    return db.exec(query.with_for_update().execution_options(populate_existing=True) if lock else query).first()


def active(db: Transaction, clinic_id: UUID, *, lock: bool = False) -> Sequence[Webhook]:
    query = select(Webhook).where(col(Webhook.clinic_id) == clinic_id, col(Webhook.disabled_at).is_(None))
    query = query.order_by(col(Webhook.id))
    return db.exec(query.with_for_update().execution_options(populate_existing=True) if lock else query).all()


def sealed_otherwise(db: Transaction, clinic_id: UUID, key_id: str) -> Sequence[Webhook]:
    query = select(Webhook).where(col(Webhook.clinic_id) == clinic_id, col(Webhook.key_id) != key_id)
    return db.exec(query.with_for_update()).all()


def count(db: Transaction, clinic_id: UUID) -> int:
    return db.exec(select(func.count()).select_from(Webhook).where(col(Webhook.clinic_id) == clinic_id)).one()


def page(db: Transaction, clinic_id: UUID, after: Sequence[str] | None, limit: int) -> Sequence[Webhook]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(Webhook).where(col(Webhook.clinic_id) == clinic_id)
    if after is not None:
        place = (col(Webhook.created_at), col(Webhook.id))
        query = query.where(below(place, (datetime.fromisoformat(after[0]), UUID(after[1]))))
    return db.exec(query.order_by(col(Webhook.created_at).desc(), col(Webhook.id).desc()).limit(limit + 1)).all()


def waiting(db: Transaction, clinic_id: UUID, webhook_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many deliveries wait for each of these webhooks."""
    query: Any = select(Delivery.webhook_id, func.count()).where(
        col(Delivery.clinic_id) == clinic_id,
        col(Delivery.webhook_id).in_(webhook_ids),
        col(Delivery.state) == "waiting",
    )
    return dict(db.exec(query.group_by(col(Delivery.webhook_id))).all())


def first_waiting(db: Transaction, clinic_id: UUID, webhook_id: UUID, limit: int) -> Sequence[Delivery]:
    """The deliveries that wait for a webhook, in order."""
    query = select(Delivery).where(
        col(Delivery.clinic_id) == clinic_id, col(Delivery.webhook_id) == webhook_id, col(Delivery.state) == "waiting"
    )
    return db.exec(query.order_by(col(Delivery.position), col(Delivery.id)).limit(limit)).all()


def delivery(
    db: Transaction, clinic_id: UUID, webhook_id: UUID, delivery_id: UUID, *, lock: bool = False
) -> Delivery | None:
    query = select(Delivery).where(
        col(Delivery.clinic_id) == clinic_id, col(Delivery.webhook_id) == webhook_id, col(Delivery.id) == delivery_id
    )
    return db.exec(query.with_for_update() if lock else query).first()


def deliveries(
    db: Transaction, clinic_id: UUID, webhook_id: UUID, state: str | None, after: Sequence[str] | None, limit: int
) -> Sequence[Delivery]:
    """Newest first; one row more than `limit` where there is more."""
    query = select(Delivery).where(col(Delivery.clinic_id) == clinic_id, col(Delivery.webhook_id) == webhook_id)
    if state is not None:
        query = query.where(col(Delivery.state) == state)
    if after is not None:
        query = query.where(below((col(Delivery.position), col(Delivery.id)), (int(after[0]), UUID(after[1]))))
    return db.exec(query.order_by(col(Delivery.position).desc(), col(Delivery.id).desc()).limit(limit + 1)).all()


def tries(db: Transaction, clinic_id: UUID, delivery_ids: Collection[UUID]) -> dict[UUID, list[Try]]:
    """The tries of each of these deliveries, oldest first."""
    found: dict[UUID, list[Try]] = {}
    query = select(Try).where(col(Try.clinic_id) == clinic_id, col(Try.delivery_id).in_(delivery_ids))
    for one in db.exec(query.order_by(col(Try.at), col(Try.id))):
        found.setdefault(one.delivery_id, []).append(one)
    return found


def wait_again(db: Transaction, clinic_id: UUID, webhook_id: UUID, now: datetime) -> None:
    """Lets what has failed be tried again."""
    mine = (col(Delivery.clinic_id) == clinic_id, col(Delivery.webhook_id) == webhook_id)
    stuck = col(Delivery.state).in_(("failed", "waiting"))
    db.execute(update(Delivery).where(*mine, stuck).values(state="waiting", tries=0, next_at=now))


def delete_webhook(db: Transaction, clinic_id: UUID, webhook_id: UUID) -> None:
    mine = (col(Delivery.clinic_id) == clinic_id, col(Delivery.webhook_id) == webhook_id)
    ids = select(Delivery.id).where(*mine)
    db.execute(delete(Try).where(col(Try.clinic_id) == clinic_id, col(Try.delivery_id).in_(ids)))
    db.execute(delete(Delivery).where(*mine))
    db.execute(delete(Webhook).where(col(Webhook.clinic_id) == clinic_id, col(Webhook.id) == webhook_id))


def delete_before(db: Transaction, clinic_id: UUID, moment: datetime) -> None:
    """Deletes the deliveries that were made before a moment, received or not, with their tries."""
    old = (col(Delivery.clinic_id) == clinic_id, col(Delivery.created_at) < moment)
    ids = select(Delivery.id).where(*old)
    db.execute(delete(Try).where(col(Try.clinic_id) == clinic_id, col(Try.delivery_id).in_(ids)))
    db.execute(delete(Delivery).where(*old))
