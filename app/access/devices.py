"""Patients' own devices: enrolling by a code, listing, revoking."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from app.access import store
from app.access.faces import DeviceOut
from app.access.models import Device, Enrolment
from app.access.tokens import Tokens, digest, issue
from app.audit import service as audit
from app.audit.service import Act
from app.errors import InvalidToken, NotFound
from app.storage import new_id

_ENROLMENT = timedelta(hours=72)


def open_enrolment(db: Session, clinic_id: UUID, patient_id: UUID, now: datetime) -> tuple[str, datetime]:
    """A single-use code for a patient's device, and when it expires."""
    code, expires_at = secrets.token_urlsafe(16), now + _ENROLMENT
    db.add(
        Enrolment(
            clinic_id=clinic_id,
            id=new_id(),
            patient_id=patient_id,
            code_hash=digest(code),
            expires_at=expires_at,
            redeemed_at=None,
        )
    )
    return code, expires_at


def redeem(db: Session, key: str, code: str, device_name: str, request_id: str, now: datetime) -> Tokens:
    """Tokens for the device that brings the code. Raises InvalidToken for a code that is unknown, used or expired."""
    enrolment = store.enrolment_by_hash(db, digest(code))
    if enrolment is None or enrolment.redeemed_at is not None or enrolment.expires_at <= now:
        raise InvalidToken("the code is unknown, used or expired")
    enrolment.redeemed_at = now
    device = Device(
        clinic_id=enrolment.clinic_id,
        id=new_id(),
        patient_id=enrolment.patient_id,
        name=device_name,
        created_at=now,
        disabled_at=None,
    )
    db.add(enrolment)
    db.add(device)
    db.flush()
    act = Act(device.clinic_id, "device", device.id, "redeem_enrolment", request_id, now)
    audit.record(db, act, [device.patient_id])
    return issue(db, key, "device", device.id, device.clinic_id, now)


def listed(db: Session, clinic_id: UUID, patient_id: UUID) -> list[DeviceOut]:
    """A patient's devices, newest first."""
    return [
        DeviceOut(id=d.id, name=d.name, created_at=d.created_at, disabled_at=d.disabled_at)
        for d in store.devices(db, clinic_id, patient_id)
    ]


def revoke(db: Session, act: Act, patient_id: UUID, device_id: UUID) -> None:
    """Ends a device: its tokens are refused within 30 seconds. One that has ended stays so. Raises NotFound."""
    device = store.locked_device(db, act.clinic_id, device_id)
    if device is None or device.patient_id != patient_id:
        raise NotFound
    device.disabled_at = device.disabled_at or act.at
    db.add(device)
    store.revoke_tokens(db, act.clinic_id, "device", device_id, act.at)
    audit.record(db, act, [patient_id])
