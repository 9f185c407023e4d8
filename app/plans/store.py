"""Queries on plans."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, inspect, null, union_all
from sqlalchemy import select as rows_of
from sqlmodel import col, select

from app.plans.models import ClinicPlanVersion, PatientPlanVersion
from app.storage import Transaction, Uid


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


_C, _P = (inspect(model).local_table.c for model in (ClinicPlanVersion, PatientPlanVersion))
# Built once and without the ORM, because answers and receipts ask it. A clinic's own versions come without a patient.
_EVERY = union_all(
    rows_of(null().label("patient_id").cast(Uid), _C.version, _C.recorded_at, _C["items"], _C.confirm).where(
        _C.clinic_id == bindparam("clinic")
    ),
    rows_of(_P.patient_id, _P.version, _P.recorded_at, _P["items"], _P.confirm).where(
        _P.clinic_id == bindparam("clinic"), _P.patient_id.in_(bindparam("patients", expanding=True))
    ),
)


def every_version(
    db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]
) -> list[tuple[UUID | None, datetime, list[dict[str, Any]] | None, bool | None]]:
    """(patient, recorded_at, items, confirm) of every version of the clinic's plan (patient None) and of these
    patients' own, each oldest first."""
    rows = db.connection().execute(_EVERY, {"clinic": clinic_id, "patients": list(patient_ids)})
    ordered = sorted(rows, key=lambda row: row[1])
    return [(patient_id, recorded_at, items, confirm) for patient_id, _, recorded_at, items, confirm in ordered]
