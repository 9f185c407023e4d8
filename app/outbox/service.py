"""Records what happened, and puts it in order.

Changes are recorded without a position, by as many transactions at once as there are. `place` gives positions to those
that are committed, one caller at a time for each clinic: it holds the row of the clinic's feed, so that the next caller
sees what this one gave. A change that is committed late gets a later position. So whoever has read up to a position has
missed nothing before it, however slow a transaction was.

Changes that are placed together are in the order of their ids, which are made while the patient is locked: within one
patient, that is the order in which things happened, as far as the clocks of several hosts agree.
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
# SQLite has one writer, which placing must not hold for long.
_AT_ONCE = 2_000
# More positions than a clinic can give away between a backup and its restore.
_NEVER_GIVEN = 1_000_000_000


def change(
    clinic_id: UUID,
    kind: Kind,
    patient_id: UUID,
    at: datetime,
    about_id: UUID | None = None,
    domains: str | None = None,
) -> dict[str, Any]:
    """A row of the outbox."""
    return {
        "clinic_id": clinic_id,
        "id": new_id(),
        "position": None,
        "at": at,
        "kind": kind,
        "patient_id": patient_id,
        "about_id": about_id,
        "domains": domains,
    }


def record(db: Transaction, changes: Iterable[dict[str, Any]]) -> None:
    """Records changes together with what they tell of."""
    insert(db, {Change: [*changes]})


def place(db: Transaction, clinic_id: UUID) -> None:
    """Puts waiting changes of a clinic at the end of its feed: at most 2,000, so that nobody is kept waiting for long.
    The caller asks again whether some wait."""
    feed = store.locked_feed(db, clinic_id)
    feed.last += store.place_waiting(db, clinic_id, feed.last, _AT_ONCE)
    db.add(feed)


def begin_anew(db: Transaction, clinic_id: UUID) -> None:
    """After a restore: no position that was given before is one of the feed any more, also not of those between the
    backup and its restore. Readers then read everything anew. Webhooks go on, with what waits for them."""
    feed = store.locked_feed(db, clinic_id)
    feed.last = feed.deleted = feed.last + _NEVER_GIVEN
    db.add(feed)
    db.flush()


def purge(db: Transaction, clinic_id: UUID, now: datetime) -> None:
    """Deletes the changes that are older than 90 days, whether somebody has read them or not."""
    feed = store.locked_feed(db, clinic_id)
    last = store.delete_before(db, clinic_id, now - KEPT_FOR)
    if last is not None:
        feed.deleted = last
        db.add(feed)
