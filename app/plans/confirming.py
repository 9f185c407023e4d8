"""Asking once more where the plan does not ask soon anyway: the confirming check-in of clinical reference 4.7 (h)."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby, zip_longest
from uuid import UUID
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS
from app.plans import store
from app.plans.schedule import Due, Template, asks_between, in_force
from app.plans.stored import template_of
from app.relief import CONFIRM_FROM, CONFIRM_UNTIL, Event, Track, confirm_on, order, read, readings, step
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.answers import asking_again
from app.tracks.domains import near_line, rule, verdict_on
from app.tracks.events import Calendar, events_of
from app.tracks.models import ScoreVersion
from app.tracks.output import TrackOut
from app.tracks.patient_tracks import FOLLOWED, PatientTracks


class Confirming:
    """Of which instruments one more reading is asked of these patients. Plans are read when the first reading calls for
    it: one query, whatever the number of patients. A reading is judged by the plan that was in force on its day."""

    def __init__(self, db: Transaction, clinic_id: UUID, zone: ZoneInfo, patient_ids: Collection[UUID]) -> None:
        self._db, self._clinic_id, self._zone, self._patient_ids = db, clinic_id, zone, patient_ids

    def told(
        self, patient_id: UUID, care_status: str, known: PatientTracks, tracks: Iterable[TrackOut], as_of: date
    ) -> list[TrackOut]:
        """The tracks; those of which one more reading is asked say so, up to the last day on which it counts."""
        if care_status != "active":
            return list(tracks)
        return [self._told(patient_id, known, track, as_of) if _may_call(track) else track for track in tracks]

    def _told(self, patient_id: UUID, known: PatientTracks, track: TrackOut, as_of: date) -> TrackOut:
        verdict = verdict_on(known, track.instrument, as_of)
        recall_days = INSTRUMENTS[track.instrument].recall_days
        due_on = confirm_on(verdict, recall_days, near_line=bool(track.near_line))
        if due_on is None or track.days_since_last_session is None:
            return track
        infused_on = as_of - timedelta(days=track.days_since_last_session)
        is_asked = self.is_asked(patient_id, track.instrument, due_on, infused_on)
        return asking_again(track, due_on) if is_asked else track

    def is_asked(self, patient_id: UUID, code: str, due_on: date, infused_on: date) -> bool:
        """Whether one more reading of an instrument is asked: where the plan says so, and asks for none meanwhile.
        `infused_on` is the day of the latest infusion."""
        clinic, own = self._templates
        on = due_on - CONFIRM_FROM
        plan = in_force(clinic, own.get(patient_id, ()), on)
        return bool(plan.confirm) and not asks_between(
            plan, code, infused_on, on + timedelta(days=1), on + CONFIRM_UNTIL
        )

    @cached_property
    def _templates(self) -> tuple[Sequence[Template], Mapping[UUID, Sequence[Template]]]:
        found: dict[UUID | None, list[Template]] = {}
        for patient_id, recorded_at, items, confirm in store.every_version(
            self._db, self._clinic_id, self._patient_ids
        ):
            found.setdefault(patient_id, []).append(template_of(recorded_at, items, self._zone, confirm=confirm))
        return found.pop(None, []), {patient_id: own for patient_id, own in found.items() if patient_id is not None}


def asked_once_more(
    db: Transaction, clinic_id: UUID, patient_id: UUID, calendar: Calendar, span: tuple[date, date], today: date
) -> list[Due]:
    """The confirming check-ins of a patient that are due within a span of days, by every reading up to today: answered
    ones, too. One is asked for unless another reading or an infusion came before its day."""
    rows: dict[str, list[ScoreVersion]] = {}
    for row in tracks_store.scores(db, clinic_id, [patient_id], FOLLOWED, with_answers=False):
        rows.setdefault(row.instrument, []).append(row)
    plans = Confirming(db, clinic_id, calendar.zone, [patient_id])
    found = []
    for code, scores in rows.items():
        events = [event for event in events_of(scores, calendar.infusions, calendar.zone) if event.day <= today]
        for due_on in _due_days(code, events, calendar):
            if not span[0] <= due_on <= span[1]:
                continue
            infused_on = max(one.day for one in calendar.events if one.day <= due_on - CONFIRM_FROM)
            if plans.is_asked(patient_id, code, due_on, infused_on):
                ends_on = due_on - CONFIRM_FROM + CONFIRM_UNTIL
                anchor_on = due_on - CONFIRM_FROM
                found.append(Due(due_on, ends_on, (code,), None, early=0, anchor_on=anchor_on, confirms=True))
    return found


def _due_days(code: str, events: Sequence[Event], calendar: Calendar) -> Iterator[date]:
    by = rule(code)
    counted = [reading for reading in readings(events, by).scores if reading.counts]
    called = {}
    for reading, following in zip_longest(counted, counted[1:]):
        score, due_on = reading.score, reading.score.day + CONFIRM_FROM
        if reading.status not in ("holding", "fading") or (following and following.score.day < due_on):
            continue
        if not any(infusion.at >= score.at and infusion.day <= due_on for infusion in calendar.events):
            called[score.day] = due_on
    track = Track()
    for day, of_day in groupby(sorted(events, key=order), key=lambda event: event.day):
        for event in of_day:
            track = step(track, event, by)
        if day in called:
            verdict = read(track, by, day)
            if confirm_on(verdict, by.recall_days, near_line=bool(near_line(code, verdict))):
                yield called[day]


def _may_call(track: TrackOut) -> bool:
    """Whether the latest reading of a track is so fresh, and so near the line or past it, that it may call for one."""
    is_fresh = track.days_since_last_score is not None and track.days_since_last_score <= CONFIRM_UNTIL.days
    return is_fresh and (track.status == "fading" or (track.status == "holding" and bool(track.near_line)))


def is_open(due_on: date, day: date) -> bool:
    """Whether a confirming check-in is asked for on a day: from its reading's day on, to the last on which it
    counts."""
    return due_on - CONFIRM_FROM <= day <= due_on - CONFIRM_FROM + CONFIRM_UNTIL
