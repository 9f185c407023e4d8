"""Records who did what to whose data, in a transaction of the door's. The door alone does it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.audit.models import AuditEvent, AuditSubject, Unsealed
from app.audit.service import Act, AuditEntry
from app.facts import Fact
from app.storage import Transaction, insert, new_id


def entry_of(act: Act, fact: Fact[Any]) -> AuditEntry:
    """The event that a use case's answer calls for."""
    return AuditEntry(act, fact.patient_ids, fact.outcome, (), fact.refused_patient_ids)


def record(db: Transaction, entry: AuditEntry) -> None:
    """Records one event, in the transaction that did the work."""
    record_many(db, entry.act.clinic_id, [entry])


def record_many(db: Transaction, clinic_id: UUID, entries: Sequence[AuditEntry]) -> list[None]:
    """Records events of one clinic, however many, at once."""
    events, unsealed, subjects = [], [], []
    for entry in entries:
        act, event_id = entry.act, new_id()
        whose = dict.fromkeys(entry.refused_patient_ids, True) | dict.fromkeys(entry.patient_ids, False)
        only = next(iter(whose)) if len(whose) == 1 else None
        unsealed.append({"clinic_id": clinic_id, "event_id": event_id})
        events.append(
            {
                "clinic_id": clinic_id,
                "id": event_id,
                "at": act.at,
                "actor_kind": act.actor_kind,
                "actor_id": act.actor_id,
                "operation": act.operation,
                "request_id": act.request_id,
                "outcome": entry.outcome,
                "attempted": dict(entry.attempted) or None,
                "address": act.address,
                "patient_id": only,
                "patient_attempted": only is not None and whose[only],
            }
        )
        if only is None:
            subjects += [
                {"clinic_id": clinic_id, "event_id": event_id, "patient_id": patient_id, "attempted": attempted}
                for patient_id, attempted in whose.items()
            ]
    insert(db, {AuditEvent: events, Unsealed: unsealed, AuditSubject: subjects})
    return [None] * len(entries)
