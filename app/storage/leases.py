"""Leases: make sure that only one of several processes does a job at a time."""

from datetime import datetime

from sqlalchemy import delete, or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Field, SQLModel, col

from app.clock import CLOCKS_DIFFER
from app.storage.rights import rights
from app.storage.types import Moment, Transaction


class Lease(SQLModel, table=True):
    """Which process does a job, and until when. If that process dies, the lease runs out at `until`."""

    __tablename__ = "leases"
    __table_args__ = rights("*", deletes=True, is_open=True)

    name: str = Field(primary_key=True)
    holder: str
    until: datetime = Field(sa_type=Moment)


def lease(db: Transaction, name: str, holder: str, now: datetime, until: datetime) -> bool:
    """Takes or renews a lease and returns whether the holder has it until `until`. That is so if the job was free, if
    its lease had run out, if the holder had it already, or if it runs longer than one can: a clock was ahead when it
    was taken."""
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(Lease).values(name=name, holder=holder, until=until)
    free = or_(col(Lease.until) <= now, col(Lease.holder) == holder, col(Lease.until) > until + CLOCKS_DIFFER)
    taken = statement.on_conflict_do_update(
        index_elements=["name"], set_={"holder": holder, "until": until}, where=free
    )
    return db.execute(taken.returning(col(Lease.name))).first() is not None


def end(db: Transaction, name: str, holder: str) -> None:
    """Deletes the holder's lease, of something that is not done again."""
    db.execute(delete(Lease).where(col(Lease.name) == name, col(Lease.holder) == holder))


def give_up(db: Transaction, name: str, holder: str, now: datetime) -> None:
    """Ends the holder's lease now, so that another process need not wait for it to run out."""
    db.execute(update(Lease).where(col(Lease.name) == name, col(Lease.holder) == holder).values(until=now))
