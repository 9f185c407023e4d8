"""When an alert is raised. Source: clinical reference 7."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.instruments import Instrument

LATE_AFTER = timedelta(hours=72)
# An urgent alert is told at once, and to the next 4 and 24 hours after it was raised, unless acknowledged.
TOLD_AFTER = (timedelta(0), timedelta(hours=4), timedelta(hours=24))
_RETRIED_AFTER = timedelta(minutes=1)
_ATTEMPTS = 5


def self_harm_priority(instrument: Instrument, points: int, item: int | None) -> str | None:
    """`urgent`, `high`, or None where nothing is to be raised. An unknown item raises an alert only when the total is
    impossible without it; otherwise it stays unknown, which is never read as zero."""
    harm = instrument.self_harm
    if harm is None:
        return None
    if item is None:
        least = points - harm.largest_total_without
        if least <= 0:
            return None
        return "urgent" if least >= harm.urgent else "high"
    if item < harm.line:
        return None
    return "urgent" if item >= harm.urgent else "high"


def needs_notice(instrument: Instrument, points: int, item: int | None) -> bool:
    """Whether the notice that nobody watches, with the crisis contacts, goes with this score: the item is at or over
    its line, or unknown."""
    if instrument.self_harm is None:
        return False
    return item is None or self_harm_priority(instrument, points, item) is not None


def is_late(taken_at: datetime, recorded_at: datetime) -> bool:
    return recorded_at - taken_at > LATE_AFTER


def is_notified(priority: str, *, late: bool) -> bool:
    """Whether somebody is to be told of an alert."""
    return priority == "urgent" and not late


def recipient(recipients: Sequence[str], step: int) -> str:
    """Who is told at a step: the next each time, and after the last the first again."""
    return recipients[step % len(recipients)]


def next_notice(
    raised_at: datetime, step: int, attempts: int, now: datetime, *, sent: bool
) -> tuple[int, int, datetime] | None:
    """The step, attempts and time of the next notice after one at `now`; None when everybody was told. A mail that
    cannot be sent is tried again every minute, and after five tries the next person's turn comes at once."""
    if not sent and attempts + 1 < _ATTEMPTS:
        return step, attempts + 1, now + _RETRIED_AFTER
    if step + 1 >= len(TOLD_AFTER):
        # Nobody could be told: silence would be worse than one more hour of trying.
        return None if sent else (step, 0, now + timedelta(hours=1))
    return step + 1, 0, raised_at + TOLD_AFTER[step + 1] if sent else now
