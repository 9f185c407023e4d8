"""Converts stored versions, which carry instants, to the fold's events, which also carry local days."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cached_property, lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS
from app.relief import Event, Infusion, InfusionPosition, Score, positions
from app.tracks.models import InfusionVersion, ScoreVersion
from app.tracks.patient_tracks import BEFORE_INFUSION_WITHIN, CountedInfusion


# Cached, because the scores of a check-in share an instant, and each of them is compared with all of the patient's
# infusions.
@lru_cache(maxsize=16_384)
def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of an instant in the clinic's time zone."""
    return moment.astimezone(zone).date()


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
    """The latest version of each session that counts, in order of time."""
    latest: dict[UUID, InfusionVersion] = {}
    for version in versions:
        if version.session_id not in latest or latest[version.session_id].version < version.version:
            latest[version.session_id] = version
    return in_order(CountedInfusion(v.session_id, v.started_at, v.ended_at) for v in latest.values() if v.counts)


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


def score_events(scores: Iterable[ScoreVersion], infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> list[Score]:
    return [score_event(score, infusions, zone) for score in scores]


def score_event(score: ScoreVersion, infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> Score:
    at = counted_at(score.taken_at, score.before_infusion, infusions, zone)
    severity = INSTRUMENTS[score.instrument].severity(score.points)
    return Score(str(score.id), at, local_day(at, zone), score.taken_at, score.recorded_at, severity)


def counted_at(
    taken_at: datetime, before_infusion: bool, infusions: Sequence[CountedInfusion], zone: ZoneInfo
) -> datetime:
    """The instant at which a score counts. Normally that is when it was taken. A score marked `before_infusion` counts
    at the start of that infusion instead, if it was taken at most 60 minutes after the start and on the same day."""
    if not before_infusion:
        return taken_at
    started = started_before(taken_at, infusions)
    if started is None or taken_at - started > BEFORE_INFUSION_WITHIN:
        return taken_at
    return started if local_day(started, zone) == local_day(taken_at, zone) else taken_at


def started_before(moment: datetime, infusions: Sequence[CountedInfusion]) -> datetime | None:
    """The start of the latest infusion that had begun before `moment`."""
    return max((i.started_at for i in infusions if i.started_at < moment), default=None)


def events_of(scores: Iterable[ScoreVersion], infusions: Sequence[CountedInfusion], zone: ZoneInfo) -> list[Event]:
    """All events that the fold of one instrument reads: infusions and scores."""
    return [*infusion_events(infusions, zone), *score_events(scores, infusions, zone)]
