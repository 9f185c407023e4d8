"""What a table grants to the service's role on PostgreSQL, and whether row-level security keeps its clinics apart.

Declared on the table itself, in its `__table_args__`; migrations, grants and the check of the role all read it there.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, text

_KEY = "rights"
_SECURED = "select relname from pg_class where relnamespace = current_schema::regnamespace and relforcerowsecurity"


@dataclass(frozen=True, slots=True)
class Rights:
    """The role may always read and insert. `updates`: the columns it may change, `*` for all, empty for none;
    `deletes`: whether it may remove rows. Without either the table only grows. `is_open`: the table is read before a
    clinic is known, or over all clinics; it holds no patient's data and has no row-level security. `seen_by_all`: it
    holds ids alone, which may be read over all clinics; row-level security holds for whoever writes."""

    updates: str = ""
    deletes: bool = False
    is_open: bool = False
    seen_by_all: bool = False

    @property
    def is_append_only(self) -> bool:
        """Whether rows are added and never changed or removed."""
        return not self.updates and not self.deletes


def rights(
    updates: str = "",
    *,
    deletes: bool = False,
    is_open: bool = False,
    seen_by_all: bool = False,
    is_clustered: bool = False,
) -> dict[str, Any]:
    """The last element of a table's `__table_args__`; without it a table belongs to clinics and only grows.
    `is_clustered`: SQLite keeps its rows, which are short, in the order of the primary key, without an index beside."""
    return {"info": {_KEY: Rights(updates, deletes, is_open, seen_by_all)}, "sqlite_with_rowid": not is_clustered}


def rights_of(table: Table) -> Rights:
    """The rights that a table declares."""
    found: Rights = table.info.get(_KEY, Rights())
    return found


def secure(connection: Connection, table: Table) -> None:
    """Turns on row-level security for a clinic's table, for its owner too: a transaction sees the rows of the clinic
    that it named, and none before it names one. Does nothing on SQLite, for open tables, and where it is on."""
    is_open = rights_of(table).is_open
    if connection.dialect.name != "postgresql" or is_open or table.name in connection.scalars(text(_SECURED)).all():
        return
    column = "clinic_id" if "clinic_id" in table.columns else "id"
    own = f"{column} = nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
    for statement in (
        f"alter table {table.name} enable row level security",
        f"alter table {table.name} force row level security",
        f"create policy one_clinic on {table.name} using ({own}) with check ({own})",
    ):
        connection.exec_driver_sql(statement)


def grant(connection: Connection, table: Table, role: str) -> None:
    """Grants a role what a table declares. `role` is quoted already."""
    declared = rights_of(table)
    if declared.updates:
        what = "update" if declared.updates == "*" else f"update ({declared.updates})"
        connection.exec_driver_sql(f"grant {what} on {table.name} to {role}")
    if declared.deletes:
        connection.exec_driver_sql(f"grant delete on {table.name} to {role}")
