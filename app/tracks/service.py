"""Keeps the stored folds up to date: reads what a patient's verdicts rest on, applies a change to it, and reads the
answers.

Everything that changes what a verdict rests on goes through `apply`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from app.alerts import raising
from app.alerts.models import Alert
from app.alerts.raising import Amended, Answered, Worsened
from app.instruments import INSTRUMENTS
from app.relief import Track, Verdict, fold, step
from app.storage import Transaction
from app.tracks import store
from app.tracks.domains import (
    alarming,
    blank_track,
    blank_verdict,
    chosen,
    domain_values,
    latest_verdict,
    rule,
    verdict_on,
    verdicts_on,
)
from app.tracks.episodes import episode_values
from app.tracks.events import counting, events_of, in_order, local_day, score_event
from app.tracks.explanation import explain
from app.tracks.explanation_for_patient import explain_to_patient
from app.tracks.models import InfusionVersion, ScoreVersion
from app.tracks.output import DomainOut, SpellOut, TrackOut, domain_out, spells_out, track_out
from app.tracks.patient_tracks import (
    FOLD,
    FOLLOWED,
    CountedInfusion,
    Folded,
    PatientTracks,
    Subject,
    from_json,
    to_json,
)


@dataclass(frozen=True, slots=True)
class Change:
    """New versions of one patient's facts. If an earlier version is replaced, `replaces_check_in` or `replaces_session`
    names the check-in or session, and the earlier version is superseded at `at`. `session_id` is the session that a
    check-in is linked to; its alerts carry it."""

    subject: Subject
    scores: Sequence[ScoreVersion] = ()
    infusions: Sequence[InfusionVersion] = ()
    replaces_check_in: UUID | None = None
    replaces_session: UUID | None = None
    at: datetime | None = None
    session_id: UUID | None = None

    @property
    def adds_scores(self) -> bool:
        """Whether the change only adds scores. Such a change cannot remove a domain from the answers."""
        return bool(self.scores) and not (self.infusions or self.replaces_check_in or self.replaces_session)


@dataclass(frozen=True, slots=True)
class ReliefOnDay:
    """Everything that the tracks of one patient say on one day."""

    domains: list[DomainOut]
    tracks: list[TrackOut]
    previous_spells: Sequence[SpellOut]


def gather(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, PatientTracks]:
    """What the verdicts of these patients rest on. One query for all of them, two if some stored folds are outdated."""
    known = {patient_id: PatientTracks() for patient_id in patient_ids}
    for patient_id, by, state in store.folds(db, clinic_id, patient_ids):
        known[patient_id] = (
            from_json(state) if by == FOLD else PatientTracks(needs_fold=set(FOLLOWED), is_outdated=True)
        )
    outdated = [patient_id for patient_id, mine in known.items() if mine.is_outdated]
    for patient_id, infusions in (store.infusions_of(db, clinic_id, outdated) if outdated else {}).items():
        known[patient_id].infusions = infusions
    return known


def apply(
    db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]
) -> list[Alert]:
    """Writes the new versions, folds them, stores the domain statuses and raises alerts, in the caller's transaction
    and under the patients' locks. Updates `known` in place. Returns the alerts of the check-ins."""
    for patient_id, tracks in _folded(db, clinic_id, changes, known).items():
        known[patient_id].before = tracks
    worsened: list[Worsened] = []
    replaced: list[list[ScoreVersion]] = []
    for change in changes:
        mine = known[change.subject.patient_id]
        replaced.append(_supersede(db, clinic_id, change, mine))
        for score in change.scores:
            worsened += _step(change, score, mine)
    scores = [row for change in changes for row in change.scores]
    store.insert_versions(db, scores, [row for change in changes for row in change.infusions])
    worsened += _refold(db, clinic_id, changes, known)
    _store(db, clinic_id, changes, known)
    answered = [_answered(change, score) for change in changes for score in change.scores]
    amended = [
        Amended(change.replaces_check_in, change.at, _said(before), _said(change.scores))
        for change, before in zip(changes, replaced, strict=True)
        if change.replaces_check_in is not None and change.at is not None
    ]
    return raising.raise_for(db, clinic_id, answered, amended, worsened)


def relief_on(subject: Subject, known: PatientTracks, as_of: date) -> ReliefOnDay:
    """The answers on `as_of`. The tracks must hold no later event."""
    verdicts, blank = verdicts_on(known, as_of), blank_verdict(known, as_of)
    domains = [
        domain_out(domain, instrument, verdicts.get(instrument, blank), note)
        for domain, instrument, note in chosen(subject, known, verdicts)
    ]
    return ReliefOnDay(domains, [_track_out(code, verdict) for code, verdict in verdicts.items()], spells_out(verdicts))


