"""Which secret a database belongs to, and which processes serve it with which secrets.

A database keeps the id of its secret, so a service with another one does not start. While secrets are rotated it keeps
two: everything new is sealed with the second, and what the first one sealed is sealed anew.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete
from sqlmodel import Field, SQLModel, col, select

from app.storage.keys import Keyring
from app.storage.rights import rights
from app.storage.types import Moment, Transaction, document, key

# A process says that it is there every 20 seconds; one that has been silent for longer is taken to have ended.
_SILENT_FOR = timedelta(seconds=70)


class WrongSecretError(Exception):
    """The service was started with another secret than that of the database. The message is one sentence."""


class ServiceKey(SQLModel, table=True):
    """The id of a secret of this database. `current` seals; `previous` is being replaced by it; `retired` was, and is
    needed only for old audit seals and old backups."""

    __tablename__ = "service_keys"
    __table_args__ = rights("*", deletes=True, is_open=True)

    id: str = Field(primary_key=True)
    state: str
    changed_at: datetime = Field(sa_type=Moment)


class Process(SQLModel, table=True):
    """A running process of the service: the ids of the secrets that it has, and of the one with which it seals."""

    __tablename__ = "processes"
    __table_args__ = rights("*", deletes=True, is_open=True)

    id: UUID = key()
    key_ids: list[str] = Field(sa_type=document())
    seals_with: str
    seen_at: datetime = Field(sa_type=Moment)


def states(db: Transaction) -> dict[str, str]:
    """The state of each secret that the database knows, by key id."""
    return {row.id: row.state for row in db.exec(select(ServiceKey))}


def fitting(known: dict[str, str], ring: Keyring) -> Keyring:
    """The secrets in the order in which this database needs them. Raises WrongSecretError where one is missing."""
    for key_id, state in known.items():
        if state != "retired" and key_id not in ring.ids:
            if state == "previous":
                raise WrongSecretError("HOLDFAST_PREVIOUS_SECRET_KEY is needed until `holdfast keys rotate` is done")
            raise WrongSecretError("HOLDFAST_SECRET_KEY is not the secret of this database")
    [current] = [key_id for key_id, state in known.items() if state == "current"]
    return ring.sealing_with(current)


def begin(db: Transaction, ring: Keyring, now: datetime) -> dict[str, str]:
    """Makes the first secret that is given that of a database in which there is no clinic yet, so that nothing in it
    is sealed. Returns the states of all secrets."""
    known = states(db)
    if not known or (ring.ids[0] not in known and _is_empty(db)):
        bind(db, ring.ids[:1], now)
    return states(db)


def bind(db: Transaction, key_ids: Sequence[str], now: datetime) -> None:
    """Makes these secrets the database's own: the first one seals, and replaces the other if there is one."""
    db.execute(delete(ServiceKey))
    for place, key_id in enumerate(key_ids):
        db.add(ServiceKey(id=key_id, state="previous" if place else "current", changed_at=now))
    db.flush()


def _is_empty(db: Transaction) -> bool:
    # Every clinic has people, and whoever asks without a clinic sees those of all.
    return db.connection().exec_driver_sql("select 1 from users limit 1").first() is None


def exchange(db: Transaction, new: str, now: datetime) -> None:
    """Begins to replace the current secret by another one. Does nothing where that has begun already."""
    for row in db.exec(select(ServiceKey).with_for_update()):
        if row.state == "current" and row.id != new:
            row.state, row.changed_at = "previous", now
            db.add(row)
    row = db.get(ServiceKey, new) or ServiceKey(id=new, state="current", changed_at=now)
    row.state = "current"
    db.add(row)


def retire(db: Transaction, now: datetime) -> None:
    """Ends the replacing: nothing is sealed with the previous secret any more."""
    for row in db.exec(select(ServiceKey).where(col(ServiceKey.state) == "previous").with_for_update()):
        row.state, row.changed_at = "retired", now
        db.add(row)


def report(db: Transaction, process_id: UUID, ring: Keyring, now: datetime) -> None:
    """Says that a process is running, and with which secrets."""
    db.merge(Process(id=process_id, key_ids=ring.ids, seals_with=ring.ids[0], seen_at=now))
    db.execute(delete(Process).where(col(Process.seen_at) < now - 10 * _SILENT_FOR))


def leave(db: Transaction, process_id: UUID) -> None:
    """Says that a process has ended."""
    db.execute(delete(Process).where(col(Process.id) == process_id))


def lacking(db: Transaction, key_ids: Collection[str], now: datetime) -> int:
    """How many running processes lack one of these secrets."""
    return sum(not set(key_ids) <= set(process.key_ids) for process in _running(db, now))


def sealing_otherwise(db: Transaction, key_id: str, now: datetime) -> int:
    """How many running processes still seal with another secret."""
    return sum(process.seals_with != key_id for process in _running(db, now))


def _running(db: Transaction, now: datetime) -> list[Process]:
    return [process for process in db.exec(select(Process)) if now - process.seen_at < _SILENT_FOR]
