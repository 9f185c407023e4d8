"""When an alert is raised. Source: clinical reference 7."""

from datetime import datetime, timedelta

from app.instruments import Instrument

LATE_AFTER = timedelta(hours=72)


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
