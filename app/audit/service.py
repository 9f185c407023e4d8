"""Acts and the events they leave: what is to be recorded, and reading what was."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.audit import store
from app.audit.models import EVERYONE, ActorOut, AuditEventOut
from app.facts import Outcome
from app.storage import Transaction


@dataclass(frozen=True, slots=True)
class Act:
    """Who runs which operation in which request. `at` is when the request arrived, `address` is where it came from."""

    clinic_id: UUID
    actor_kind: str
    actor_id: UUID
    operation: str
    request_id: str
    at: datetime
    address: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a request before its caller is: its id, when it arrived and where it came from."""

    request_id: str
    at: datetime
    address: str

    def act(self, clinic_id: UUID, actor_kind: str, actor_id: UUID, operation: str) -> Act:
        """The act of the caller whom this request turned out to be from."""
        return Act(clinic_id, actor_kind, actor_id, operation, self.request_id, self.at, self.address)


def by_operator(clinic_id: UUID, operation: str, at: datetime) -> Act:
    """The act of a command-line operation, which no caller of the clinic did."""
    return Act(clinic_id, "operator", UUID(int=0), operation, "command-line", at)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event to be recorded: an act, its outcome, and the patients whose data it read or wrote. Of what was refused:
    the ids in the request's address (`attempted`), and the patients it asked for."""

    act: Act
    patient_ids: tuple[UUID, ...] = ()
    outcome: Outcome = "done"
    attempted: tuple[tuple[str, str], ...] = ()
    refused_patient_ids: tuple[UUID, ...] = ()


def events_of(
    db: Transaction,
    clinic_id: UUID,
    patient_id: UUID | None,
    actor_id: UUID | None,
    after: Sequence[str] | None,
    limit: int,
) -> list[AuditEventOut]:
    """Events, newest first. Returns one more than `limit` if there are more."""
    events = store.page(db, clinic_id, patient_id, actor_id, after, limit)
    subjects = store.subjects(db, clinic_id, events)
    return [
        AuditEventOut(
            id=event.id,
            at=event.at,
            actor=ActorOut(kind=event.actor_kind, id=event.actor_id),
            operation=event.operation,
            outcome=event.outcome,
            request_id=event.request_id,
            address=event.address,
            patient_ids=[
                s.patient_id for s in subjects.get(event.id, []) if not s.attempted and s.patient_id != EVERYONE
            ],
            attempted_patient_ids=[s.patient_id for s in subjects.get(event.id, []) if s.attempted],
            attempted=event.attempted,
        )
        for event in events
    ]
