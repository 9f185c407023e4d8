"""Queries on plans."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlmodel import col, select

from app.plans.models import ClinicPlanVersion, PatientPlanVersion
from app.storage import Transaction


def clinic_versions(db: Transaction, clinic_id: UUID) -> Sequence[ClinicPlanVersion]:
    """Oldest first."""
    query = select(ClinicPlanVersion).where(col(ClinicPlanVersion.clinic_id) == clinic_id)
    return db.exec(query.order_by(col(ClinicPlanVersion.version))).all()


def patient_versions(db: Transaction, clinic_id: UUID, patient_id: UUID) -> Sequence[PatientPlanVersion]:
    """Oldest first."""
    query = select(PatientPlanVersion).where(
        col(PatientPlanVersion.clinic_id) == clinic_id, col(PatientPlanVersion.patient_id) == patient_id
    )
    return db.exec(query.order_by(col(PatientPlanVersion.version))).all()


def versions_of_patients(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]
) -> Sequence[PatientPlanVersion]:
    """Those of several patients, oldest first."""
    query = select(PatientPlanVersion).where(
        col(PatientPlanVersion.clinic_id) == clinic_id, col(PatientPlanVersion.patient_id).in_(patient_ids)
    )
    return db.exec(query.order_by(col(PatientPlanVersion.version))).all()
