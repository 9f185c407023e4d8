"""The versions of a patient: who changed what, when and why."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.audit.service import Act
from app.facts import Fact
from app.outbox import service as outbox
from app.outbox.kinds import Kind
from app.patients import store
from app.patients.models import Patient, PatientVersion, PatientVersionOut, RecorderOut
from app.storage import Transaction

# A version keeps these; the fields that verdicts rest on have columns of their own.
_KEPT = ("failed_treatments", "failed_antidepressant_trials", "care_status")


# Set where a record goes on in another one, or another goes on in it; and where that is taken back.
_MERGED = {"merged_into", "aliases"}


def versions(db: Transaction, patient: Patient) -> Fact[list[PatientVersionOut]]:
    """Every version of a patient, oldest first."""
    rows = store.versions(db, patient.clinic_id, patient.id)
    return Fact([_version_out(row) for row in rows], (patient.id,))


def record_version(
    db: Transaction,
    act: Act,
    patient: Patient,
    recorded_at: datetime,
    reason: str | None,
    changed: Sequence[str],
    care_team: Sequence[UUID] | None,
) -> None:
    """Stores the current version of a patient, and which of its fields are new. `care_team` None: not told again."""
    kind: Kind = "patient.merged" if _MERGED & set(changed) else "patient.changed"
    outbox.record(db, [outbox.change(patient.clinic_id, kind, patient.id, recorded_at)])
    content = {name: getattr(patient, name) for name in _KEPT}
    if care_team is not None:
        content["care_team"] = [str(user_id) for user_id in care_team]
    db.add(
        PatientVersion(
            clinic_id=patient.clinic_id,
            patient_id=patient.id,
            version=patient.version,
            recorded_at=recorded_at,
            primary_instruments=patient.primary_instruments,
            indications=patient.indications,
            recorded_by_kind=act.actor_kind,
            recorded_by_id=act.actor_id,
            reason=reason,
            changed=list(changed),
            content=content,
        )
    )


def next_version(
    db: Transaction, act: Act, patient: Patient, recorded_at: datetime, reason: str, changed: Sequence[str]
) -> None:
    """Makes the next version of a patient, who is locked."""
    patient.version += 1
    patient.updated_at = act.at
    record_version(db, act, patient, recorded_at, reason, changed, None)
    db.add(patient)


def _version_out(row: PatientVersion) -> PatientVersionOut:
    by = None
    if row.recorded_by_kind is not None and row.recorded_by_id is not None:
        by = RecorderOut(kind=row.recorded_by_kind, id=row.recorded_by_id)
    return PatientVersionOut(
        version=row.version,
        recorded_at=row.recorded_at,
        recorded_by=by,
        reason=row.reason,
        changed=row.changed,
        primary_instruments=row.primary_instruments,
        indications=row.indications,
        failed_treatments=row.content.get("failed_treatments"),
        failed_antidepressant_trials=row.content.get("failed_antidepressant_trials"),
        care_status=row.content.get("care_status"),
        care_team=row.content.get("care_team"),
    )
