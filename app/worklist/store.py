"""The query of the worklist: the rows whose stored status still stands, in the order of an index, and the few whose day
has come since they were written.

A row *stands* until its `next_on`. From then on it says what its stages say; a job writes such rows shortly after each
midnight, so there are few of them, and they are worked out and merged here. Standing rows are in order in the index, by
domain. A page reads at most its own length from each range, whatever the size of the clinic. Rows with an open timely
alert come before all others; their number is that of such alerts. Those with an urgent one are asked for alone, and the
others only where they do not fill the page.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Date, Integer, Select, String, bindparam, func, text
from sqlalchemy import select as rows_of
from sqlalchemy.sql.selectable import TextualSelect
from sqlmodel import col

from app.access.models import CareTeamMember
from app.alerts.models import Alert
from app.instruments import DOMAINS
from app.storage import Transaction, Uid
from app.tracks.domains import advanced
from app.tracks.models import DomainStatus
from app.tracks.priorities import Priority

_PRIORITIES = {
    "lost": (Priority.LOST,),
    "fading": (Priority.FADING,),
    "stale": (Priority.SILENT_AFTER_LOST, Priority.SILENT_AFTER_FADING, Priority.STALE),
    "no_response": (Priority.DETERIORATED, Priority.NO_RESPONSE),
    "partial_response": (Priority.PARTIAL_RESPONSE,),
    "awaiting_follow_up": (Priority.SILENT_AFTER_LOST, Priority.SILENT_AFTER_FADING, Priority.AWAITING),
    "no_baseline": (Priority.NO_BASELINE,),
    "not_evaluable": (Priority.NOT_EVALUABLE,),
    "holding": (Priority.HOLDING,),
    "not_started": (Priority.NOT_STARTED,),
}
_ALERTED = (Priority.ALERT_URGENT, Priority.ALERT_HIGH, Priority.ALERT_ROUTINE)
_ONE_PLAN = text("set local plan_cache_mode = force_generic_plan")


class WorklistPosition(NamedTuple):
    """The position of a row in the worklist. `since` is 9999-12-31 for rows without a date."""

    priority: int
    since: date
    patient_id: UUID
    domain: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows are asked for: of a clinic, as of a day, with a care status, and, where given, of one domain, with
    some statuses, or of the patients on whose care team a person is."""

    clinic_id: UUID
    day: date
    care_status: str
    domain: str | None
    statuses: frozenset[str]
    user_id: UUID | None = None


def page(db: Transaction, asked: Asked, after: WorklistPosition | None, limit: int) -> list[WorklistPosition]:
    """The positions after `after`, in order. Returns one more than `limit` if there are more."""
    found = [place for place in _worked_out(db, asked) if after is None or place > after]
    if asked.user_id is None:
        found += _standing(db, asked, after, limit)
    return sorted(found)[: limit + 1]


def _worked_out(db: Transaction, asked: Asked) -> Iterator[WorklistPosition]:
    """The positions of rows whose day has come, or, of a person's patients, those of all rows."""
    query = _query(asked.domain is not None, asked.user_id is not None)
    values = {"clinic": asked.clinic_id, "care": asked.care_status, "day": asked.day}
    values |= {"domain": asked.domain, "user": asked.user_id}
    for patient_id, domain, priority, status, since_on, stages, alert in db.connection().execute(query, values):
        stored = {"priority": priority, "status": status, "since_on": since_on, "stages": stages}
        now = advanced(stored, asked.day)
        if not asked.statuses or now["status"] in asked.statuses:
            place = now["priority"] if alert is None else alert + _BY_RANK
            yield WorklistPosition(place, now["since_on"], patient_id, domain)


@lru_cache
def _query(is_of_domain: bool, is_of_person: bool) -> Select[Any]:
    rank = (
        rows_of(func.min(col(Alert.rank)))
        .where(col(Alert.clinic_id) == bindparam("clinic"), col(Alert.state) == "open", col(Alert.late).is_(False))
        .where(col(Alert.patient_id) == col(DomainStatus.patient_id), col(Alert.domain) == col(DomainStatus.domain))
        .scalar_subquery()
    )
    row = DomainStatus
    columns = (row.patient_id, row.domain, row.priority, row.status, row.since_on, row.stages)
    query = rows_of(*(col(column) for column in columns), rank).where(
        col(row.clinic_id) == bindparam("clinic"), col(row.care_status) == bindparam("care")
    )
    if not is_of_person:
        query = query.where(col(row.next_on) <= bindparam("day"))
    else:
        team = rows_of(col(CareTeamMember.patient_id)).where(
            col(CareTeamMember.clinic_id) == bindparam("clinic"), col(CareTeamMember.user_id) == bindparam("user")
        )
        query = query.where(col(row.patient_id).in_(team))
    if is_of_domain:
        query = query.where(col(row.domain) == bindparam("domain"))
    return query


