"""Random timelines of one patient, in the words of the oracle and in those of the engine."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS, Rule
from app.relief import Infusion, Score, Verdict
from tests.spec.oracle import InfusionVersion, Parameters, ScoreVersion

ZONES = ("America/New_York", "Pacific/Auckland", "Asia/Kolkata", "UTC")
INSTRUMENTS_WITH_RULE = tuple(code for code, i in INSTRUMENTS.items() if i.rule)


def parameters(rule: Rule) -> Parameters:
    return Parameters(
        rule.entry, rule.basis, rule.response, rule.partial, rule.reliable_change, rule.remission, rule.recall_days
    )


def random_timeline(rng: random.Random, code: str, zone: str) -> tuple[list[InfusionVersion], list[ScoreVersion], date]:
    """Infusions in series with boosters, scores around them, some at the very instant, some amended or voided."""
    instrument = INSTRUMENTS[code]
    local = ZoneInfo(zone)
    start = datetime(2025, 1, 1, 9, tzinfo=local) + timedelta(days=rng.randrange(300))
    infusions: list[InfusionVersion] = []
    moments: list[datetime] = []
    moment = start
    for number in range(rng.randrange(0, 12)):
        counts = rng.random() > 0.1
        hours = rng.choice([None, 1, 4, 16])
        ended = None if hours is None else moment + timedelta(hours=hours)
        first = InfusionVersion(f"i{number:02}", 1, _recorded(rng, moment), moment, ended, counts)
        infusions.append(first)
        if rng.random() < 0.15:
            moved = moment + timedelta(minutes=rng.randrange(-90, 90))
            infusions.append(
                InfusionVersion(
                    first.id, 2, first.recorded_at + timedelta(days=rng.randrange(1, 9), seconds=1), moved,
                    None, rng.random() > 0.4,
                )
            )  # fmt: skip
        moments.append(moment)
        gap = rng.choice([1, 2, 2, 3, 3, 4, 7, 13, 14, 15, 25, 30, 36, 60, 180, 181, 190])
        moment += timedelta(days=gap, minutes=rng.randrange(-200, 200))
    last = moments[-1] if moments else start
    levels = [instrument.severity(points) for points in instrument.points]
    scores: list[ScoreVersion] = []
    when = start - timedelta(days=rng.randrange(0, 40))
    level = rng.choice(levels)
    number = 0
    while when < last + timedelta(days=rng.choice([20, 60, 120])) and number < 40:
        taken = rng.choice(moments) if moments and rng.random() < 0.1 else when
        level = rng.choice(levels) if rng.random() < 0.35 else _near(rng, levels, level)
        first_score = ScoreVersion(f"s{number:02}", 1, _recorded(rng, taken), taken, level, rng.random() > 0.05)
        scores.append(first_score)
        if rng.random() < 0.12:
            later = first_score.recorded_at + timedelta(days=rng.randrange(1, 9), seconds=1)
            scores.append(ScoreVersion(first_score.id, 2, later, taken, rng.choice(levels), rng.random() > 0.3))
        number += 1
        when += timedelta(days=rng.choice([0, 0, 1, 1, 2, 3, 5, 7, 14, 20, 36]), minutes=rng.randrange(1, 900))
    as_of = (start + timedelta(days=rng.randrange(-5, 1 + (when - start).days + 60))).astimezone(local).date()
    return infusions, scores, as_of


def _near(rng: random.Random, levels: Sequence[int], level: int) -> int:
    index = levels.index(level) + rng.randrange(-3, 4)
    return levels[max(0, min(len(levels) - 1, index))]


def _recorded(rng: random.Random, moment: datetime) -> datetime:
    late = timedelta(days=rng.choice([0, 0, 0, 1, 10, 40]), microseconds=rng.randrange(1, 10**9))
    return moment.astimezone(UTC) + late


def events(
    infusions: Sequence[InfusionVersion], scores: Sequence[ScoreVersion], zone: str, known_at: datetime | None
) -> list[Infusion | Score]:
    """The events that exist and count for the engine."""
    local = ZoneInfo(zone)
    found: list[Infusion | Score] = []
    newest_infusion: dict[str, InfusionVersion] = {}
    for version in infusions:
        if known_at is None or version.recorded_at <= known_at:
            newest_infusion[version.id] = version
    newest_score: dict[str, ScoreVersion] = {}
    for score in scores:
        if known_at is None or score.recorded_at <= known_at:
            newest_score[score.id] = score
    for version in newest_infusion.values():
        if version.counts:
            day = version.started_at.astimezone(local).date()
            end = (version.ended_at or version.started_at).astimezone(local).date()
            found.append(Infusion(version.id, version.started_at.astimezone(UTC), day, end))
    for score in newest_score.values():
        if score.counts:
            at = score.taken_at.astimezone(UTC)
            day = score.taken_at.astimezone(local).date()
            first = next(one for one in scores if one.id == score.id)  # versions are in order
            prompt = (first.recorded_at.astimezone(local).date() - day).days <= 2
            found.append(Score(score.id, at, day, at, score.recorded_at, score.severity, prompt=prompt))
    return found


def as_oracle_says(verdict: Verdict) -> dict[str, object]:
    """The engine's verdict in the oracle's words."""

    def spell(s: object) -> dict[str, object]:
        names = ("origin_on", "event", "onset_on", "ascertained_on", "through_on", "days")
        return {name: getattr(s, name, None) for name in names}

    window = "overlapping" if verdict.latest_overlaps else "clean"
    tenths = verdict.improvement_tenths
    return {
        "status": verdict.status,
        "reason": verdict.reason,
        "flags": list(verdict.flags),
        "provisional": verdict.provisional,
        "last_known": verdict.last_known,
        "baseline": verdict.baseline and verdict.baseline.id,
        "best": verdict.best and verdict.best.severity,
        "latest": verdict.latest and verdict.latest.id,
        "latest_window": window if verdict.latest else None,
        "improvement_percent": None if tenths is None else tenths / 10,
        "change": verdict.change,
        "since_on": verdict.since_on,
        "holding_since_on": verdict.holding_since_on,
        "holding_through_on": verdict.holding_through_on,
        "days_holding": verdict.days_holding,
        "days_since_last_session": verdict.days_since_last_session,
        "days_since_last_score": verdict.days_since_last_score,
        "episode": None
        if verdict.episode_number is None
        else {
            "number": verdict.episode_number,
            "first_session_on": verdict.first_session_on,
            "sessions": verdict.sessions,
            "courses": verdict.courses,
        },
        "durability": spell(verdict.spell),
        "previous_spells": [{"episode": s.episode, **spell(s)} for s in verdict.previous_spells],
    }
