"""Patients' own devices: enrolling with a code, listing, revoking."""

import secrets
from datetime import timedelta
from uuid import UUID

from app.access import store
from app.access.models import Device, Enrolment
from app.access.tokens import Tokens, digest, issue
from app.audit.service import Act, Origin
from app.devices.models import DeviceOut, EnrolmentOut
from app.errors import Invalid, InvalidToken, NotFound
from app.facts import Fact
from app.patients import identifiers
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.service import ENDED, Erased
from app.storage import Transaction, new_id

_ENROLMENT = timedelta(hours=72)


def enrol(db: Transaction, act: Act, patient_id: UUID, public_url: str) -> Fact[EnrolmentOut]:
    """A single-use code, and its link, that makes a device a patient's own. Raises NotFound, Erased, Invalid."""
    patient = patients.lock_one(db, act.clinic_id, patient_id)
    if patient.erased_at is not None:
        raise Erased
    if patient.care_status in ENDED:
        raise Invalid("a device cannot be enrolled for a patient whose care has ended")
    code, expires_at = secrets.token_urlsafe(16), act.at + _ENROLMENT
    db.add(
        Enrolment(
            clinic_id=act.clinic_id,
            id=new_id(),
            patient_id=patient_id,
            code_hash=digest(code),
            expires_at=expires_at,
            redeemed_at=None,
        )
    )
    link = f"{public_url.rstrip('/')}/check-in#{code}"
    value = EnrolmentOut(code=code, expires_at=expires_at, link=link)
    return Fact(value, (patient_id,), is_new=True, is_secret=True)


def redeem(db: Transaction, code: str, device_name: str, origin: Origin) -> tuple[Act, Fact[Tokens]]:
    """Redeems a code: adds the device, returns its tokens. A code for a record that was merged is one for the record in
    which that goes on. Raises InvalidToken for an unknown, used or old code."""
    enrolment = store.enrolment_by_hash(db, digest(code))
    if enrolment is None or enrolment.redeemed_at is not None or enrolment.expires_at <= origin.at:
        raise InvalidToken("the code is unknown, used or expired")
    enrolment.redeemed_at = origin.at
    patients_store.locked(db, enrolment.clinic_id, [enrolment.patient_id])  # a merge under way is waited for
    *former, patient_id = patients.way_on(db, enrolment.clinic_id, enrolment.patient_id)
    if patients.find(db, enrolment.clinic_id, patient_id).care_status in ENDED:
        raise InvalidToken("the code is unknown, used or expired")
    device = Device(
        clinic_id=enrolment.clinic_id,
        id=new_id(),
        patient_id=patient_id,
        sealed_name=None,
        created_at=origin.at,
        disabled_at=None,
        former_patient_ids=list(map(str, former)),
    )
    device.sealed_name = identifiers.sealed(db, device.clinic_id, patient_id, device_name, device.id)
    db.add(enrolment)
    db.add(device)
    db.flush()
    act = origin.act(device.clinic_id, "device", device.id, "redeem_enrolment")
    granted = issue(db, "device", device.id, device.clinic_id, origin.at)
    return act, Fact(granted, (device.patient_id,), is_new=True)


def of_patient(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Fact[list[DeviceOut]]:
    """A patient's devices, newest first. Raises NotFound."""
    patients.find(db, clinic_id, patient_id)
    return Fact(listed(db, clinic_id, patient_id), (patient_id,))


def listed(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[DeviceOut]:
    """A patient's devices, newest first; none where there is no such patient."""
    rows = store.devices(db, clinic_id, patient_id)
    names = identifiers.opened(db, clinic_id, [(d.id, d.sealed_name) for d in rows if d.sealed_name is not None])
    return [
        DeviceOut(id=d.id, name=names.get(d.id, "erased"), created_at=d.created_at, disabled_at=d.disabled_at)
        for d in rows
    ]


def of_clinic(db: Transaction, clinic_id: UUID) -> Fact[list[Device]]:
    """The devices of all patients of a clinic, for the operator."""
    found = list(store.clinic_devices(db, clinic_id))
    return Fact(found, tuple(dict.fromkeys(device.patient_id for device in found)))


def revoke(db: Transaction, act: Act, patient_id: UUID, device_id: UUID) -> Fact[None]:
    """Disables a device. One that is disabled already keeps its date. Raises NotFound."""
    patients.find(db, act.clinic_id, patient_id)
    device = store.locked_device(db, act.clinic_id, device_id)
    if device is None or device.patient_id != patient_id:
        raise NotFound
    device.disabled_at = device.disabled_at or act.at
    db.add(device)
    store.revoke_tokens(db, act.clinic_id, "device", device_id, act.at)
    return Fact(None, (patient_id,), changes_callers=True)
