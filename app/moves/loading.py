"""What is to move from one record to another, and what stays behind because the other record holds the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from app.alerts.models import Alert
from app.alerts.moving import Place
from app.audit.service import Act
from app.checkins import moving as check_ins_moving
from app.checkins import store as check_ins
from app.checkins.deciding import scored_of
from app.checkins.policies import Answers, compared
from app.errors import AlreadyRecorded, Fault
from app.patients import service as patients
from app.patients.models import Patient
from app.sessions import moving as sessions_moving
from app.sessions import store as sessions
from app.sessions.models import COUNTED
from app.sessions.moving import content_of
from app.sessions.policies import SessionOverlaps, check_overlap
from app.storage import Transaction, new_id
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.models import ScoreVersion
from app.tracks.patient_tracks import PatientTracks


@dataclass(slots=True)
class Side:
    """One of the two records: the patient, what their verdicts rest on, and the moment at which the move is
    recorded."""

    patient: Patient
    known: PatientTracks
    at: datetime


@dataclass(slots=True)
class Load:
    """What moves. `same`: the scores that stay behind, by check-in and instrument, each with the check-in that holds it
    in the other record; `same_sessions` likewise. `faults` name what differs."""

    check_ins: list[check_ins_moving.Leaving] = field(default_factory=list)
    sessions: list[sessions_moving.Leaving] = field(default_factory=list)
    same: dict[tuple[UUID, str], UUID] = field(default_factory=dict)
    same_sessions: dict[UUID, UUID] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    @property
    def session_ids(self) -> dict[UUID, UUID]:
        """The session of the other record in the place of each one here."""
        return self.same_sessions | {one.session.id: one.becomes for one in self.sessions}

    def place_of(self, alert: Alert) -> Place | None:
        """What an alert is about in the other record; None if that does not move."""
        check_in_ids = {one.check_in.id: one.becomes for one in self.check_ins}
        session_id = None if alert.session_id is None else self.session_ids.get(alert.session_id)
        if alert.check_in_id is None:
            return None if session_id is None else Place(None, session_id)
        held = self.same.get((alert.check_in_id, alert.instrument or ""))
        check_in_id = held or check_in_ids.get(alert.check_in_id)
        return None if check_in_id is None else Place(check_in_id, session_id)

    def refuse(self) -> None:
        """Raises AlreadyRecorded if anything differs, naming all."""
        if self.faults:
            raise AlreadyRecorded("the other record holds something else in the same place", errors=self.faults)


def sides(db: Transaction, act: Act, source: Patient, target: Patient) -> tuple[Side, Side]:
    """The two sides of a move, which is recorded at one moment for both. The caller holds both patients' locks."""
    at = max(patients.next_moment(source, act.at), patients.next_moment(target, act.at))
    source.last_recorded_at = target.last_recorded_at = at
    source.due_told_on = target.due_told_on = None  # what is due of them is told anew
    known = tracks.gather(db, act.clinic_id, [source.id, target.id])
    return Side(source, known[source.id], at), Side(target, known[target.id], at)


def load_sessions(load: Load, rows: Sequence[sessions.Row], others: Sequence[sessions.Row], target: Side) -> None:
    """Adds sessions to what moves. One that the other record holds too stays behind; one that only overlaps with
    another there is a fault."""
    held = [(session, content_of(version)) for session, version in others if version.moved_to is None]
    for session, version in rows:
        content = content_of(version)
        twin = next((other for other, theirs in held if theirs == content), None)
        if twin is not None:
            load.same_sessions[session.id] = twin.id
            continue
        if content.status in COUNTED:
            try:
                check_overlap(content, target.known.infusions)
            except SessionOverlaps:
                load.faults.append(Fault("pointer", "", f"session {session.id} overlaps another one there"))
        load.sessions.append(sessions_moving.Leaving(session, version, new_id()))


