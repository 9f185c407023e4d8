"""Moving check-ins to another record: each ends in a version that says where it goes on, and begins there anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.service import Act
from app.checkins.deciding import score_version, scored_of
from app.checkins.models import CheckIn, CheckInVersion
from app.checkins.store import Row
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
    begun = [(one, _begun(act, one, to)) for one in leaving]
    for one, check_in in begun:
        one.check_in.version, one.check_in.voided = one.version.version + 1, True
        db.add_all([one.check_in, check_in])
    db.flush()
    scores: list[ScoreVersion] = []
    for one, check_in in begun:
        ended = _version(act, one, one.check_in, at, reason)
        ended.voided, ended.moved_to = True, one.becomes
        new = _version(act, one, check_in, at, reason)
        new.session_id = one.session_id
        new.moved_from = one.check_in.id if one.back is None else one.back[1].moved_from
        db.add_all([ended, new])
        scores += [score_version(new, s.instrument, scored_of(s), late=s.late, prompt=s.prompt) for s in one.scores]
    db.flush()
    return scores


def _begun(act: Act, one: Leaving, to: UUID) -> CheckIn:
    if one.back is not None:
        returned, last = one.back
        returned.version, returned.taken_at, returned.voided = (
            last.version + 1,
            one.version.taken_at,
            one.version.voided,
        )
        return returned
    return CheckIn(
        clinic_id=act.clinic_id,
        id=one.becomes,
        patient_id=to,
        version=1,
        taken_at=one.version.taken_at,
        voided=one.version.voided,
        posted=one.check_in.posted,
    )


def _version(act: Act, one: Leaving, check_in: CheckIn, at: datetime, reason: str) -> CheckInVersion:
    """The next version of a check-in, which says what the moving one says."""
    old = one.version
    return CheckInVersion(
        clinic_id=act.clinic_id,
        check_in_id=check_in.id,
        version=check_in.version,
        patient_id=check_in.patient_id,
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
    )
