"""Use cases of events: recording, amending, reading. No verdict rests on an event."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from pydantic import MISSING

from app.access.service import Caller
from app.audit.service import Act
from app.errors import AlreadyRecorded, Fault, Invalid, NotFound
from app.events import store
from app.events.models import EventAmendmentIn, EventIn, EventOut, EventRecorderOut, EventVersion, HappenedOut
from app.facts import Fact, require_version
from app.patients import service as patients
from app.storage import Transaction, new_id
from app.tracks.days import local_day


def record(db: Transaction, caller: Caller, act: Act, patient_id: UUID, body: EventIn) -> Fact[EventOut]:
    """Records an event. If the same id was posted before with the same content, returns that event as it is now. Raises
    NotFound, Merged, Invalid, AlreadyRecorded."""
    patients.lock_one(db, act.clinic_id, patient_id)
    event_id = body.id or new_id()
    known = store.versions(db, act.clinic_id, event_id)
    if known:
        first, last = known[0], known[-1]
        if first.patient_id != patient_id or _content(first) != (body.kind, body.on, body.label):
            raise AlreadyRecorded(errors=[Fault("pointer", "/id", "names an event with other content")])
        return Fact(event_out(last), (patient_id,), last.version, is_replay=True)
    _check(caller, act.at, body.on)
    new = EventVersion(
        clinic_id=act.clinic_id,
        id=event_id,
        version=1,
        patient_id=patient_id,
        recorded_at=act.at,
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        kind=body.kind,
        on_day=body.on,
        label=body.label,
        voided=False,
        reason=None,
        moved_from=None,
        moved_to=None,
    )
    db.add(new)
    return Fact(event_out(new), (patient_id,), 1, is_new=True)


def amend(
    db: Transaction,
    caller: Caller,
    act: Act,
    patient_id: UUID,
    event_id: UUID,
    expected: int | None,
    body: EventAmendmentIn,
) -> Fact[EventOut]:
    """Makes a new version of an event, which may take it back. One that changes nothing makes none. Raises NotFound,
    Merged, PreconditionFailed, Invalid."""
    patients.lock_one(db, act.clinic_id, patient_id)
    last = _versions(db, act.clinic_id, patient_id, event_id)[-1]
    require_version(expected, last.version)
    if last.moved_to is not None:
        raise Invalid(errors=[Fault("pointer", "", "this event was moved: amend the one that goes on in its place")])
    kind = last.kind if body.kind is MISSING else body.kind
    on = last.on_day if body.on is MISSING else body.on
    label = last.label if body.label is MISSING else body.label
    voided = last.voided if body.void is MISSING else body.void
    if (kind, on, label, voided) == (*_content(last), last.voided):
        return Fact(event_out(last), (patient_id,), last.version)
    _check(caller, act.at, on)
    new = next_version(last, act, act.at, body.reason)
    new.kind, new.on_day, new.label, new.voided = kind, on, label, voided
    db.add(new)
    return Fact(event_out(new), (patient_id,), new.version, is_new=True)


def one(db: Transaction, caller: Caller, patient_id: UUID, event_id: UUID) -> Fact[EventOut]:
    """The version of an event that stands. Raises NotFound, Merged."""
    patients.find(db, caller.clinic_id, patient_id)
    last = _versions(db, caller.clinic_id, patient_id, event_id)[-1]
    return Fact(event_out(last), (patient_id,), last.version)


def versions(db: Transaction, caller: Caller, patient_id: UUID, event_id: UUID) -> Fact[list[EventOut]]:
    """Every version of an event, oldest first. Raises NotFound, Merged."""
    patients.find(db, caller.clinic_id, patient_id)
    return Fact([event_out(v) for v in _versions(db, caller.clinic_id, patient_id, event_id)], (patient_id,))


def listed(
    db: Transaction, caller: Caller, patient_id: UUID, after: Sequence[str] | None, limit: int
) -> Sequence[EventOut]:
    """A page of a patient's events, the latest day first; one more than `limit` if there are more. Raises NotFound,
    Merged."""
    patients.find(db, caller.clinic_id, patient_id)
    return [event_out(version) for version in store.page(db, caller.clinic_id, patient_id, after, limit)]


def every_version(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[EventOut]:
    """Every version of every event of a patient, event by event, oldest first."""
    return [event_out(version) for version in store.every_version(db, clinic_id, patient_id)]


def happened(db: Transaction, caller: Caller, patient_id: UUID, first: date, last: date) -> list[HappenedOut]:
    """What happened on some days, in order, for the pictures; nothing for callers who may not read sessions."""
    if "sessions:read" not in caller.scopes:
        return []
    return [
        HappenedOut(id=version.id, kind=version.kind, on=version.on_day, label=version.label)
        for version in store.between(db, caller.clinic_id, patient_id, first, last)
    ]


def next_version(last: EventVersion, act: Act, at: datetime, reason: str) -> EventVersion:
    """The version that follows one, with the same content, recorded later than it."""
    return EventVersion(
        clinic_id=last.clinic_id,
        id=last.id,
        version=last.version + 1,
        patient_id=last.patient_id,
        recorded_at=max(at, last.recorded_at + timedelta(microseconds=1)),
        recorded_by_kind=act.actor_kind,
        recorded_by_id=act.actor_id,
        kind=last.kind,
        on_day=last.on_day,
        label=last.label,
        voided=last.voided,
        reason=reason,
        moved_from=last.moved_from,
        moved_to=None,
    )


def event_out(version: EventVersion) -> EventOut:
    """The response body of a version."""
    return EventOut(
        id=version.id,
        patient_id=version.patient_id,
        kind=version.kind,
        on=version.on_day,
        label=version.label,
        status="moved" if version.moved_to is not None else "voided" if version.voided else "recorded",
        version=version.version,
        recorded_at=version.recorded_at,
        recorded_by=EventRecorderOut(kind=version.recorded_by_kind, id=version.recorded_by_id),
        reason=version.reason,
        moved_from=version.moved_from,
        moved_to=version.moved_to,
    )


def _versions(db: Transaction, clinic_id: UUID, patient_id: UUID, event_id: UUID) -> Sequence[EventVersion]:
    found = store.versions(db, clinic_id, event_id)
    if not found or found[0].patient_id != patient_id:
        raise NotFound
    return found


def _content(version: EventVersion) -> tuple[str, date, str | None]:
    return version.kind, version.on_day, version.label


def _check(caller: Caller, now: datetime, on: date) -> None:
    if on > local_day(now, caller.time_zone):
        raise Invalid(errors=[Fault("pointer", "/on", "must not be after today in the clinic")])
