"""Carries a load from one record to another, and folds both."""

from collections.abc import Callable

from app.access.service import Caller
from app.audit.service import Act
from app.checkins import moving as check_ins_moving
from app.moves.loading import Load, Side
from app.patients import service as patients
from app.sessions import moving as sessions_moving
from app.storage import Transaction
from app.tracks import service as tracks
from app.tracks.changes import Change


def carry(
    db: Transaction,
    caller: Caller,
    act: Act,
    source: Side,
    target: Side,
    load: Load,
    reason: str,
    because: str,
    alerts: Callable[[], object],
) -> None:
    """Moves a load. `because` is `moved` or `merged`. `alerts` makes the alerts go along, once there is what they are
    about, and before the folds say which onsets are left."""
    db.add_all([source.patient, target.patient])
    ended, begun = sessions_moving.move(db, act, load.sessions, target.patient.id, source.at, reason)
    scores = check_ins_moving.move(db, act, load.check_ins, target.patient.id, source.at, reason)
    alerts()
    leaving = Change(
        patients.subject_of(source.patient, caller.time_zone),
        infusions=ended,
        replaces_check_ins=[one.check_in.id for one in load.check_ins],
        replaces_sessions=[one.session.id for one in load.sessions],
        at=source.at,
        because=because,
    )
    arriving = Change(
        patients.subject_of(target.patient, caller.time_zone),
        scores=scores,
        infusions=begun,
        replaces_sessions=[one.becomes for one in load.sessions if one.back is not None],
        at=target.at,
        because=because,
    )
    known = {source.patient.id: source.known, target.patient.id: target.known}
    tracks.apply(db, act.clinic_id, [leaving], known)
    tracks.apply(db, act.clinic_id, [arriving], known)
