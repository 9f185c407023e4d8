"""The book of relief: timelines with what must be answered on each day. Asserted by the tests, rendered into
docs/reference/relief.md. Times are the clinic's local ones."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

IND = tuple(f"2025-01-{day} 10:00" for day in ("06", "08", "10", "13", "15", "17"))


@dataclass(frozen=True)
class Day:
    """What is answered on a day: the status, and whatever else the row names (fields of a track)."""

    on: str
    status: str
    says: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Timeline:
    """Infusions ("start" or "start/end"), scores (local time, value) and the days asked about."""

    title: str
    instrument: str
    infusions: tuple[str, ...]
    scores: tuple[tuple[str, float], ...]
    days: tuple[Day, ...]
    zone: str = "America/New_York"

    def moment(self, local: str) -> datetime:
        return datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(self.zone))

    def started_and_ended(self) -> list[tuple[datetime, datetime | None]]:
        parts = [text.split("/") for text in self.infusions]
        return [(self.moment(p[0]), self.moment(p[1]) if len(p) > 1 else None) for p in parts]


def _day(on: str, status: str, **says: Any) -> Day:
    return Day(on, status, says)


BOOK = (
    Timeline(
        "T1 PHQ-9: respond, hold, fade, lose",
        "phq-9",
        IND,
        (
            ("2025-01-06 09:00", 20), ("2025-01-10 09:00", 14), ("2025-01-17 09:00", 9), ("2025-01-24 09:00", 7),
            ("2025-02-07 09:00", 4), ("2025-03-07 09:00", 8), ("2025-03-21 09:00", 10), ("2025-04-04 09:00", 11),
            ("2025-04-14 09:00", 12),
        ),
        (
            _day("2025-01-05", "not_started"),
            _day("2025-01-06", "awaiting_follow_up", since_on="2025-01-06"),
            _day("2025-01-10", "partial_response", improvement_percent=30.0, provisional=True),
            _day("2025-01-17", "holding", improvement_percent=55.0, flags=[], since_on="2025-01-17"),
            _day("2025-02-07", "holding", improvement_percent=80.0, flags=["remission"], days_holding=21),
            _day("2025-03-07", "holding", improvement_percent=60.0, flags=[]),
            _day("2025-03-21", "holding", improvement_percent=50.0, flags=[], days_holding=63, response_line=10),
            _day("2025-04-04", "fading", improvement_percent=45.0, since_on="2025-04-04"),
            _day(
                "2025-04-14", "lost",
                durability={
                    "origin_on": "2025-01-24", "event": "lost", "onset_on": "2025-04-04",
                    "ascertained_on": "2025-04-14", "through_on": "2025-04-04", "days": 70,
                },
            ),
            _day("2025-05-19", "lost", days_since_last_score=35),
            _day("2025-05-20", "stale", last_known="lost", reason="no_recent_score", since_on="2025-05-20", flags=[]),
        ),
    ),
    Timeline(
        "T2 GAD-7: never responds, then worse",
        "gad-7",
        IND,
        (
            ("2025-01-05 09:00", 15), ("2025-01-10 09:00", 14), ("2025-01-17 09:00", 11), ("2025-01-31 09:00", 12),
            ("2025-02-14 09:00", 19),
        ),
        (
            _day("2025-01-06", "awaiting_follow_up"),
            _day("2025-01-10", "no_response", improvement_percent=6.6, provisional=True),
            _day("2025-01-17", "partial_response", improvement_percent=26.6),
            _day("2025-01-31", "no_response", improvement_percent=20.0, provisional=False),
            _day("2025-02-14", "no_response", improvement_percent=-26.7, flags=["reliable_deterioration"]),
        ),
    ),
    Timeline(
        "T3 pain: an acute reading, two in a day, a pair too close",
        "nrs-pain",
        ("2025-02-03 09:00/2025-02-03 13:00",),
        (
            ("2025-02-03 08:30", 8), ("2025-02-03 13:40", 2), ("2025-02-04 09:00", 5), ("2025-02-10 09:00", 6),
            ("2025-02-10 20:00", 5), ("2025-02-17 09:00", 6), ("2025-02-20 09:00", 7), ("2025-02-24 09:00", 6),
            ("2025-03-03 09:00", 5),
        ),
        (
            _day("2025-02-03", "awaiting_follow_up", latest=None),
            _day("2025-02-04", "holding", improvement_percent=37.5),
            _day("2025-02-10", "holding", improvement_percent=37.5),
            _day("2025-02-17", "fading", improvement_percent=25.0),
            _day("2025-02-20", "fading"),
            _day("2025-02-24", "lost"),
            _day("2025-03-03", "holding", flags=["recovered_without_retreatment"], remission_line=None),
        ),
    ),
    Timeline(
        "T4a GAD-7: baseline 0, the best",
        "gad-7",
        ("2025-01-06 10:00",),
        (("2025-01-06 09:00", 0), ("2025-01-20 09:00", 3), ("2025-02-03 09:00", 9)),
        (
            _day("2025-01-20", "not_evaluable", reason="baseline_below_threshold", improvement_percent=None, change=3),
            _day("2025-02-03", "not_evaluable", flags=["emergent_symptoms"], best=None, response_line=None),
        ),
    ),
    Timeline(
        "T4b WHO-5: baseline 0, the worst",
        "who-5",
        ("2025-01-06 10:00",),
        (("2025-01-06 09:00", 0), ("2025-01-13 09:00", 24), ("2025-01-20 09:00", 48), ("2025-02-03 09:00", 52)),
        (
            _day("2025-01-13", "no_response", improvement_percent=24.0, change=24),
            _day("2025-01-20", "partial_response", improvement_percent=48.0),
            _day("2025-02-03", "holding", improvement_percent=52.0, response_line=52),
        ),
    ),
    Timeline(
        "A booster while fading: what was known shows while waiting, and the episode keeps its baseline",
        "phq-9",
        ("2025-01-06 10:00", "2025-01-08 10:00", "2025-02-20 10:00"),
        (
            ("2025-01-06 09:00", 20), ("2025-01-13 09:00", 8), ("2025-02-19 09:00", 12), ("2025-02-27 09:00", 9),
        ),
        (
            _day("2025-02-19", "fading"),
            _day(
                "2025-02-20", "awaiting_follow_up", last_known="fading", improvement_percent=40.0, flags=[],
                durability={
                    "origin_on": "2025-01-13", "event": "rescue", "onset_on": "2025-02-19",
                    "ascertained_on": "2025-02-20", "through_on": "2025-02-19", "days": 37,
                },
            ),
            _day("2025-02-27", "holding", improvement_percent=55.0, days_holding=0,
                 episode={"number": 1, "first_session_on": "2025-01-06", "sessions": 3, "courses": 2}),
        ),
    ),
    Timeline(
        "A booster after a loss: responding starts afresh, and a below reading is no longer fading",
        "phq-9",
        ("2025-01-06 10:00", "2025-02-20 10:00"),
        (
            ("2025-01-06 09:00", 20), ("2025-01-13 09:00", 3), ("2025-01-27 09:00", 13), ("2025-02-03 09:00", 13),
            ("2025-02-27 09:00", 13), ("2025-03-06 09:00", 9),
        ),
        (
            _day("2025-02-03", "lost"),
            _day("2025-02-20", "awaiting_follow_up", last_known="lost", best=None),
            _day("2025-02-27", "partial_response", improvement_percent=35.0),
            _day("2025-03-06", "holding", flags=[]),
        ),
    ),
    Timeline(
        "Twice worse than the second best, both still responses",
        "phq-9",
        ("2025-01-06 10:00",),
        (
            ("2025-01-06 09:00", 24), ("2025-01-20 09:00", 3), ("2025-01-27 09:00", 4), ("2025-02-03 09:00", 11),
            ("2025-02-10 09:00", 12),
        ),
        (
            _day("2025-01-27", "holding", flags=["remission"]),
            _day("2025-02-03", "holding", flags=[]),
            _day("2025-02-10", "holding", flags=["worse_than_best"]),
        ),
    ),
    Timeline(
        "A day is the clinic's: in Auckland the evening score is of the next UTC day's infusion day",
        "nrs-pain",
        ("2025-01-06 09:00",),
        (("2025-01-06 08:00", 8), ("2025-01-06 23:30", 2), ("2025-01-07 00:30", 4)),
        (
            _day("2025-01-06", "awaiting_follow_up"),
            _day("2025-01-07", "holding", improvement_percent=50.0),
        ),
        "Pacific/Auckland",
    ),
    Timeline(
        "Daylight saving: 35 local days are 35 days, though an hour is missing",
        "phq-9",
        ("2025-02-20 10:00",),
        (("2025-02-20 09:00", 20), ("2025-03-08 23:30", 9)),
        (
            _day("2025-03-09", "holding", days_since_last_score=1),
            _day("2025-04-12", "holding", days_since_last_score=35),
            _day("2025-04-13", "stale", last_known="holding"),
        ),
    ),
    Timeline(
        "A gap of more than 180 days opens a new episode with a baseline of its own",
        "phq-9",
        ("2025-01-06 10:00", "2025-07-06 10:00"),
        (
            ("2025-01-06 09:00", 20), ("2025-01-13 09:00", 8), ("2025-02-10 09:00", 9), ("2025-07-05 09:00", 16),
            ("2025-07-20 09:00", 9),
        ),
        (
            _day("2025-07-05", "fading", improvement_percent=20.0, days_since_last_score=0),
            _day("2025-07-06", "awaiting_follow_up", last_known=None, since_on="2025-07-06",
                 episode={"number": 2, "first_session_on": "2025-07-06", "sessions": 1, "courses": 1}),
            _day("2025-07-20", "partial_response", improvement_percent=43.7),
        ),
    ),
    Timeline(
        "PROMIS counts points, never percent",
        "promis-depression-4a",
        ("2025-01-06 10:00",),
        (("2025-01-06 09:00", 67.5), ("2025-01-20 09:00", 58.9), ("2025-02-03 09:00", 57.3)),
        (
            _day("2025-01-20", "partial_response", improvement_percent=None, change=-8.6, response_line=57.3),
            _day("2025-02-03", "holding", improvement_percent=None, change=-10.2, flags=[], remission_line=53.9),
        ),
    ),
)  # fmt: skip


def render() -> str:
    """The book as a page of the documentation."""
    lines = [
        "# Is relief holding? The rules by example",
        "",
        "Made from the tests (`make docs` writes it, the suite checks it). Every row is asserted day by day, in the",
        "engine and over HTTP. Times are the clinic's local ones; the rules are those of version 2026.2.",
    ]
    for timeline in BOOK:
        lines += ["", f"## {timeline.title}", "", f"Instrument `{timeline.instrument}`, zone `{timeline.zone}`.", ""]
        lines += [f"Infusions: {', '.join(text.replace('/', ' to ') for text in timeline.infusions)}.", ""]
        lines += ["| taken | score |", "|---|--:|"]
        lines += [f"| {taken} | {value:g} |" for taken, value in timeline.scores]
        lines += ["", "| on | answer | and |", "|---|---|---|"]
        for day in timeline.days:
            says = "; ".join(f"{name} {_shown(value)}" for name, value in day.says.items())
            lines.append(f"| {day.on} | **{day.status}** | {says} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return "null" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)
