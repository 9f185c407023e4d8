"""Keeps the stored folds up to date: reads what a patient's verdicts rest on, and applies a change to it.

Everything that changes what a verdict rests on goes through `apply`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from app import clock
from app.alerts import following, raising
from app.alerts.models import Alert
from app.alerts.raising import Amended, Answered, Said
from app.outbox import service as outbox
from app.relief import Track, fold, records, step
from app.storage import Transaction, look_up
from app.tracks import store
from app.tracks.changes import Change
from app.tracks.days import local_day
from app.tracks.domains import advanced, blank_track, domain_values, rule
from app.tracks.episodes import episode_values
from app.tracks.events import counting, events_of, in_order, incomplete_days, score_event
from app.tracks.models import ScoreVersion
from app.tracks.onset_changes import changed_onsets
from app.tracks.patient_tracks import (
    FOLD,
    FOLLOWED,
    CountedInfusion,
    PatientTracks,
    from_bytes,
    to_bytes,
)


def gather(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Sequence[UUID],
    folds: Sequence[tuple[Any, ...]] | None = None,
    told: Sequence[tuple[Any, ...]] | None = None,
) -> dict[UUID, PatientTracks]:
    """What the verdicts of these patients rest on. One query for all of them, three if some stored folds are outdated.
    `folds`, `told`: the answers to `store.FOLDS` and `store.TOLD`, if they were asked already."""
    known = {patient_id: PatientTracks() for patient_id in patient_ids}
    if folds is None:
        [folds] = look_up(db, clinic_id, patient_ids, store.FOLDS)
    for patient_id, by, state in folds:
        if patient_id not in known:
            continue
        known[patient_id] = (
            from_bytes(state) if by == FOLD else PatientTracks(needs_fold=set(FOLLOWED), is_outdated=True)
        )
    if told is not None:
        _keep_told(known, told)
    outdated = [patient_id for patient_id, mine in known.items() if mine.is_outdated]
    if outdated:
        for patient_id, infusions in store.infusions_of(db, clinic_id, outdated).items():
            known[patient_id].infusions = infusions
        for patient_id, last_taken_at in store.last_taken(db, clinic_id, outdated).items():
            known[patient_id].last_taken_at = last_taken_at
    return known


def apply(
    db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]
) -> list[Alert]:
    """Writes the new versions, folds them, stores the domain statuses and keeps the alerts, in the caller's transaction
    and under the patients' locks. Updates `known` in place. Returns the alerts that were raised or are of the check-ins
    that were replaced."""
    for patient_id, (tracks, _) in _folded(db, clinic_id, changes, known).items():
        known[patient_id].before = tracks
    unasked = [patient_id for patient_id, mine in known.items() if mine.told is None]
    if unasked:
        _keep_told({one: known[one] for one in unasked}, *look_up(db, clinic_id, unasked, store.TOLD))
    before = {c.subject.patient_id: {**known[c.subject.patient_id].tracks_before} for c in changes}
    replaced: list[list[ScoreVersion]] = []
    for change in changes:
        mine = known[change.subject.patient_id]
        replaced.append(_supersede(db, clinic_id, change, mine))
        for score in change.scores:
            _step(change, score, mine)
    scores = [row for change in changes for row in change.scores]
    store.insert_versions(db, scores, [row for change in changes for row in change.infusions])
    _refold(db, clinic_id, changes, known)
    _store(db, clinic_id, changes, known)
    # What was moved was answered before; its alerts move with it.
    answered = [_answered(c, score) for c in changes if c.because is None for score in c.scores]
    amended = [
        Amended(check_in_id, change.at, _said(stood, check_in_id), _said(change.scores, check_in_id))
        for change, stood in zip(changes, replaced, strict=True)
        for check_in_id in change.replaces_check_ins
        if change.at is not None and change.because is None
    ]
    raised = raising.raise_for(db, clinic_id, answered, amended)
    changed = changed_onsets(changes, known, before)
    zone = changes[0].subject.zone if changes else None
    just = {str(score.id): score.check_in_id for score in scores}
    return raised + following.follow(db, clinic_id, changed, zone, partial(_check_ins_of, db, clinic_id, just))


def _keep_told(known: Mapping[UUID, PatientTracks], told: Sequence[tuple[Any, ...]]) -> None:
    for mine in known.values():
        mine.told = {}
    for patient_id, domain, instrument, status in told:
        whose = known[patient_id].told if patient_id in known else None
        if whose is not None:
            whose[domain] = (instrument, status)


def _news(mine: PatientTracks, now: dict[str, tuple[str, str]]) -> list[str]:
    """The domains whose instrument or status is another one than was last told. A domain that is new and says nothing
    yet is no news; one that is no more is."""
    told = mine.told or {}
    changed = [domain for domain, said in now.items() if told.get(domain, (said[0], "not_started")) != said]
    return changed + [domain for domain in told if domain not in now]


def _check_ins_of(
    db: Transaction, clinic_id: UUID, just: Mapping[str, UUID], score_ids: Collection[str]
) -> Mapping[str, UUID]:
    """The check-in of each of these scores. `just`: those of scores that are being recorded."""
    earlier = [score_id for score_id in score_ids if score_id not in just]
    return {**just, **store.check_ins_of(db, clinic_id, earlier)} if earlier else just


def advance(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID], day: date) -> None:
    """Writes the domain rows of these patients whose next day has come by `day`, under the patients' locks."""
    [found] = look_up(db, clinic_id, patient_ids, store.STATUSES)
    rows = store.statuses(found).values()
    turned = [{"clinic_id": clinic_id, **row} for row in rows if row["next_on"] is not None and row["next_on"] <= day]
    rows_now = [advanced(row, day) for row in turned]
    store.upsert_folds(db, [], [], rows_now)
    pairs = zip(turned, rows_now, strict=True)
    said = ("instrument", "status")
    news: dict[UUID, list[str]] = {}
    for row, now in pairs:
        if any(row[name] != now[name] for name in said):
            news.setdefault(row["patient_id"], []).append(row["domain"])
    at, told = clock.now(), {patient_id: " ".join(changed) for patient_id, changed in news.items()}
    outbox.record(db, [outbox.change(clinic_id, "relief.changed", one, at, domains=told[one]) for one in told])


