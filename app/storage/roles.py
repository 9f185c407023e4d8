"""Finds what would let a database role get around row-level security."""

from collections.abc import Collection

from sqlalchemy import text

from app.storage.engines import open_engine

# A role can switch to every role it is a member of, whether it inherits from it or not.
_ROLES = """
select coalesce(bool_or(rolsuper), false) as superuser, coalesce(bool_or(rolbypassrls), false) as bypasses
from pg_roles where pg_has_role(current_user, oid, 'member')
"""
_TABLES = """
select c.relname, pg_has_role(current_user, c.relowner, 'member') as owned,
       c.relrowsecurity and c.relforcerowsecurity as secured,
       has_table_privilege(current_user, c.oid, 'delete, truncate')
       or has_any_column_privilege(current_user, c.oid, 'update') as changeable
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = current_schema and c.relkind in ('r', 'p') order by 1
"""


def role_faults(url: str, tables: Collection[str], append_only: Collection[str]) -> list[str]:
    """Why the role of this URL could see rows of more than one clinic or change append-only rows; empty if it could
    not. The role must not be, or be able to become, a superuser, a role that bypasses row-level security, or the owner
    of one of `tables` (the tables that hold clinics' rows). Each of `tables` must have row-level security, and each of
    `append_only` must refuse updates and deletes by the role. Always empty on SQLite, which has no roles."""
    if not url.startswith("postgresql"):
        return []
    engine = open_engine(url)
    with engine.connect() as connection:
        roles = connection.execute(text(_ROLES)).one()
        found_tables = connection.execute(text(_TABLES)).all()
    engine.dispose()
    found = ["is a superuser, or may become one"] if roles.superuser else []
    found += ["bypasses row-level security, or may"] if roles.bypasses else []
    closed = [table for table in found_tables if table.relname in tables]
    found += [f"owns the table {table.relname}, or may" for table in closed if table.owned][:1]
    found += [f"is not held by row-level security on {table.relname}" for table in closed if not table.secured]
    found += [f"may change {table.relname}" for table in closed if table.relname in append_only and table.changeable]
    return found
