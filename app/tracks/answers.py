"""Reads the answers from what a patient's verdicts rest on: stored tracks, or a new fold of what was known."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from app.instruments import INSTRUMENTS
from app.relief import VERSION, Score, Verdict, fold
from app.storage import Transaction
from app.tracks import store
from app.tracks.days import local_day
from app.tracks.domains import blank_track, blank_verdict, chosen, others, rule, verdict_on, verdicts_on
from app.tracks.events import counting, events_of, incomplete_days
from app.tracks.explanation import explain
from app.tracks.explanation_for_patient import explain_to_patient
from app.tracks.models import ScoreVersion
from app.tracks.output import DomainOut, SpellOut, TrackOut, domain_out, spells_out, track_out
from app.tracks.patient_tracks import FOLLOWED, PatientTracks, Subject


@dataclass(frozen=True, slots=True)
class ReliefOnDay:
    """Everything that the tracks of one patient say on one day."""

    domains: list[DomainOut]
    tracks: list[TrackOut]
    previous_spells: Sequence[SpellOut]


def relief_on(subject: Subject, known: PatientTracks, as_of: date) -> ReliefOnDay:
    """The answers on `as_of`. The tracks must hold no later event."""
    verdicts, blank = verdicts_on(known, as_of), blank_verdict(known, as_of)
    domains = [
        domain_out(
            domain,
            instrument,
            verdicts.get(instrument, blank),
            note,
            {code: verdicts[code] for code in others(known, domain, instrument)} if len(verdicts) > 1 else {},
        )
        for domain, instrument, note in chosen(subject, known, verdicts)
    ]
    tracks = [_track_out(known, code, verdict) for code, verdict in verdicts.items()]
    return ReliefOnDay(domains, tracks, spells_out(verdicts))


def for_patient(found: ReliefOnDay) -> ReliefOnDay:
    """The same answers, with explanations worded for the patient."""
    return replace(found, tracks=[in_words_for_patient(track) for track in found.tracks])


def in_words_for_patient(track: TrackOut) -> TrackOut:
    return replace(track, explanation=explain_to_patient(track))


def asking_again(track: TrackOut, due_on: date) -> TrackOut:
    """The track, of whose instrument one more reading is asked from a day on."""
    asking = replace(track, confirm_due_on=due_on)
    asking.explanation = explain(asking)
    return asking


def readable(
    db: Transaction, clinic_id: UUID, patient_id: UUID, known: PatientTracks, zone: ZoneInfo, as_of: date
) -> PatientTracks:
    """A state that can answer for `as_of`: `known` itself, or a new fold of the events up to that day."""
    return known if is_readable_on(known, as_of) else known_on(db, clinic_id, patient_id, zone, as_of, None)[0]


def tracks_out(known: PatientTracks, instruments: Iterable[str], as_of: date) -> list[TrackOut]:
    """The tracks of these instruments on `as_of`, in the order given, as `relief_on` gives them."""
    codes = [code for code in dict.fromkeys(instruments) if code in known.tracks]
    return [_track_out(known, code, verdict_on(known, code, as_of)) for code in codes]


def is_readable_on(known: PatientTracks, as_of: date) -> bool:
    """Whether stored tracks can answer for `as_of`: nothing is later, and no track must be folded again."""
    days = [track.last.day for track in (known.blank, *known.tracks.values()) if track.last]
    return not known.needs_fold and all(day <= as_of for day in (*days, *known.incomplete_on.values()))


def known_on(
    db: Transaction,
    clinic_id: UUID,
    patient_id: UUID,
    zone: ZoneInfo,
    as_of: date,
    known_at: datetime | None,
    version: str = VERSION,
) -> tuple[PatientTracks, datetime | None]:
    """The state as known at `known_at`, folded up to `as_of` by a version of the rules, and the newest infusion
    version's instant."""
    infusion_versions = store.infusions_known(db, clinic_id, [patient_id], known_at)
    infusions = counting(infusion_versions)
    by_instrument: dict[str, list[ScoreVersion]] = {}
    for score in store.scores_known(db, clinic_id, [patient_id], known_at):
        by_instrument.setdefault(score.instrument, []).append(score)
    tracks = {}
    for code in by_instrument.keys() & FOLLOWED:
        events = [event for event in events_of(by_instrument[code], infusions, zone) if event.day <= as_of]
        if any(isinstance(event, Score) for event in events):
            tracks[code] = fold(events, rule(code, version))
    by_then = [i for i in infusions if local_day(i.started_at, zone) <= as_of]
    incomplete_on = {
        code: max(days)
        for code, rows in by_instrument.items()
        if (days := [day for day in incomplete_days(rows, zone) if day <= as_of])
    }
    newest = max((v.recorded_at for v in infusion_versions), default=None)
    return PatientTracks(by_then, blank_track(by_then, zone), tracks, incomplete_on, version=version), newest


def _track_out(known: PatientTracks, code: str, verdict: Verdict) -> TrackOut:
    track = track_out(INSTRUMENTS[code], verdict, known.incomplete_on.get(code), known.version)
    track.explanation = explain(track)
    return track
