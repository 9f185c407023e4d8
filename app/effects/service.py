"""What each session did by every instrument with a rule, and whether boosters come to last less long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from app.effects.models import AfterOut, ChangePerBoosterOut, InstrumentEffectOut
from app.instruments import INSTRUMENTS, Instrument
from app.relief import Effect, Infusion, Reading, effects, readings
from app.statistics import censored_slope
from app.storage import Transaction
from app.tracks import store
from app.tracks.domains import rule
from app.tracks.events import Calendar, events_of
from app.tracks.models import ScoreVersion
from app.tracks.output import reading_out

_HOUR = timedelta(hours=1)
_MOST_BOOSTERS = 50


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of a patient's sessions, by instrument and session id, and the calendar they are on."""

    calendar: Calendar
    by_instrument: dict[str, dict[str, Effect]]

    def of(self, session_id: UUID) -> list[InstrumentEffectOut]:
        """The effects of one session, for every instrument with a score before or after it."""
        found = []
        for code, by_session in self.by_instrument.items():
            mine = by_session.get(str(session_id))
            if mine is not None and (mine.before or mine.after):
                found.append(_effect_out(INSTRUMENTS[code], self._infusion(session_id), mine))
        return found

    def changes(self) -> list[ChangePerBoosterOut]:
        """The change in days of relief per booster, by instrument, over the current episode's later sessions."""
        positions = self.calendar.positions
        current = max((position.episode for position in positions.values()), default=0)
        later = [
            event.id
            for event in self.calendar.events
            if positions[event.id].episode == current and positions[event.id].kind != "induction"
        ]
        return [_change(INSTRUMENTS[code], [mine[i] for i in later]) for code, mine in self.by_instrument.items()]

    def _infusion(self, session_id: UUID) -> Infusion:
        return next(event for event in self.calendar.events if event.id == str(session_id))


def effects_of(db: Transaction, clinic_id: UUID, patient_id: UUID, calendar: Calendar, as_of: date) -> Effects:
    """The effects of every session of a patient, as recorded now. Runs one query, for the scores."""
    with_rule = [code for code, instrument in INSTRUMENTS.items() if instrument.rule]
    rows: dict[str, list[ScoreVersion]] = {}
    for row in store.scores(db, clinic_id, [patient_id], with_rule, with_answers=False):
        rows.setdefault(row.instrument, []).append(row)
    found = {}
    for code in with_rule:
        if code in rows:
            told = readings(events_of(rows[code], calendar.infusions, calendar.zone), rule(code)).scores
            found[code] = effects(calendar.events, calendar.positions, told, as_of)
    return Effects(calendar, found)


def _effect_out(instrument: Instrument, infusion: Infusion, found: Effect) -> InstrumentEffectOut:
    # A response on the day itself is no relief where every later reading says that there was none.
    first = None if found.ended_by == "never_responded" else found.first_response
    return InstrumentEffectOut(
        instrument=instrument.code,
        domain=instrument.domain,
        before=reading_out(instrument, found.before),
        after=[_after(instrument, infusion, found, reading) for reading in found.after],
        best=reading_out(instrument, found.best),
        hours_to_response=None if first is None else _hours(infusion, first),
        relief_days=found.relief_days,
        relief_ended_by=found.ended_by,
    )


def _after(instrument: Instrument, infusion: Infusion, found: Effect, reading: Reading) -> AfterOut:
    score, tenths = reading.score, reading.improvement_tenths
    points = instrument.points_of_severity(score.severity)
    change = None
    if found.before is not None:
        change = instrument.value(points - instrument.points_of_severity(found.before.severity))
    return AfterOut(
        score_id=UUID(score.id),
        taken_at=score.taken_at,
        hours_after=_hours(infusion, reading),
        value=instrument.value(points),
        change=change,
        improvement_percent=None if tenths is None else tenths / 10,
        counts=reading.counts,
    )


def _hours(infusion: Infusion, reading: Reading) -> float:
    return round((reading.score.at - infusion.at) / _HOUR, 2)


def _change(instrument: Instrument, boosters: Sequence[Effect]) -> ChangePerBoosterOut:
    """A booster without readings keeps its place in the order and gives no value."""
    known = [
        (occasion, found)
        for occasion, found in enumerate(boosters)
        if found.relief_days is not None or found.ended_by == "never_responded"
    ][-_MOST_BOOSTERS:]
    slope = censored_slope(
        [found.relief_days or 0 for _, found in known],
        [found.is_observed for _, found in known],
        [occasion for occasion, _ in known],
    )
    return ChangePerBoosterOut(
        instrument=instrument.code,
        domain=instrument.domain,
        sessions=len(known),
        ended_under_measurement=sum(found.is_observed for _, found in known),
        change_days=None if slope is None else round(slope.change, 2),
        ci=None if slope is None else [None if end is None else round(end, 2) for end in (slope.low, slope.high)],
    )
