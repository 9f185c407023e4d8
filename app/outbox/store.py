"""Queries on the outbox."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, text, update
from sqlalchemy import select as rows_of
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col, select

from app.outbox.models import Change, Feed
from app.storage import Transaction


def has_waiting(db: Transaction, clinic_id: UUID) -> bool:
    """Whether something happened that has no position yet."""
    waiting = select(Change.id).where(col(Change.clinic_id) == clinic_id, col(Change.position).is_(None))
    return db.exec(waiting.limit(1)).first() is not None


def locked_feed(db: Transaction, clinic_id: UUID) -> Feed:
    """A clinic's feed, locked until the transaction ends."""
    dialect: Any = postgresql if db.get_bind().dialect.name == "postgresql" else sqlite
    db.execute(dialect.insert(Feed).values(clinic_id=clinic_id, last=0, deleted=0).on_conflict_do_nothing())
    query = select(Feed).where(col(Feed.clinic_id) == clinic_id).with_for_update()
    return db.exec(query.execution_options(populate_existing=True)).one()


def feed(db: Transaction, clinic_id: UUID) -> Feed | None:
    return db.get(Feed, clinic_id)


def place_waiting(db: Transaction, clinic_id: UUID, last: int, most: int) -> int:
    """Gives at most so many of the waiting changes the positions after `last`, in the order of their ids. Returns how
    many."""
    number = func.row_number().over(order_by=col(Change.id))
    waiting = (
        rows_of(col(Change.id).label("id"), (number + last).label("position"))
        .where(col(Change.clinic_id) == clinic_id, col(Change.position).is_(None))
        .order_by(col(Change.id))
        .limit(most)
        .subquery()
    )
    placed = (
        update(Change)
        .where(col(Change.clinic_id) == clinic_id, col(Change.id) == waiting.c.id)
        .values(position=waiting.c.position)
        .execution_options(synchronize_session=False)
    )
    found: Any = db.execute(placed)
    count: int = found.rowcount
    return count


def after(
    db: Transaction, clinic_id: UUID, position: int, limit: int, kinds: Collection[str] | None = None
) -> Sequence[Change]:
    """The changes after a position, in order; of these kinds alone, where they are given."""
    query = select(Change).where(col(Change.clinic_id) == clinic_id, col(Change.position) > position)
    if kinds is not None:
        query = query.where(col(Change.kind).in_(kinds))
    return db.exec(query.order_by(col(Change.position)).limit(limit)).all()


def relief_changed(db: Transaction, clinic_id: UUID, since: datetime, limit: int) -> list[tuple[UUID, str]]:
    """(patient, domains with blanks between) of the latest changes of relief since a moment, the latest first."""
    query = (
        rows_of(col(Change.patient_id), col(Change.domains))
        .where(col(Change.clinic_id) == clinic_id, col(Change.id) >= _first_id(since))
        .where(text("kind = 'relief.changed'"))  # as the index has it: PostgreSQL knows no parameter as that
        .order_by(col(Change.id).desc())
        .limit(limit)
    )
    return [(patient_id, domains or "") for patient_id, domains in db.execute(query)]


def _first_id(moment: datetime) -> UUID:
    """The lowest id that was made at a moment: ids are of version 7 (RFC 9562), so they begin with their time."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def delete_before(db: Transaction, clinic_id: UUID, moment: datetime) -> int | None:
    """Deletes the changes from before a moment, also those without a position. Returns the last position among them;
    None for none."""
    old = (col(Change.clinic_id) == clinic_id, col(Change.id) < _first_id(moment))
    last = db.exec(select(func.max(col(Change.position))).where(*old)).one()
    db.execute(delete(Change).where(*old))
    return last
