"""Use cases of privacy: the whole record of one patient, and erasing a patient's identity."""

from uuid import UUID

from app.access.service import Caller
from app.alerts import service as alerts
from app.audit.service import Act
from app.checkins import reading
from app.devices import service as devices
from app.errors import Fault, Invalid
from app.events import service as events
from app.facts import Fact
from app.patients import service as patients
from app.patients import store as patients_store
from app.patients.models import Patient, PatientOut
from app.patients.policies import caseless
from app.plans import service as plans
from app.privacy.models import BasisVersionOut, ErasureIn, PatientRecord
from app.reminders import service as reminders
from app.sessions import service as sessions
from app.storage import Transaction


def record_of(db: Transaction, caller: Caller, act: Act, patient_id: UUID) -> Fact[PatientRecord]:
    """Everything that is stored about a patient. Raises NotFound."""
    patient = patients.find(db, caller.clinic_id, patient_id)
    record = PatientRecord(
        patient=patients.patient_out(db, patient),
        made_at=act.at,
        basis=[
            BasisVersionOut(
                version=version.version,
                recorded_at=version.recorded_at,
                primary_instruments=version.primary_instruments,
                indications=version.indications,
            )
            for version in patients_store.versions(db, caller.clinic_id, patient_id)
        ],
        sessions=sessions.every_version(db, caller.clinic_id, patient_id),
        check_ins=reading.every_version(db, caller, patient_id),
        events=events.every_version(db, caller.clinic_id, patient_id),
        alerts=alerts.of_patient(db, caller.clinic_id, patient_id),
        devices=devices.listed(db, caller.clinic_id, patient_id),
        plan=plans.plan(db, caller, patient_id).value,
        plan_versions=plans.versions(db, caller, patient_id),
    )
    return Fact(record, (patient_id,))


def erase(db: Transaction, act: Act, patient_id: UUID, body: ErasureIn) -> Fact[PatientOut]:
    """Erases a patient's identity; the clinical record stays under a pseudonym. Erasing again changes nothing. Raises
    NotFound, and Invalid if `external_id` is not the patient's."""
    patient = patients.lock_one(db, act.clinic_id, patient_id)
    if patient.erased_at is None and not _is_same(db, patient, body.external_id):
        raise Invalid(errors=[Fault("pointer", "/external_id", "must be the patient's external id")])
    reminders.forget(db, act.clinic_id, patient_id)
    return patients.erase(db, act, patient_id)


def _is_same(db: Transaction, patient: Patient, external_id: str) -> bool:
    return caseless(patients.patient_out(db, patient).external_id) == caseless(external_id)
