"""The query of the worklist: a union of index ranges over the stored domain rows, each already in order.

Until its `stale_on` a row is *live*: it ranks at `priority` and dates from `since_on`. From then on it is *silent*: it
ranks at `stale_priority` and dates from `stale_on`. A live row's `stale_on` is normally one of the next 37 days. So a
priority is read as 38 ranges (one for each of these days, one for later days), in each of which `since_on` ascends, and
one more for silent rows. A page reads at most its own length from each range, whatever the size of the clinic.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Integer, String, Uuid, bindparam, text
from sqlalchemy.sql.selectable import TextualSelect

from app.relief import STALE_AFTER_DAYS
from app.storage import Transaction
from app.tracks.priorities import Priority

_LIVE_STATUSES = {
    Priority.LOST: "lost",
    Priority.SILENT_AFTER_LOST: "awaiting_follow_up",
    Priority.FADING: "fading",
    Priority.SILENT_AFTER_FADING: "awaiting_follow_up",
    Priority.DETERIORATED: "no_response",
    Priority.NO_RESPONSE: "no_response",
    Priority.PARTIAL_RESPONSE: "partial_response",
    Priority.AWAITING: "awaiting_follow_up",
    Priority.NO_BASELINE: "no_baseline",
    Priority.NOT_EVALUABLE: "not_evaluable",
    Priority.HOLDING: "holding",
    Priority.NOT_STARTED: "not_started",
}
_SILENT = (Priority.SILENT_AFTER_LOST, Priority.SILENT_AFTER_FADING, Priority.STALE)
_NEVER_SILENT = (Priority.NO_BASELINE, Priority.NOT_EVALUABLE, Priority.NOT_STARTED)
# These groups of priorities are read one after the other until the page is full.
_CHUNKS = tuple(tuple(list(Priority)[first : first + 5]) for first in range(0, len(Priority), 5))
# One day more than follows from the rule, because a score may be taken a few minutes into tomorrow.
_DAYS_AHEAD = STALE_AFTER_DAYS + 2
_ENDLESS = date(9999, 12, 31)
_ONE_PLAN = text("set local plan_cache_mode = force_generic_plan")


@dataclass(frozen=True, slots=True)
class WorklistPosition:
    """The position of a row in the worklist. `since` is 9999-12-31 for rows without a date."""

    priority: int
    since: date
    patient_id: UUID
    domain: str


def page(
    db: Transaction,
    clinic_id: UUID,
    day: date,
    care_status: str,
    domain: str | None,
    statuses: Collection[str],
    after: WorklistPosition | None,
    limit: int,
) -> list[WorklistPosition]:
    """The positions after `after`, in order. Returns one more than `limit` if there are more."""
    values: dict[str, Any] = {"clinic": clinic_id, "care": care_status, "day": day, "endless": _ENDLESS}
    values |= {f"day{n}": day + timedelta(days=n) for n in range(1, _DAYS_AHEAD + 1)}
    if domain is not None:
        values["domain"] = domain
    if after is not None:
        values |= {"since": after.since, "patient": after.patient_id, "last_domain": after.domain}
    found: list[WorklistPosition] = []
    if db.get_bind().dialect.name == "postgresql":
        # Planning two hundred ranges takes longer than reading them, and one generic plan fits every clinic and day.
        db.execute(_ONE_PLAN)
    for chunk in _CHUNKS:
        first = min(Priority) if after is None else after.priority
        asked = _statement(chunk, frozenset(statuses), domain is not None, first, after is not None)
        if asked is not None:
            statement, names = asked
            most = limit + 1 - len(found)
            rows = db.execute(statement, {name: values[name] for name in names} | {"most": most})
            found += [WorklistPosition(*row) for row in rows]
        if len(found) > limit:
            break
    return found


def assigned_page(
    db: Transaction,
    clinic_id: UUID,
    day: date,
    care_status: str,
    domain: str | None,
    statuses: Collection[str],
    user_id: UUID,
    after: WorklistPosition | None,
    limit: int,
) -> list[WorklistPosition]:
    """Like `page`, for the patients on whose care team a person is. Sorts all rows of those patients."""
    values: dict[str, Any] = {"clinic": clinic_id, "care": care_status, "day": day, "endless": _ENDLESS}
    values |= {"most": limit + 1, "user": user_id}
    where = "clinic_id = :clinic and care_status = :care and patient_id in (select patient_id from care_team_members "
    where += "where care_team_members.clinic_id = :clinic and user_id = :user)"
    if domain is not None:
        where += " and domain = :domain"
        values["domain"] = domain
    if statuses:
        listed = ", ".join(f"'{status}'" for status in sorted(statuses))  # of a fixed set
        where += f" and {_STATUS} in ({listed})"
    placed = (
        f"select coalesce({_FIRST_RANK} + {_BY_RANK:d}, "
        f"case when stale_on <= :day then stale_priority else priority end) as priority, "
        f"{_SINCE} as since, patient_id, domain from domain_statuses where {where}"
    )
    sql = f"select priority, since, patient_id, domain from ({placed}) as placed"
    if after is not None:
        sql += " where (priority, since, patient_id, domain) > (:after, :since, :patient, :last_domain)"
        values |= {"after": after.priority, "since": after.since}
        values |= {"patient": after.patient_id, "last_domain": after.domain}
    statement, _ = _bound(f"{sql} order by priority, since, patient_id, domain limit :most")
    return [WorklistPosition(*row) for row in db.execute(statement, values)]


@lru_cache(maxsize=512)
def _statement(
    priorities: Sequence[Priority], statuses: frozenset[str], by_domain: bool, first: int, is_after: bool
) -> tuple[TextualSelect, Sequence[str]] | None:
    """One statement for the ranges of some priorities, and the names of its parameters; None if no range is left.
    `first` is the priority to begin with; with `is_after` only what comes after a row of it."""
    ranges = [
        part
        for priority in priorities
        if priority >= first
        for part in _ranges(priority, statuses, by_domain, is_after=is_after and priority == first)
    ]
    if not ranges:
        return None
    parts = " union all ".join(f"select * from ({part} limit :most) as r{n}" for n, part in enumerate(ranges))
    return _bound(f"{parts} order by priority, since, patient_id, domain limit :most")


def _bound(sql: str) -> tuple[TextualSelect, Sequence[str]]:
    """A statement that returns a row's place in the order, and the names of its parameters other than `most`."""
    types: dict[str, Any] = {"clinic": Uuid, "patient": Uuid, "care": String, "domain": String, "last_domain": String}
    types |= {"most": Integer, "after": Integer, "user": Uuid}
    names = sorted(set(re.findall(r":(\w+)", sql)))
    statement = text(sql).bindparams(*(bindparam(name, type_=types.get(name, Date)) for name in names))
    columns = {"priority": Integer, "since": Date, "patient_id": Uuid, "domain": String}
    return statement.columns(**columns), [name for name in names if name != "most"]


