"""The worklist: who needs attention, most urgent first. Right on any day without rewriting rows."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from app.access import store as access
from app.access.service import Caller
from app.alerts import store as alerts_store
from app.outbox import store as outbox
from app.patients import identifiers
from app.patients import store as patients_store
from app.patients.identifiers import Identity
from app.plans.confirming import Confirming, is_open
from app.storage import Transaction, look_up
from app.tracks import store as tracks_store
from app.tracks.domains import ENDLESS, advanced
from app.worklist import store
from app.worklist.models import OpenAlertOut, WorklistPatientOut, WorklistRowOut
from app.worklist.store import Asked, WorklistPosition

Row = tuple[WorklistPosition, WorklistRowOut]

_LATEST_CHANGES = 1_000
# Statuses that answer nothing yet.
_UNANSWERED = ("not_started", "no_baseline", "not_evaluable")


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
    asked = Asked(caller.clinic_id, day, care_status, domain, frozenset(statuses), assigned_to)
    positions = store.page(db, asked, after, limit)
    ids = list(dict.fromkeys(position.patient_id for position in positions))
    if not ids:
        return []
    lookups = (patients_store.IDENTITIES, tracks_store.STATUSES, alerts_store.OPEN, tracks_store.TOTALS_ALONE)
    identities, domains, opened, totals = look_up(db, caller.clinic_id, ids, *lookups)
    people = identifiers.identified(db, caller.clinic_id, ids, identities)
    stored = tracks_store.statuses(domains)
    rows = {whose: advanced(stored[whose], day) for whose in ((p.patient_id, p.domain) for p in positions)}
    alerts: dict[tuple[UUID, str], list[OpenAlertOut]] = {}
    for alert in alerts_store.by_urgency(opened):
        shown = OpenAlertOut(id=alert.id, kind=alert.kind, priority=alert.priority)
        alerts.setdefault((alert.patient_id, alert.domain), []).append(shown)
    unknown = tracks_store.self_harm_unknown_since(db, caller.clinic_id, {row[0] for row in totals})
    asked_again = _asked_again(db, caller, [rows[p.patient_id, p.domain] for p in positions], day)
    return [
        (
            position,
            _row_out(
                rows[position.patient_id, position.domain],
                people[position.patient_id],
                day,
                alerts.get((position.patient_id, position.domain), []),
                unknown.get(position.patient_id),
                asks_again=(position.patient_id, position.domain) in asked_again,
            ),
        )
        for position in positions
    ]


def changed(
    db: Transaction,
    caller: Caller,
    day: date,
    since: datetime,
    domain: str | None,
    assigned_to: UUID | None,
    limit: int,
) -> tuple[list[list[WorklistRowOut]], bool]:
    """The domains of active patients whose status, or the instrument that answers, has become another one since a
    moment: patient by patient, the latest change first, at most `limit` patients; and whether there may be more. What
    has no answer yet is left out. Looked for among the latest 1,000 changes of relief."""
    found = outbox.relief_changed(db, caller.clinic_id, since, _LATEST_CHANGES)
    told: dict[UUID, set[str]] = {}
    for patient_id, domains in found:
        told.setdefault(patient_id, set()).update(one for one in domains.split() if domain in (None, one))
    ids = [patient_id for patient_id, domains in told.items() if domains]
    if assigned_to is not None and ids:
        mine = access.care_teams(db, caller.clinic_id, ids)
        ids = [one for one in ids if assigned_to in mine.get(one, ())]
    if not ids:
        return [], False
    [stored] = look_up(db, caller.clinic_id, ids, tracks_store.STATUSES)
    rows: dict[UUID, list[dict[str, Any]]] = {}
    for (patient_id, named), row in tracks_store.statuses(stored).items():
        now = advanced(row, day)
        if named in told[patient_id] and now["care_status"] == "active" and now["status"] not in _UNANSWERED:
            rows.setdefault(patient_id, []).append(now)
    shown = [one for one in ids if one in rows][:limit]
    people = identifiers.of_patients(db, caller.clinic_id, shown) if shown else {}
    is_cut = len(rows) > limit or len(found) == _LATEST_CHANGES
    return [[_row_out(row, people[one], day, [], None, asks_again=False) for row in rows[one]] for one in shown], is_cut


def _asked_again(db: Transaction, caller: Caller, rows: Sequence[dict[str, Any]], day: date) -> set[tuple[UUID, str]]:
    """The patients and domains of whom one more reading is asked; no query where no reading calls for one."""
    called = [row for row in rows if row["care_status"] == "active" and row["confirm_on"] and row["last_session_on"]]
    called = [row for row in called if is_open(row["confirm_on"], day)]
    if not called:
        return set()
    plans = Confirming(db, caller.clinic_id, caller.time_zone, list({row["patient_id"] for row in called}))
    return {
        (row["patient_id"], row["domain"])
        for row in called
        if plans.is_asked(row["patient_id"], row["instrument"], row["confirm_on"], row["last_session_on"])
    }


def cursor_of(day: date, position: WorklistPosition) -> list[object]:
    """What a cursor stores: the last row of a page, and the day, so that all pages are as of the same day."""
    return [day.isoformat(), position.priority, position.since.isoformat(), str(position.patient_id), position.domain]


def position_at(cursor: Sequence[str]) -> tuple[date, WorklistPosition]:
    """The inverse of `cursor_of`."""
    day, priority, since, patient_id, domain = cursor
    position = WorklistPosition(int(priority), date.fromisoformat(since), UUID(patient_id), domain)
    return date.fromisoformat(day), position


def _row_out(
    now: dict[str, Any],
    identity: Identity,
    day: date,
    open_alerts: list[OpenAlertOut],
    self_harm_unknown_since: datetime | None,
    *,
    asks_again: bool,
) -> WorklistRowOut:
    value = now["latest_value"]
    is_silent = now["status"] in ("stale", "awaiting_follow_up")
    return WorklistRowOut(
        patient=WorklistPatientOut(id=now["patient_id"], external_id=identity.external_id, label=identity.label),
        domain=now["domain"],
        instrument=now["instrument"],
        status=now["status"],
        last_known=now["state"] if is_silent else None,
        flags=now["flags"],
        since_on=None if now["since_on"] == ENDLESS else now["since_on"],
        improvement_percent=now["improvement_percent"],
        latest_value=int(value) if value is not None and float(value).is_integer() else value,
        near_line=now["near_line"],
        confirm_due_on=now["confirm_on"] if asks_again else None,
        days_since_last_score=_days(now["latest_on"], day),
        days_since_last_session=_days(now["last_session_on"], day),
        open_alerts=open_alerts,
        self_harm_unknown_since=self_harm_unknown_since,
    )


def _days(since: date | None, day: date) -> int | None:
    """Days from `since` to `day`; 0 for a later `since` (an old cursor, or just past midnight)."""
    return None if since is None else max(0, (day - since).days)
