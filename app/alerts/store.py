"""Queries on alerts."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, inspect, or_, update
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.alerts.models import Acknowledgement, Alert, Notice, Notification
from app.clock import CLOCKS_DIFFER
from app.storage import Lookup, Transaction, below, insert, set_columns


def of_check_ins(db: Transaction, clinic_id: UUID, check_in_ids: Sequence[UUID], *, lock: bool = False) -> list[Alert]:
    """All alerts that these check-ins raised. Who changes alerts locks them, since acknowledging locks no patient."""
    if not check_in_ids:
        return []
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.check_in_id).in_(check_in_ids))
    return _found(db, query.order_by(col(Alert.raised_at), col(Alert.id)), lock=lock)


def _found(db: Transaction, query: SelectOfScalar[Alert], *, lock: bool) -> list[Alert]:
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    return list(db.exec(query))


class OpenAlert(NamedTuple):
    """An open alert, as OPEN finds it."""

    id: UUID
    patient_id: UUID
    domain: str
    kind: str
    priority: str
    rank: int
    late: bool
    raised_at: datetime


# The open alerts of patients.
OPEN = Lookup(Alert, OpenAlert._fields, "patient_id", where="state = 'open'")


def by_urgency(rows: Iterable[tuple[Any, ...]]) -> list[OpenAlert]:
    """What OPEN found: urgent, high, routine; in each the timely ones first, then the newest."""
    alerts = [OpenAlert(*row) for row in rows]
    alerts.sort(key=lambda alert: (alert.raised_at, alert.id), reverse=True)
    return sorted(alerts, key=lambda alert: (alert.rank, alert.late))


def of_refused(db: Transaction, clinic_id: UUID, patient_ids: Collection[UUID]) -> list[Alert]:
    """The open alerts of these patients whose answer was in a refused form, locked."""
    query = select(Alert).where(
        col(Alert.clinic_id) == clinic_id, col(Alert.patient_id).in_(patient_ids), col(Alert.state) == "open"
    )
    return _found(db, query.where(col(Alert.score_refused)), lock=True)


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


def of_sessions(db: Transaction, clinic_id: UUID, session_ids: Collection[UUID]) -> Sequence[Alert]:
    """The alerts about side effects of sessions."""
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.session_id).in_(session_ids))
    return db.exec(query.where(col(Alert.kind) == "severe_side_effect")).all()


def of_patients(
    db: Transaction,
    clinic_id: UUID,
    patient_ids: Collection[UUID],
    kinds: Collection[str] | None,
    *,
    lock: bool = False,
) -> list[Alert]:
    """All alerts of these kinds (None: of all kinds) of these patients, oldest first."""
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id, col(Alert.patient_id).in_(patient_ids))
    if kinds is not None:
        query = query.where(col(Alert.kind).in_(kinds))
    return _found(db, query.order_by(col(Alert.raised_at), col(Alert.id)), lock=lock)


def changed(alert: Alert, names: Collection[str]) -> set[str]:
    """Those of these columns that have another value than the database; all of a new alert's."""
    attributes = inspect(alert).attrs
    return {name for name in names if attributes[name].history.has_changes()}


# What of an alert follows the readings.
_FOLLOWING = ("state", "withdrawn_at", "withdrawn_because", "onset_on", "late", "taken_at", "check_in_id")


def write(db: Transaction, new: Sequence[Alert], changed: Sequence[Alert]) -> None:
    """Writes new alerts, which the ORM does not watch, and what has changed of others, which it forgets, together with
    other rows."""
    for alert in changed:
        db.expunge(alert)
    insert(db, {Alert: [vars(alert) for alert in new]})
    keys = ("clinic_id", "id", *_FOLLOWING)
    set_columns(db, _FOLLOWING, {Alert: [{name: getattr(alert, name) for name in keys} for alert in changed]})