def _ranges(priority: Priority, statuses: frozenset[str], by_domain: bool, *, is_after: bool) -> list[str]:
    """The ranges of one priority as SQL. Each range is sorted."""
    shared = "clinic_id = :clinic and care_status = :care" + (" and domain = :domain" if by_domain else "")
    if priority <= Priority.ALERT_ROUTINE:
        return [_alerted(priority, by_domain, statuses, is_after=is_after)]
    shared += f" and not exists ({_ALERTED} and {_ITS_OWN})"
    found = []
    if not statuses or _LIVE_STATUSES.get(priority) in statuses:
        dues = ["stale_on is null"] if priority in _NEVER_SILENT else _DUES
        dues = dues if priority in _LIVE_STATUSES else []
        live = [f"{shared} and priority = {priority:d} and {due}" for due in dues]
        found += [_range(priority, "since_on", where, is_after=is_after) for where in live]
    if priority in _SILENT and (not statuses or "stale" in statuses):
        silent = f"{shared} and stale_priority = {priority:d} and stale_on <= :day"
        found.append(_range(priority, "stale_on", silent, is_after=is_after))
    return found


def _range(priority: Priority, since: str, where: str, *, is_after: bool) -> str:
    shown = ":endless" if priority == Priority.NOT_STARTED else since
    if is_after:
        compared, position = f"{since}, patient_id, domain", ":since, :patient, :last_domain"
        if priority == Priority.NOT_STARTED:
            compared, position = "patient_id, domain", ":patient, :last_domain"
        where += f" and ({compared}) > ({position})"
    return (
        f"select {priority:d} as priority, {shown} as since, patient_id, domain from domain_statuses "
        f"where {where} order by {since}, patient_id, domain"
    )


def _alerted(priority: Priority, by_domain: bool, statuses: frozenset[str], *, is_after: bool) -> str:
    """All rows whose most pressing open timely alert is of one priority, sorted; their number depends on the number of
    such alerts. `care_status || ''` and `status is not null` keep SQLite from choosing an index that would scan the
    whole clinic, so that it looks the rows up by patient."""
    where = "clinic_id = :clinic and care_status || '' = :care" + (" and domain = :domain" if by_domain else "")
    where += " and (patient_id, domain) in (select patient_id, domain from alerts where alerts.clinic_id = :clinic and "
    where += f"state = 'open' and late = false and rank = {priority - _BY_RANK:d}) and status is not null"
    where += f" and {_FIRST_RANK} = {priority - _BY_RANK:d}"
    if statuses:
        listed = ", ".join(f"'{status}'" for status in sorted(statuses))  # of a fixed set
        where += f" and {_STATUS} in ({listed})"
    if is_after:
        where += f" and ({_SINCE}, patient_id, domain) > (:since, :patient, :last_domain)"
    return (
        f"select {priority:d} as priority, {_SINCE} as since, patient_id, domain from domain_statuses "
        f"where {where} order by 2, 3, 4"
    )


# The last range holds rows that become stale even later: those recorded after the day for which an old cursor was made.
_DUES = [*(f"stale_on = :day{n}" for n in range(1, _DAYS_AHEAD + 1)), f"stale_on > :day{_DAYS_AHEAD}"]
_ALERTED = "select patient_id from alerts where alerts.clinic_id = :clinic and state = 'open' and not late"
_ITS_OWN = "alerts.patient_id = domain_statuses.patient_id and alerts.domain = domain_statuses.domain"
# The rank of the most pressing open timely alert of a row.
_FIRST_RANK = (
    f"(select min(rank) from alerts where alerts.clinic_id = :clinic and state = 'open' and not late and {_ITS_OWN})"
)
# An alert's rank and its place in the worklist differ by this.
_BY_RANK = Priority.ALERT_URGENT
_SINCE = "coalesce(case when stale_on <= :day then stale_on else since_on end, :endless)"
_STATUS = "case when stale_on <= :day then 'stale' else status end"