def _said(scores: Sequence[ScoreVersion], check_in_id: UUID) -> dict[str, Said]:
    return {s.instrument: (s.points, s.self_harm_item) for s in scores if s.check_in_id == check_in_id}


def _supersede(db: Transaction, clinic_id: UUID, change: Change, known: PatientTracks) -> list[ScoreVersion]:
    """Supersedes the versions that the change replaces; marks tracks for folding. Returns replaced scores."""
    replaced: list[ScoreVersion] = []
    if change.replaces_check_ins and change.at is not None:
        replaced = store.of_check_ins(db, clinic_id, change.replaces_check_ins)
        known.needs_fold.update(row.instrument for row in replaced)
        store.supersede_scores(db, clinic_id, change.replaces_check_ins, change.at)
    if change.replaces_sessions and change.at is not None:
        store.supersede_infusions(db, clinic_id, change.replaces_sessions, change.at)
        stood = store.infusions_known(db, clinic_id, [change.subject.patient_id], None)
        known.infusions = counting([*stood, *change.infusions])
    elif change.infusions:
        given = [CountedInfusion(i.session_id, i.started_at, i.ended_at, ((i.recorded_at, i.started_at),))
                 for i in change.infusions if i.counts]  # fmt: skip
        known.infusions = in_order([*known.infusions, *given])
    if change.infusions or change.replaces_sessions:
        known.needs_fold.update(known.tracks)
    if change.infusions or change.replaces_sessions or known.is_outdated:
        known.blank = blank_track(known.infusions, change.subject.zone)
    return replaced


def _step(change: Change, score: ScoreVersion, known: PatientTracks) -> None:
    """Folds the score into its track in one step if it comes after everything folded so far; otherwise marks the track
    for folding. A score with unanswered items is no reading, and leaves only its day."""
    code, zone = score.instrument, change.subject.zone
    known.last_taken_at = max(known.last_taken_at or score.taken_at, score.taken_at)
    if code not in FOLLOWED:
        return
    if change.replaces_check_ins:
        known.needs_fold.add(code)
    if code in known.needs_fold:
        return
    if score.points is None:
        day = local_day(score.taken_at, zone)
        known.incomplete_on[code] = max(known.incomplete_on.get(code, day), day)
        return
    event = score_event(score, score.points, known.infusions, zone)
    track = known.tracks.get(code, known.blank)
    if track.is_before(event):
        known.tracks[code] = step(track, event, rule(code))
    else:
        known.needs_fold.add(code)


