"""Records what happened, and puts it in order.

Changes are recorded without a position, by as many transactions at once as there are. `place` gives positions to those
that are committed, one caller at a time for each clinic: it holds the row of the clinic's feed, so that the next caller
sees what this one gave. A change that is committed late gets a later position. So whoever has read up to a position has
missed nothing before it, however slow a transaction was. Within one patient the order is that of what happened, since a
patient's changes are committed one after the other, each with a later time.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.outbox import store
from app.outbox.kinds import Kind
from app.outbox.models import Change
from app.storage import Transaction, insert, new_id

KEPT_FOR = timedelta(days=90)
_AT_ONCE = 10_000


def change(clinic_id: UUID, kind: Kind, patient_id: UUID, at: datetime, about_id: UUID | None = None) -> dict[str, Any]:
    """A row of the outbox."""
    return {
        "clinic_id": clinic_id,
        "id": new_id(),
        "position": None,
        "at": at,
        "kind": kind,
        "patient_id": patient_id,
        "about_id": about_id,
    }


def record(db: Transaction, changes: Iterable[dict[str, Any]]) -> None:
    """Records changes together with what they tell of."""
    insert(db, {Change: [*changes]})


def place(db: Transaction, clinic_id: UUID) -> None:
    """Puts the waiting changes of a clinic at the end of its feed."""
    feed = store.locked_feed(db, clinic_id)
    while placed := store.place_waiting(db, clinic_id, feed.last, _AT_ONCE):
        feed.last += placed
    db.add(feed)


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes the changes that are older than 90 days."""
    if store.feed(db, clinic_id) is None:
        return
    feed = store.locked_feed(db, clinic_id)
    last = store.delete_before(db, clinic_id, now - KEPT_FOR)
    if last is not None:
        feed.deleted = last
        db.add(feed)
