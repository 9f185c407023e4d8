"""Moving check-ins to another record: each ends in a version that says where it goes on, and begins there anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit.service import Act
from app.checkins import store
from app.checkins.deciding import score_version, scored_of
from app.checkins.models import VERSIONED, CheckIn, CheckInVersion
from app.checkins.store import Row
from app.outbox import service as outbox
from app.storage import Transaction
from app.tracks.models import ScoreVersion


@dataclass(frozen=True, slots=True)
class Leaving:
    """A check-in that moves: its current version, the scores that go, the id it goes on under, and the session that it
    belongs to there. `back`: the check-in that it was before an earlier move, to which it returns."""

    check_in: CheckIn
    version: CheckInVersion
    scores: Sequence[ScoreVersion]
    becomes: UUID
    session_id: UUID | None
    back: Row | None = None


def move(
    db: Transaction, act: Act, leaving: Sequence[Leaving], to: UUID, at: datetime, reason: str
) -> list[ScoreVersion]:
    """Ends check-ins here and begins them for the patient `to`, all at the moment `at`. Returns the scores that begin;
    the caller folds them, and supersedes those that end."""
    begun, told = [], []
    for one in leaving:
        ended = _version(act, one, one.check_in.id, one.version.patient_id, one.version.version + 1, at, reason)
        ended.voided, ended.moved_to = True, one.becomes
        store.add_version(db, one.check_in, ended)
        begun.append(_begin(db, act, one, to, at, reason))
        ends = outbox.change(act.clinic_id, "check_in.amended", ended.patient_id, at, one.check_in.id)
        begins = outbox.change(act.clinic_id, "check_in.recorded", to, at, one.becomes)
        told += [ends, begins]
    db.flush()
    outbox.record(db, told)
    return [
        score_version(new, s.instrument, scored_of(s), late=s.late, prompt=s.prompt)
        for one, new in zip(leaving, begun, strict=True)
        for s in one.scores
    ]


def _begin(db: Transaction, act: Act, one: Leaving, to: UUID, at: datetime, reason: str) -> CheckInVersion:
    """Begins a check-in that says what the moving one says, or goes on with the one to which it returns."""
    number = 1 if one.back is None else one.back[1].version + 1
    new = _version(act, one, one.becomes, to, number, at, reason)
    new.session_id = one.session_id
    new.moved_from = one.check_in.id if one.back is None else one.back[1].moved_from
    if one.back is not None:
        store.add_version(db, one.back[0], new)
    else:
        said: dict[str, Any] = {name: getattr(new, name) for name in VERSIONED}
        whose: dict[str, Any] = {"clinic_id": act.clinic_id, "patient_id": to}
        db.add(CheckIn(**whose, id=one.becomes, posted=one.check_in.posted, **said))
    return new


def _version(
    act: Act, one: Leaving, check_in_id: UUID, patient_id: UUID, number: int, at: datetime, reason: str
) -> CheckInVersion:
    """A version of a check-in, which says what the moving one says."""
    old = one.version
    return CheckInVersion(
        clinic_id=act.clinic_id,
        check_in_id=check_in_id,
        version=number,
        patient_id=patient_id,
        recorded_at=at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        taken_at=old.taken_at,
        session_id=old.session_id,
        stated_before_at=old.stated_before_at,
        clock_offset_seconds=old.clock_offset_seconds,
        clock_suspect=old.clock_suspect,
        voided=old.voided,
        moved_from=old.moved_from,
        moved_to=None,
        reason=reason,
        source_recorded_at=old.source_recorded_at,
    )
