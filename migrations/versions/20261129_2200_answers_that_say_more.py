"""What a domain becomes on later days, what became of each spell day by day, other events, and whether a plan asks once
more.

Tracks are folded again by the background job; until then answers over many patients are folded when they are asked for.
"""

import json
from datetime import date
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261129_2200"
down_revision = "20261129_1900"
branch_labels = None
depends_on = None

_ENDLESS = "9999-12-31"
_FILLED = (
    "check_in_versions",
    "score_versions",
    "domain_statuses",
    "episodes",
    "clinic_plan_versions",
    "patient_plan_versions",
    "folds",
)
_STANDING = ["clinic_id", "care_status", "domain", "priority", "since_on", "patient_id"]
_LIVE = ["clinic_id", "care_status", "priority", "stale_on", "since_on", "patient_id", "domain"]
_STALE = ["clinic_id", "care_status", "stale_priority", "stale_on", "patient_id", "domain"]


def _document() -> Any:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _moment() -> Any:
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _forced(on: bool) -> None:
    """On PostgreSQL even the owner is held to one clinic, unless told otherwise."""
    for table in _FILLED if _is_postgresql() else ():
        op.execute(f"alter table {table} {'' if on else 'no '}force row level security")


def upgrade() -> None:
    _forced(False)
    _domain_statuses()
    # Every fold is of an earlier rule now; the job that folds again writes the episodes anew.
    op.execute("delete from episodes")
    op.add_column("episodes", sa.Column("first_session_id", sa.Uuid(), nullable=False, server_default="0" * 32))
    op.add_column("episodes", sa.Column("first_session_on", sa.Date(), nullable=False, server_default=_ENDLESS))
    for name in ("early_days", "last_response"):
        op.add_column("episodes", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("episodes", sa.Column("diary", sa.String(), nullable=True))
    op.add_column("clinic_plan_versions", sa.Column("confirm", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("patient_plan_versions", sa.Column("confirm", sa.Boolean(), nullable=True))
    op.execute("update patient_plan_versions set confirm = true where items is not null")
    op.add_column("score_versions", sa.Column("prompt", sa.Boolean(), nullable=False, server_default=sa.true()))
    _prompt()
    _events()
    _forced(True)


def _prompt() -> None:
    """A score that was amended later was recorded when its check-in was first recorded."""
    two_days = "interval '2 days'" if _is_postgresql() else str(2 * 86_400 * 1_000_000)
    first = (
        "select first.recorded_at from check_in_versions as first where first.clinic_id = score_versions.clinic_id "
        "and first.check_in_id = score_versions.check_in_id and first.version = 1"
    )
    op.execute(
        f"update score_versions set prompt = false where recorded_at - taken_at > {two_days} "
        f"and ({first}) - taken_at > {two_days}"
    )


def _domain_statuses() -> None:
    """A row's one later stage, silence, becomes the first of its stages."""
    table = "domain_statuses"
    op.drop_index("ix_domain_statuses_live", table)
    op.drop_index("ix_domain_statuses_stale", table)
    op.add_column(table, sa.Column("next_on", sa.Date(), nullable=True))
    op.add_column(table, sa.Column("stages", _document(), nullable=False, server_default="[]"))
    op.add_column(table, sa.Column("near_line", sa.Boolean(), nullable=True))
    op.add_column(table, sa.Column("confirm_on", sa.Date(), nullable=True))
    day = "to_char(stale_on, 'YYYY-MM-DD')" if _is_postgresql() else "stale_on"
    make, array = ("jsonb_build_object", "jsonb_build_array") if _is_postgresql() else ("json_object", "json_array")
    empty = "'[]'::jsonb" if _is_postgresql() else "json('[]')"
    stage = (
        f"{make}('from_on', {day}, 'status', 'stale', 'priority', stale_priority, 'since_on', {day}, 'flags', {empty})"
    )
    op.execute(
        f"update {table} set next_on = stale_on, stages = {array}({stage}) "
        "where stale_on is not null and status <> 'stale'"
    )
    op.execute(f"update {table} set since_on = '{_ENDLESS}' where since_on is null")
    for name in ("stale_on", "stale_priority"):
        op.drop_column(table, name)
    if _is_postgresql():
        op.alter_column(table, "since_on", nullable=False)
    else:
        _required_on_sqlite(table, "since_on")
    op.create_index("ix_domain_statuses_standing", table, _STANDING)
    op.create_index("ix_domain_statuses_next_on", table, ["clinic_id", "care_status", "next_on"])


def _required_on_sqlite(table: str, name: str) -> None:
    """SQLite cannot add NOT NULL, and building the table anew would be dear: a new column takes the old one's place."""
    op.add_column(table, sa.Column("required", sa.Date(), nullable=False, server_default=_ENDLESS))
    op.execute(f"update {table} set required = {name}")
    op.drop_column(table, name)
    op.execute(f"alter table {table} rename column required to {name}")


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("recorded_by_kind", sa.String(), nullable=False),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("on_day", sa.Date(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("moved_from", sa.Uuid(), nullable=True),
        sa.Column("moved_to", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name="fk_events_clinic_id_patient_id",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", "version", name="pk_events"),
    )
    op.create_index("ix_events_clinic_id_patient_id_id_version", "events", ["clinic_id", "patient_id", "id", "version"])
    if _is_postgresql():
        op.execute("alter table events enable row level security")
        op.execute("alter table events force row level security")
        clinic = "nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
        op.execute(f"create policy one_clinic on events using (clinic_id = {clinic}) with check (clinic_id = {clinic})")


def downgrade() -> None:
    _forced(False)
    if _is_postgresql():
        op.execute("alter table events no force row level security")
    _refuse_to_lose()
    op.drop_table("events")
    for table in ("clinic_plan_versions", "patient_plan_versions"):
        op.drop_column(table, "confirm")
    op.drop_column("score_versions", "prompt")
    op.execute("delete from episodes")
    for name in ("first_session_id", "first_session_on", "early_days", "last_response", "diary"):
        op.drop_column("episodes", name)
    # The release before folds every track again by its own rules.
    op.execute("update folds set rule = ''")
    _domain_statuses_before()
    _forced(True)


def _refuse_to_lose() -> None:
    """The release before knows no events, and no plan that asks for no confirming check-in."""
    connection = op.get_bind()
    for table, which in (
        ("events", ""),
        ("clinic_plan_versions", " where not confirm"),
        ("patient_plan_versions", " where not confirm"),
    ):
        if connection.execute(sa.text(f"select 1 from {table}{which} limit 1")).first() is not None:
            raise RuntimeError(f"{table} holds what the release before cannot keep: nothing was changed")


def _domain_statuses_before() -> None:
    table = "domain_statuses"
    op.drop_index("ix_domain_statuses_standing", table)
    op.drop_index("ix_domain_statuses_next_on", table)
    op.add_column(table, sa.Column("stale_on", sa.Date(), nullable=True))
    op.add_column(table, sa.Column("stale_priority", sa.Integer(), nullable=True))
    rows = sa.table(
        table, sa.column("clinic_id", sa.Uuid()), sa.column("patient_id", sa.Uuid()), sa.column("domain", sa.String()),
        sa.column("stages", _document()), sa.column("stale_on", sa.Date()), sa.column("stale_priority", sa.Integer()),
        sa.column("status", sa.String()), sa.column("priority", sa.Integer()), sa.column("since_on", sa.Date()),
    )  # fmt: skip
    connection = op.get_bind()
    connection.execute(
        rows.update().where(rows.c.status == "stale").values(stale_on=rows.c.since_on, stale_priority=rows.c.priority)
    )
    for row in connection.execute(sa.select(rows).where(rows.c.status != "stale")).all():
        stages = json.loads(row.stages) if isinstance(row.stages, str) else row.stages
        stage = next((one for one in stages if one.get("status") == "stale"), None)
        if stage is not None:
            mine = (
                rows.c.clinic_id == row.clinic_id,
                rows.c.patient_id == row.patient_id,
                rows.c.domain == row.domain,
            )
            day = date.fromisoformat(stage["from_on"])
            connection.execute(
                rows.update().where(*mine).values(stale_priority=stage.get("priority", row.priority), stale_on=day)
            )
    if _is_postgresql():
        op.alter_column(table, "since_on", nullable=True)
        op.execute(f"update {table} set since_on = null where since_on = '{_ENDLESS}'")
    else:
        op.add_column(table, sa.Column("optional", sa.Date(), nullable=True))
        op.execute(f"update {table} set optional = since_on where since_on <> '{_ENDLESS}'")
        op.drop_column(table, "since_on")
        op.execute(f"alter table {table} rename column optional to since_on")
    for name in ("next_on", "stages", "near_line", "confirm_on"):
        op.drop_column(table, name)
    op.create_index("ix_domain_statuses_live", table, _LIVE)
    op.create_index("ix_domain_statuses_stale", table, _STALE)
