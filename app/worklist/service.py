"""The worklist: who needs attention, most urgent first. Right on any day without rewriting rows."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from uuid import UUID

from app.access.service import Caller
from app.alerts import store as alerts_store
from app.patients import identifiers
from app.patients.identifiers import Identity
from app.relief import STALE_AFTER_DAYS
from app.storage import Transaction
from app.tracks import store as tracks_store
from app.tracks.models import DomainStatus
from app.worklist import store
from app.worklist.models import OpenAlertOut, WorklistPatientOut, WorklistRowOut
from app.worklist.store import WorklistPosition

Row = tuple[WorklistPosition, WorklistRowOut]


def listed(
    db: Transaction,
    caller: Caller,
    day: date,
    care_status: str,
    domain: str | None,
    statuses: Collection[str],
    assigned_to: UUID | None,
    after: WorklistPosition | None,
    limit: int,
) -> list[Row]:
    """A page as of a day, of all patients or of one person's; one item more than `limit` if there are more."""
    asked = (db, caller.clinic_id, day, care_status, domain, statuses)
    if assigned_to is None:
        positions = store.page(*asked, after, limit)
    else:
        positions = store.assigned_page(*asked, assigned_to, after, limit)
    ids = list(dict.fromkeys(position.patient_id for position in positions))
    if not ids:
        return []
    people = identifiers.of_patients(db, caller.clinic_id, ids)
    rows = {(r.patient_id, r.domain): r for r in tracks_store.domain_statuses(db, caller.clinic_id, ids)}
    alerts: dict[tuple[UUID, str], list[OpenAlertOut]] = {}
    for alert in alerts_store.open_of(db, caller.clinic_id, ids):
        shown = OpenAlertOut(id=alert.id, kind=alert.kind, priority=alert.priority)
        alerts.setdefault((alert.patient_id, alert.domain), []).append(shown)
    unknown = tracks_store.self_harm_unknown_since(db, caller.clinic_id, ids)
    return [
        (
            position,
            _row_out(
                rows[position.patient_id, position.domain],
                people[position.patient_id],
                day,
                alerts.get((position.patient_id, position.domain), []),
                unknown.get(position.patient_id),
            ),
        )
        for position in positions
    ]


def cursor_of(day: date, position: WorklistPosition) -> list[object]:
    """What a cursor stores: the last row of a page, and the day, so that all pages are as of the same day."""
    return [day.isoformat(), position.priority, position.since.isoformat(), str(position.patient_id), position.domain]


def position_at(cursor: Sequence[str]) -> tuple[date, WorklistPosition]:
    """The inverse of `cursor_of`."""
    day, priority, since, patient_id, domain = cursor
    position = WorklistPosition(int(priority), date.fromisoformat(since), UUID(patient_id), domain)
    return date.fromisoformat(day), position


def _row_out(
    row: DomainStatus,
    identity: Identity,
    day: date,
    open_alerts: list[OpenAlertOut],
    self_harm_unknown_since: datetime | None,
) -> WorklistRowOut:
    is_silent = row.stale_on is not None and row.stale_on <= day
    status = "stale" if is_silent else row.status
    value = row.latest_value
    old = row.latest_on is not None and (day - row.latest_on).days > STALE_AFTER_DAYS  # an old score has no flag
    return WorklistRowOut(
        patient=WorklistPatientOut(id=row.patient_id, external_id=identity.external_id, label=identity.label),
        domain=row.domain,
        instrument=row.instrument,
        status=status,
        last_known=row.state if status in ("stale", "awaiting_follow_up") else None,
        flags=[] if is_silent or old else row.flags,
        since_on=row.stale_on if is_silent else row.since_on,
        improvement_percent=row.improvement_percent,
        latest_value=int(value) if value is not None and value.is_integer() else value,
        days_since_last_score=_days(row.latest_on, day),
        days_since_last_session=_days(row.last_session_on, day),
        open_alerts=open_alerts,
        self_harm_unknown_since=self_harm_unknown_since,
    )


def _days(since: date | None, day: date) -> int | None:
    """Days from `since` to `day`; 0 for a later `since` (an old cursor, or just past midnight)."""
    return None if since is None else max(0, (day - since).days)
