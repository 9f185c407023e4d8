"""Queries on alerts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, delete, func, or_, update
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.alerts.models import Acknowledgement, Alert, Notice, Notification
from app.storage import Transaction, below


def of_check_ins(db: Transaction, clinic_id: UUID, check_in_ids: Sequence[UUID]) -> list[Alert]:
    """All alerts that these check-ins raised."""
    if not check_in_ids:
        return []
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.check_in_id).in_(check_in_ids))
    return list(db.exec(query.order_by(col(Alert.raised_at), col(Alert.id))))


def open_counts(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The number of open alerts of each patient. Patients without open alerts are left out."""
    query: Any = select(Alert.patient_id, func.count()).where(
        col(Alert.clinic_id) == clinic_id, col(Alert.patient_id).in_(patient_ids), col(Alert.state) == "open"
    )
    return dict(iter(db.exec(query.group_by(col(Alert.patient_id)))))


def locked(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Alert | None:
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.id) == alert_id)
    return db.exec(query.with_for_update()).first()


def acknowledgements(db: Transaction, clinic_id: UUID, alert_ids: Sequence[UUID]) -> dict[UUID, list[Acknowledgement]]:
    found: dict[UUID, list[Acknowledgement]] = {}
    query = select(Acknowledgement).where(
        col(Acknowledgement.clinic_id) == clinic_id, col(Acknowledgement.alert_id).in_(alert_ids)
    )
    for row in db.exec(query.order_by(col(Acknowledgement.at), col(Acknowledgement.id))):
        found.setdefault(row.alert_id, []).append(row)
    return found


def notifications(db: Transaction, clinic_id: UUID, alert_ids: Sequence[UUID]) -> dict[UUID, list[Notification]]:
    found: dict[UUID, list[Notification]] = {}
    query = select(Notification).where(
        col(Notification.clinic_id) == clinic_id, col(Notification.alert_id).in_(alert_ids)
    )
    for row in db.exec(query.order_by(col(Notification.at), col(Notification.id))):
        found.setdefault(row.alert_id, []).append(row)
    return found


def of_session(db: Transaction, clinic_id: UUID, session_id: UUID) -> Sequence[Alert]:
    """The alerts about side effects of a session."""
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.session_id) == session_id)
    return db.exec(query.where(col(Alert.kind) == "severe_side_effect")).all()


def of_patients(db: Transaction, clinic_id: UUID, patient_ids: Sequence[UUID], kinds: Sequence[str]) -> list[Alert]:
    """All alerts of these kinds of these patients, oldest first."""
    query = select(Alert).where(
        col(Alert.clinic_id) == clinic_id, col(Alert.patient_id).in_(patient_ids), col(Alert.kind).in_(kinds)
    )
    return list(db.exec(query.order_by(col(Alert.raised_at), col(Alert.id))))


def find(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Alert | None:
    return db.get(Alert, (clinic_id, alert_id))


def due_notice(db: Transaction, now: datetime, leased_until: datetime) -> Notice | None:
    """The notice that has been due longest, of any clinic. Its due date is moved to `leased_until`, so that no other
    process takes it in the meantime. If this process dies, the notice is only delayed."""
    query = select(Notice).where(col(Notice.due_at) <= now).order_by(col(Notice.due_at)).limit(1)
    found = db.exec(query.with_for_update(skip_locked=True)).first()
    if found is not None:
        found.due_at = leased_until
        db.add(found)
    return found


def notice(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Notice | None:
    query = select(Notice).where(col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id)
    return db.exec(query.with_for_update()).first()


def end_notices(db: Transaction, clinic_id: UUID, alert_id: UUID) -> None:
    db.execute(delete(Notice).where(col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id))


def postpone_notices(db: Transaction, clinic_id: UUID, alert_id: UUID, due_at: datetime) -> None:
    mine = (col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id)
    db.execute(update(Notice).where(*mine).values(due_at=due_at))


def wake_notices(db: Transaction, clinic_id: UUID, asleep: datetime, now: datetime) -> None:
    mine = (col(Notice.clinic_id) == clinic_id, col(Notice.due_at) >= asleep)
    db.execute(update(Notice).where(*mine).values(due_at=now))


def overdue_notices(db: Transaction, before: datetime) -> int:
    """The number of notices of all clinics that are due by `before`."""
    return db.exec(select(func.count()).select_from(Notice).where(col(Notice.due_at) <= before)).one()


def page(
    db: Transaction,
    clinic_id: UUID,
    state: str | None,
    late: bool | None,
    patient_ids: SelectOfScalar[UUID] | None,
    after: Sequence[Any] | None,
    limit: int,
) -> Sequence[Alert]:
    """Timely alerts first, then late ones, each newest first. Returns one row more than `limit` if there are more."""
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id)
    if patient_ids is not None:
        query = query.where(col(Alert.patient_id).in_(patient_ids))
    if state is not None:
        query = query.where(col(Alert.state) == state)
    if late is not None:
        query = query.where(col(Alert.late).is_(late))
    if after is not None:
        was_late, raised_at, alert_id = bool(after[0]), datetime.fromisoformat(after[1]), UUID(after[2])
        rest = and_(col(Alert.late).is_(was_late), below((col(Alert.raised_at), col(Alert.id)), (raised_at, alert_id)))
        # Late alerts come after all timely ones.
        query = query.where(rest if was_late else or_(col(Alert.late), rest))
    order = (col(Alert.late).asc(), col(Alert.raised_at).desc(), col(Alert.id).desc())
    return db.exec(query.order_by(*order).limit(limit + 1)).all()
