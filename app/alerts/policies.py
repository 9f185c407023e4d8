"""When an alert is raised. Source: clinical reference 7."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.instruments import Instrument

LATE_AFTER = timedelta(hours=72)
# An urgent alert is told at once, and to the next 4 and 24 hours after the first mail left, unless acknowledged.
TOLD_AFTER = (timedelta(0), timedelta(hours=4), timedelta(hours=24))
# A mail that cannot be sent is tried again each minute for an hour, then every ten; after five tries the next person's.
_RETRIED_AFTER = timedelta(minutes=1)
_RETRIED_LATER = timedelta(minutes=10)
_OFTEN = 60
_TRIES_EACH = 5


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


def recipient(recipients: Sequence[str], turn: int) -> str:
    """Whose turn it is; after the last the first again."""
    return recipients[turn % len(recipients)]


def is_last_try(attempts: int) -> bool:
    """Whether the next person's turn comes after this try, if it fails too."""
    return attempts % _TRIES_EACH == _TRIES_EACH - 1


def is_first_try(attempts: int) -> bool:
    """Whether this is the first try to reach this person: a failure of the others says nothing new."""
    return attempts % _TRIES_EACH == 0


def retried_at(attempts: int, now: datetime) -> datetime:
    """When a mail is tried again after so many tries that failed."""
    return now + (_RETRIED_AFTER if attempts < _OFTEN else _RETRIED_LATER)


def next_told_at(told: int, first_told_at: datetime) -> datetime | None:
    """When the next is told, after so many mails that left; None after the last."""
    return first_told_at + TOLD_AFTER[told] if told < len(TOLD_AFTER) else None
