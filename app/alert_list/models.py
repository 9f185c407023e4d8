"""What the list of alerts gives. Bodies only: the room has no tables of its own."""

from app.alerts.models import AlertOut
from app.api.fields import ResponseBody


class AlertListed(AlertOut):
    """An alert, and what its patient is called here."""

    label: str | None


class AlertList(ResponseBody):
    """A page of alerts: urgent, high, routine; in each the timely ones first, then the most recent.
    `alerts_reach_nobody`: no mail about urgent alerts can leave, since no recipient or no mail server is set."""

    alerts_reach_nobody: bool
    items: list[AlertListed]
    next_cursor: str | None
