"""Episodes and courses: how infusions group into series. Source: clinical reference 4.6, Infusions."""

from collections.abc import Sequence
from datetime import date

from msgspec.structs import replace

from app.relief.events import Infusion
from app.relief.lines import COURSE_GAP_DAYS, EPISODE_GAP_DAYS, FIRST_COURSE_DAYS
from app.relief.values import Immutable


class InfusionPosition(Immutable, frozen=True):
    """The position of an infusion: its number in its episode, the episode's number, the course's number in the episode,
    the course's kind (`induction`, `maintenance`, `booster`), and the first day of the episode and of the course."""

    number: int
    episode: int
    course: int
    kind: str
    episode_day: date
    course_day: date


def first_position(day: date, episode: int = 1) -> InfusionPosition:
    """The position of an episode's first infusion, which starts on `day`."""
    return InfusionPosition(1, episode, 1, "induction", day, day)


def position_after(last: InfusionPosition, last_day: date, day: date) -> InfusionPosition:
    """The position of an infusion on `day`, after one at `last`. Gaps are local days from start to start."""
    gap = (day - last_day).days
    if gap > EPISODE_GAP_DAYS:
        return first_position(day, last.episode + 1)
    first_course_is_full = last.course == 1 and (day - last.course_day).days > FIRST_COURSE_DAYS
    if gap <= COURSE_GAP_DAYS and not first_course_is_full:
        return replace(last, number=last.number + 1)
    kind = "maintenance" if gap <= COURSE_GAP_DAYS else "booster"
    return replace(last, number=last.number + 1, course=last.course + 1, kind=kind, course_day=day)


def positions(infusions: Sequence[Infusion]) -> dict[str, InfusionPosition]:
    """The position of every infusion that counts, by id. The infusions may be in any order."""
    found: dict[str, InfusionPosition] = {}
    last: InfusionPosition | None = None
    last_day: date | None = None
    for infusion in sorted(infusions, key=lambda i: (i.at, i.id)):
        last = position_after(last, last_day, infusion.day) if last and last_day else first_position(infusion.day)
        last_day = infusion.day
        found[infusion.id] = last
    return found
