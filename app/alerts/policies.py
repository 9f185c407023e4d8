"""When an alert is raised and who is notified. Source: clinical reference 7."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.instruments import INSTRUMENTS, Instrument

# The order in which alerts wait for a person.
RANKS = {"urgent": 0, "high": 1, "routine": 2}
LATE_AFTER = timedelta(hours=72)
# When mails about an urgent alert are sent: at once, then to the next recipient 4 and 24 hours after the first mail was
# sent. Acknowledging the alert ends this.
TOLD_AFTER = (timedelta(0), timedelta(hours=4), timedelta(hours=24))
# A patient's alerts share a mail: no two leave within this time.
MAILED_EVERY = timedelta(hours=1)
# A mail that cannot be sent is tried again every minute for an hour, then every ten minutes. After five failed tries it
# goes to the next recipient.
_RETRIED_AFTER = timedelta(minutes=1)
_RETRIED_LATER = timedelta(minutes=10)
_OFTEN = 60
_TRIES_EACH = 5


def domain_of(instrument: str | None) -> str:
    """The domain whose row in the worklist shows an alert. One about a session is of no domain and stands on the mood
    row, which every patient has."""
    return "mood" if instrument is None else INSTRUMENTS[instrument].domain


def is_worse(instrument: Instrument, said: tuple[int | None, int | None], now: tuple[int | None, int | None]) -> bool:
    """Whether (points, self-harm item) came to its line, or is further over it than before."""
    ranks = [RANKS.get(self_harm_priority(instrument, *one) or "", len(RANKS)) for one in (said, now)]
    further = said[1] is not None and now[1] is not None and now[1] > said[1]
    return ranks[1] < ranks[0] or further


def self_harm_priority(instrument: Instrument, points: int | None, item: int | None) -> str | None:
    """The priority of the alert to raise: `urgent`, `high`, or None for no alert. An unknown item raises an alert only
    if the total is impossible without it. Otherwise it stays unknown; it is never read as zero. `points` is None for a
    score with unanswered items."""
    harm = instrument.self_harm
    if harm is None:
        return None
    if item is None:
        if points is None:
            return None
        least = points - harm.largest_total_without
        if least <= 0:
            return None
        return "urgent" if least >= harm.urgent else "high"
    if item < harm.line:
        return None
    return "urgent" if item >= harm.urgent else "high"


def needs_notice(instrument: Instrument, points: int | None, item: int | None) -> bool:
    """Whether a response with this score carries the notice that nobody watches the answers, with the crisis contacts.
    That is so if the item is at or over its line, or unknown."""
    if instrument.self_harm is None:
        return False
    return item is None or self_harm_priority(instrument, points, item) is not None


def is_late(taken_at: datetime, recorded_at: datetime) -> bool:
    return recorded_at - taken_at > LATE_AFTER


def is_notified(priority: str, *, late: bool) -> bool:
    """Whether mails are sent about an alert."""
    return priority == "urgent" and not late


def recipient(recipients: Sequence[str], turn: int) -> str:
    """The recipient whose turn it is. After the last recipient comes the first again."""
    return recipients[turn % len(recipients)]


def is_last_try(attempts: int) -> bool:
    """Whether this is the last try for this recipient, so that the turn passes on if it fails too."""
    return attempts % _TRIES_EACH == _TRIES_EACH - 1


def is_first_try(attempts: int) -> bool:
    """Whether this is the first try for this recipient. Only its failure is stored; later failures add nothing new."""
    return attempts % _TRIES_EACH == 0


def retried_at(attempts: int, now: datetime) -> datetime:
    """When a mail is tried again after this number of failed tries."""
    return now + (_RETRIED_AFTER if attempts < _OFTEN else _RETRIED_LATER)


def next_told_at(told: int, first_told_at: datetime) -> datetime | None:
    """When the next mail is sent, after this number of mails; None after the last."""
    return first_told_at + TOLD_AFTER[told] if told < len(TOLD_AFTER) else None
