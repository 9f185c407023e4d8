"""What asking once more brings: losses told, their delay, false alarms and extra readings; and how sure a reading is."""

import random
import statistics
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from app.plans.schedule import DEFAULT_ITEMS
from app.relief import CONFIRM_UNTIL, Track, Verdict, confirm_on, read, step
from app.tracks.domains import near_line
from bench.laws import CODE, LAST_DAY, LAWS, Patient, patients, rule

PLANS = ("default", "weekly", "sparse")
LASTING_DAYS, TOLD_WITHIN, CONFIRMED_AFTER_DAYS = 28, 28, 5
SEED = 7


@dataclass
class Seen:
    """What was seen of all patients under one law and plan."""

    days: int = 0
    extra: int = 0
    lasting: int = 0
    told: int = 0
    delays: list[int] = field(default_factory=list)
    false: int = 0
    holding: dict[bool, list[bool]] = field(default_factory=lambda: {True: [], False: []})


def asked_days(patient: Patient, plan: str) -> list[date]:
    """The days on which a plan asks for the instrument."""
    given = patient.person.infusion_days
    days = {patient.person.first_day}
    for infused, following in zip(given, [*given[1:], None], strict=True):
        until = following or LAST_DAY + timedelta(days=1)
        days |= {day for day in _after(infused, plan, ends_course=_ends(infused, following)) if infused < day < until}
    return sorted(day for day in days if day <= LAST_DAY)


def _ends(infused: date, following: date | None) -> bool:
    return following is None or (following - infused).days > 14


def _after(infused: date, plan: str, *, ends_course: bool) -> Iterator[date]:
    if plan == "default":
        offsets: Sequence[int] = [
            item.offset for item in DEFAULT_ITEMS if item.after == "course" and CODE in item.instruments and ends_course
        ]
    else:
        every = 7 if plan == "weekly" else 28
        offsets = range(every, 400, every)
    return (infused + timedelta(days=offset) for offset in offsets)


def observe(patient: Patient, plan: str, seen: Seen, *, confirms: bool) -> None:
    """Follows one patient from reading to reading."""
    rng = random.Random(f"{SEED} {patient.person.number} {plan}")
    asked = asked_days(patient, plan)
    waiting: list[tuple[date, bool]] = [(day, False) for day in asked]
    pending, track = patient.infusions(), Track()
    told_lost: list[date] = []
    before = ""
    while waiting:
        day, is_extra = waiting.pop(0)
        if not patient.answers(day, rng):
            continue
        seen.extra += is_extra
        score = patient.reading(day, rng)
        while pending and pending[0].at < score.at:
            track = step(track, pending.pop(0), rule())
        track = step(track, score, rule())
        verdict = read(track, rule(), day)
        if verdict.status == "holding":
            seen.holding[bool(near_line(CODE, verdict))].append(patient.holds(day))
        if verdict.status == "lost" and before != "lost":
            told_lost.append(day)
            seen.false += patient.holds(day)
        before = verdict.status
        due_on = _due_on(patient, verdict, day, asked) if confirms else None
        if due_on is not None and all(other[0] != due_on for other in waiting):
            insort(waiting, (due_on, True))
    seen.days += (LAST_DAY - patient.person.first_day).days
    if patient.person.baselines[CODE] >= rule().entry:
        _losses(patient, told_lost, seen)


def _due_on(patient: Patient, verdict: Verdict, day: date, asked: Sequence[date]) -> date | None:
    due_on = confirm_on(verdict, rule().recall_days, near_line=bool(near_line(CODE, verdict)))
    if due_on is None or due_on > LAST_DAY:
        return None
    at = bisect_left(asked, day + timedelta(days=1))
    is_asked = at < len(asked) and asked[at] <= day + CONFIRM_UNTIL
    infused = any(day <= infusion <= due_on for infusion in patient.person.infusion_days)
    return None if is_asked or infused else due_on


def _losses(patient: Patient, told: Sequence[date], seen: Seen) -> None:
    """Pairs each true loss that lasts 28 days with the first day on which it was told."""
    held, over, day = False, 0, patient.person.first_day
    while day <= LAST_DAY:
        if patient.holds(day):
            held, over = True, 0
        else:
            over += 1
            if held and over == CONFIRMED_AFTER_DAYS + 1:
                until = next((d for d in patient.person.infusion_days if d > day), LAST_DAY)
                held = False
                if (until - day).days >= LASTING_DAYS:
                    since = day - timedelta(days=CONFIRMED_AFTER_DAYS)
                    heard = next((d for d in told if since <= d <= until), None)
                    seen.lasting += 1
                    if heard is not None and (heard - day).days <= TOLD_WITHIN:
                        seen.told += 1
                        seen.delays.append((heard - day).days)
        day += timedelta(days=1)


def section(count: int) -> list[str]:
    """The part of the page."""
    lines = [
        "## How sure a reading is, and asking once more",
        "",
        f"PHQ-9, {count} patients a law (seed {SEED}), under three laws (`bench/laws.py`): the demo's; one without any link",
        "between how deep relief is and how long it lasts; and the demo's, but who is past the response line answers only one",
        "time in five. Three plans: the default (from the last session of a course weekly from week 2 to 8, then every four",
        "weeks), one that asks every week, and one that asks every four weeks.",
        "",
        "Of readings whose status was `holding`: the share whose true severity was on that side of the line, for readings",
        "clear of the line and for those within measurement error of it (`near_line`).",
        "",
        "| law | plan | clear of the line | near it |",
        "|---|---|--:|--:|",
    ]
    table: dict[tuple[str, str, bool], Seen] = {}
    for law in LAWS:
        for plan in PLANS:
            for confirms in (False, True):
                seen = table[law, plan, confirms] = Seen()
                for patient in patients(law, count, SEED):
                    observe(patient, plan, seen, confirms=confirms)
            clear, near = (table[law, plan, False].holding[is_near] for is_near in (False, True))
            lines.append(f"| {law} | {plan} | {_share(clear)} | {_share(near)} |")
    lines += [
        "",
        "With and without the confirming check-in: of the true losses that last 28 days or more, the share told (`lost`)",
        "within 28 days and the median delay of those; `lost` told while relief truly held, per 100 patient-years; and",
        "extra readings answered per patient-year.",
        "",
        "| law | plan | losses | told within 28 days | median delay | false alarms | extra readings |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for law in LAWS:
        for plan in PLANS:
            before, after = (table[law, plan, confirms] for confirms in (False, True))
            told = " → ".join(
                f"{100 * one.told / one.lasting:.0f}%" if one.lasting else "none" for one in (before, after)
            )
            delay = " → ".join(
                f"{statistics.median(one.delays):g}" if one.delays else "none" for one in (before, after)
            )
            false = " → ".join(f"{36_525 * one.false / one.days:.1f}" for one in (before, after))
            extra = f"{365.25 * after.extra / after.days:.1f}"
            lines.append(f"| {law} | {plan} | {before.lasting} | {told} | {delay} | {false} | {extra} |")
    lines += [
        "",
        "A weekly plan asks within a week anyway, so hardly anything is added to it. What is told more is bought with some",
        "more false alarms: two readings past the line in a row are also what noise makes now and then. Where those who",
        "lost relief stop answering, asking once more changes little. Extra readings are",
        "counted only if they were answered, over all days of all patients.",
    ]
    return lines


def _share(agrees: Sequence[bool]) -> str:
    return f"{100 * sum(agrees) / len(agrees):.0f}% of {len(agrees)}" if agrees else "none"
