"""Computes what is due when, and whether it was answered, from the versions of a plan and a patient's sessions. Pure
functions.

All days are calendar days in the clinic's time zone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import zip_longest

from app.relief import Infusion, InfusionPosition

DEFAULT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One check-in that a plan asks for. It is due `offset` days after each session, or after the last session of each
    course, and may be answered until `window` days later."""

    after: str
    offset: int
    window: int
    instruments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A version of a plan, from `from_on` until the next applies. `items` None: the clinic's plan applies."""

    from_on: date
    items: tuple[Item, ...] | None


@dataclass(frozen=True, slots=True)
class Due:
    """A check-in due because of a session. `missing`: its instruments without an answer in the window."""

    due_on: date
    window_ends_on: date
    instruments: tuple[str, ...]
    session_id: str
    missing: tuple[str, ...] = field(default=())

    def state(self, today: date) -> str:
        """`upcoming`, `due` (today), `overdue` (the window is open), `missed`, or `done` (all was answered)."""
        if self.due_on > today:
            return "upcoming"
        if not self.missing:
            return "done"
        if self.due_on == today:
            return "due"
        return "overdue" if today <= self.window_ends_on else "missed"


def _now(offset: int, window: int) -> Item:
    return Item("session", offset, window, ("nrs-mood", "nrs-anxiety", "nrs-pain"))


def _fortnight(offset: int, window: int) -> Item:
    return Item("course", offset, window, ("phq-9", "gad-7", "nrs-pain"))


# Scales about the present moment are asked at 24 hours, day 3 and day 7. Scales about the last two weeks are asked once
# those two weeks no longer include the course: weekly to week 8, then every four weeks to a year. Source: clinical
# reference 3.
DEFAULT_ITEMS = (
    _now(1, 1),
    _now(3, 1),
    _now(7, 2),
    *(_fortnight(7 * week, 3) for week in range(2, 9)),
    *(_fortnight(7 * week, 7) for week in range(12, 53, 4)),
)


def due(
    clinic: Sequence[Template],
    patient: Sequence[Template],
    infusions: Sequence[Infusion],
    positions: Mapping[str, InfusionPosition],
    answered: Mapping[str, Collection[date]],
    first: date,
    last: date,
) -> list[Due]:
    """What is due from `first` to `last`, in order. Templates are in order of `from_on`. `answered` holds, for each
    instrument, the days with an answer. What a session asks for ends at the next session, which asks anew."""
    found: dict[tuple[date, date], Due] = {}
    for item, anchor, until in _asked(clinic, patient, infusions, positions):
        due_on = anchor.day + timedelta(days=item.offset)
        if not first <= due_on <= last or (until is not None and due_on >= until):
            continue
        if item not in in_force(clinic, patient, due_on):
            continue
        ends_on = due_on + timedelta(days=item.window)
        same = found.get((due_on, ends_on))
        codes = tuple(dict.fromkeys([*(same.instruments if same else ()), *item.instruments]))
        missing = tuple(c for c in codes if not any(due_on <= day <= ends_on for day in answered.get(c, ())))
        found[due_on, ends_on] = Due(due_on, ends_on, codes, anchor.id, missing)
    return sorted(found.values(), key=lambda one: (one.due_on, one.window_ends_on))


def in_force(clinic: Sequence[Template], patient: Sequence[Template], day: date) -> tuple[Item, ...]:
    """The items that apply on a day. A change applies from the next day, so that no past day changes."""
    for templates in (patient, clinic):
        begun = [template for template in templates if template.from_on <= day]
        if begun and begun[-1].items is not None:
            return begun[-1].items
    return DEFAULT_ITEMS


def _asked(
    clinic: Sequence[Template],
    patient: Sequence[Template],
    infusions: Sequence[Infusion],
    positions: Mapping[str, InfusionPosition],
) -> list[tuple[Item, Infusion, date | None]]:
    """Every item of every version with each session that it follows, and the day of the next session or None."""
    everything = {item for template in (*clinic, *patient) for item in template.items or ()} | set(DEFAULT_ITEMS)
    ordered = sorted(infusions, key=lambda infusion: (infusion.at, infusion.id))
    found = []
    for infusion, after in zip_longest(ordered, ordered[1:]):
        course = (positions[infusion.id].episode, positions[infusion.id].course)
        ends_course = after is None or (positions[after.id].episode, positions[after.id].course) != course
        found += [
            (item, infusion, after.day if after else None)
            for item in sorted(everything, key=lambda item: (item.offset, item.window, item.instruments))
            if item.after == "session" or ends_course
        ]
    return found
