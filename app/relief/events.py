"""What the fold reads: infusions and scores of one patient and one instrument, placed on the clinic's calendar.

`at` is the instant that orders events; `day` is the clinic's local calendar day of it. Severity is in integer points,
larger is worse. The caller gives only versions that exist and count; see the clinical reference, 4.6.
"""

from dataclasses import dataclass
from datetime import date, datetime

from app.relief.values import Immutable


@dataclass(frozen=True, slots=True)
class Infusion:
    """One infusion that counts. `end_day` is the local day it ended; its start day where the end is unknown."""

    id: str
    at: datetime
    day: date
    end_day: date

    def __post_init__(self) -> None:
        if self.end_day < self.day:
            raise ValueError("an infusion cannot end on a day before it started")


class Score(Immutable, frozen=True):
    """One score that counts. `at` orders it (the infusion's start where it was answered before the infusion);
    `taken_at` is when it was taken, `recorded_at` when its check-in's version was recorded. `late`: it was recorded
    long after it was taken, so that what it says is no news. `prompt`: it was first recorded within two days."""

    id: str
    at: datetime
    day: date
    taken_at: datetime
    recorded_at: datetime
    severity: int
    late: bool = False
    prompt: bool = True


Event = Infusion | Score


def order(event: Event) -> tuple[datetime, bool, datetime, str]:
    """The position of an event in the fold: a score taken at the very instant an infusion starts is before it;
    scores of one instant are ordered by when their versions were recorded, then by id."""
    if isinstance(event, Infusion):
        return (event.at, True, event.at, event.id)
    return (event.at, False, event.recorded_at, event.id)