def for_patient(found: ReliefOnDay) -> ReliefOnDay:
    """The same answers, with explanations worded for the patient."""
    return replace(found, tracks=[in_words_for_patient(track) for track in found.tracks])


def in_words_for_patient(track: TrackOut) -> TrackOut:
    return track.model_copy(update={"explanation": explain_to_patient(track)})


def readable(
    db: Transaction, clinic_id: UUID, patient_id: UUID, known: PatientTracks, zone: ZoneInfo, as_of: date
) -> PatientTracks:
    """A state that can answer for `as_of`: `known` itself, or a new fold of the events up to that day."""
    return known if is_readable_on(known, as_of) else known_on(db, clinic_id, patient_id, zone, as_of, None)[0]


def tracks_out(known: PatientTracks, instruments: Iterable[str], as_of: date) -> list[TrackOut]:
    """The tracks of these instruments on `as_of`, in the order given, as `relief_on` gives them."""
    verdicts = verdicts_on(known, as_of)
    return [_track_out(code, verdicts[code]) for code in dict.fromkeys(instruments) if code in verdicts]


def is_readable_on(known: PatientTracks, as_of: date) -> bool:
    """Whether stored tracks can answer for `as_of`: no event is later, and no track must be folded again."""
    last = (track.last for track in (known.blank, *known.tracks.values()))
    return not known.needs_fold and all(event is None or event.day <= as_of for event in last)


def known_on(
    db: Transaction, clinic_id: UUID, patient_id: UUID, zone: ZoneInfo, as_of: date, known_at: datetime | None
) -> tuple[PatientTracks, datetime | None]:
    """The state as known at `known_at`, folded up to `as_of`, and the newest infusion version's instant."""
    infusion_versions = store.infusions_known(db, clinic_id, [patient_id], known_at)
    scores = store.scores_known(db, clinic_id, [patient_id], known_at)
    infusions = [i for i in counting(infusion_versions) if local_day(i.started_at, zone) <= as_of]
    by_instrument: dict[str, list[ScoreVersion]] = {}
    for score in scores:
        if local_day(score.taken_at, zone) <= as_of:
            by_instrument.setdefault(score.instrument, []).append(score)
    tracks = {
        code: fold(events_of(rows, infusions, zone), rule(code))
        for code, rows in by_instrument.items()
        if INSTRUMENTS[code].rule
    }
    newest = max((v.recorded_at for v in infusion_versions), default=None)
    return PatientTracks(infusions, blank_track(infusions, zone), tracks), newest


def _said(scores: Sequence[ScoreVersion]) -> dict[str, tuple[int, int | None]]:
    return {score.instrument: (score.points, score.self_harm_item) for score in scores}


def _supersede(db: Transaction, clinic_id: UUID, change: Change, known: PatientTracks) -> list[ScoreVersion]:
    """Supersedes the versions that the change replaces; marks tracks for folding. Returns replaced scores."""
    replaced: list[ScoreVersion] = []
    if change.replaces_check_in is not None and change.at is not None:
        replaced = store.of_check_ins(db, clinic_id, [change.replaces_check_in])
        known.needs_fold.update(row.instrument for row in replaced)
        store.supersede_scores(db, clinic_id, change.replaces_check_in, change.at)
    if change.replaces_session is not None and change.at is not None:
        store.supersede_infusion(db, clinic_id, change.replaces_session, change.at)
        known.infusions = [i for i in known.infusions if i.session_id != change.replaces_session]
    if change.infusions or change.replaces_session:
        given = (CountedInfusion(i.session_id, i.started_at, i.ended_at) for i in change.infusions if i.counts)
        known.infusions = in_order([*known.infusions, *given])
        known.needs_fold.update(known.tracks)
    if change.infusions or change.replaces_session or known.is_outdated:
        known.blank = blank_track(known.infusions, change.subject.zone)
    return replaced


def _step(change: Change, score: ScoreVersion, known: PatientTracks) -> list[Worsened]:
    """Folds the score into its track in one step if it comes after everything folded so far; otherwise marks the track
    for folding. Returns the alarms that this step alone causes, even if later changes of the same batch end them."""
    code = score.instrument
    if code not in FOLLOWED:
        return []
    event = score_event(score, known.infusions, change.subject.zone)
    before = known.tracks.get(code)
    track = before or known.blank
    if change.replaces_check_in or not track.is_before(event):
        known.needs_fold.add(code)
    if code in known.needs_fold:
        return []
    known.tracks[code] = step(track, event, rule(code))
    return _worsened([change], known, code, before)


