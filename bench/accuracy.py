"""How often the engine's status agrees with the true state under the synthetic law, and how often a flag is false.

The law (app/demo/law.py) knows the true course of every synthetic patient; the engine sees only noisy, late and missing
scores. Relief truly *holds* on a day while b * (1 - r), read without noise or recall, is at or under the response line;
it is truly *lost* once it has held and was then over the line for more than 5 days in a row. `make accuracy` runs this.
"""

import random
import statistics
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from app.demo.law import Person, check_in_days, people
from app.instruments import INSTRUMENTS
from app.relief import Infusion, Score, Track, Verdict, fold, order, read, step
from bench import asking, outlook

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
LAST_DAY = date(2026, 6, 30)
DAYS, SEED = 365, 7
LASTING_DAYS = 28
CONFIRMED_AFTER_DAYS = 5
STATUSES = ("holding", "fading", "lost")
FLAGS = (
    "remission",
    "worse_than_best",
    "reliable_deterioration",
    "recovered_without_retreatment",
    "emergent_symptoms",
)
CODES = ("phq-9", "gad-7", "peg", "nrs-pain", "nrs-mood")


@dataclass(frozen=True, slots=True)
class Truth:
    """The true state of one patient and instrument on a day: `holding`, `lost`, or `short` (no response, or past the
    line again for at most 5 days)."""

    days: tuple[date, ...]
    states: tuple[str, ...]

    def on(self, day: date) -> str:
        index = bisect_right(self.days, day) - 1
        return self.states[index] if index >= 0 else "short"


@dataclass
class Seen:
    """What was seen for one instrument. Days are patient-days with that status."""

    agree: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    delays: list[int] = field(default_factory=list)
    true_losses: int = 0
    followed_days: int = 0
    lasting: int = 0
    lasting_told: int = 0
    flagged: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)


def truth(person: Person, code: str, last_day: date) -> Truth:
    """The true course of one instrument from the first infusion to `last_day`."""
    rule = INSTRUMENTS[code].rule
    assert rule is not None  # the law only has instruments with a rule
    line = person.baselines[code] * (100 - rule.response) / 100
    days: list[date] = []
    states: list[str] = []
    held, over = False, 0
    day = person.first_day
    while day <= last_day:
        if person.severity(code, day) <= line:
            state, held, over = "holding", True, 0
        else:
            over += 1
            state = "lost" if held and over > CONFIRMED_AFTER_DAYS else "short"
        days.append(day)
        states.append(state)
        day += timedelta(days=1)
    return Truth(tuple(days), tuple(states))


