"""Three laws of how relief lasts and who answers, under which the answers that say more are measured.

1. `demo`: the law of `app/demo/law.py`: relief decays, so that deeper relief takes longer to cross the response line.
2. `unlinked`: no link between depth and durability. Relief stays as deep as it is for a time that is drawn without regard
   to depth (log-normal, median 60 days, sigma 0.8, anew after each infusion), and is then gone within ten days.
3. `dropout`: the demo's law, but who is past the response line answers only one time in five.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from app.demo.law import Person, people
from app.instruments import INSTRUMENTS, Rule
from app.relief import Infusion, Score

CODE = "phq-9"
LAST_DAY, DAYS = date(2026, 6, 30), 365
LAWS = ("demo", "unlinked", "dropout")
_ANSWERED_WHEN_PAST = 0.2
_GONE_WITHIN_DAYS = 10


@dataclass(frozen=True, slots=True)
class Patient:
    """A synthetic patient under a law. `line` is the true severity up to which there is response."""

    person: Person
    law: str
    line: float

    def severity(self, day: date) -> float:
        """True severity on a day, in points, without noise and recall."""
        return self.person.severity(CODE, day)

    def holds(self, day: date) -> bool:
        return self.severity(day) <= self.line

    def answers(self, day: date, rng: random.Random) -> bool:
        """Whether a check-in that is asked for on a day is answered."""
        if day <= self.person.first_day:
            return True
        if self.person.stops_on is not None and day > self.person.stops_on:
            return False
        share = 1 - self.person.misses
        if self.law == "dropout" and not self.holds(day):
            share = _ANSWERED_WHEN_PAST
        return rng.random() < share

    def reading(self, day: date, rng: random.Random) -> Score:
        """A noisy reading on the morning of a day, recorded at once."""
        moment = datetime.combine(day, time(8, 30), UTC)
        severity = INSTRUMENTS[CODE].severity(self.person.measured(CODE, day, rng))
        return Score(f"s{day}", moment, day, moment, moment, severity)

    def infusions(self) -> list[Infusion]:
        at = [(day, datetime.combine(day, time(10), UTC)) for day in self.person.infusion_days]
        return [Infusion(f"i{n}", moment, day, day) for n, (day, moment) in enumerate(at)]


def rule() -> Rule:
    found = INSTRUMENTS[CODE].rule
    assert found is not None
    return found


def patients(law: str, count: int, seed: int) -> Iterator[Patient]:
    """Patients under a law. One seed, the same patients."""
    for person in people(count, DAYS, LAST_DAY, seed):
        mine = _unlinked(person, seed) if law == "unlinked" else person
        yield Patient(mine, law, mine.baselines[CODE] * (100 - rule().response) / 100)


def weekly_then_fortnightly(person: Person) -> Sequence[date]:
    """The demo's schedule: infusion days, and from day 14 weekly to week 8, then every two weeks."""
    days, follow_up = set(person.infusion_days), person.first_day + timedelta(days=14)
    while follow_up <= LAST_DAY:
        days.add(follow_up)
        follow_up += timedelta(days=7 if (follow_up - person.first_day).days < 56 else 14)
    return sorted(days)


def _unlinked(person: Person, seed: int) -> Person:
    rng = random.Random(f"{seed} {person.number} unlinked")
    given, ceiling = set(person.infusion_days), person.ceilings[CODE]
    held, lasts_until, course = 0.0, 0.0, []
    for offset in range(len(person.relief[CODE])):
        if person.first_day + timedelta(days=offset) in given:
            held += 0.45 * max(0.0, ceiling - held)
            lasts_until = offset + math.exp(rng.gauss(math.log(60), 0.8))
            top = held
        elif offset > lasts_until:
            held = max(0.0, held - top / _GONE_WITHIN_DAYS)
        course.append(held)
    return replace(person, relief={**person.relief, CODE: tuple(course)})
