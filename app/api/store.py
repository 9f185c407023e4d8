"""Queries of the HTTP plumbing: stored responses, counted requests, and the schema's revision."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String as Text
from sqlalchemy import cast, delete, func, or_, select, text
from sqlalchemy.dialects import postgresql
from sqlmodel import col

from app.api.models import RateCount, StoredResponse
from app.storage import Transaction


def try_lock(db: Transaction, name: str) -> bool:
    """Locks this name until the transaction ends; False where another holds it. SQLite needs no lock."""
    if db.get_bind().dialect.name == "sqlite":
        return True
    return bool(db.execute(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))).scalar())


def stored_response(db: Transaction, clinic_id: UUID, caller: str, key: str) -> StoredResponse | None:
    return db.get(StoredResponse, (clinic_id, caller, key))


def delete_responses(db: Transaction, clinic_id: UUID, before: datetime) -> None:
    """Deletes a clinic's stored responses that are older."""
    old = (col(StoredResponse.clinic_id) == clinic_id, col(StoredResponse.created_at) < before)
    db.execute(delete(StoredResponse).where(*old))


def delete_responses_about(db: Transaction, clinic_id: UUID, subject: UUID) -> None:
    """Deletes a clinic's stored responses that show this patient, or that refused something asked about them."""
    named = (col(StoredResponse.subjects), col(StoredResponse.refused_subjects))
    about = or_(*(cast(column, Text).contains(str(subject)) for column in named))
    db.execute(delete(StoredResponse).where(col(StoredResponse.clinic_id) == clinic_id, about))


def add_counts(db: Transaction, counts: Mapping[str, tuple[int, int]]) -> list[tuple[str, int, int]]:
    """Adds each caller's (minute, requests) to the shared counts of all processes: (caller, minute, total) of each.
    PostgreSQL only: SQLite serves with one process."""
    rows: list[dict[str, Any]] = [
        {"caller": caller, "minute": minute, "count": added} for caller, (minute, added) in sorted(counts.items())
    ]
    statement = postgresql.insert(RateCount)
    added = statement.on_conflict_do_update(
        index_elements=["caller", "minute"], set_={"count": col(RateCount.count) + statement.excluded["count"]}
    ).returning(col(RateCount.caller), col(RateCount.minute), col(RateCount.count))
    return [(caller, minute, total) for caller, minute, total in db.execute(added, rows)]


def delete_counts(db: Transaction, before_minute: int) -> None:
    """Deletes the counts of minutes before this one."""
    db.execute(delete(RateCount).where(col(RateCount.minute) < before_minute))


def schema_revision(db: Transaction) -> str | None:
    """The revision that the database's schema is at."""
    found = db.connection().execute(text("select version_num from alembic_version")).scalar()
    return None if found is None else str(found)
