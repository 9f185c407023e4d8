"""Queries of wording."""

from collections.abc import Sequence
from uuid import UUID

from sqlmodel import col, select

from app.storage import Transaction
from app.wording.models import ClinicWording


def one(db: Transaction, clinic_id: UUID, instrument: str, language: str) -> ClinicWording | None:
    return db.get(ClinicWording, (clinic_id, instrument, language))


def every(db: Transaction, clinic_id: UUID) -> Sequence[ClinicWording]:
    """All of a clinic's, by instrument and language."""
    query = select(ClinicWording).where(col(ClinicWording.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(ClinicWording.instrument), col(ClinicWording.language))).all()


def remove(db: Transaction, found: ClinicWording) -> None:
    db.delete(found)
