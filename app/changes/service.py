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
    there is none. Raises ChangesGone where some of it is not kept any more."""
    feed = store.feed(db, caller.clinic_id)
    first = 0 if feed is None else feed.deleted
    if after is not None and after < first:
        raise ChangesGone
    start = first if after is None else after
    found = store.after(db, caller.clinic_id, start, limit)
    told = [change_out(change) for change in found if READ_SCOPES[change.kind] in caller.scopes]
    last = found[-1].position if found else None
    patient_ids = tuple(dict.fromkeys(change.patient_id for change in told))
    return Fact(ChangeList(items=told, next_after=start if last is None else last), patient_ids)
