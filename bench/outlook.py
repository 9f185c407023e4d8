"""How far the outlook can be trusted: coverage of its intervals, what it says beside what was seen, and Brier scores."""

import random
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.outlook.estimating import ahead
from app.relief import Infusion, Score, Spell, fold, readings, records
from app.relief.outlook import LOOKED_AHEAD_DAYS, Contribution, contribution
from app.statistics import Step, Times, kaplan_meier
from bench.laws import LAWS, Patient, patients, rule, weekly_then_fortnightly

SEED = 11
SIZES = (11, 20, 50, 200)
HELD = 28
REPEATS = 600
_SAMPLED = 400


@dataclass(frozen=True, slots=True)
class Known:
    """A patient's first spell, with the days on which a reading shows response before its end."""

    patient: Patient
    spell: Spell
    responses: tuple[int, ...]


def known_spells(law: str, count: int) -> list[Known]:
    found = []
    for patient in patients(law, count, SEED):
        rng = random.Random(f"{SEED} {patient.person.number} outlook")
        scores = [
            patient.reading(day, rng) for day in weekly_then_fortnightly(patient.person) if patient.answers(day, rng)
        ]
        every: list[Infusion | Score] = [*patient.infusions(), *scores]
        track = fold(every, rule())
        spell = next((record.spell for record in records(track) if record.spell), None)
        if spell is None:
            continue
        shown = [
            (reading.score.day - spell.origin_on).days
            for reading in readings(every, rule()).scores
            if reading.counts and reading.responds and spell.origin_on <= reading.score.day < spell.through_on
        ]
        found.append(Known(patient, spell, tuple(shown)))
    return found


def contributions(known: Iterable[Known], held: int) -> list[Contribution]:
    every = (
        contribution(one.spell.diary, one.spell.days, is_event=one.spell.event is not None, held=held) for one in known
    )
    return [one for one in every if one is not None]


def coverage(pool: Sequence[Contribution], size: int, days: int, rng: random.Random) -> float | None:
    """The share of samples whose 95% interval holds what all of them together say."""
    index = LOOKED_AHEAD_DAYS.index(days)
    truth = ahead(pool)[index].held
    if truth is None:
        return None
    inside = told = 0
    for _ in range(REPEATS):
        interval = ahead(rng.choices(pool, k=size))[index].ci
        if interval is not None:
            told += 1
            inside += interval[0] <= truth <= interval[1]
    return inside / told if told else None


@dataclass
class Said:
    """What was said of patients when they had just been measured, and what came of it."""

    said: list[float]
    plain: list[float]
    seen: list[tuple[int, bool]]
    truly: list[bool]
    ended: list[tuple[float, float, float, bool]]


def said_of(known: Sequence[Known], days: int) -> Said:
    """Half of the patients are asked about, at each of their readings; the other half are the comparators."""
    others, asked = known[::2], known[1::2]
    index = LOOKED_AHEAD_DAYS.index(days)
    curve = kaplan_meier(_times([(one.spell.days, one.spell.event is not None) for one in others]))
    cache: dict[int, list[Contribution]] = {}
    estimates: dict[tuple[int, bool], tuple[float | None, float | None]] = {}
    found = Said([], [], [], [], [])
    for one, held in [(person, held) for person in asked[:_SAMPLED] for held in person.responses]:
        if held not in cache:
            cache[held] = contributions(others, held)
        compared = cache[held]
        mine = contribution(one.spell.diary, one.spell.days, is_event=one.spell.event is not None, held=held)
        if mine is None or len(compared) < 11:
            continue
        if (held, mine.is_deep) not in estimates:
            deep = [other for other in compared if other.is_deep == mine.is_deep]
            whole = ahead(compared)[index].held
            estimates[held, mine.is_deep] = whole, ahead(deep)[index].held if len(deep) >= 11 else whole
        whole, split = estimates[held, mine.is_deep]
        plain = _at(curve, held + days) / (_at(curve, held) or 1)
        if whole is None or split is None:
            continue
        found.said.append(whole)
        found.plain.append(plain)
        found.seen.append((mine.days, mine.is_event))
        found.truly.append(_truly_held(one, held, days))
        if mine.days >= days or mine.is_event:
            held_on = mine.days > days or (mine.days == days and not mine.is_event)
            found.ended.append((whole, split, plain, held_on))
    return found