def load_check_ins(db: Transaction, clinic_id: UUID, load: Load, rows: Sequence[check_ins.Row], target: Side) -> None:
    """Adds check-ins to what moves, after the sessions. Scores that the other record holds in the same place stay
    behind if they are the same; if they are not, they are faults."""
    scores = _scores(db, clinic_id, rows)
    instants = {(target.patient.id, check_in.taken_at) for check_in, _ in rows}
    standing = {(s.taken_at, s.instrument): s for s in tracks_store.standing_at(db, clinic_id, instants)}
    for check_in, version in rows:
        going: list[ScoreVersion] = []
        for score in scores.get(check_in.id, []):
            stands = standing.get((score.taken_at, score.instrument))
            if stands is None:
                going.append(score)
            elif compared(scored_of(stands), scored_of(score)) is Answers.SAME:
                load.same[check_in.id, score.instrument] = stands.check_in_id
            else:
                rule = f"check-in {check_in.id} and check-in {stands.check_in_id} differ in {score.instrument}"
                load.faults.append(Fault("pointer", "", rule))
        if going:
            session_id = None if version.session_id is None else load.session_ids.get(version.session_id)
            load.check_ins.append(check_ins_moving.Leaving(check_in, version, going, new_id(), session_id))


def returning(db: Transaction, clinic_id: UUID, merged: Patient, other: UUID, target: Side) -> Load:
    """What a merge moved, as it now stands in the other record: all of it that is still there. Places that are taken
    are faults."""
    load = Load()
    theirs = {session.id: (session, version) for session, version in sessions.of_patients(db, clinic_id, [other])}
    for session, ended in sessions.of_patients(db, clinic_id, [merged.id]):
        now = theirs.get(ended.moved_to) if ended.moved_to and ended.recorded_at == merged.merged_at else None
        if now is not None and now[1].moved_to is None:
            load.sessions.append(sessions_moving.Leaving(*now, session.id, (session, ended)))
    there = {check_in.id: (check_in, version) for check_in, version in check_ins.of_patient(db, clinic_id, other)}
    back = [
        (there[ended.moved_to], (original, ended))
        for original, ended in check_ins.of_patient(db, clinic_id, merged.id)
        if ended.moved_to in there and ended.recorded_at == merged.merged_at
        if there[ended.moved_to][1].moved_to is None
    ]
    scores = _scores(db, clinic_id, [now for now, _ in back])
    left = _left_behind(db, clinic_id, back)
    for (check_in, version), was in back:
        going = [*scores.get(check_in.id, []), *([] if version.voided else left.get(check_in.id, []))]
        load.check_ins.append(check_ins_moving.Leaving(check_in, version, going, was[0].id, was[1].session_id, was))
    instants = {(target.patient.id, now[0].taken_at) for now, _ in back}
    taken = {(s.taken_at, s.instrument) for s in tracks_store.standing_at(db, clinic_id, instants)}
    load.faults += [
        Fault("pointer", "", f"the place of check-in {one.check_in.id} is taken by {score.instrument}")
        for one in load.check_ins
        for score in one.scores
        if (one.version.taken_at, score.instrument) in taken
    ]
    return load


def _scores(db: Transaction, clinic_id: UUID, rows: Sequence[check_ins.Row]) -> dict[UUID, list[ScoreVersion]]:
    found: dict[UUID, list[ScoreVersion]] = {}
    for score in tracks_store.of_check_ins(db, clinic_id, [check_in.id for check_in, _ in rows]):
        found.setdefault(score.check_in_id, []).append(score)
    return found


def _left_behind(
    db: Transaction, clinic_id: UUID, back: Sequence[tuple[check_ins.Row, check_ins.Row]]
) -> dict[UUID, list[ScoreVersion]]:
    """By the check-in that returns, the scores of the original that did not move with it, since the other record held
    the same."""
    pairs = {now[0].id: original[0].id for now, original in back}
    every: dict[UUID, list[ScoreVersion]] = {}
    for score in tracks_store.versions_of_check_ins(db, clinic_id, [*pairs, *pairs.values()]):
        every.setdefault(score.check_in_id, []).append(score)
    found = {}
    for moved, original in pairs.items():
        came = {score.instrument for score in every.get(moved, []) if score.version == 1}
        last = max((score.version for score in every.get(original, [])), default=0)
        found[moved] = [s for s in every.get(original, []) if s.version == last and s.instrument not in came]
    return found
