"""Moving sessions to another record: each ends in a version that says where it goes on, and begins there anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit.service import Act
from app.outbox import service as outbox
from app.sessions.models import COUNTED, InfusionSession, SessionIn, SessionVersion
from app.sessions.store import Row
from app.storage import Transaction, new_id
from app.tracks.models import InfusionVersion


@dataclass(frozen=True, slots=True)
class Leaving:
    """A session that moves: its current version, and the id it goes on under. `back`: the session that it was before an
    earlier move, to which it returns."""

    session: InfusionSession
    version: SessionVersion
    becomes: UUID
    back: Row | None = None


def content_of(version: SessionVersion) -> SessionIn:
    """What a version of a session says, also one that was stored before a field existed."""
    return SessionIn.model_validate(version.content)


def move(
    db: Transaction, act: Act, leaving: Sequence[Leaving], to: UUID, at: datetime, reason: str
) -> tuple[list[InfusionVersion], list[InfusionVersion]]:
    """Ends sessions here and begins them for the patient `to`, all at the moment `at`. Returns what the fold reads of
    those that end, and of those that begin."""
    begun = [(one, _begun(act, one, to)) for one in leaving]
    for one, session in begun:
        one.session.version = one.version.version + 1
        db.add_all([one.session, session])
    db.flush()
    ends, begins, told = [], [], []
    for one, session in begun:
        ended = _version(act, one, one.session, at, reason)
        ended.moved_from, ended.moved_to = one.version.moved_from, one.becomes
        new = _version(act, one, session, at, reason)
        new.moved_from = one.session.id if one.back is None else one.back[1].moved_from
        db.add_all([ended, new])
        ends.append(_infusion(ended, one.session, counts=False))
        begins.append(_infusion(new, session, counts=content_of(new).status in COUNTED))
        told += [
            outbox.change(act.clinic_id, "session.amended", ended.patient_id, at, one.session.id),
            outbox.change(act.clinic_id, "session.recorded", to, at, session.id),
        ]
    db.flush()
    outbox.record(db, told)
    return ends, begins


def _begun(act: Act, one: Leaving, to: UUID) -> InfusionSession:
    if one.back is not None:
        returned, last = one.back
        returned.version, returned.started_at = last.version + 1, one.session.started_at
        return returned
    return InfusionSession(
        clinic_id=act.clinic_id,
        id=one.becomes,
        patient_id=to,
        version=1,
        started_at=one.session.started_at,
        created_at=act.at,
    )


def _version(act: Act, one: Leaving, session: InfusionSession, at: datetime, reason: str) -> SessionVersion:
    return SessionVersion(
        clinic_id=act.clinic_id,
        session_id=session.id,
        version=session.version,
        patient_id=session.patient_id,
        recorded_at=at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        reason=reason,
        content=one.version.content,
        source_recorded_at=one.version.source_recorded_at,
    )


def _infusion(version: SessionVersion, session: InfusionSession, *, counts: bool) -> InfusionVersion:
    return InfusionVersion(
        clinic_id=version.clinic_id,
        id=new_id(),
        patient_id=version.patient_id,
        session_id=version.session_id,
        version=version.version,
        recorded_at=version.recorded_at,
        superseded_at=None,
        started_at=session.started_at,
        ended_at=content_of(version).ended_at,
        counts=counts,
    )
