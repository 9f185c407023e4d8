"""The trend of one instrument: every score, sessions and lines around it, and buckets, empty ones too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import zip_longest
from statistics import median
from typing import Literal
from uuid import UUID

from app.access.service import Caller
from app.checkins.policies import phase_at
from app.errors import Fault, Invalid
from app.events.service import happened
from app.facts import Fact
from app.instruments import INSTRUMENTS, Instrument, Rule
from app.patients import service as patients
from app.relief import Reading, Track, assess, read, readings, records, response_severity
from app.sessions import service as sessions
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.days import local_day
from app.tracks.events import Calendar, events_of
from app.tracks.output import line_of, reading_out
from app.trend.models import (
    BucketOut,
    PointOut,
    StatusRunOut,
    TrendBandOut,
    TrendEpisodeOut,
    TrendOut,
    TrendSessionOut,
)
from app.trend.words import described

Bucket = Literal["none", "day", "week", "month"]

_MOST_BUCKETS = 4_000
_BEFORE_THE_FIRST = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Question:
    """Which trend is asked for. `first` and `last` are days in the clinic, both included. `first` None means the first
    score or session, or the first event of the 90 days before it; `last` None means today, and a later day counts as
    today."""

    instrument: str
    first: date | None
    last: date | None
    bucket: Bucket


def trend_of(db: Transaction, caller: Caller, patient_id: UUID, question: Question, now: datetime) -> Fact[TrendOut]:
    """The scores, sessions and lines between two days. Raises NotFound, Invalid."""
    instrument = INSTRUMENTS.get(question.instrument)
    if instrument is None:
        raise Invalid(errors=[Fault("parameter", "instrument", "must be a code of /v1/instruments")])
    patients.find(db, caller.clinic_id, patient_id)
    today = local_day(now, caller.time_zone)
    last = min(question.last or today, today)
    if question.first is not None and last < question.first:
        raise Invalid(errors=[Fault("parameter", "from", "must not be after to, nor after today")])
    calendar = Calendar(tracks_store.infusions(db, caller.clinic_id, patient_id), caller.time_zone)
    scores = tracks_store.scores_as_read(db, caller.clinic_id, patient_id, instrument.code)
    by = instrument.rule  # none for a screen: then only infusions are told apart
    events = events_of(scores, calendar.infusions, caller.time_zone)
    found, track, turns = readings(events, by)
    shown = [r for r in found if (question.first is None or r.score.day >= question.first) and r.score.day <= last]
    points = _points(shown, instrument, calendar)
    known = [*(point.day for point in points), *(event.day for event in calendar.events if event.day <= last)]
    first = question.first or min(known, default=None)
    # A drug that was changed shortly before the first score belongs to the picture; one of years before does not.
    happenings = happened(db, caller, patient_id, question.first or (first or last) - _BEFORE_THE_FIRST, last)
    if question.first is None and happenings:
        first = min(first or happenings[0].on, happenings[0].on)
    stands = track.last is None or track.last.day <= last
    current = read(track, by, last) if stands else assess(events, by, last)
    trend = TrendOut(
        patient_id=patient_id,
        instrument=instrument.code,
        domain=instrument.domain,
        direction=instrument.direction,
        min=instrument.value(instrument.points[0]),
        max=instrument.value(instrument.points[-1]),
        recall_days=instrument.recall_days,
        from_on=first,
        to_on=last,
        status=current.status if instrument.rule else None,
        last_known=current.last_known if instrument.rule else None,
        reason=current.reason if instrument.rule else None,
        latest=reading_out(instrument, current.latest) if instrument.rule else None,
        days_since_last_score=current.days_since_last_score if instrument.rule else None,
        baseline=reading_out(instrument, current.baseline) if instrument.rule else None,
        response_line=line_of(instrument, current.response_severity) if instrument.rule else None,
        remission_line=line_of(instrument, instrument.rule.remission if instrument.rule else None),
        bands=[
            TrendBandOut(label=band.label, min=instrument.value(band.min), max=instrument.value(band.max))
            for band in instrument.bands
        ],
        points=points,
        statuses=list(_runs(turns, first, last)) if instrument.rule else [],
        buckets=_buckets(question, points, last),
        sessions=_sessions(db, caller, patient_id, calendar, first, last),
        episodes=[e for e in _episodes(track, calendar, instrument, instrument.rule) if e.first_session_on <= last],
        events=happenings,
        description="",
    )
    if caller.patient_id is not None and caller.clinic.patient_view != "all":
        trend = _without_verdicts(trend)
    trend.description = described(trend, instrument.name)
    return Fact(trend, (patient_id,))


def _without_verdicts(trend: TrendOut) -> TrendOut:
    """The trend for a patient whose clinic shows patients their scores but not the statuses."""
    points = [replace(point, status=None) for point in trend.points]
    return replace(trend, status=None, last_known=None, reason=None, statuses=[], points=points)


def _runs(turns: Sequence[tuple[date, str]], first: date | None, last: date) -> Iterator[StatusRunOut]:
    """The runs of days with one status, as far as they are shown."""
    for (from_on, status), following in zip_longest(turns, turns[1:]):
        begins = max(from_on, first or from_on)
        ends = last if following is None else min(last, following[0] - timedelta(days=1))
        if begins <= ends:
            yield StatusRunOut(from_on=begins, to_on=ends, status=status)


def _points(shown: Sequence[Reading], instrument: Instrument, calendar: Calendar) -> list[PointOut]:
    has_rule, recall_days = instrument.rule is not None, instrument.recall_days
    said: dict[int, tuple[int | float, str | None]] = {}  # the value and the band of each severity
    found = []
    for reading in shown:
        score, infusion, tenths = reading.score, reading.infusion, reading.improvement_tenths
        if score.severity not in said:
            points = instrument.points_of_severity(score.severity)
            said[score.severity] = instrument.value(points), instrument.band(points)
        value, band = said[score.severity]
        days = None if infusion is None else (score.day - infusion.day).days
        found.append(
            PointOut(
                score_id=score.id,
                taken_at=score.taken_at,
                day=score.day,
                value=value,
                severity=band,
                improvement_percent=tenths / 10 if has_rule and tenths is not None else None,
                phase=phase_at(score.at, score.day, calendar),
                session_id=None if infusion is None else infusion.id,
                days_since_session=days,
                window=None if days is None else "overlapping" if recall_days > days else "clean",
                counts=reading.counts,
                acute=infusion is not None and reading.is_acute,
                status=reading.status if has_rule else None,
            )
        )
    return found


def _buckets(question: Question, points: Sequence[PointOut], last: date) -> list[BucketOut]:
    """Buckets of whole days, weeks from Monday, or calendar months, from the first day asked for (else the first score)
    to the last day. A bucket without a score stays empty."""
    first = question.first or (points[0].day if points else None)
    if question.bucket == "none" or first is None:
        return []
    if (last - first).days > _MOST_BUCKETS * {"day": 1, "week": 7}.get(question.bucket, 28):
        raise Invalid(errors=[Fault("parameter", "from", f"must leave at most {_MOST_BUCKETS} buckets")])
    values: dict[date, list[int | float]] = {}
    for point in points:
        values.setdefault(_start(question.bucket, point.day), []).append(point.value)
    return [
        _bucket(start, following - timedelta(days=1), values.get(start, []))
        for start, following in _spans(question.bucket, first, last)
    ]


def _bucket(start: date, end: date, values: Sequence[int | float]) -> BucketOut:
    return BucketOut(
        start_on=start,
        end_on=end,
        n=len(values),
        mean=round(sum(values) / len(values), 2) if values else None,
        median=round(median(values), 2) if values else None,
        min=min(values, default=None),
        max=max(values, default=None),
    )


def _spans(bucket: Bucket, first: date, last: date) -> Iterator[tuple[date, date]]:
    start = _start(bucket, first)
    while start <= last:
        following = _start(bucket, start + timedelta(days={"day": 1, "week": 7}.get(bucket, 31)))
        yield start, following
        start = following


def _start(bucket: Bucket, day: date) -> date:
    if bucket == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if bucket == "month" else day


def _sessions(
    db: Transaction, caller: Caller, patient_id: UUID, calendar: Calendar, first: date | None, last: date
) -> list[TrendSessionOut]:
    doses = sessions.doses(db, caller.clinic_id, patient_id)
    return [
        TrendSessionOut(
            id=UUID(infusion.id),
            started_at=infusion.at,
            day=infusion.day,
            kind=calendar.positions[infusion.id].kind,
            number=calendar.positions[infusion.id].number,
            episode_number=calendar.positions[infusion.id].episode,
            dose_mg_per_kg=doses.get(UUID(infusion.id)),
        )
        for infusion in calendar.events
        if (first is None or infusion.day >= first) and infusion.day <= last
    ]


def _episodes(track: Track, calendar: Calendar, instrument: Instrument, by: Rule | None) -> list[TrendEpisodeOut]:
    first_days = {position.episode: position.episode_day for position in calendar.positions.values()}
    found = []
    for record in records(track):
        evaluable = by is not None and record.evaluable and record.baseline is not None
        baseline = record.baseline if by is not None else None
        found.append(
            TrendEpisodeOut(
                number=record.episode,
                first_session_on=first_days[record.episode],
                baseline=None if baseline is None else instrument.value(instrument.points_of_severity(baseline)),
                response_line=line_of(instrument, response_severity(baseline, by))
                if evaluable and by is not None and baseline is not None
                else None,
            )
        )
    return found