def find(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Alert | None:
    return db.get(Alert, (clinic_id, alert_id))


def due_notice(db: Transaction, now: datetime, leased_until: datetime) -> Notice | None:
    """The notice that has been due longest, of any clinic. Its due date is moved to `leased_until`, so that no other
    process takes it in the meantime. If this process dies, the notice is only delayed."""
    query = select(Notice).where(_is_due(now)).order_by(col(Notice.due_at)).limit(1)
    found = db.exec(query.with_for_update(skip_locked=True)).first()
    if found is not None:
        found.due_at, found.set_at = leased_until, now
        if found.first_told_at is not None and found.first_told_at > now:
            found.first_told_at = now
        db.add(found)
    return found


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Due by now, or put off by a clock that was ahead."""
    return or_(col(Notice.due_at) <= now, col(Notice.set_at) > now + CLOCKS_DIFFER)


def notice(db: Transaction, clinic_id: UUID, alert_id: UUID) -> Notice | None:
    query = select(Notice).where(col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id)
    return db.exec(query.with_for_update()).first()


def notices_of(db: Transaction, clinic_id: UUID, patient_id: UUID) -> list[Notice]:
    """The notices of a patient's open alerts."""
    alert = and_(col(Alert.clinic_id) == col(Notice.clinic_id), col(Alert.id) == col(Notice.alert_id))
    query = (
        select(Notice)
        .join(Alert, alert)
        .where(col(Notice.clinic_id) == clinic_id, col(Alert.patient_id) == patient_id, col(Alert.state) == "open")
    )
    return list(db.exec(query.order_by(col(Notice.alert_id))))


def last_mailed_at(db: Transaction, clinic_id: UUID, patient_id: UUID) -> datetime | None:
    """When the last mail about an alert of a patient was sent. One that was sent before the alert was moved to this
    patient was about another one."""
    alert = and_(col(Alert.clinic_id) == col(Notification.clinic_id), col(Alert.id) == col(Notification.alert_id))
    query = (
        select(func.max(col(Notification.at)))
        .join(Alert, alert)
        .where(
            col(Notification.clinic_id) == clinic_id,
            col(Alert.patient_id) == patient_id,
            col(Notification.outcome) == "sent",
            or_(col(Alert.moved_at).is_(None), col(Notification.at) > col(Alert.moved_at)),
        )
    )
    return db.exec(query).one()


def end_notices(db: Transaction, clinic_id: UUID, alert_id: UUID) -> None:
    db.execute(delete(Notice).where(col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id))


def postpone_notices(db: Transaction, clinic_id: UUID, alert_id: UUID, due_at: datetime, now: datetime) -> None:
    mine = (col(Notice.clinic_id) == clinic_id, col(Notice.alert_id) == alert_id)
    db.execute(update(Notice).where(*mine).values(due_at=due_at, set_at=now))


def wake_notices(db: Transaction, clinic_id: UUID, asleep: datetime, now: datetime) -> None:
    mine = (col(Notice.clinic_id) == clinic_id, col(Notice.due_at) >= asleep)
    db.execute(update(Notice).where(*mine).values(due_at=now, set_at=now))


def overdue_notices(db: Transaction, before: datetime) -> int:
    """The number of notices of all clinics that are due by `before`."""
    return db.exec(select(func.count()).select_from(Notice).where(_is_due(before))).one()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts a list shows; None: all of them. `patient_ids`: of these patients only."""

    state: str | None = None
    late: bool | None = None
    patient_id: UUID | None = None
    kind: str | None = None
    priority: str | None = None
    patient_ids: SelectOfScalar[UUID] | None = None


def page(db: Transaction, clinic_id: UUID, wanted: Wanted, after: Sequence[Any] | None, limit: int) -> Sequence[Alert]:
    """Urgent, high, routine; in each the timely ones first, then the newest. Returns one row more than `limit` if there
    are more."""
    query = select(Alert).where(col(Alert.clinic_id) == clinic_id)
    for column, value in (
        (col(Alert.state), wanted.state),
        (col(Alert.late), wanted.late),
        (col(Alert.patient_id), wanted.patient_id),
        (col(Alert.kind), wanted.kind),
        (col(Alert.priority), wanted.priority),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.patient_ids is not None:
        query = query.where(col(Alert.patient_id).in_(wanted.patient_ids))
    if after is not None:
        rank, was_late, raised_at, alert_id = (
            int(after[0]),
            bool(after[1]),
            datetime.fromisoformat(after[2]),
            UUID(after[3]),
        )
        newer = below((col(Alert.raised_at), col(Alert.id)), (raised_at, alert_id))
        same = and_(col(Alert.rank) == rank, col(Alert.late).is_(was_late), newer)
        rest = [col(Alert.rank) > rank, same]
        if not was_late:  # late alerts come after all timely ones of their priority
            rest.append(and_(col(Alert.rank) == rank, col(Alert.late)))
        query = query.where(or_(*rest))
    return db.exec(query.order_by(*_ORDER).limit(limit + 1)).all()


_ORDER = (col(Alert.rank).asc(), col(Alert.late).asc(), col(Alert.raised_at).desc(), col(Alert.id).desc())
