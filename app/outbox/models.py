"""The outbox: one row for each thing that happened, and where each clinic's feed has come to."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, text
from sqlmodel import Field, SQLModel

from app.storage import Moment, Uid, key, rights

_WAITING, _OF_RELIEF = text("position IS NULL"), text("kind = 'relief.changed'")


class Change(SQLModel, table=True):
    """Something that happened: its kind, the patient, and the id of the check-in, session or alert, if it is about one.
    `position`: its place in the clinic's feed, from 1, without gaps; null until it is there (`service.place`).
    `domains`: of a change of relief, the domains whose answer is another one, with blanks between."""

    __tablename__ = "changes"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id"], ["clinics.id"]),
        Index("ix_changes_position", "clinic_id", "position", unique=True),
        Index("ix_changes_waiting", "clinic_id", "id", postgresql_where=_WAITING, sqlite_where=_WAITING),
        Index("ix_changes_relief", "clinic_id", "id", postgresql_where=_OF_RELIEF, sqlite_where=_OF_RELIEF),
        rights("position", deletes=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    position: int | None = Field(sa_type=BigInteger)
    at: datetime = Field(sa_type=Moment)
    kind: str
    patient_id: UUID = Field(sa_type=Uid)
    about_id: UUID | None = Field(sa_type=Uid)
    domains: str | None = None


class Feed(SQLModel, table=True):
    """Where a clinic's feed has come to: the last position that was given, and the last that was deleted since."""

    __tablename__ = "feeds"
    __table_args__ = (ForeignKeyConstraint(["clinic_id"], ["clinics.id"]), rights("last, deleted"))

    clinic_id: UUID = key()
    last: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=BigInteger)
