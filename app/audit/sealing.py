"""Seals the audit log: each seal is a keyed hash over some events in order and over the previous seal.

Recording an event does not wait for this: events are stored unsealed, and a background job seals those of finished
transactions. Each seal is also written to the service's log, so that it shows if the newest events are deleted together
with their seals.
"""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.audit import store
from app.audit.models import Seal
from app.errors import NotFound
from app.storage import DatabaseError, NoSuchKeyError, Transaction, key_for, key_id

logger = logging.getLogger("holdfast.audit")

_EVENTS_A_SEAL = 500
_EVENTS_A_QUERY = 500
_ID_BYTES, _MAC_BYTES = 16, 32
_ENTRY_BYTES = _ID_BYTES + _MAC_BYTES
_PURPOSE = "audit seals"
# The hash that is sealed for an event that cannot be read, so that the other events can still be sealed.
_UNREADABLE = bytes(_MAC_BYTES)
_MOST_COMPARED = 50
# The errors that reading a row can raise if the service did not write that row.
_NOT_OURS = (ValueError, TypeError, AttributeError, OverflowError, DatabaseError)
_LONGEST_REQUEST_MILLISECONDS = 15 * 60 * 1_000

# The operation of an event that says why another event is out of time.
ACKNOWLEDGED = "acknowledge_out_of_time"
# Is told how far a long work has come.
Say = Callable[[str], None]

