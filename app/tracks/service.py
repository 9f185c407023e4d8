"""Keeping the folds: gather what a patient's verdicts rest on, apply a change to it, and read the answers.

`apply` is the one call in which everything ends that changes what a verdict rests on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter
from sqlmodel import Session

from app.alerts import service as alerts
from app.alerts.models import Alert
from app.alerts.service import Amended, Answered
from app.instruments import ALWAYS_LISTED, DOMAINS, INSTRUMENTS, Rule
from app.relief import (
    STALE_AFTER_DAYS,
    VERSION,
    Candidate,
    Track,
    Verdict,
    choose,
    fold,
    read,
    step,
)
from app.tracks import store
from app.tracks.answers import DomainOut, SpellOut, TrackOut, domain_answer, spell_answers, track_answer
from app.tracks.events import counting, events_of, infusion_events, local_day, score_event
from app.tracks.explanation import explain
from app.tracks.models import DomainStatus, InfusionVersion, ScoreVersion, TrackRow

_TRACK = TypeAdapter(Track)
_INDICATED = {"ptsd": "ptsd", "ocd": "ocd"}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose tracks: a patient, the clinic's zone, the declared primary instruments and the indications."""

    patient_id: UUID
    zone: ZoneInfo
    primaries: Mapping[str, str]
    indications: Sequence[str]


@dataclass(slots=True)
class Known:
    """What one patient's verdicts rest on: infusions that count (in order of time), tracks and stored rows."""

    infusions: list[InfusionVersion] = field(default_factory=list)
    tracks: dict[str, Track] = field(default_factory=dict)
    track_rows: dict[str, TrackRow] = field(default_factory=dict)
    domain_rows: dict[str, DomainStatus] = field(default_factory=dict)
    needs_fold: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Change:
    """New versions of one patient's facts. `check_in_id` and `session_id` name what a new version replaces;
    `sessions_of` gives the session a check-in is linked to, for its alerts."""

    subject: Subject
    scores: Sequence[ScoreVersion] = ()
    infusions: Sequence[InfusionVersion] = ()
    replaces_check_in: UUID | None = None
    replaces_session: UUID | None = None
    at: datetime | None = None
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ReliefAnswer:
    """Everything the tracks of one patient say on one day."""

    domains: list[DomainOut]
    tracks: list[TrackOut]
    previous_spells: Sequence[SpellOut]


def gather(db: Session, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, Known]:
    """What the verdicts of these patients rest on: three queries, however many they are."""
    known = {patient_id: Known() for patient_id in patient_ids}
    for infusion in store.infusions(db, clinic_id, patient_ids):
        if infusion.counts:
            known[infusion.patient_id].infusions.append(infusion)
    for row in store.tracks(db, clinic_id, patient_ids):
        mine = known[row.patient_id]
        mine.track_rows[row.instrument] = row
        if row.rule == VERSION:
            mine.tracks[row.instrument] = _TRACK.validate_python(row.state)
        else:
            mine.needs_fold.add(row.instrument)
    for status in store.domain_statuses(db, clinic_id, patient_ids):
        known[status.patient_id].domain_rows[status.domain] = status
    return known


def apply(db: Session, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, Known]) -> list[Alert]:
    """Writes the new versions, folds them into the tracks, keeps domain statuses and raises alerts, in the caller's
    transaction under the patients' locks. `known` is brought up to date in place; the alerts of the check-ins come
    back."""
    replaced = {id(change): _write(db, clinic_id, change, known[change.subject.patient_id]) for change in changes}
    store.insert_scores(db, [row.model_dump() for change in changes for row in change.scores])
    store.insert_infusions(db, [row.model_dump() for change in changes for row in change.infusions])
    _refold(db, clinic_id, changes, known)
    _keep(db, clinic_id, changes, known)
    answered = [_answered(change, score) for change in changes for score in change.scores]
    amended = [
        Amended(change.replaces_check_in, change.at, _said(replaced[id(change)]), _said(change.scores))
        for change in changes
        if change.replaces_check_in is not None and change.at is not None
    ]
    return alerts.raise_for(db, clinic_id, answered, amended)


def answers(subject: Subject, known: Known, as_of: date) -> ReliefAnswer:
    """The answers on `as_of`, from tracks that hold no later event."""
    verdicts = _verdicts(known, as_of)
    blank = read(_blank(known, subject.zone, as_of), _any_rule(), as_of)
    domains = [
        domain_answer(domain, instrument, verdicts.get(instrument, blank), note)
        for domain, instrument, note in _chosen(subject, known, verdicts)
    ]
    return ReliefAnswer(domains, [_shown(code, verdict) for code, verdict in verdicts.items()], spell_answers(verdicts))