def _truly_held(one: Known, held: int, days: int) -> bool:
    """Whether the true severity was never past the line for more than 5 days in a row."""
    over, start = 0, one.spell.origin_on + timedelta(days=held)
    for day in (start + timedelta(days=n) for n in range(1, days + 1)):
        over = 0 if one.patient.holds(day) else over + 1
        if over > 5:
            return False
    return True


def _times(ends: Iterable[tuple[int, bool]]) -> Times:
    events: dict[int, int] = {}
    censored: dict[int, int] = {}
    for days, is_event in ends:
        counts = events if is_event else censored
        counts[days] = counts.get(days, 0) + 1
    return Times(events, censored)


def _at(curve: Sequence[Step], day: int) -> float:
    return [step for step in curve if step.time <= day][-1].survival


def _brier(ended: Sequence[tuple[float, float, float, bool]], which: Callable[..., float]) -> float:
    return statistics.fmean((which(*one[:3]) - one[3]) ** 2 for one in ended)


def section(count: int) -> list[str]:
    """The part of the page."""
    lines = [
        "## What happened to others: the outlook",
        "",
        f"PHQ-9, under the same three laws, {count} patients each (seed {SEED}), on the demo's schedule. *Coverage*: spells",
        f"are drawn, with replacement and {REPEATS} times, from all that count at {HELD} days held; the share of draws whose",
        "95% interval for 28 days more holds what all of them together say.",
        "",
        f"| law | spells | {' | '.join(f'n = {size}' for size in SIZES)} |",
        "|---|--:|" + "--:|" * len(SIZES),
    ]
    known = {law: known_spells(law, count) for law in LAWS}
    for law in LAWS:
        pool, rng = contributions(known[law], HELD), random.Random(SEED)
        cells = [coverage(pool, size, 28, rng) for size in SIZES]
        shown = " | ".join("too few" if cell is None else f"{cell:.3f}" for cell in cells)
        lines.append(f"| {law} | {len(pool)} | {shown} |")
    lines += [
        "",
        f"*Said and seen*: of one half of the patients, {_SAMPLED} are asked about, at each of their readings that shows",
        "response; the other half are compared with. Mean of what the outlook said, of what the plain curve says,",
        "S(t+u)/S(t), and what was seen (Kaplan-Meier over those who were asked about). *Truly*: the share whose true severity was not past the line",
        "for more than five days in a row. *Brier scores* over those whose state after so many days is known: of the outlook,",
        "of its split by depth, and of the plain curve; smaller is better. Spells that were censored earlier are left out, so",
        "losses weigh more in them than among all: compare the three with each other, not with another study's.",
        "",
        "| law | days more | said | plain curve | seen | truly | Brier: outlook | by depth | plain curve |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for law in LAWS:
        for days in LOOKED_AHEAD_DAYS:
            found = said_of(known[law], days)
            seen = _at(kaplan_meier(_times(found.seen)), days)
            means = (statistics.fmean(found.said), statistics.fmean(found.plain), seen, statistics.fmean(found.truly))
            scores = (
                _brier(found.ended, lambda whole, _split, _plain: whole),
                _brier(found.ended, lambda _whole, split, _plain: split),
                _brier(found.ended, lambda _whole, _split, plain: plain),
            )
            lines.append(f"| {law} | {days} | {' | '.join(f'{one:.2f}' for one in means)} | "
                         f"{' | '.join(f'{one:.3f}' for one in scores)} |")  # fmt: skip
    lines += [
        "",
        "Where it fails: the outlook tells what was *measured* of others. A loss between two readings that nobody took is",
        "not seen; so what was seen lies above what truly was, and most where those who lost relief stop answering. The",
        "split by depth helps most where depth and durability are linked. Beside the plain curve the outlook is less off on",
        "the whole, because who has just been measured in response is known to hold; for one patient it says little more.",
    ]
    return lines
