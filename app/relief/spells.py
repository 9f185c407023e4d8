"""How long relief lasted: the spell of an episode, and the part of an episode that answers over many patients need.

Source: clinical reference 4.3. Durations are in local days and run from the origin to an onset (an event) or to a
reading (censored): never past the last reading, because silence is not relief.
"""

from bisect import bisect_right
from collections.abc import Mapping
from datetime import date
from itertools import accumulate
from typing import Literal, NamedTuple

from msgspec.structs import replace

from app.relief.values import Immutable

# The letters of a spell's diary: what the day's representative shows, and, as the second of each pair, that a course of
# infusions began on that day, after it. "Deep" is a fall of at least 75%.
NO_READING, DEEP, SHALLOW, BELOW = ".,", "dD", "sS", "bB"
_RESPONSES = "dDsS"
_BEGUN = str.maketrans(".dsb", ",DSB")
# No answer looks further ahead than this for the course that follows a reading.
_COURSES_WITHIN_DAYS = 56

Endpoint = Literal["loss_or_rescue", "loss"]
Boosters = Literal["ignore", "censor"]


class Outcome(NamedTuple):
    """What became of a spell: its days, the event that ended it (`lost`, `rescue` or None), and, in days too, its last
    response and, where a rescue ended it, the latest representative before that."""

    days: int
    event: str | None
    last_response: int
    before_rescue: int | None = None

    def ending(self, endpoint: Endpoint) -> tuple[int, bool]:
        """Days, and whether an event ended them. Endpoint `loss` censors a rescue at the latest representative before
        it."""
        if endpoint == "loss" and self.before_rescue is not None:
            return self.before_rescue, False
        return self.days, self.event is not None


class Spell(Immutable, frozen=True):
    """How long the first durable response of an episode lasted. `event` is `lost`, `rescue` or None (censored at
    `through_on`, the latest representative). `course` is the course whose end the origin follows.

    `before_course_on` is the latest representative before the first later course, where no event had come by then;
    `before_rescue_on` the latest one before a rescue. Other policies censor there. `diary` has a letter for each day of
    the spell, beginning with its origin; after its end, only the first course begun.
    """

    episode: int
    course: int
    origin_on: date
    through_on: date
    event: str | None = None
    onset_on: date | None = None
    ascertained_on: date | None = None
    before_course_on: date | None = None
    before_rescue_on: date | None = None
    diary: str = ""

    @property
    def days(self) -> int:
        """From the origin to the onset of the event, or to the latest representative."""
        return (self.through_on - self.origin_on).days

    @property
    def last_response_days(self) -> int:
        """From the origin to the latest representative that shows response and is not after the end."""
        return last_response(self.diary)

    @property
    def days_before_course(self) -> int | None:
        return None if self.before_course_on is None else (self.before_course_on - self.origin_on).days

    @property
    def days_before_rescue(self) -> int | None:
        return None if self.before_rescue_on is None else (self.before_rescue_on - self.origin_on).days

    def outcome(self, boosters: Boosters) -> Outcome:
        """What became of the spell. With boosters `censor` it ends at the latest representative before the first later
        course, which shows response."""
        if boosters == "censor" and self.days_before_course is not None:
            return Outcome(self.days_before_course, None, self.days_before_course)
        return Outcome(self.days, self.event, self.last_response_days, self.days_before_rescue)


def last_response(diary: str) -> int:
    """The last day of a diary on which a representative shows response."""
    return max(map(diary.rfind, _RESPONSES))


def seen(spell: Spell, day: date, letters: str) -> Spell:
    """The spell with what a representative of a day after all others shows, before any event."""
    before = spell.diary.ljust((day - spell.origin_on).days, NO_READING[0])
    return replace(spell, through_on=day, diary=before + letters[0])


def ended(spell: Spell, event: str, onset_on: date, ascertained_on: date) -> Spell:
    """The spell, ended by an event."""
    diary = spell.diary[: (onset_on - spell.origin_on).days + 1]
    return replace(
        spell, event=event, onset_on=onset_on, ascertained_on=ascertained_on, through_on=onset_on, diary=diary
    )


def with_course(spell: Spell, day: date) -> Spell:
    """The spell with a later course that begins on a day. After the spell's end only the first one is kept."""
    if spell.event is not None:
        late = (day - spell.through_on).days > _COURSES_WITHIN_DAYS
        if late or len(spell.diary) > spell.days + 1:
            return spell
    diary = spell.diary.ljust((day - spell.origin_on).days + 1, NO_READING[0])
    return replace(spell, diary=diary[:-1] + diary[-1].translate(_BEGUN))


class Record(Immutable, frozen=True):
    """One episode by one instrument. `baseline` and `early` are severities in points: of the baseline, and of the
    latest representative 14 to 31 days after the first course (`early_days` after it), with no infusion between.
    `first_session` is the id of the episode's first infusion, on `first_session_on`. `gaps`: how often each number of
    days lay between one representative and the next."""

    episode: int
    first_session: str
    first_session_on: date
    induction_sessions: int
    induction_ended_on: date
    baseline: int | None
    evaluable: bool
    early: int | None
    early_days: int | None
    gaps: Mapping[int, int]
    followed: bool
    spell: Spell | None

    @property
    def median_gap_days(self) -> float | None:
        """The median gap between representatives; None with fewer than two."""
        total = sum(self.gaps.values())
        if total == 0:
            return None
        return (_nth(self.gaps, (total - 1) // 2) + _nth(self.gaps, total // 2)) / 2


def _nth(counts: Mapping[int, int], index: int) -> int:
    values = sorted(counts)
    return values[bisect_right(list(accumulate(map(counts.__getitem__, values))), index)]
