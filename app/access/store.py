"""Queries on clinics, callers and tokens."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from app.access.models import Client, Clinic, Device, Enrolment, RefreshToken, User

CALLERS: dict[str, Any] = {"user": User, "client": Client, "device": Device}


def clinic(db: Session, clinic_id: UUID) -> Clinic | None:
    return db.get(Clinic, clinic_id)


def user_by_email(db: Session, email: str) -> User | None:
    return db.exec(select(User).where(col(User.email) == email)).first()


def client_by_id(db: Session, client_id: UUID) -> Client | None:
    return db.exec(select(Client).where(col(Client.id) == client_id)).first()


def caller(db: Session, clinic_id: UUID, kind: str, caller_id: UUID) -> User | Client | Device | None:
    found: User | Client | Device | None = db.get(CALLERS[kind], (clinic_id, caller_id))
    return found


def enrolment_by_hash(db: Session, code_hash: str) -> Enrolment | None:
    return db.exec(select(Enrolment).where(col(Enrolment.code_hash) == code_hash).with_for_update()).first()


def refresh_token_clinic(db: Session, token_hash: str) -> UUID | None:
    return db.exec(select(RefreshToken.clinic_id).where(col(RefreshToken.token_hash) == token_hash)).first()


def enrolment_clinic(db: Session, code_hash: str) -> UUID | None:
    return db.exec(select(Enrolment.clinic_id).where(col(Enrolment.code_hash) == code_hash)).first()


def relatives(db: Session, clinic_id: UUID, token_hash: str) -> list[RefreshToken]:
    """The token, its successors and its siblings, locked: whoever refreshes or revokes waits for the other."""
    of_clinic = select(RefreshToken).where(col(RefreshToken.clinic_id) == clinic_id)
    mine = db.exec(of_clinic.where(col(RefreshToken.token_hash) == token_hash).with_for_update()).first()
    if mine is None:
        return []
    parents = [mine.id] if mine.parent_id is None else [mine.id, mine.parent_id]
    near = of_clinic.where(col(RefreshToken.parent_id).in_(parents), col(RefreshToken.id) != mine.id)
    return [mine, *db.exec(near.order_by(col(RefreshToken.id)).with_for_update())]


def revoke_family(db: Session, clinic_id: UUID, family_id: UUID, now: datetime) -> None:
    db.execute(
        update(RefreshToken)
        .where(col(RefreshToken.clinic_id) == clinic_id, col(RefreshToken.family_id) == family_id)
        .where(col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=now)
    )


def time_zone(db: Session, clinic_id: UUID) -> ZoneInfo:
    return ZoneInfo(db.get_one(Clinic, clinic_id).time_zone)


def clinic_ids(db: Session) -> list[UUID]:
    """Every clinic: each has at least one user."""
    return list(db.exec(select(User.clinic_id).distinct()))


def purge(db: Session, clinic_id: UUID, now: datetime) -> None:
    """Deletes a clinic's refresh tokens that are past their time."""
    past = col(RefreshToken.expires_at) <= now
    db.execute(delete(RefreshToken).where(col(RefreshToken.clinic_id) == clinic_id, past))


def revoke_devices(db: Session, clinic_id: UUID, patient_id: UUID, now: datetime) -> None:
    """Disables a patient's devices, and the codes that could still make one."""
    db.execute(
        update(Enrolment)
        .where(col(Enrolment.clinic_id) == clinic_id, col(Enrolment.patient_id) == patient_id)
        .where(col(Enrolment.redeemed_at).is_(None))
        .values(expires_at=now)
    )
    db.execute(
        update(Device)
        .where(col(Device.clinic_id) == clinic_id, col(Device.patient_id) == patient_id)
        .where(col(Device.disabled_at).is_(None))
        .values(disabled_at=now)
    )
