"""Queries of links to calendars."""

from datetime import datetime
from uuid import UUID

from sqlmodel import col, select, update

from app.calendars.models import CalendarLink
from app.storage import Transaction


def by_hash(db: Transaction, code_hash: str) -> CalendarLink | None:
    return db.exec(select(CalendarLink).where(col(CalendarLink.code_hash) == code_hash)).first()


def revoke(db: Transaction, clinic_id: UUID, device_id: UUID, now: datetime) -> None:
    """Ends every link that a device made."""
    mine = (col(CalendarLink.clinic_id) == clinic_id, col(CalendarLink.device_id) == device_id)
    db.execute(update(CalendarLink).where(*mine, col(CalendarLink.revoked_at).is_(None)).values(revoked_at=now))
