"""The statement that a check-in was answered before an infusion: which infusion it means, and when the check-in counts.

Sessions are often recorded late, or with a start that is corrected afterwards. A statement therefore binds to one
session and counts at its start, wherever that is moved within a day. What it binds to follows from when the statement
and each version of the sessions were recorded, so that an answer about the past is as it was then.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from app.tracks.days import local_day
from app.tracks.patient_tracks import CountedInfusion

STATED_WITHIN = timedelta(minutes=60)
_MOVED_WITHIN = timedelta(hours=24)


def counted_at(
    taken_at: datetime, stated_at: datetime | None, infusions: Sequence[CountedInfusion], zone: ZoneInfo
) -> datetime:
    """The instant at which a score counts: when it was taken, or, where it was stated at `stated_at` that it came
    before an infusion, the start of that one. The infusions are those that count, as known when the question is
    asked."""
    if stated_at is None:
        return taken_at
    bound = _bound(taken_at, stated_at, infusions, zone)
    return next((start for start, then in bound if abs(start - then) <= _MOVED_WITHIN), taken_at)


def begun_within(taken_at: datetime, started_at: datetime) -> bool:
    """Whether an infusion had begun at most 60 minutes before a check-in."""
    return timedelta(0) <= taken_at - started_at <= STATED_WITHIN


def _bound(
    taken_at: datetime, stated_at: datetime, infusions: Sequence[CountedInfusion], zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """The infusions that a statement can mean, the likeliest first: where each counts now, and its start at that time.
    First the one that had begun up to 60 minutes before; else those of its day that were recorded later, in that
    order; else the next one of its day, before which the check-in came anyway."""
    day = local_day(taken_at, zone)
    known = [(given, then) for given in infusions if (then := _start_at(given, stated_at)) is not None]
    begun = [(given, then) for given, then in known if begun_within(taken_at, then)]
    if begun:
        given, then = max(begun, key=lambda one: one[1])
        yield given.started_at, then
    there = {given.session_id for given, then in known if local_day(then, zone) == day}
    recorded_later = []
    for given in infusions:
        for recorded_at, start in given.history:
            if recorded_at <= stated_at or start is None or given.session_id in there:
                continue
            if local_day(start, zone) == day or begun_within(taken_at, start):
                recorded_later.append((recorded_at, given.started_at, start))
                break
    yield from ((now, then) for _, now, then in sorted(recorded_later))
    following = [(then, given) for given, then in known if then > taken_at and local_day(then, zone) == day]
    for then, given in sorted(following, key=lambda one: one[0]):
        yield min(taken_at, given.started_at), then


def _start_at(infusion: CountedInfusion, moment: datetime) -> datetime | None:
    """The start of an infusion by its latest version recorded up to `moment`; None if it did not count then."""
    return next((start for recorded_at, start in reversed(infusion.history) if recorded_at <= moment), None)