def _refold(db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]) -> None:
    """Folds every marked track again, and drops those without readings."""
    for patient_id, (tracks, incomplete_on) in _folded(db, clinic_id, changes, known).items():
        mine = known[patient_id]
        mine.tracks = {code: track for code, track in mine.tracks.items() if code not in mine.needs_fold} | tracks
        kept = {code: day for code, day in mine.incomplete_on.items() if code not in mine.needs_fold}
        mine.incomplete_on = kept | incomplete_on
        mine.needs_fold = set()


def _folded(
    db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]
) -> dict[UUID, tuple[dict[str, Track], dict[str, date]]]:
    """Folds every marked track that has readings, from the current versions, and finds the day of the latest score with
    unanswered items. One query for all of them."""
    zones = {change.subject.patient_id: change.subject.zone for change in changes}
    marked = {patient_id: known[patient_id].needs_fold for patient_id in zones if known[patient_id].needs_fold}
    if not marked:
        return {}
    instruments = {code for codes in marked.values() for code in codes}
    rows: dict[tuple[UUID, str], list[ScoreVersion]] = {}
    for row in store.scores(db, clinic_id, list(marked), instruments):
        rows.setdefault((row.patient_id, row.instrument), []).append(row)
    found: dict[UUID, tuple[dict[str, Track], dict[str, date]]] = {}
    for patient_id, codes in marked.items():
        tracks, incomplete_on = found[patient_id] = {}, {}
        zone, infusions = zones[patient_id], known[patient_id].infusions
        for code in sorted(codes & FOLLOWED):
            mine = rows.get((patient_id, code), [])
            if any(row.points is not None for row in mine):
                tracks[code] = fold(events_of(mine, infusions, zone), rule(code))
            if days := incomplete_days(mine, zone):
                incomplete_on[code] = max(days)
    return found


def _store(db: Transaction, clinic_id: UUID, changes: Sequence[Change], known: Mapping[UUID, PatientTracks]) -> None:
    """Stores the folds, the episodes and the domain statuses that the changes touched."""
    folds, episodes, statuses, news = [], [], [], []
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
        values = domain_values(subject, mine, _recorded_on(change))
        statuses += [{**whose, **row} for row in values]
        now = {row["domain"]: (row["instrument"], row["status"]) for row in values}
        if changed := _news(mine, now):
            moment = _recorded_at(change) or clock.now()
            told = " ".join(changed)
            news.append(outbox.change(clinic_id, "relief.changed", subject.patient_id, moment, domains=told))
        mine.told = now
        if not change.only_adds_scores or mine.is_outdated:
            store.delete_other_domains(db, clinic_id, subject.patient_id, [row["domain"] for row in values])
        if mine.folded != mine.stored or mine.is_outdated:
            mine.stored = mine.copied()
            folds.append({**whose, "rule": FOLD, "state": to_bytes(mine.stored)})
        mine.is_outdated = False
    store.upsert_folds(db, folds, episodes, statuses)
    outbox.record(db, news)


def _recorded_at(change: Change) -> datetime | None:
    """When a change was recorded; None for a change that only folds again."""
    moments = [score.recorded_at for score in change.scores] + [one.recorded_at for one in change.infusions]
    moments += [change.at] if change.at is not None else []
    return max(moments, default=None)


def _recorded_on(change: Change) -> date | None:
    """The day in the clinic on which a change was recorded."""
    moment = _recorded_at(change)
    return None if moment is None else local_day(moment, change.subject.zone)


def _changed_episodes(
    db: Transaction, clinic_id: UUID, patient_id: UUID, known: PatientTracks, code: str
) -> list[dict[str, Any]]:
    """The rows of the episodes that differ from the stored ones. Deletes episodes that the track lost."""
    before, track = known.stored.tracks.get(code), known.tracks[code]
    left = len(records(track))
    if before is not None and len(records(before)) > left:
        store.delete_episodes(db, clinic_id, patient_id, code, left)
    return episode_values(track, before)


def _answered(change: Change, score: ScoreVersion) -> Answered:
    return Answered(
        late=score.late,
        urgent_is_late=score.late and change.urgent_is_late,
        patient_id=score.patient_id,
        check_in_id=score.check_in_id,
        session_id=change.session_id,
        instrument=score.instrument,
        points=score.points,
        self_harm_item=score.self_harm_item,
        taken_at=score.taken_at,
        recorded_at=score.recorded_at,
    )
