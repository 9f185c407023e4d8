"""What the feed of changes gives."""

from app.api.fields import Id, MomentOut, ResponseBody, grows
from app.outbox.kinds import READ_SCOPES
from app.outbox.models import Change


class ChangeOut(ResponseBody):
    """Something that happened: what kind of thing, and whom and what it is about. It holds ids and no values: what is
    so now is to be asked for."""

    id: Id
    position: int
    kind: str = grows(*READ_SCOPES)
    at: MomentOut
    patient_id: Id
    check_in_id: Id | None
    session_id: Id | None
    alert_id: Id | None


class ChangeList(ResponseBody):
    """What happened after a position, in order. `next_after` is what to send as `after` next; it goes on past changes
    that the caller may not be told of."""

    items: list[ChangeOut]
    next_after: int


def change_out(change: Change) -> ChangeOut:
    """A change as it is shown."""
    assert change.position is not None
    what = change.kind.split(".")[0]
    return ChangeOut(
        id=change.id,
        position=change.position,
        kind=change.kind,
        at=change.at,
        patient_id=change.patient_id,
        check_in_id=change.about_id if what == "check_in" else None,
        session_id=change.about_id if what == "session" else None,
        alert_id=change.about_id if what == "alert" else None,
    )
