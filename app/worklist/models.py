"""What the worklist gives. Bodies only: the room has no tables of its own."""

from datetime import date

from app.api.fields import Id, MomentOut, grows, response_body
from app.tracks.output import Value


@response_body
class WorklistPatientOut:
    """Whose row."""

    id: Id
    external_id: str
    label: str | None


@response_body
class OpenAlertOut:
    """An open alert; the alert itself is at `/v1/alerts`."""

    id: Id
    kind: str = grows("self_harm_item", "reliable_deterioration", "relief_lost", "severe_side_effect")
    priority: str = grows("urgent", "high", "routine")


@response_body
class WorklistRowOut:
    """One domain of one patient, as `GET relief` says it on the worklist's day."""

    patient: WorklistPatientOut
    domain: str
    instrument: str
    status: str
    last_known: str | None
    """While awaiting or stale: the status at the latest reading that counted."""
    flags: list[str]
    since_on: date | None
    improvement_percent: float | None
    latest_value: Value | None
    near_line: bool | None
    """Whether the latest reading and the response line are within measurement error."""
    confirm_due_on: date | None
    """The day from which one more reading would show whether the latest one repeats, where the plan asks for it."""
    days_since_last_score: int | None
    days_since_last_session: int | None
    open_alerts: list[OpenAlertOut]
    """Open alerts of this domain, most pressing first, late ones included. One about a session's side effects stands on
    the mood row."""
    self_harm_unknown_since: MomentOut | None
    """When the first score without the self-harm item was taken since one was last answered: unknown is never zero."""


@response_body
class WorklistOut:
    """A page of the worklist, most pressing first: open timely alerts (urgent, high, routine), lost, silent after lost,
    fading, silent after fading, deteriorated, and so on; within each the longest standing first. `as_of` stays the same
    on every page."""

    as_of: date
    alerts_reach_nobody: bool
    """No mail about urgent alerts can leave: no recipient, or no mail server, is set."""
    items: list[WorklistRowOut]
    next_cursor: str | None
