"""Second factors, care teams, seals of the audit log, notices of alerts, plans, and a clinic's settings."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261122_2255"
down_revision = "20261122_1945"
branch_labels = None
depends_on = None

_SECURED = (
    "alert_notifications",
    "audit_seals",
    "audit_unsealed",
    "care_team_members",
    "clinic_plan_versions",
    "patient_plan_versions",
)
_APPEND_ONLY = ("audit_events", "audit_subjects", "audit_seals")


def _moment() -> Any:
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _document() -> Any:
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _across_clinics(tables: tuple[str, ...], statement: str) -> None:
    """Runs a statement over every clinic: on PostgreSQL even the owner is held to one."""
    for table in tables if _is_postgresql() else ():
        op.execute(f"alter table {table} no force row level security")
    op.execute(statement)
    for table in tables if _is_postgresql() else ():
        op.execute(f"alter table {table} force row level security")


def _secure(table: str) -> None:
    clinic = "clinic_id = nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy one_clinic on {table} using ({clinic}) with check ({clinic})")


def _of(table: str, *columns: str, refers: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{'_'.join(columns)}"
    other = ["clinic_id", "id"] if len(columns) == 2 else ["id"]
    return sa.ForeignKeyConstraint(list(columns), [f"{refers}.{column}" for column in other], name=op.f(name))


def upgrade() -> None:
    op.create_table(
        "alert_notices",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_told_at", _moment(), nullable=True),
        sa.Column("due_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("clinic_id", "alert_id", name=op.f("pk_alert_notices")),
    )
    op.create_index("ix_alert_notices_due_at", "alert_notices", ["due_at"])
    op.create_table(
        "alert_notifications",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("recipient", sa.String(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        _of("alert_notifications", "clinic_id", "alert_id", refers="alerts"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_alert_notifications")),
    )
    op.create_index(
        "ix_alert_notifications_clinic_id_alert_id_at", "alert_notifications", ["clinic_id", "alert_id", "at"]
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "rate_counts",
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("caller", "minute", name=op.f("pk_rate_counts")),
    )
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("started_at", _moment(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_throttles")),
    )
    op.create_index("ix_throttles_started_at", "throttles", ["started_at"])
    op.create_table(
        "password_codes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.Column("used_at", _moment(), nullable=True),
        _of("password_codes", "clinic_id", "user_id", refers="users"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_password_codes")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_password_codes_code_hash")),
    )
    op.create_index("ix_password_codes_clinic_id_expires_at", "password_codes", ["clinic_id", "expires_at"])
    op.create_table(
        "care_team_members",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _of("care_team_members", "clinic_id", "patient_id", refers="patients"),
        _of("care_team_members", "clinic_id", "user_id", refers="users"),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "user_id", name=op.f("pk_care_team_members")),
    )
    op.create_index(
        "ix_care_team_members_clinic_id_user_id_patient_id", "care_team_members", ["clinic_id", "user_id", "patient_id"]
    )
    op.create_table(
        "audit_unsealed",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        _of("audit_unsealed", "clinic_id", "event_id", refers="audit_events"),
        sa.PrimaryKeyConstraint("clinic_id", "event_id", name=op.f("pk_audit_unsealed")),
    )
    op.create_table(
        "audit_seals",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed_at", _moment(), nullable=False),
        sa.Column("entries", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        _of("audit_seals", "clinic_id", refers="clinics"),
        sa.PrimaryKeyConstraint("clinic_id", "number", name=op.f("pk_audit_seals")),
    )
    op.create_table(
        "clinic_plan_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False),
        sa.Column("items", _document(), nullable=False),
        _of("clinic_plan_versions", "clinic_id", refers="clinics"),
        sa.PrimaryKeyConstraint("clinic_id", "version", name=op.f("pk_clinic_plan_versions")),
    )
    op.create_table(
        "patient_plan_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False),
        sa.Column("items", _document(), nullable=True),
        _of("patient_plan_versions", "clinic_id", "patient_id", refers="patients"),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "version", name=op.f("pk_patient_plan_versions")),
    )
    op.add_column("audit_events", sa.Column("outcome", sa.String(), nullable=False, server_default="done"))
    op.add_column("audit_events", sa.Column("attempted", _document(), nullable=True))
    op.add_column("audit_events", sa.Column("address", sa.String(), nullable=False, server_default=""))
    op.add_column("audit_subjects", sa.Column("attempted", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("clients", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("clients", sa.Column("previous_secrets", _document(), nullable=False, server_default="[]"))
    op.add_column("clinics", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("clinics", sa.Column("alert_recipients", _document(), nullable=False, server_default="[]"))
    op.add_column("clinics", sa.Column("patient_view", sa.String(), nullable=False, server_default="all"))
    op.add_column("clinics", sa.Column("second_factor", sa.String(), nullable=False, server_default="optional"))
    op.add_column("clinics", sa.Column("smallest_group", sa.Integer(), nullable=False, server_default="11"))
    op.add_column("refresh_tokens", sa.Column("has_factor", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("users", sa.Column("version", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("users", sa.Column("sessions_ended_at", _moment(), nullable=True))
    op.add_column("users", sa.Column("otp_secret", sa.String(), nullable=True))
    op.add_column("users", sa.Column("otp_pending", sa.String(), nullable=True))
    op.add_column("users", sa.Column("otp_confirmed_at", _moment(), nullable=True))
    op.add_column("users", sa.Column("otp_last_step", sa.Integer(), nullable=True))
    op.add_column("users", sa.Column("recovery_hashes", _document(), nullable=False, server_default="[]"))
    with op.batch_alter_table("users") as users:
        users.alter_column("password_hash", existing_type=sa.String(), nullable=True)
    # What was recorded before is sealed like everything else, and of urgent alerts that still wait people are told.
    _across_clinics(
        ("audit_events", "audit_unsealed"),
        "insert into audit_unsealed (clinic_id, event_id) select clinic_id, id from audit_events",
    )
    _across_clinics(
        ("alerts",),
        "insert into alert_notices (clinic_id, alert_id, told, turn, attempts, due_at) "
        "select clinic_id, id, 0, 0, 0, raised_at from alerts "
        "where state = 'open' and priority = 'urgent' and not late",
    )
    for table in _SECURED if _is_postgresql() else ():
        _secure(table)
    for table in () if _is_postgresql() else _APPEND_ONLY:  # on PostgreSQL the service's role has no such right
        for change in ("update", "delete"):
            op.execute(
                f"create trigger {table}_no_{change} before {change} on {table} "
                f"begin select raise(abort, '{table} only ever grows'); end"
            )


def downgrade() -> None:
    for table in () if _is_postgresql() else _APPEND_ONLY:
        for change in ("update", "delete"):
            op.execute(f"drop trigger {table}_no_{change}")
    # A person without a password could not log in before either.
    op.execute("update users set password_hash = '' where password_hash is null")
    with op.batch_alter_table("users") as users:
        users.alter_column("password_hash", existing_type=sa.String(), nullable=False)
        for column in (
            "recovery_hashes",
            "otp_last_step",
            "otp_confirmed_at",
            "otp_pending",
            "otp_secret",
            "sessions_ended_at",
            "version",
        ):
            users.drop_column(column)
    for table, columns in (
        ("clinics", ("smallest_group", "second_factor", "patient_view", "alert_recipients", "version")),
        ("clients", ("previous_secrets", "version")),
        ("audit_events", ("address", "attempted", "outcome")),
        ("audit_subjects", ("attempted",)),
        ("refresh_tokens", ("has_factor",)),
    ):
        for column in columns:
            op.drop_column(table, column)
    for table in (
        "patient_plan_versions",
        "clinic_plan_versions",
        "audit_seals",
        "audit_unsealed",
        "care_team_members",
        "password_codes",
        "throttles",
        "rate_counts",
        "leases",
        "alert_notifications",
        "alert_notices",
    ):
        op.drop_table(table)
