"""The table of links to calendars."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from app.storage import Moment, Uid, key, rights


class CalendarLink(SQLModel, table=True):
    """A link with which a calendar reads what is due for the patient of a device. Only the hash of its code is stored.
    `language`: that of the titles. It ends with the device, or when it is revoked."""

    __tablename__ = "calendar_links"
    __table_args__ = (
        ForeignKeyConstraint(["clinic_id", "device_id"], ["devices.clinic_id", "devices.id"]),
        UniqueConstraint("code_hash"),
        Index(None, "clinic_id", "device_id"),
        rights("revoked_at", is_open=True),
    )

    clinic_id: UUID = key()
    id: UUID = key()
    device_id: UUID = Field(sa_type=Uid)
    code_hash: str
    language: str
    created_at: datetime = Field(sa_type=Moment)
    revoked_at: datetime | None = Field(sa_type=Moment)