def _standing(db: Transaction, asked: Asked, after: WorklistPosition | None, limit: int) -> Iterable[WorklistPosition]:
    values: dict[str, Any] = {"clinic": asked.clinic_id, "care": asked.care_status, "day": asked.day}
    if after is not None:
        values |= {"since": after.since, "patient": after.patient_id, "last_domain": after.domain}
        values |= {"after": after.priority}
    if db.get_bind().dialect.name == "postgresql":
        # Planning the ranges takes longer than reading them, and one generic plan fits every clinic and day.
        db.execute(_ONE_PLAN)
    first = Priority.ALERT_URGENT if after is None else after.priority
    found: list[WorklistPosition] = []
    for start in (first, Priority.ALERT_HIGH) if first == Priority.ALERT_URGENT else (first,):
        if len(found) > limit:
            break
        statement, names = _statement(asked.domain, asked.statuses, start, after is not None)
        if statement is not None:
            rows = db.connection().execute(statement, {name: values[name] for name in names} | {"most": limit + 1})
            found += [WorklistPosition(*row) for row in rows]
    return found


@lru_cache(maxsize=512)
def _statement(
    domain: str | None, statuses: frozenset[str], first: int, is_after: bool
) -> tuple[TextualSelect | None, Sequence[str]]:
    """One statement for all ranges from a priority on, and the names of its parameters; for urgent alerts alone where
    it is theirs. With `is_after` only what comes after a row."""
    domains = tuple(DOMAINS) if domain is None else (domain,)
    told = _in(statuses)
    ranges = [_alerted(first, domain, told, is_after=is_after)] if first <= max(_ALERTED) else []
    if first == Priority.ALERT_URGENT:
        domains = ()
    if statuses:
        left = sorted({p for status in statuses for p in _PRIORITIES[status] if p >= max(first, Priority.LOST)})
        ranges += [
            _range(name, told, priority, is_after=is_after and priority == first)
            for name in domains
            for priority in left
        ]
    else:
        ranges += [_range(name, told, None, is_after=is_after) for name in domains]
    if not ranges:
        return None, ()
    parts = " union all ".join(f"select * from ({part} limit :most) as r{n}" for n, part in enumerate(ranges))
    sql = f"{parts} order by priority, since, patient_id, domain limit :most"
    types: dict[str, Any] = {"clinic": Uid, "patient": Uid, "care": String, "last_domain": String}
    types |= {"most": Integer, "after": Integer}
    names = sorted(set(re.findall(r":(\w+)", sql)))
    statement = text(sql).bindparams(*(bindparam(name, type_=types.get(name, Date)) for name in names))
    columns = {"priority": Integer, "since": Date, "patient_id": Uid, "domain": String}
    return statement.columns(**columns), [name for name in names if name != "most"]


def _in(statuses: frozenset[str]) -> str:
    listed = ", ".join(f"'{status}'" for status in sorted(statuses))  # of a fixed set
    return f" and status in ({listed})" if statuses else ""


def _range(domain: str, told: str, priority: int | None, *, is_after: bool) -> str:
    """Standing rows of a domain without an open timely alert, in order: all of them, or those of one priority."""
    where = f"clinic_id = :clinic and care_status = :care and domain = '{domain}' and {_STANDS}"
    if priority is not None:
        where += f" and priority = {priority:d}"
    if is_after:
        own, given = ("", "") if priority is not None else ("priority, ", ":after, ")
        where += f" and ({own}since_on, patient_id, domain) > ({given}:since, :patient, :last_domain)"
    # With a limit it is asked for each row of the page, by its key, instead of being joined with all open alerts.
    where += f" and not exists ({_OPEN} and {_ITS_OWN} limit 1 offset 0){told}"
    return f"select {_SHOWN} from domain_statuses where {where} order by priority, since_on, patient_id"


def _alerted(first: int, domain: str | None, told: str, *, is_after: bool) -> str:
    """Standing rows with an open timely alert, by the most pressing one, from a priority on. Their number is that of
    such alerts at most. SQLite joins in the order in which a `cross join` is written: by alert, not by clinic. Without
    statistics PostgreSQL would take the index by care status, and read the clinic for each alert: so none fits."""
    of_domain = "" if domain is None else f" and domain = '{domain}'"
    of_rank = f" and rank = {first - _BY_RANK:d}" if first == Priority.ALERT_URGENT else ""
    where = f"domain_statuses.clinic_id = :clinic and care_status || '' = :care and {_STANDS}{told}"
    where += " and domain_statuses.patient_id = alerted.patient_id and domain_statuses.domain = alerted.domain"
    if is_after:
        where += (
            " and (pressing, since_on, alerted.patient_id, alerted.domain) > (:after, :since, :patient, :last_domain)"
        )
    alerted = f"select patient_id, domain, min(rank) + {_BY_RANK:d} as pressing from {_OPEN_ALERTS}{of_rank}{of_domain}"
    return (
        "select pressing as priority, since_on as since, alerted.patient_id, alerted.domain "
        f"from ({alerted} group by domain, patient_id) as alerted cross join domain_statuses "
        f"where {where} and pressing >= {first:d} order by 1, 2, 3, 4"
    )


_SHOWN = "priority, since_on as since, patient_id, domain"
_STANDS = "(next_on is null or next_on > :day)"
_OPEN_ALERTS = "alerts where alerts.clinic_id = :clinic and state = 'open' and not late"
_OPEN = f"select patient_id from {_OPEN_ALERTS}"
_ITS_OWN = "alerts.patient_id = domain_statuses.patient_id and alerts.domain = domain_statuses.domain"
# An alert's rank and its place in the worklist differ by this.
_BY_RANK = Priority.ALERT_URGENT