def _refold(
    db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]
) -> list[Worsened]:
    """Folds every marked track again, and drops those without scores. Returns the alarms that are new."""
    worsened: list[Worsened] = []
    for patient_id, tracks in _folded(db, clinic_id, changes, known).items():
        mine = known[patient_id]
        mine.tracks = {code: track for code, track in mine.tracks.items() if code not in mine.needs_fold} | tracks
        mine.needs_fold = set()
        theirs = [change for change in changes if change.subject.patient_id == patient_id]
        for code in tracks:
            worsened += _worsened(theirs, mine, code, mine.stored.tracks.get(code) or mine.before.get(code))
    return worsened


def _folded(
    db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]
) -> dict[UUID, dict[str, Track]]:
    """Folds every marked track that has scores, from the current versions. One query for all of them."""
    zones = {change.subject.patient_id: change.subject.zone for change in changes}
    marked = {patient_id: known[patient_id].needs_fold for patient_id in zones if known[patient_id].needs_fold}
    if not marked:
        return {}
    instruments = {code for codes in marked.values() for code in codes}
    rows: dict[tuple[UUID, str], list[ScoreVersion]] = {}
    for row in store.scores(db, clinic_id, list(marked), instruments):
        rows.setdefault((row.patient_id, row.instrument), []).append(row)
    return {
        patient_id: {
            code: fold(events_of(rows[patient_id, code], known[patient_id].infusions, zones[patient_id]), rule(code))
            for code in sorted(codes & FOLLOWED)
            if (patient_id, code) in rows
        }
        for patient_id, codes in marked.items()
    }


def _store(db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]) -> None:
    """Stores the folds, the episodes and the domain statuses that the changes touched."""
    folds, episodes, statuses = [], [], []
    for change in {change.subject.patient_id: change for change in changes}.values():
        subject, mine = change.subject, known[change.subject.patient_id]
        whose = {"clinic_id": clinic_id, "patient_id": subject.patient_id}
        if mine.is_outdated:
            store.delete_episodes(db, clinic_id, subject.patient_id)
        for code in mine.stored.tracks.keys() - mine.tracks.keys():
            store.delete_episodes(db, clinic_id, subject.patient_id, code)
        for code, track in mine.tracks.items():
            if track != mine.stored.tracks.get(code):
                rows = _changed_episodes(db, clinic_id, subject.patient_id, mine, code)
                episodes += [{**whose, "instrument": code, **row} for row in rows]
        values = domain_values(subject, mine)
        statuses += [{**whose, **row} for row in values]
        if not change.adds_scores or mine.is_outdated:
            store.delete_other_domains(db, clinic_id, subject.patient_id, [row["domain"] for row in values])
        if mine.folded != mine.stored or mine.is_outdated:
            mine.stored = Folded([*mine.infusions], mine.blank, {**mine.tracks})
            folds.append({**whose, "rule": FOLD, "state": to_json(mine.stored)})
        mine.is_outdated = False
    store.upsert_folds(db, folds, episodes, statuses)


def _worsened(changes: Sequence[Change], known: PatientTracks, code: str, before: Track | None) -> list[Worsened]:
    """The alarms that a track calls for after these changes of one patient and did not call for before."""
    track = known.tracks[code]
    latest = track.episode.standing.latest if track.episode else None
    now = alarming(verdict_on(known, code, track.last.day)) if latest and track.last else {}
    if not now or latest is None:
        return []
    kinds = now.keys() - (alarming(latest_verdict(before, code)).keys() if before else set())
    recorded = [change.at for change in changes if change.at] + [s.recorded_at for c in changes for s in c.scores]
    recorded += [infusion.recorded_at for change in changes for infusion in change.infusions]
    if not recorded:
        return []
    patient_id, check_ins = changes[0].subject.patient_id, {str(s.id): s.check_in_id for c in changes for s in c.scores}
    return [
        Worsened(kind, patient_id, check_ins.get(latest.id), code, latest.taken_at, max(recorded))
        for kind in sorted(kinds)
    ]


def _changed_episodes(
    db: Transaction, clinic_id: UUID, patient_id: UUID, known: PatientTracks, code: str
) -> list[dict[str, Any]]:
    """The rows of the episodes that differ from the stored ones. Deletes episodes that the track lost."""
    before = known.stored.tracks.get(code)
    now, stood = episode_values(known.tracks[code]), episode_values(before) if before else []
    if len(stood) > len(now):
        store.delete_episodes(db, clinic_id, patient_id, code, len(now))
    return [values for values in now if values not in stood]


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


def _track_out(code: str, verdict: Verdict) -> TrackOut:
    track = track_out(INSTRUMENTS[code], verdict)
    track.explanation = explain(track)
    return track