# The row of an event, and the rows of its subjects.
Stands = tuple[Any, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """Something wrong with the log. `kind` is altered, removed, inserted, reordered, broken_seal, cut_tail, not_checked
    (sealed with a secret that is not given) or out_of_time: an event that was written at another time than it states,
    or with a clock wrong by over 15 minutes."""

    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Witness:
    """A seal as it was written to the service's log."""

    clinic_id: UUID
    number: int
    mac: str


def next_seal(db: Transaction, clinic_id: UUID, now: datetime) -> Seal | None:
    """A new seal over some unsealed events, not yet stored; None if there are none. This only reads, so that requests
    that record events do not wait while the hashes are computed."""
    event_ids = store.unsealed(db, clinic_id, _EVENTS_A_SEAL)
    if not event_ids:
        return None
    key = key_for(db, _PURPOSE)
    events = _with_subjects(db, clinic_id, event_ids)
    before = store.last_seal(db, clinic_id)
    number = before.number + 1 if before else 1
    entries = b"".join(
        event_id.bytes + (_mac_as(key, events[event_id], event_id) or _UNREADABLE) for event_id in event_ids
    )
    mac = _seal_mac(key, clinic_id, number, before.mac if before else b"", entries)
    return Seal(clinic_id=clinic_id, number=number, sealed_at=now, entries=entries, mac=mac, key_id=key_id(db))


def store_seal(db: Transaction, seal: Seal) -> None:
    """Stores a seal and takes its events off the queue. Of two seals made at once the second fails: its number is
    taken. The row object is made here, because a retried transaction cannot add the same object again."""
    store.add_seal(db, Seal(**seal.model_dump()), [event_id for event_id, _ in _entries(seal.entries)])


def is_full(seal: Seal) -> bool:
    """Whether a seal covers the largest allowed number of events, so that more may be waiting."""
    return len(seal.entries) == _EVENTS_A_SEAL * _ENTRY_BYTES


def clinics_waiting(db: Transaction, before: datetime | None) -> list[UUID]:
    """The clinics with unsealed events; or those alone that have one from before an instant, or enough for a seal."""
    return [
        clinic_id
        for clinic_id, oldest, count in store.unsealed_by_clinic(db)
        if before is None or count >= _EVENTS_A_SEAL or _milliseconds(oldest) < before.timestamp() * 1_000
    ]


def announce(seal: Seal) -> None:
    """Writes a committed seal to the service's log."""
    logger.info("sealed %s", _as_witness(seal))


def last_witness(db: Transaction, clinic_id: UUID) -> str | None:
    """The last seal in the form used in the service's log: clinic:number:mac."""
    last = store.last_seal(db, clinic_id)
    return None if last is None else _as_witness(last)


def _as_witness(seal: Seal) -> str:
    return f"{seal.clinic_id}:{seal.number}:{seal.mac.hex()}"


def waiting(db: Transaction, clinic_id: UUID) -> int:
    """The number of events that no seal covers yet."""
    return len(store.unsealed(db, clinic_id))


def check_event(db: Transaction, clinic_id: UUID, event_id: UUID) -> None:
    """Raises NotFound where the clinic has no such event."""
    if not store.by_ids(db, clinic_id, [event_id]):
        raise NotFound("there is no such event")


def verify(
    db: Transaction,
    clinic_id: UUID,
    witnesses: Sequence[Witness] = (),
    *,
    is_synthetic: bool = False,
    say: Say = lambda _: None,
) -> list[Found]:
    """Everything that is wrong with a clinic's log. Recent events that are not sealed yet are not reported. In a
    synthetic clinic the times of events are not checked, because its events were generated later than they state. An
    event out of time for which an operator gave a reason is `acknowledged`; `say` is told how many seals are
    checked."""
    found = dict.fromkeys(_wrong(db, clinic_id, witnesses, is_synthetic=is_synthetic, say=say))
    reasons = {
        f"event {event.attempted['event_id']}": event.attempted.get("reason", "")
        for event in store.of_operation(db, clinic_id, ACKNOWLEDGED)
        if event.attempted and "event_id" in event.attempted
    }
    return [
        Found("acknowledged", f"{one.what} is out of time: {reasons[one.what]}")
        if one.kind == "out_of_time" and one.what in reasons
        else one
        for one in found
    ]


def _wrong(
    db: Transaction, clinic_id: UUID, witnesses: Sequence[Witness], *, is_synthetic: bool, say: Say
) -> Iterator[Found]:
    sealed: set[UUID] = set()
    lacking: dict[str, list[int]] = {}
    before, expected, latest = b"", 1, 0
    macs: dict[int, str] = {}
    for number in store.seal_numbers(db, clinic_id):
        if number != expected:
            yield Found("removed", f"seals {expected} to {number - 1}")
        found = store.seal_numbered(db, clinic_id, number)
        assert found is not None  # it was listed on the same snapshot
        key = _given(db, found.key_id)
        if key is None:
            lacking.setdefault(found.key_id, []).append(number)
        whole = len(found.entries) % _ENTRY_BYTES == 0
        if not whole or (number == expected and key is not None and not _is_mac(key, clinic_id, found, before)):
            yield Found("broken_seal", f"seal {number}")
        entries = list(_entries(found.entries)) if whole else []
        order = [event_id for event_id, _ in entries]
        if order != sorted(order):  # a seal lists its events in the order of their ids
            yield Found("reordered", f"the entries of seal {number}")
        yield from _backdated(order, latest)
        latest = max([latest, *map(_milliseconds, order)])
        if key is not None:
            yield from _events(db, clinic_id, key, dict(entries), is_synthetic=is_synthetic)
        sealed.update(order)
        macs[number] = found.mac.hex()
        before, expected = found.mac, number + 1
        say(str(number))
        db.expunge(found)
    for key_id_, numbers in lacking.items():
        some = f"seals {numbers[0]} to {numbers[-1]} need the secret whose id is {key_id_}"
        yield Found("not_checked", f"{some}: give it as HOLDFAST_PREVIOUS_SECRET_KEY")
    try:
        waiting, there = store.unsealed(db, clinic_id), store.ids(db, clinic_id)
    except _NOT_OURS:
        waiting, there = [], []
        yield Found("inserted", "an event whose id is none")
    yield from _backdated(waiting, latest)
    for event_id in sorted(set(there) - sealed - set(waiting)):
        yield Found("inserted", f"event {event_id}")
    for witness in witnesses:
        if witness.clinic_id == clinic_id and macs.get(witness.number) != witness.mac:
            kind = "cut_tail" if witness.number not in macs else "broken_seal"
            yield Found(kind, f"seal {witness.number} of the service's log")


def _backdated(event_ids: Sequence[UUID], latest: int) -> Iterator[Found]:
    """Events whose ids, which tell when they were made, are long before events that were sealed earlier."""
    for event_id in event_ids:
        if _milliseconds(event_id) < latest - _LONGEST_REQUEST_MILLISECONDS:
            yield Found("out_of_time", f"event {event_id}")


def _is_made_up(stands: Stands | None, event_id: UUID) -> bool:
    """Whether an event states another time than the one in its id."""
    said = 0 if stands is None else int(stands[0].at.timestamp() * 1_000)
    return abs(said - _milliseconds(event_id)) > _LONGEST_REQUEST_MILLISECONDS


def _milliseconds(event_id: UUID) -> int:
    """The time in an id, in milliseconds since 1970. Source: RFC 9562, version 7."""
    return event_id.int >> 80


def _events(
    db: Transaction, clinic_id: UUID, key: bytes, entries: dict[UUID, bytes], *, is_synthetic: bool
) -> Iterator[Found]:
    """Compares the events of one seal with what was sealed, and yields every difference."""
    events = _with_subjects(db, clinic_id, list(entries))
    altered = []
    for event_id, mac in entries.items():
        if event_id not in events:
            yield Found("removed", f"event {event_id}")
        elif _mac_as(key, events[event_id], event_id) != mac:
            altered.append(event_id)
        elif not is_synthetic and _is_made_up(events[event_id], event_id):
            yield Found("out_of_time", f"event {event_id}")
    # The content stored under one event's id may be the content that was sealed under another id.
    for event_id in altered:
        others = (other for other in altered[:_MOST_COMPARED] if other != event_id)
        moved = any(_mac_as(key, events[event_id], other) == entries[other] for other in others)
        yield Found("reordered" if moved else "altered", f"event {event_id}")


def _mac_as(key: bytes, stands: Stands | None, event_id: UUID) -> bytes | None:
    """The keyed hash of the stored rows, computed as if they had this id; None if they cannot be read."""
    return None if stands is None else _event_mac(key, *stands, event_id)


def _entries(entries: bytes) -> Iterator[tuple[UUID, bytes]]:
    for at in range(0, len(entries), _ENTRY_BYTES):
        yield UUID(bytes=entries[at : at + _ID_BYTES]), entries[at + _ID_BYTES : at + _ENTRY_BYTES]


def _with_subjects(db: Transaction, clinic_id: UUID, event_ids: Sequence[UUID]) -> dict[UUID, Stands | None]:
    """Those of these events that exist, with their subjects. The value is None for an event that cannot be read."""
    found: dict[UUID, Stands | None] = {}
    for at in range(0, len(event_ids), _EVENTS_A_QUERY):
        some = event_ids[at : at + _EVENTS_A_QUERY]
        try:
            found |= _read(db, clinic_id, some)
        except _NOT_OURS:
            # A row in this batch was not written by the service. Reading one by one finds out which.
            for event_id in some:
                try:
                    found |= _read(db, clinic_id, [event_id])
                except _NOT_OURS:
                    found[event_id] = None
    return found


def _read(db: Transaction, clinic_id: UUID, event_ids: Sequence[UUID]) -> dict[UUID, Stands | None]:
    events = store.by_ids(db, clinic_id, event_ids)
    subjects = store.subjects(db, clinic_id, events)
    return {event.id: (event, subjects.get(event.id, [])) for event in events}


def _event_mac(key: bytes, event: Any, subjects: Sequence[Any], event_id: UUID) -> bytes:
    """The keyed hash of an event's content, computed as if the event had this id."""
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
        "patients": sorted([str(subject.patient_id), subject.attempted] for subject in subjects),
    }
    return hmac.digest(key, json.dumps(content, sort_keys=True, separators=(",", ":")).encode(), hashlib.sha256)


def _given(db: Transaction, sealed_with: str) -> bytes | None:
    """The key of a seal; None where its secret is not given."""
    try:
        return key_for(db, _PURPOSE, sealed_with)
    except NoSuchKeyError:
        return None


def _is_mac(key: bytes, clinic_id: UUID, seal: Seal, before: bytes) -> bool:
    return hmac.compare_digest(_seal_mac(key, clinic_id, seal.number, before, seal.entries), seal.mac)


def _seal_mac(key: bytes, clinic_id: UUID, number: int, before: bytes, entries: bytes) -> bytes:
    head = f"{clinic_id} {number} ".encode()
    return hmac.digest(key, head + before + hashlib.sha256(entries).digest(), hashlib.sha256)
