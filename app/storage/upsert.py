"""Rows that replace what stands under their primary key: one statement on either engine."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel


def upsert(db: Session, model: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Inserts every row, or replaces the one with its key. All rows name the same columns."""
    if not rows:
        return
    table = inspect(model).local_table  # the table, not the model: an ORM insert makes one statement per set of nulls
    keys = [column.name for column in table.primary_key]
    dialect = sqlite if db.get_bind().dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    db.execute(statement.on_conflict_do_update(index_elements=keys, set_=replaced), rows)
