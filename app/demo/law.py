"""The law of the synthetic clinic: how relief comes, decays and is measured. Written before the engine ran on it.

Nobody real is in here, and nothing here claims how patients really respond. The law, for each patient and instrument
(s is severity as a share of the instrument's range, 0 to 1):

1. Baseline b is drawn per instrument from a normal law (PHQ-9 about 18 of 27), cut to the range. Some fall under the
   entry line, as they do in clinics.
2. Each patient draws a ceiling of relief m: 35% never get far (m from 0 to 0.35), the others do (m from 0.5 to 0.95).
   Instruments of one patient share m up to a little noise.
3. Each infusion closes 45% of the gap between the relief held and m.
4. Between infusions relief r decays as exp(-ln 2 * days / half-life); the half-life is drawn per patient from a
   log-normal law with median 60 days and sigma 0.8.
5. True severity on a day is b * (1 - r). A reading is that, averaged over the instrument's recall window, plus normal
   noise with the instrument's standard error of measurement, rounded to an attainable score. Item answers are drawn to
   add up to the total; the self-harm item is drawn low and rises with severity.

Infusions: six in twelve days; half of the patients then come monthly for maintenance; otherwise a booster follows when
true relief has been gone for two to six weeks, with probability 0.6. Check-ins: before each infusion, the day after
some, weekly to week 8, then every two weeks; each is missed with the patient's own probability (10% to 50%), some
arrive days late, some twice, and one patient in six stops for good at some point.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.instruments import INSTRUMENTS, Instrument

# Mean and SD of the baseline, and the standard error of measurement, in points.
_LAW = {
    "phq-9": (18.0, 4.0, 1.6),
    "gad-7": (14.0, 4.0, 1.4),
    "nrs-pain": (6.5, 1.6, 0.8),
    "peg": (19.0, 4.5, 2.0),
    "nrs-mood": (7.0, 1.3, 0.9),
}


@dataclass(frozen=True, slots=True)
class Person:
    """One synthetic patient: infusion days, and for each instrument the baseline severity and the highest relief."""

    number: int
    first_day: date
    infusion_days: tuple[date, ...]
    baselines: dict[str, float]
    ceilings: dict[str, float]
    half_life_days: float
    misses: float
    stops_on: date | None
    relief: dict[str, tuple[float, ...]]

    def severity(self, code: str, day: date) -> float:
        """True severity in points on a day, after that day's infusion. Before the first: the baseline."""
        index = (day - self.first_day).days
        course = self.relief[code]
        held = 0.0 if index < 0 else course[min(index, len(course) - 1)]
        return self.baselines[code] * (1 - held)

    def measured(self, code: str, day: date, rng: random.Random) -> int:
        """A reading taken in the morning, before any infusion of that day, in points as posted."""
        instrument = INSTRUMENTS[code]
        window = max(1, instrument.recall_days)
        days = [day - timedelta(days=back) for back in range(1, window + 1)]
        truth = sum(self.severity(code, back) for back in days) / window
        severity = truth + rng.gauss(0, _LAW[code][2])
        return _attainable(instrument, severity)


def people(count: int, days: int, last_day: date, seed: int) -> Iterator[Person]:
    """Synthetic patients, first infused in the first three quarters of the last `days`. One seed, the same people."""
    for number in range(count):
        rng = random.Random(f"{seed} {number}")  # noqa: S311 - a simulation
        start = last_day - timedelta(days=days - int(days * 0.75 * rng.random()))
        yield _person(number, start, last_day, rng)


def answers(instrument: Instrument, points: int, rng: random.Random) -> list[int]:
    """Item answers that add up to the total. The self-harm item stays low until all others are at their maximum."""
    harm = instrument.self_harm.number if instrument.self_harm else 0
    found = [item.min for item in instrument.items]
    open_items = [i for i, item in enumerate(instrument.items) if item.number != harm]
    left = points - sum(found)
    if harm and left > 3 and rng.random() < points / 200:
        found[harm - 1] += 1
        left -= 1
    while left > 0:
        rooms = [i for i in open_items if found[i] < instrument.items[i].max] or [harm - 1]
        found[rng.choice(rooms)] += 1
        left -= 1
    return found


def check_in_days(person: Person, last_day: date) -> Sequence[date]:
    """Infusion days, the day after every second one, and from day 14 weekly to week 8, then every two weeks."""
    due = set(person.infusion_days)
    due |= {day + timedelta(days=1) for day in person.infusion_days[::2]}
    follow_up = person.infusion_days[0] + timedelta(days=14)
    while follow_up <= last_day:
        due.add(follow_up)
        weekly = (follow_up - person.first_day).days < 56
        follow_up += timedelta(days=7 if weekly else 14)
    return sorted(day for day in due if day <= last_day and (person.stops_on is None or day <= person.stops_on))


def _person(number: int, start: date, last_day: date, rng: random.Random) -> Person:
    pain = rng.random() < 0.4
    codes = ["phq-9", "gad-7", *(["peg", "nrs-pain"] if pain else ["nrs-mood"])]
    baselines = {code: _drawn(code, rng) for code in codes}
    ceiling = rng.uniform(0, 0.35) if rng.random() < 0.35 else rng.uniform(0.5, 0.95)
    ceilings = {code: min(0.98, max(0.0, ceiling + rng.gauss(0, 0.07))) for code in codes}
    half_life = math.exp(rng.gauss(math.log(60), 0.8))
    infusions = _infusions(start, last_day, ceiling, half_life, rng)
    stops_on = start + timedelta(days=rng.randrange(20, 300)) if rng.random() < 1 / 6 else None
    misses = rng.uniform(0.1, 0.5)
    length = (last_day - start).days + 1
    relief = {code: _relief(start, length, infusions, ceilings[code], half_life) for code in codes}
    return Person(number, start, infusions, baselines, ceilings, half_life, misses, stops_on, relief)


def _drawn(code: str, rng: random.Random) -> float:
    mean, deviation, _ = _LAW[code]
    return min(float(INSTRUMENTS[code].points[-1]), max(1.0, rng.gauss(mean, deviation)))


def _infusions(start: date, last_day: date, ceiling: float, half_life: float, rng: random.Random) -> tuple[date, ...]:
    days = [start + timedelta(days=offset) for offset in (0, 2, 4, 7, 9, 11)]
    maintained = rng.random() < 0.5
    while True:
        if maintained:
            following = days[-1] + timedelta(days=rng.randrange(26, 33))
        elif ceiling < 0.5 or rng.random() > 0.6:
            break
        else:
            until_gone = half_life * math.log2(max(1.1, ceiling / 0.5))
            following = days[-1] + timedelta(days=int(until_gone) + rng.randrange(14, 43))
        if following > last_day:
            break
        days.append(following)
    return tuple(day for day in days if day <= last_day)


def _relief(start: date, length: int, infusions: Sequence[date], ceiling: float, half_life: float) -> tuple[float, ...]:
    given = set(infusions)
    held, course = 0.0, []
    for offset in range(length):
        held *= 0.5 ** (1 / half_life) if offset else 1.0
        if start + timedelta(days=offset) in given:
            held += 0.45 * max(0.0, ceiling - held)
        course.append(held)
    return tuple(course)


def _attainable(instrument: Instrument, severity: float) -> int:
    """The attainable score whose severity is nearest to `severity`."""
    return min(instrument.points, key=lambda points: abs(instrument.severity(points) - severity))
