"""Sealing the audit log: each seal is a keyed hash over some events in order and over the seal before it.

Recording never waits: events go in unsealed, and a background job seals those of finished transactions. Each seal is
also written to the service's log, so that a tail cut off together with its seals still shows.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from app.audit import store
from app.audit.models import AuditEvent, Seal
from app.storage import key_for

logger = logging.getLogger("holdfast.audit")

_EVENTS_A_SEAL = 2_000
_EVENTS_A_QUERY = 500
_ID_BYTES, _MAC_BYTES = 16, 32
_ENTRY_BYTES = _ID_BYTES + _MAC_BYTES
_PURPOSE = "audit seals"


@dataclass(frozen=True, slots=True)
class Found:
    """Something wrong with the log: `kind` is altered, removed, inserted, reordered, broken_seal or cut_tail."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Witness:
    """A seal as the service's log wrote it down."""

    clinic_id: UUID
    number: int
    mac: str


def seal(db: Session, clinic_id: UUID, now: datetime) -> int:
    """Seals some events that are not sealed yet; how many. Only one may run at a time for a clinic: a second one would
    make a seal of the same number, and fail."""
    event_ids = store.unsealed(db, clinic_id, _EVENTS_A_SEAL)
    if not event_ids:
        return 0
    key = key_for(db, _PURPOSE)
    events = _with_subjects(db, clinic_id, event_ids)
    before = store.last_seal(db, clinic_id)
    number = before.number + 1 if before else 1
    entries = b"".join(event_id.bytes + _event_mac(key, *events[event_id], event_id) for event_id in event_ids)
    mac = _seal_mac(key, clinic_id, number, before.mac if before else b"", entries)
    store.add_seal(db, Seal(clinic_id=clinic_id, number=number, sealed_at=now, entries=entries, mac=mac), event_ids)
    return len(event_ids)


def has_unsealed(db: Session, clinic_id: UUID) -> bool:
    """Whether something waits for a seal."""
    return bool(store.unsealed(db, clinic_id, 1))


def announce(db: Session, clinic_id: UUID) -> None:
    """Writes the last seal to the service's log, once it is committed."""
    logger.info("sealed %s", last_witness(db, clinic_id))


def last_witness(db: Session, clinic_id: UUID) -> str | None:
    """The last seal as the service's log has it: clinic:number:mac."""
    last = store.last_seal(db, clinic_id)
    return None if last is None else f"{clinic_id}:{last.number}:{last.mac.hex()}"


def oldest_unsealed_at(db: Session, clinic_id: UUID) -> datetime | None:
    """When the oldest event that is not sealed yet came in."""
    return store.oldest_unsealed_at(db, clinic_id)


def verify(db: Session, clinic_id: UUID, witnesses: Sequence[Witness] = ()) -> Iterator[Found]:
    """Everything that is wrong with a clinic's log. Events of the last moments, not sealed yet, are not wrong."""
    key = key_for(db, _PURPOSE)
    sealed: set[UUID] = set()
    before, expected = b"", 1
    macs: dict[int, str] = {}
    for number in store.seal_numbers(db, clinic_id):
        if number != expected:
            yield Found("removed", f"seals {expected} to {number - 1}")
        found = store.seal_numbered(db, clinic_id, number)
        assert found is not None  # it was listed on this snapshot
        mac = _seal_mac(key, clinic_id, number, before, found.entries)
        if number == expected and not hmac.compare_digest(mac, found.mac):
            yield Found("broken_seal", f"seal {number}")
        order = [event_id for event_id, _ in _entries(found.entries)]
        if order != sorted(order):  # they are sealed in the order of their ids
            yield Found("reordered", f"the entries of seal {number}")
        yield from _events(db, clinic_id, key, found, sealed)
        macs[number] = found.mac.hex()
        before, expected = found.mac, number + 1
        db.expunge(found)
    waiting = set(store.unsealed(db, clinic_id))
    for event_id in sorted(set(store.ids(db, clinic_id)) - sealed - waiting):
        yield Found("inserted", f"event {event_id}")
    for witness in witnesses:
        if witness.clinic_id == clinic_id and macs.get(witness.number) != witness.mac:
            kind = "cut_tail" if witness.number not in macs else "broken_seal"
            yield Found(kind, f"seal {witness.number} of the service's log")


def _events(db: Session, clinic_id: UUID, key: bytes, found: Seal, sealed: set[UUID]) -> Iterator[Found]:
    """What is wrong with the events of one seal."""
    entries = dict(_entries(found.entries))
    events = _with_subjects(db, clinic_id, list(entries))
    altered = []
    for event_id, mac in entries.items():
        sealed.add(event_id)
        if event_id not in events:
            yield Found("removed", f"event {event_id}")
        elif not hmac.compare_digest(_event_mac(key, *events[event_id], event_id), mac):
            altered.append(event_id)
    # What stands under one event's id may be what was sealed under another's.
    others = {entries[event_id]: event_id for event_id in altered}
    for event_id in altered:
        moved = any(_event_mac(key, *events[event_id], other) == mac for mac, other in others.items())
        yield Found("reordered" if moved else "altered", f"event {event_id}")


def _entries(entries: bytes) -> Iterator[tuple[UUID, bytes]]:
    for at in range(0, len(entries), _ENTRY_BYTES):
        yield UUID(bytes=entries[at : at + _ID_BYTES]), entries[at + _ID_BYTES : at + _ENTRY_BYTES]


def _with_subjects(
    db: Session, clinic_id: UUID, event_ids: Sequence[UUID]
) -> dict[UUID, tuple[AuditEvent, Sequence[UUID]]]:
    """Those of these events that are there, with the patients they showed."""
    found: dict[UUID, tuple[AuditEvent, Sequence[UUID]]] = {}
    for at in range(0, len(event_ids), _EVENTS_A_QUERY):
        some = event_ids[at : at + _EVENTS_A_QUERY]
        subjects = store.subjects(db, clinic_id, some)
        for event in store.by_ids(db, clinic_id, some).values():
            found[event.id] = (event, subjects.get(event.id, []))
            db.expunge(event)
    return found


def _event_mac(key: bytes, event: AuditEvent, patient_ids: Sequence[UUID], event_id: UUID) -> bytes:
    """The keyed hash of an event's content, as it would be under this id."""
    content = {
        "clinic": str(event.clinic_id),
        "id": str(event_id),
        "at": event.at.isoformat(),
        "actor": [event.actor_kind, str(event.actor_id)],
        "operation": event.operation,
        "request": event.request_id,
        "outcome": event.outcome,
        "attempted": event.attempted,
        "address": event.address,
        "patients": sorted(str(patient_id) for patient_id in patient_ids),
    }
    return hmac.digest(key, json.dumps(content, sort_keys=True, separators=(",", ":")).encode(), hashlib.sha256)


def _seal_mac(key: bytes, clinic_id: UUID, number: int, before: bytes, entries: bytes) -> bytes:
    head = f"{clinic_id} {number} ".encode()
    return hmac.digest(key, head + before + hashlib.sha256(entries).digest(), hashlib.sha256)
