"""What a database role must not be, for row-level security to hold it."""

from collections.abc import Collection

from sqlalchemy import text

from app.storage.database import open_engine

_FAULTS = {
    "is a superuser": "select rolsuper from pg_roles where rolname = current_user",
    "bypasses row-level security": "select rolbypassrls from pg_roles where rolname = current_user",
}
_OWNED = """
select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = current_schema and c.relkind in ('r', 'p') and pg_has_role(current_user, c.relowner, 'usage')
order by 1
"""


def role_faults(url: str, open_tables: Collection[str]) -> list[str]:
    """Why the role of this URL could see more than one clinic's rows: it is a superuser, bypasses row-level security,
    or owns (itself or by a role it is in) a table of clinics. None on SQLite, which has no roles."""
    if not url.startswith("postgresql"):
        return []
    engine = open_engine(url)
    with engine.connect() as connection:
        found = [fault for fault, query in _FAULTS.items() if connection.execute(text(query)).scalar()]
        owned = [row[0] for row in connection.execute(text(_OWNED)) if row[0] not in {*open_tables, "alembic_version"}]
    engine.dispose()
    return found + ([f"owns the table {owned[0]}"] if owned else [])
