"""Conditional durability: what became of a spell from the reading that is nearest to a number of days held.

Source: clinical reference 4.7 (f). Pure functions of a spell's diary; see `spells`.
"""

import re
from typing import NamedTuple

from app.relief.spells import DEEP, NO_READING, SHALLOW

MATCHED_WITHIN_DAYS = 14
LOOKED_AHEAD_DAYS = (14, 28, 56)
# How much of a diary, from `MATCHED_WITHIN_DAYS` before the days held, an answer depends on.
DIARY_NEEDED_DAYS = 2 * MATCHED_WITHIN_DAYS + max(LOOKED_AHEAD_DAYS) + 1

_COURSE = re.compile("[,DSB]")


class Contribution(NamedTuple):
    """What a spell contributes: days from its matched reading to its end, whether an event ended it, whether the
    reading was at least 75% below its baseline, and days from the reading to the course that began next (None: none
    did)."""

    days: int
    is_event: bool
    is_deep: bool
    next_course: int | None


def contribution(diary: str, days: int, *, is_event: bool, held: int) -> Contribution | None:
    """What a spell of `days` contributes to the outlook of a patient who has held for `held` days. Its reading nearest
    to that, at most 14 days away (of two, the earlier), must show response, before any event and with a later reading.
    None where it does not."""
    first = max(0, held - MATCHED_WITHIN_DAYS)
    before = diary[first : held + 1].rstrip(NO_READING)
    after = diary[held + 1 : min(held + MATCHED_WITHIN_DAYS, days) + 1]
    skipped = len(after) - len(after.lstrip(NO_READING))
    day = first + len(before) - 1 if before else None
    if skipped < len(after) and (day is None or skipped + 1 < held - day):
        day = held + 1 + skipped
    if day is None or day >= days or diary[day] not in DEEP + SHALLOW:
        return None
    course = _COURSE.search(diary, day)
    return Contribution(days - day, is_event, diary[day] in DEEP, None if course is None else course.start() - day)