def track_answers(known: Known, zone: ZoneInfo, instruments: Iterable[str], as_of: date) -> list[TrackOut]:
    """The tracks of these instruments on `as_of`, in the order given. A reading from after `as_of` (a clock a little
    ahead across midnight) is answered on its own day."""
    found = []
    for code in dict.fromkeys(instruments):
        track = known.tracks.get(code)
        if track is not None and track.last is not None:
            day = max(as_of, track.last.day)
            found.append(_shown(code, read(track, _rule(code), day)))
    return found


def is_readable_on(known: Known, as_of: date) -> bool:
    """Whether stored tracks can answer for `as_of`: none is later, and all are of the current rule."""
    last = (track.last for track in known.tracks.values())
    ends = all(event is None or event.day <= as_of for event in last)
    return ends and not known.needs_fold


def known_on(
    db: Session, clinic_id: UUID, patient_id: UUID, zone: ZoneInfo, as_of: date, known_at: datetime | None
) -> tuple[Known, datetime | None]:
    """What was known at `known_at` of days up to `as_of`, folded afresh, and when the newest version of it was
    recorded."""
    infusion_versions = store.infusions_known(db, clinic_id, patient_id, known_at)
    scores = store.scores_known(db, clinic_id, patient_id, known_at)
    infusions = [i for i in counting(infusion_versions) if local_day(i.started_at, zone) <= as_of]
    by_instrument: dict[str, list[ScoreVersion]] = {}
    for score in scores:
        if local_day(score.taken_at, zone) <= as_of:
            by_instrument.setdefault(score.instrument, []).append(score)
    tracks = {
        code: fold(events_of(rows, infusions, zone), _rule(code))
        for code, rows in by_instrument.items()
        if INSTRUMENTS[code].rule
    }
    newest = max((v.recorded_at for v in infusion_versions), default=None)
    return Known(infusions=infusions, tracks=tracks), newest


def _said(scores: Sequence[ScoreVersion]) -> dict[str, tuple[int, int | None]]:
    return {score.instrument: (score.points, score.self_harm_item) for score in scores}


def _write(db: Session, clinic_id: UUID, change: Change, known: Known) -> list[ScoreVersion]:
    """Supersedes what is replaced, and steps or marks for folding what the change touches; the scores replaced come
    back."""
    replaced: list[ScoreVersion] = []
    if change.replaces_check_in is not None and change.at is not None:
        replaced = store.of_check_ins(db, clinic_id, [change.replaces_check_in])
        known.needs_fold.update(row.instrument for row in replaced)
        store.supersede_scores(db, clinic_id, change.replaces_check_in, change.at)
    if change.replaces_session is not None and change.at is not None:
        store.supersede_infusion(db, clinic_id, change.replaces_session, change.at)
        known.infusions = [i for i in known.infusions if i.session_id != change.replaces_session]
    for infusion in change.infusions:
        known.infusions = counting([*known.infusions, infusion])
    if change.infusions or change.replaces_session:
        known.needs_fold.update(known.tracks)
    for score in change.scores:
        _step(change, score, known)
    return replaced


def _step(change: Change, score: ScoreVersion, known: Known) -> None:
    """One step where the score comes after everything folded; else the track is folded again."""
    code = score.instrument
    if INSTRUMENTS[code].rule is None:
        return
    event = score_event(score, known.infusions, change.subject.zone)
    track = known.tracks.get(code)
    if track is None or change.replaces_check_in or not track.is_before(event):
        known.needs_fold.add(code)
    elif code not in known.needs_fold:
        known.tracks[code] = step(track, event, _rule(code))


def _refold(db: Session, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, Known]) -> None:
    """Folds every marked track again, from one query for all of them."""
    zones = {change.subject.patient_id: change.subject.zone for change in changes}
    marked = {patient_id: known[patient_id].needs_fold for patient_id in zones if known[patient_id].needs_fold}
    if not marked:
        return
    instruments = {code for codes in marked.values() for code in codes}
    rows: dict[tuple[UUID, str], list[ScoreVersion]] = {}
    for row in store.scores(db, clinic_id, list(marked), instruments):
        rows.setdefault((row.patient_id, row.instrument), []).append(row)
    for patient_id, codes in marked.items():
        mine = known[patient_id]
        for code in codes:
            if INSTRUMENTS[code].rule is not None:
                scores = rows.get((patient_id, code), [])
                mine.tracks[code] = fold(events_of(scores, mine.infusions, zones[patient_id]), _rule(code))
        mine.needs_fold = set()


