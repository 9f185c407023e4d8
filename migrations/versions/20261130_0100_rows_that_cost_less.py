"""A check-in and its first version are one row, an audit event names its one patient, and ids are 16 bytes on SQLite.

Tracks are folded again by the background job, since folds are kept in another form.

On SQLite every table is made anew, in one transaction: a migration that is killed has changed nothing and begins again.
On PostgreSQL tables are locked while they are changed.
"""

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "20261130_0100"
down_revision = "20261129_2200"
branch_labels = None
depends_on = None

_CLUSTERED = ("episodes", "domain_statuses", "audit_events", "audit_subjects", "audit_unsealed")
_CHANGED = (
    "check_ins", "check_in_versions", "known_posts", "score_versions", "folds", "audit_events", "audit_subjects",
)  # fmt: skip
# Columns of bytes that hold no id.
_NO_IDS = ("content", "encrypted", "entries", "mac", "sealed_name", "state", "wrapped")
_POSTED = ("check_ins", "known_posts")
# What a version of a check-in says. The first three are columns of the check-in already.
_SAID = (
    "version", "taken_at", "voided", "recorded_at", "recorded_by_kind", "recorded_by_id", "session_id",
    "stated_before_at", "clock_offset_seconds", "clock_suspect", "moved_from", "moved_to", "reason",
)  # fmt: skip
_SESSION = (
    "CONSTRAINT fk_check_ins_clinic_id_patient_id_session_id "
    "FOREIGN KEY(clinic_id, patient_id, session_id) REFERENCES sessions (clinic_id, patient_id, id)"
)
# Indexes of the release before, and those that take their place.
_BEFORE = (
    ("check_ins", "clinic_id, patient_id, taken_at, id"),
    ("audit_events", "clinic_id, at, id"),
    ("audit_events", "clinic_id, actor_id, at"),
)
_AFTER = (
    ("audit_events", "clinic_id, patient_id, id"),
    ("audit_events", "clinic_id, actor_id, id"),
)
# New columns whose rows are filled: whoever writes another row must say what is in them.
_WITHOUT_DEFAULTS = {
    "check_ins": ("recorded_at", "recorded_by_kind", "recorded_by_id", "clock_suspect"),
    "audit_events": ("patient_attempted",),
}
_MINE = "v.clinic_id = check_ins.clinic_id and v.check_in_id = check_ins.id"
_ANOTHER = (
    "exists (select 1 from audit_subjects as o where o.clinic_id = s.clinic_id and o.event_id = s.event_id "
    "and o.patient_id <> s.patient_id)"
)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    _forced(False)
    triggers = _without_triggers()
    _drop(_BEFORE)
    _say_in_check_ins()
    op.add_column("audit_events", sa.Column("patient_id", sa.Uuid(), nullable=True))
    op.add_column(
        "audit_events", sa.Column("patient_attempted", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.execute(
        "update audit_events set patient_id = s.patient_id, patient_attempted = s.attempted from audit_subjects as s "
        f"where s.clinic_id = audit_events.clinic_id and s.event_id = audit_events.id and not {_ANOTHER}"
    )
    op.execute(f"delete from audit_subjects as s where not {_ANOTHER}")
    op.execute("update folds set rule = '', state = ''")
    if _is_postgresql():
        short = "replace(answers::text, ' ', '')::json"
        op.execute(f"alter table score_versions alter column answers type json using {short}")
        op.execute("alter table folds alter column state type bytea using ''::bytea")
        for table in _POSTED:
            op.execute(f"alter table {table} alter column posted type bytea using decode(posted, 'hex')")
        op.execute("alter table folds set (fillfactor = 70)")
        # Where clinics are small, the planner takes the index by clinic and rule to be as good as the primary key, and
        # its plan then scans large clinics too. It is told that clinics are large.
        op.execute("alter table folds alter column clinic_id set (n_distinct = 20)")
        # It holds ids alone, and one query finds the clinics with something to seal.
        op.execute("create policy every_clinic on audit_unsealed for select using (true)")
        for table, columns in _WITHOUT_DEFAULTS.items():
            for column in columns:
                op.execute(f"alter table {table} alter column {column} drop default")
        op.execute(f"alter table check_ins add {_SESSION}")
    else:
        _make_anew(is_up=True)
    _create(_AFTER)
    _with_triggers(triggers)
    _forced(True)


def downgrade() -> None:
    _forced(False)
    triggers = _without_triggers()
    _drop(_AFTER)
    if _is_postgresql():
        op.execute("alter table score_versions alter column answers type jsonb using answers::jsonb")
        op.execute("alter table folds reset (fillfactor)")
        op.execute("alter table folds alter column clinic_id reset (n_distinct)")
        op.execute("drop policy every_clinic on audit_unsealed")
        op.execute("alter table folds alter column state type varchar using ''")
        for table in _POSTED:
            op.execute(f"alter table {table} alter column posted type varchar using encode(posted, 'hex')")
        op.execute("alter table check_ins drop constraint fk_check_ins_clinic_id_patient_id_session_id")
    else:
        _make_anew(is_up=False)
    op.execute("update folds set rule = '', state = ''")
    op.execute(
        "insert into audit_subjects (clinic_id, event_id, patient_id, attempted) "
        "select clinic_id, id, patient_id, patient_attempted from audit_events where patient_id is not null"
    )
    for name in ("patient_id", "patient_attempted"):
        op.drop_column("audit_events", name)
    said = ", ".join(_SAID)
    op.execute(
        f"insert into check_in_versions (clinic_id, check_in_id, patient_id, {said}) "
        f"select clinic_id, id, patient_id, {said} from check_ins where version = 1"
    )
    for name in _SAID[3:]:
        op.drop_column("check_ins", name)
    _create(_BEFORE)
    _with_triggers(triggers)
    _forced(True)


def _forced(on: bool) -> None:
    """On PostgreSQL even the owner is held to one clinic, unless told otherwise."""
    for table in _CHANGED if _is_postgresql() else ():
        op.execute(f"alter table {table} {'' if on else 'no '}force row level security")


def _name(table: str, columns: str) -> str:
    return f"ix_{table}_{columns.replace(', ', '_')}"


def _drop(indexes: tuple[tuple[str, str], ...]) -> None:
    for table, columns in indexes:
        op.execute(f"drop index {_name(table, columns)}")


def _create(indexes: tuple[tuple[str, str], ...]) -> None:
    for table, columns in indexes:
        op.execute(f"create index {_name(table, columns)} on {table} ({columns})")


def _say_in_check_ins() -> None:
    """A check-in says what its current version says. Versions are kept apart only where there are several."""
    moment = sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")
    nobody, never = "0" * 32, "1970-01-01T00:00:00Z" if _is_postgresql() else "0"
    for column in (
        sa.Column("recorded_at", moment, nullable=False, server_default=never),
        sa.Column("recorded_by_kind", sa.String(), nullable=False, server_default=""),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False, server_default=nobody),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("stated_before_at", moment, nullable=True),
        sa.Column("clock_offset_seconds", sa.Integer(), nullable=True),
        sa.Column("clock_suspect", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("moved_from", sa.Uuid(), nullable=True),
        sa.Column("moved_to", sa.Uuid(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
    ):
        op.add_column("check_ins", column)
    said = ", ".join(f"{name} = v.{name}" for name in _SAID)
    current = f"{_MINE} and v.version = check_ins.version"
    op.execute(f"update check_ins set {said} from check_in_versions as v where {current}")
    op.execute(
        f"delete from check_in_versions as v where exists (select 1 from check_ins where {_MINE} "
        "and check_ins.version = 1)"
    )


def _without_triggers() -> list[str]:
    """Drops the triggers of an SQLite file, and returns what makes them."""
    if _is_postgresql():
        return []
    found = op.get_bind().exec_driver_sql("select name, sql from sqlite_master where type = 'trigger'").all()
    for name, _ in found:
        op.execute(f"drop trigger {name}")
    return [sql for _, sql in found]


def _with_triggers(triggers: list[str]) -> None:
    for sql in triggers:
        op.get_bind().exec_driver_sql(sql)


def _make_anew(*, is_up: bool) -> None:
    """Makes every table of an SQLite file in its other form, with its rows and indexes."""
    connection = op.get_bind()
    driver: Any = connection.connection.driver_connection
    driver.create_function("id_bytes", 1, lambda text: text and bytes.fromhex(text), deterministic=True)
    driver.create_function("id_text", 1, lambda some: some and some.hex(), deterministic=True)
    tables = {
        name: sql
        for name, sql in driver.execute("select name, sql from sqlite_master where type = 'table'").fetchall()
        if not name.startswith("sqlite_") and name != "alembic_version"
    }
    indexes = driver.execute("select sql from sqlite_master where type = 'index' and sql is not null").fetchall()
    for table, sql in tables.items():
        columns = driver.execute(f"pragma table_info({table})").fetchall()
        values = {name: _value(table, name, kind, is_up=is_up) for _, name, kind, *_ in columns}
        keys = [name for _, name, *_, place in sorted(columns, key=lambda column: column[5]) if place]
        form = _form(table, sql, [n for n, value in values.items() if value.startswith("id_")], is_up=is_up)
        driver.execute(re.sub(r"^CREATE TABLE \S+", f'CREATE TABLE "new {table}"', form))
        # In the order of the key, so that nothing is inserted between rows that are there.
        driver.execute(
            f'insert into "new {table}" ({", ".join(values)}) select {", ".join(values.values())} from {table} '
            f"order by {', '.join(keys)}"
        )
    for table in tables:
        driver.execute(f"drop table {table}")
    for table in tables:
        driver.execute(f'alter table "new {table}" rename to {table}')
    for (sql,) in indexes:
        driver.execute(sql)


def _value(table: str, name: str, kind: str, *, is_up: bool) -> str:
    is_id = kind == "CHAR(32)" if is_up else kind == "BLOB" and name not in _NO_IDS
    if is_id or (name == "posted" and table in _POSTED):
        return f"id_{'bytes' if is_up else 'text'}({name})"
    return name


def _form(table: str, sql: str, ids: list[str], *, is_up: bool) -> str:
    """The text that makes a table in its other form."""
    sql = re.sub(r"\s*WITHOUT ROWID\s*$", "", sql)
    old, new = ("(CHAR\\(32\\)|VARCHAR)", "BLOB") if is_up else ("BLOB", "CHAR(32)")
    for name in ids:
        sql = re.sub(rf"\b{name} {old}", f"{name} {'VARCHAR' if name == 'posted' and not is_up else new}", sql)
    for name in _WITHOUT_DEFAULTS.get(table, ()):
        sql = re.sub(rf"\b({name} \w+) DEFAULT ('[^']*'|\w+)", r"\1", sql)
    if table == "folds":
        sql = sql.replace("state VARCHAR", "state BLOB") if is_up else sql.replace("state BLOB", "state VARCHAR")
    if table == "check_ins":
        first = "CONSTRAINT pk_check_ins"
        sql = sql.replace(first, f"{_SESSION}, {first}") if is_up else sql.replace(f"{_SESSION}, ", "")
    return f"{sql} WITHOUT ROWID" if is_up and table in _CLUSTERED else sql
