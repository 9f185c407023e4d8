"""Converts stored versions, which carry instants, to the fold's events, which also carry local days."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS
from app.relief import Event, Infusion, InfusionPosition, Score, positions
from app.tracks.days import local_day
from app.tracks.models import InfusionVersion, ScoreVersion
from app.tracks.patient_tracks import CountedInfusion
from app.tracks.statements import counted_at


class Calendar:
    """A patient's counted infusions on the clinic's calendar, computed when first asked for."""

    def __init__(self, infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> None:
        self.infusions = infusions
        self.zone = zone

    @cached_property
    def events(self) -> list[Infusion]:
        return infusion_events(self.infusions, self.zone)

    @cached_property
    def positions(self) -> dict[str, InfusionPosition]:
        return positions(self.events)


def counting(versions: Iterable[InfusionVersion]) -> list[CountedInfusion]:
    """The sessions that count by the latest of these versions, in order of time."""
    by_session: dict[UUID, list[InfusionVersion]] = {}
    for version in versions:
        by_session.setdefault(version.session_id, []).append(version)
    found = []
    for every in by_session.values():
        every.sort(key=lambda version: version.version)
        last, history = every[-1], tuple((v.recorded_at, v.started_at if v.counts else None) for v in every)
        if last.counts:
            found.append(CountedInfusion(last.session_id, last.started_at, last.ended_at, history))
    return in_order(found)


def in_order(infusions: Iterable[CountedInfusion]) -> list[CountedInfusion]:
    return sorted(infusions, key=lambda given: (given.started_at, given.session_id))


def infusion_events(infusions: Iterable[CountedInfusion], zone: ZoneInfo) -> list[Infusion]:
    return [
        Infusion(
            str(given.session_id),
            given.started_at,
            local_day(given.started_at, zone),
            local_day(given.ended_at or given.started_at, zone),
        )
        for given in infusions
    ]


class ScoreRead(NamedTuple):
    """The columns of a score that the fold reads; its id as text, as the fold has it."""

    id: str
    instrument: str
    taken_at: datetime
    recorded_at: datetime
    stated_before_at: datetime | None
    points: int | None
    late: bool
    prompt: bool


Scored = ScoreVersion | ScoreRead


def score_events(scores: Iterable[Scored], infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> list[Score]:
    """The readings among these scores: those with unanswered items are none."""
    return [score_event(score, score.points, infusions, zone) for score in scores if score.points is not None]


def score_event(score: Scored, points: int, infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> Score:
    at = counted_at(score.taken_at, score.stated_before_at, infusions, zone)
    severity = INSTRUMENTS[score.instrument].severity(points)
    moments = at, local_day(at, zone), score.taken_at, score.recorded_at
    return Score(str(score.id), *moments, severity, score.late, score.prompt)


def events_of(scores: Iterable[Scored], infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> list[Event]:
    """All events that the fold of one instrument reads: infusions and scores."""
    return [*infusion_events(infusions, zone), *score_events(scores, infusions, zone)]


def incomplete_days(rows: Iterable[ScoreVersion], zone: ZoneInfo) -> list[date]:
    """The days of the scores with unanswered items."""
    return [local_day(row.taken_at, zone) for row in rows if row.points is None]