def main(count: int) -> None:
    """Measures `count` patients and writes the page."""
    seen: dict[str, Seen] = defaultdict(Seen)
    for person in people(count, DAYS, LAST_DAY, SEED):
        rng = random.Random(f"{SEED} {person.number} readings")
        taken = [d for d in check_in_days(person, LAST_DAY) if d == person.first_day or rng.random() > person.misses]
        for code in person.baselines:
            observe(person, code, taken, rng, seen[code])
    more = [*asking.section(count), "", *outlook.section(4 * count)]
    PAGE.write_text("\n".join([page(count, seen), *more]) + "\n", encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


def observe(person: Person, code: str, taken: list[date], rng: random.Random, seen: Seen) -> None:
    """Follows one patient and instrument day by day."""
    instrument = INSTRUMENTS[code]
    rule = instrument.rule
    assert rule
    events: list[Infusion | Score] = [
        Infusion(f"i{n}", at(day, time(10)), day, day) for n, day in enumerate(person.infusion_days)
    ]
    events += [reading(person, code, day, rng) for day in taken]
    true = truth(person, code, LAST_DAY)
    # What has arrived by a day: most on the day itself, some up to eight days late, as in the demo's own data.
    arrives = {e: e.day + timedelta(days=late(rng)) if isinstance(e, Score) else e.day for e in events}
    track, known, waiting = Track(), [], sorted(events, key=lambda e: (arrives[e], order(e)))
    told_lost: list[date] = []
    before = ""
    flags_before: tuple[str, ...] = ()
    day = person.first_day
    while day <= LAST_DAY:
        while waiting and arrives[waiting[0]] <= day:
            event = waiting.pop(0)
            known.append(event)
            track = step(track, event, rule) if track.is_before(event) else fold(known, rule)
        verdict = read(track, rule, day)
        state = true.on(day)
        seen.followed_days += 1
        if verdict.status in STATUSES:
            seen.days[verdict.status] += 1
            seen.agree[verdict.status] += agrees(verdict.status, state)
            seen.confused[verdict.status, state] += 1
        if verdict.status == "lost" and before != "lost":
            told_lost.append(day)
        before = verdict.status
        for flag in set(verdict.flags) - set(flags_before):
            seen.flagged[flag] += 1
            seen.false[flag] += not is_true(flag, person, code, verdict)
        flags_before = verdict.flags
        day += timedelta(days=1)
    if person.baselines[code] >= rule.entry:
        losses(person, code, true_losses(true.days, true.states), told_lost, seen)


def agrees(status: str, state: str) -> bool:
    """`fading` and `lost` both claim that the line is passed. So both agree with every true state but `holding`."""
    return {"holding": state == "holding", "fading": state != "holding", "lost": state != "holding"}[status]


def is_true(flag: str, person: Person, code: str, verdict: Verdict) -> bool:
    """Whether the flag's claim holds of the true severity, read without noise over the latest reading's own window."""
    instrument = INSTRUMENTS[code]
    rule = instrument.rule
    assert rule
    assert verdict.latest

    def severity_on(day: date) -> float:
        window = range(1, max(1, instrument.recall_days) + 1)
        return sum(person.severity(code, day - timedelta(days=back)) for back in window) / len(window)

    severity = severity_on(verdict.latest.day)
    if flag == "remission":
        assert rule.remission is not None
        return severity <= rule.remission + 0.5
    if flag in ("reliable_deterioration", "emergent_symptoms"):
        return severity >= person.baselines[code] + rule.reliable_change - 0.5
    if flag == "worse_than_best":
        best = min(severity_on(d) for d in days(person.first_day, verdict.latest.day))
        return severity - best >= rule.reliable_change - 0.5
    return severity <= person.baselines[code] * (100 - rule.response) / 100


def true_losses(all_days: tuple[date, ...], states: tuple[str, ...]) -> list[date]:
    """The days on which relief truly became lost."""
    return [d for d, state, last in zip(all_days[1:], states[1:], states, strict=False) if state == "lost" != last]


def losses(person: Person, code: str, true_days: list[date], told: list[date], seen: Seen) -> None:
    """Pairs each true loss with the first day on which the status became `lost`, before the next infusion."""
    for true_day in true_days:
        seen.true_losses += 1
        until = next((d for d in person.infusion_days if d > true_day), LAST_DAY)
        since = true_day - timedelta(days=CONFIRMED_AFTER_DAYS)
        heard = next((d for d in told if since <= d <= until), None)
        lasted = (until - true_day).days >= LASTING_DAYS
        seen.lasting += lasted
        seen.lasting_told += lasted and heard is not None
        if heard is not None:
            seen.delays.append((heard - true_day).days)


def reading(person: Person, code: str, day: date, rng: random.Random) -> Score:
    """A noisy reading on the morning of a day."""
    moment = at(day, time(8, 30))
    severity = INSTRUMENTS[code].severity(person.measured(code, day, rng))
    return Score(f"s{day}", moment, day, moment, moment, severity)


def late(rng: random.Random) -> int:
    """Days until a check-in arrives: 8% come one to eight days late."""
    return rng.randrange(1, 9) if rng.random() < 0.08 else 0


def at(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, UTC)


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "none seen"


def page(count: int, seen: dict[str, Seen]) -> str:
    """The page, from what was seen."""
    lines = [
        "# How accurate is the answer?",
        "",
        f"Measured on {count} synthetic patients over {DAYS} days (seed {SEED}), whose true course is known because",
        "they are simulated. The simulation is `app/demo/law.py`, called the law here; it was written before the",
        "engine ran on it. The engine saw noisy, late, missing scores averaged over each instrument's recall",
        "window. Written by `make accuracy`. **These figures describe the rules under this law. They are no claim",
        "about real patients.**",
        "",
        "## How often a status agrees with the truth",
        "",
        "For each status: the share of patient-days with that status on which the true severity, without noise and",
        "recall, was on the side of the response line that the status states. `fading` and `lost` both state that",
        "it is past the line.",
        "",
        "| instrument | holding | fading | lost | patient-days |",
        "|---|--:|--:|--:|--:|",
    ]
    for code in CODES:
        s = seen[code]
        cells = [percent(s.agree[status], s.days[status]) for status in STATUSES]
        lines.append(f"| `{code}` | {' | '.join(cells)} | {sum(s.days.values())} |")
    lines += [
        "",
        "## The delay to `lost`",
        "",
        f"A true loss means that the true severity was past the line for {CONFIRMED_AFTER_DAYS} days in a row after",
        "relief had held. It counts as told if the status became `lost` before the next infusion (or the end). The",
        "delay is the number of days from the true loss to that status. It is negative if the status came before",
        f"the true severity had been past the line for {CONFIRMED_AFTER_DAYS} days.",
        "",
        f"| instrument | true losses | told | lasting {LASTING_DAYS} days or more | of those told | median delay, days "
        "| 90th percentile |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for code in CODES:
        s = seen[code]
        spread = sorted(s.delays)
        ninety = spread[int(0.9 * (len(spread) - 1))] if spread else "none"
        median = statistics.median(spread) if spread else "none"
        told, lasting = percent(len(spread), s.true_losses), percent(s.lasting_told, s.lasting)
        lines.append(f"| `{code}` | {s.true_losses} | {told} | {s.lasting} | {lasting} | {median} | {ninety} |")
    lines += [
        "",
        "A loss is not told if no second reading past the line comes in time: check-ins are missed, the next",
        "infusion comes first, or noise and the recall window keep readings on the near side of the line. These",
        "causes are not counted separately. A patient without recent scores is reported as `stale`, never as",
        "holding.",
        "",
        "## False alarms of each flag",
        "",
        "The share of times that a flag was raised although its claim was false, and false flags per 100",
        "patient-years. A claim is checked against the true severity without noise, averaged over the reading's own",
        "recall window, with a tolerance of half a point. Under this law nobody truly gets worse than the baseline.",
        "So every `reliable_deterioration` and `emergent_symptoms` here comes from noise or from a baseline that",
        "was low by chance.",
        "",
        "| instrument | " + " | ".join(f"`{flag}`" for flag in FLAGS) + " |",
        "|---|" + "--:|" * len(FLAGS),
    ]
    for code in CODES:
        s = seen[code]
        cells = [
            f"{percent(s.false[flag], s.flagged[flag])} of {s.flagged[flag]}; {36_500 * s.false[flag] / s.followed_days:.1f}"
            if s.flagged[flag]
            else "none raised"
            for flag in FLAGS
        ]
        lines.append(f"| `{code}` | {' | '.join(cells)} |")
    lines += [
        "",
        "The scales about the last two weeks (`phq-9`, `gad-7`) lag behind the truth, because a reading after a",
        "change still covers days from before it.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
