"""Computes what is due when, and whether it was answered, from the versions of a plan and a patient's sessions. Pure
functions.

All days are calendar days in the clinic's time zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import zip_longest

from app.instruments import INSTRUMENTS
from app.relief import BASELINE_LOOKBACK_DAYS, Infusion, InfusionPosition

DEFAULT_VERSION = 1
# Items this far around the days asked for are looked at too: which item an answer serves may depend on them.
AROUND = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Item:
    """One check-in that a plan asks for. It is due `offset` days after each session, after the last session of each
    course, or after enrolment until there is an infusion. It may be answered from `early` days before until `window`
    days later."""

    after: str
    offset: int
    window: int
    instruments: tuple[str, ...]
    early: int = 1


@dataclass(frozen=True, slots=True)
class Template:
    """A version of a plan, from `from_on` until the next applies. `confirm`: it asks once more after a
    reading near the line; see `plans.confirming`. Where one of a patient is None, the clinic's applies."""

    from_on: date
    items: tuple[Item, ...] | None
    confirm: bool | None = None

    @property
    def items_asked(self) -> tuple[Item, ...]:
        return self.items or ()


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer on a day. `whole`: every item is answered; one with unanswered items declines what was asked."""

    day: date
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Due:
    """A check-in due because of a session, of enrolment, or, where `confirms`, of a reading near the line (in the last
    two cases `session_id` is None). `anchor_on` is the day of that. `missing`: its instruments without an answer,
    `declined`: those whose answer has unanswered items."""

    due_on: date
    window_ends_on: date
    instruments: tuple[str, ...]
    session_id: str | None
    early: int = 1
    anchor_on: date = date.min
    confirms: bool = False
    missing: tuple[str, ...] = field(default=())
    declined: tuple[str, ...] = field(default=())

    def state(self, today: date) -> str:
        """`done` (all was answered), `declined` (so, but not every item), `upcoming`, `due` (today), `overdue` (the
        window is open) or `missed`."""
        if not self.missing:
            return "declined" if self.declined else "done"
        if self.due_on > today:
            return "upcoming"
        if self.due_on == today:
            return "due"
        return "overdue" if today <= self.window_ends_on else "missed"

    def takes(self, instrument: str, day: date) -> bool:
        """Whether an answer of that day can be the one that is asked for. Before its day an answer counts only if it is
        about the time since the session: after its day, and with a recall window that does not reach back to it."""
        if day >= self.due_on:
            return day <= self.window_ends_on
        if self.session_id is None:
            return (self.due_on - day).days <= self.early
        is_clear = (day - self.anchor_on).days >= max(1, INSTRUMENTS[instrument].recall_days)
        return is_clear and (self.due_on - day).days <= self.early


def _now(offset: int, window: int) -> Item:
    return Item("session", offset, window, ("nrs-mood", "nrs-anxiety", "nrs-pain"))


_BASELINE = ("phq-9", "gad-7", "nrs-pain")


def _fortnight(offset: int, window: int) -> Item:
    return Item("course", offset, window, _BASELINE)


# The baseline is asked for at enrolment, and again before it is too old to be one, for a year or until there is an
# infusion. Scales about the present moment are asked at 24 hours, day 3 and day 7. Scales about the last two weeks are
# asked once those two weeks no longer include the course: weekly to week 8, then every four weeks to a year. Source:
# clinical reference 3 and 4.6.
DEFAULT_ITEMS = (
    *(
        Item("enrolment", n * BASELINE_LOOKBACK_DAYS, BASELINE_LOOKBACK_DAYS - 1, _BASELINE)
        for n in range(365 // BASELINE_LOOKBACK_DAYS + 1)
    ),
    _now(1, 1),
    _now(3, 1),
    _now(7, 2),
    *(_fortnight(7 * week, 3) for week in range(2, 9)),
    *(_fortnight(7 * week, 7) for week in range(12, 53, 4)),
)
_DEFAULT = Template(date.min, DEFAULT_ITEMS, confirm=True)


def due(
    clinic: Sequence[Template],
    patient: Sequence[Template],
    enrolled_on: date,
    infusions: Sequence[Infusion],
    positions: Mapping[str, InfusionPosition],
    answered: Mapping[str, Sequence[Answer]],
    first: date,
    last: date,
    confirming: Sequence[Due] = (),
) -> list[Due]:
    """What is due from `first` to `last`, in order. Templates are in order of `from_on`. `answered` holds the answers
    on each instrument, `confirming` what is asked once more. One answer serves one item, so items around the days asked
    for are looked at too. What a session asks for ends at the next session, which asks anew; what enrolment asks for
    ends at the first."""
    found: dict[tuple[date, date, int], Due] = {}
    everything = {item for template in (*clinic, *patient) for item in template.items or ()} | set(DEFAULT_ITEMS)
    items = sorted(everything, key=lambda item: (item.offset, item.window, item.early, item.instruments))
    for item, anchor, until in _asked(items, enrolled_on, infusions, positions):
        due_on = anchor[0] + timedelta(days=item.offset)
        if first - due_on > AROUND or due_on - last > AROUND or (until is not None and due_on >= until):
            continue
        if item not in in_force(clinic, patient, due_on).items_asked:
            continue
        ends_on = due_on + timedelta(days=item.window)
        if item.after == "enrolment" and until is not None:
            ends_on = min(ends_on, until)
        same = found.get((due_on, ends_on, item.early))
        codes = tuple(dict.fromkeys([*(same.instruments if same else ()), *item.instruments]))
        found[due_on, ends_on, item.early] = Due(due_on, ends_on, codes, anchor[1], item.early, anchor[0])
    asked = sorted([*found.values(), *confirming], key=lambda one: (one.due_on, one.window_ends_on, one.early))
    return [one for one in _served(asked, answered) if first <= one.due_on <= last]


def _served(asked: Sequence[Due], answered: Mapping[str, Sequence[Answer]]) -> list[Due]:
    """The items with what became of them. Each answer serves the item whose window closes first; whole ones before
    those with unanswered items."""
    served: dict[tuple[int, str], Answer] = {}
    for code, answers in answered.items():
        for answer in sorted(answers, key=lambda one: (not one.whole, one.day)):
            takers = [
                (one.window_ends_on, n)
                for n, one in enumerate(asked)
                if code in one.instruments and (n, code) not in served and one.takes(code, answer.day)
            ]
            if takers:
                served[min(takers)[1], code] = answer
    return [
        replace(
            one,
            missing=tuple(code for code in one.instruments if (n, code) not in served),
            declined=tuple(c for c in one.instruments if (n, c) in served and not served[n, c].whole),
        )
        for n, one in enumerate(asked)
    ]


def in_force(clinic: Sequence[Template], patient: Sequence[Template], day: date) -> Template:
    """The plan that applies on a day. A change applies from the next day, so that no past day changes."""
    own, all_patients = (
        next((template for template in reversed(templates) if template.from_on <= day), None)
        for templates in (patient, clinic)
    )
    shared = all_patients or _DEFAULT
    if own is None:
        return shared
    confirm = shared.confirm if own.confirm is None else own.confirm
    return replace(own, items=shared.items if own.items is None else own.items, confirm=confirm)


def asks_between(plan: Template, code: str, infused_on: date, first: date, last: date) -> bool:
    """Whether a plan asks for an instrument on a day from `first` to `last`, if the latest infusion was on
    `infused_on`: what earlier ones asked for ended with it, and it is the last one of its course so far."""
    return any(
        first <= infused_on + timedelta(days=item.offset) <= last
        for item in plan.items_asked
        if item.after != "enrolment" and code in item.instruments
    )


def _asked(
    items: Sequence[Item],
    enrolled_on: date,
    infusions: Sequence[Infusion],
    positions: Mapping[str, InfusionPosition],
) -> list[tuple[Item, tuple[date, str | None], date | None]]:
    """Every item with what it follows (a day, and a session or None), and the day of the next session
    or None."""
    ordered = sorted(infusions, key=lambda infusion: (infusion.at, infusion.id))
    begins = ordered[0].day if ordered else None
    found: list[tuple[Item, tuple[date, str | None], date | None]] = [
        (item, (enrolled_on, None), begins) for item in items if item.after == "enrolment"
    ]
    for infusion, after in zip_longest(ordered, ordered[1:]):
        course = (positions[infusion.id].episode, positions[infusion.id].course)
        ends_course = after is None or (positions[after.id].episode, positions[after.id].course) != course
        found += [
            (item, (infusion.day, infusion.id), after.day if after else None)
            for item in items
            if item.after == "session" or (item.after == "course" and ends_course)
        ]
    return found