def _keep(db: Session, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, Known]) -> None:
    """Stores the tracks and the domain statuses that the changes touched."""
    for change in {change.subject.patient_id: change for change in changes}.values():
        subject, mine = change.subject, known[change.subject.patient_id]
        for code, track in mine.tracks.items():
            state = _TRACK.dump_python(track, mode="json")
            row = mine.track_rows.get(code)
            if row is None:
                row = TrackRow(
                    clinic_id=clinic_id, patient_id=subject.patient_id, instrument=code, rule=VERSION, state=state
                )
                mine.track_rows[code] = row
            elif row.state != state:
                row.state, row.rule = state, VERSION
            db.add(row)
        for values in _domain_values(subject, mine):
            status = mine.domain_rows.get(values["domain"])
            if status is None:
                status = DomainStatus(clinic_id=clinic_id, patient_id=subject.patient_id, **values)
                mine.domain_rows[values["domain"]] = status
            for name, value in values.items():
                if getattr(status, name) != value:
                    setattr(status, name, value)
            db.add(status)


def _domain_values(subject: Subject, known: Known) -> list[dict[str, Any]]:
    """Each domain's answer on the day of the patient's last event, and from when silence makes it stale."""
    last = [track.last.day for track in known.tracks.values() if track.last]
    last += [event.day for event in infusion_events(known.infusions, subject.zone)]
    as_of = max(last, default=date.min)
    verdicts = _verdicts(known, as_of)
    blank = read(_blank(known, subject.zone, as_of), _any_rule(), as_of)
    return [
        _domain_row(domain, code, verdicts.get(code, blank)) for domain, code, _ in _chosen(subject, known, verdicts)
    ]


def _domain_row(domain: str, code: str, verdict: Verdict) -> dict[str, Any]:
    instrument, latest, tenths = INSTRUMENTS[code], verdict.latest, verdict.improvement_tenths
    last_session_on = None
    if verdict.days_since_last_session is not None:
        last_session_on = verdict.as_of - timedelta(days=verdict.days_since_last_session)
    heard_on = {"awaiting_follow_up": last_session_on, "not_started": None, "no_baseline": None, "not_evaluable": None}
    fresh_on = heard_on.get(verdict.status, latest.day if latest else None)
    value = None if latest is None else instrument.value(instrument.points_of_severity(latest.severity))
    return {
        "domain": domain,
        "instrument": code,
        "status": verdict.status,
        "state": verdict.last_known if verdict.status in ("awaiting_follow_up", "stale") else verdict.status,
        "flags": list(verdict.flags),
        "since_on": verdict.since_on,
        "stale_on": None if fresh_on is None else fresh_on + timedelta(days=STALE_AFTER_DAYS + 1),
        "improvement_percent": None if tenths is None else tenths / 10,
        "latest_value": value,
        "latest_on": latest.day if latest else None,
        "last_session_on": last_session_on,
    }


def _chosen(subject: Subject, known: Known, verdicts: Mapping[str, Verdict]) -> list[tuple[str, str, str | None]]:
    """Each listed domain, the instrument that answers for it, and the note."""
    found = []
    for domain, order in DOMAINS.items():
        scored = any(code in verdicts for code in order)
        indicated = _INDICATED.get(domain) in subject.indications
        if not (domain in ALWAYS_LISTED or scored or indicated or domain in subject.primaries):
            continue
        candidates = {
            code: Candidate(verdicts[code], score.at if (score := known.tracks[code].latest_score) else None)
            for code in order
            if code in verdicts
        }
        instrument, note = choose(order, candidates, subject.primaries.get(domain))
        found.append((domain, instrument, note))
    return found


def _verdicts(known: Known, as_of: date) -> dict[str, Verdict]:
    """The verdict of every instrument with a score that counts, in the order of the registry."""
    return {
        code: read(known.tracks[code], _rule(code), as_of)
        for code in INSTRUMENTS
        if code in known.tracks and known.tracks[code].latest_score is not None
    }


def _blank(known: Known, zone: ZoneInfo, as_of: date) -> Track:
    """The track of an instrument without a score: infusions alone."""
    return fold((event for event in infusion_events(known.infusions, zone) if event.day <= as_of), _any_rule())


def _answered(change: Change, score: ScoreVersion) -> Answered:
    return Answered(
        patient_id=score.patient_id,
        check_in_id=score.check_in_id,
        session_id=change.session_id,
        instrument=score.instrument,
        points=score.points,
        self_harm_item=score.self_harm_item,
        taken_at=score.taken_at,
        recorded_at=score.recorded_at,
    )


def _shown(code: str, verdict: Verdict) -> TrackOut:
    track = track_answer(INSTRUMENTS[code], verdict)
    track.explanation = explain(track)
    return track


def _rule(code: str) -> Rule:
    rule = INSTRUMENTS[code].rule
    assert rule is not None  # screens have no track
    return rule


def _any_rule() -> Rule:
    """Without a score no line is ever compared, so every rule gives the same."""
    return _rule("phq-9")
