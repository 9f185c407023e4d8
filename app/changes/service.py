"""Pages of the feed of changes."""

from app.access.service import Caller
from app.changes.models import ChangeList, change_out
from app.errors import ChangesGone
from app.facts import Fact
from app.outbox import store
from app.outbox.kinds import READ_SCOPES
from app.storage import Transaction


def page(db: Transaction, caller: Caller, after: int | None, limit: int) -> Fact[ChangeList]:
    """What happened after a position, of the kinds that the caller may read of; from the oldest that is kept where
    there is none. Raises ChangesGone where some of it is not kept any more, or the position is none of this feed's, as
    after a restore."""
    kinds = [kind for kind, scope in READ_SCOPES.items() if scope in caller.scopes]
    if not kinds:  # not even how much happens
        return Fact(ChangeList(items=[], next_after=after or 0))
    feed = store.feed(db, caller.clinic_id)
    first, last = (0, 0) if feed is None else (feed.deleted, feed.last)
    if after is not None and not first <= after <= last:
        raise ChangesGone
    start = first if after is None else after
    found = store.after(db, caller.clinic_id, start, limit, kinds)
    reached = found[-1].position if len(found) == limit else last
    value = ChangeList(items=[change_out(change) for change in found], next_after=max(start, reached or 0))
    return Fact(value, tuple(dict.fromkeys(change.patient_id for change in found)))
