"""The first tables, and on PostgreSQL row-level security on every one that belongs to a clinic."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261122_1715"
down_revision = None
branch_labels = None
depends_on = None

# Rows of these are seen and written only inside their clinic's transaction. `clinics` is its own tenant; `users`,
# `clients`, `enrolments` and `refresh_tokens` are read before a clinic is known.
_TENANT_TABLES = (
    "alert_acknowledgements",
    "alerts",
    "audit_events",
    "audit_subjects",
    "check_in_versions",
    "check_ins",
    "devices",
    "domain_statuses",
    "infusion_versions",
    "kept_answers",
    "patient_versions",
    "patients",
    "score_versions",
    "session_versions",
    "sessions",
    "tracks",
)


def _moment() -> Any:
    """An instant to the microsecond: `timestamptz`, or microseconds since 1970 on SQLite."""
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _document() -> Any:
    return sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def _secure(table: str, column: str) -> None:
    clinic = "nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy one_clinic on {table} using ({column} = {clinic}) with check ({column} = {clinic})")


def upgrade() -> None:
    op.create_table(
        "clinics",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time_zone", sa.String(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("crisis_contacts", _document(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinics")),
    )
    op.create_table(
        "audit_events",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_audit_events_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_audit_events")),
    )
    op.create_index(
        op.f("ix_audit_events_clinic_id_actor_id_at"), "audit_events", ["clinic_id", "actor_id", "at"], unique=False
    )
    op.create_index(op.f("ix_audit_events_clinic_id_at_id"), "audit_events", ["clinic_id", "at", "id"], unique=False)

    op.create_table(
        "clients",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("secret_hash", sa.String(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("disabled_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_clients_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_clients")),
        sa.UniqueConstraint("id", name=op.f("uq_clients_id")),
    )
    op.create_table(
        "kept_answers",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", _document(), nullable=False),
        sa.Column("body", sa.String(), nullable=True),
        sa.Column("subjects", _document(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_kept_answers_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "caller", "key", name=op.f("pk_kept_answers")),
    )
    op.create_index(
        op.f("ix_kept_answers_clinic_id_created_at"), "kept_answers", ["clinic_id", "created_at"], unique=False
    )

    op.create_table(
        "patients",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=True),
        sa.Column("birth_year", sa.Integer(), nullable=True),
        sa.Column("indications", _document(), nullable=False),
        sa.Column("failed_treatments", _document(), nullable=False),
        sa.Column("failed_antidepressant_trials", sa.Integer(), nullable=True),
        sa.Column("primary_instruments", _document(), nullable=False),
        sa.Column("care_status", sa.String(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("updated_at", _moment(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("posted", sa.String(), nullable=False),
        sa.Column("last_recorded_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_patients_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_patients")),
        sa.UniqueConstraint("clinic_id", "external_id", name=op.f("uq_patients_clinic_id_external_id")),
    )
    op.create_index(
        op.f("ix_patients_clinic_id_created_at_id"), "patients", ["clinic_id", "created_at", "id"], unique=False
    )

    op.create_table(
        "refresh_tokens",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("family_id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("caller_kind", sa.String(), nullable=False),
        sa.Column("caller_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.Column("used_at", _moment(), nullable=True),
        sa.Column("revoked_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_refresh_tokens_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_refresh_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_refresh_tokens_token_hash")),
    )
    op.create_index(
        op.f("ix_refresh_tokens_clinic_id_parent_id"), "refresh_tokens", ["clinic_id", "parent_id"], unique=False
    )
    op.create_index(
        op.f("ix_refresh_tokens_clinic_id_expires_at"), "refresh_tokens", ["clinic_id", "expires_at"], unique=False
    )
    op.create_index(
        op.f("ix_refresh_tokens_clinic_id_family_id"), "refresh_tokens", ["clinic_id", "family_id"], unique=False
    )

    op.create_table(
        "users",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("disabled_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name=op.f("fk_users_clinic_id")),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "audit_subjects",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "event_id"],
            ["audit_events.clinic_id", "audit_events.id"],
            name=op.f("fk_audit_subjects_clinic_id_event_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "event_id", "patient_id", name=op.f("pk_audit_subjects")),
    )
    op.create_index(
        op.f("ix_audit_subjects_clinic_id_patient_id_event_id"),
        "audit_subjects",
        ["clinic_id", "patient_id", "event_id"],
        unique=False,
    )

    op.create_table(
        "check_ins",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("taken_at", _moment(), nullable=False),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.Column("posted", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_check_ins_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_check_ins")),
        sa.UniqueConstraint("clinic_id", "patient_id", "id", name=op.f("uq_check_ins_clinic_id_patient_id_id")),
    )
    op.create_index(
        op.f("ix_check_ins_clinic_id_patient_id_taken_at_id"),
        "check_ins",
        ["clinic_id", "patient_id", "taken_at", "id"],
        unique=False,
    )

    op.create_table(
        "devices",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.Column("disabled_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_devices_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_clinic_id_patient_id"), "devices", ["clinic_id", "patient_id"], unique=False)

    op.create_table(
        "domain_statuses",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=True),
        sa.Column("flags", _document(), nullable=False),
        sa.Column("since_on", sa.Date(), nullable=True),
        sa.Column("stale_on", sa.Date(), nullable=True),
        sa.Column("improvement_percent", sa.Float(), nullable=True),
        sa.Column("latest_value", sa.Float(), nullable=True),
        sa.Column("latest_on", sa.Date(), nullable=True),
        sa.Column("last_session_on", sa.Date(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_domain_statuses_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "domain", name=op.f("pk_domain_statuses")),
    )
    op.create_index(
        op.f("ix_domain_statuses_clinic_id_domain_status_stale_on_since_on"),
        "domain_statuses",
        ["clinic_id", "domain", "status", "stale_on", "since_on"],
        unique=False,
    )

    op.create_table(
        "enrolments",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("expires_at", _moment(), nullable=False),
        sa.Column("redeemed_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_enrolments_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("code_hash", name=op.f("uq_enrolments_code_hash")),
    )
    op.create_table(
        "patient_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("primary_instruments", _document(), nullable=False),
        sa.Column("indications", _document(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_patient_versions_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "version", name=op.f("pk_patient_versions")),
    )
    op.create_table(
        "sessions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("started_at", _moment(), nullable=False),
        sa.Column("created_at", _moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_sessions_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("clinic_id", "patient_id", "id", name=op.f("uq_sessions_clinic_id_patient_id_id")),
    )
    op.create_index(
        op.f("ix_sessions_clinic_id_patient_id_started_at_id"),
        "sessions",
        ["clinic_id", "patient_id", "started_at", "id"],
        unique=False,
    )

    op.create_table(
        "tracks",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("state", _document(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_tracks_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "instrument", name=op.f("pk_tracks")),
    )
    op.create_table(
        "alerts",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=True),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("instrument", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("taken_at", _moment(), nullable=False),
        sa.Column("raised_at", _moment(), nullable=False),
        sa.Column("amended_at", _moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"],
            name=op.f("fk_alerts_clinic_id_patient_id_check_in_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_alerts_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_clinic_id_check_in_id"), "alerts", ["clinic_id", "check_in_id"], unique=False)
    op.create_index(
        op.f("ix_alerts_clinic_id_patient_id_state"), "alerts", ["clinic_id", "patient_id", "state"], unique=False
    )
    op.create_index(
        op.f("ix_alerts_clinic_id_state_late_raised_at_id"),
        "alerts",
        ["clinic_id", "state", "late", "raised_at", "id"],
        unique=False,
    )

    op.create_table(
        "check_in_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("recorded_by_kind", sa.String(), nullable=False),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False),
        sa.Column("taken_at", _moment(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("before_infusion", sa.Boolean(), nullable=False),
        sa.Column("clock_corrected_by_seconds", sa.Integer(), nullable=True),
        sa.Column("voided", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"],
            name=op.f("fk_check_in_versions_clinic_id_patient_id_check_in_id"),
        ),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"],
            ["sessions.clinic_id", "sessions.patient_id", "sessions.id"],
            name=op.f("fk_check_in_versions_clinic_id_patient_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "check_in_id", "version", name=op.f("pk_check_in_versions")),
    )
    op.create_index(
        op.f("ix_check_in_versions_clinic_id_patient_id_recorded_at"),
        "check_in_versions",
        ["clinic_id", "patient_id", "recorded_at"],
        unique=False,
    )

    op.create_table(
        "infusion_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("superseded_at", _moment(), nullable=True),
        sa.Column("started_at", _moment(), nullable=False),
        sa.Column("ended_at", _moment(), nullable=True),
        sa.Column("counts", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"],
            ["sessions.clinic_id", "sessions.patient_id", "sessions.id"],
            name=op.f("fk_infusion_versions_clinic_id_patient_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_infusion_versions")),
    )
    op.create_index(
        op.f("ix_infusion_versions_clinic_id_patient_id_started_at"),
        "infusion_versions",
        ["clinic_id", "patient_id", "started_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_infusion_versions_clinic_id_session_id_version"),
        "infusion_versions",
        ["clinic_id", "session_id", "version"],
        unique=True,
    )

    op.create_table(
        "score_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("superseded_at", _moment(), nullable=True),
        sa.Column("taken_at", _moment(), nullable=False),
        sa.Column("before_infusion", sa.Boolean(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("answers", _document(), nullable=True),
        sa.Column("self_harm_item", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"],
            name=op.f("fk_score_versions_clinic_id_patient_id_check_in_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_score_versions")),
    )
    op.create_index(
        op.f("ix_score_versions_clinic_id_check_in_id_version"),
        "score_versions",
        ["clinic_id", "check_in_id", "version"],
        unique=False,
    )
    op.create_index(
        op.f("ix_score_versions_clinic_id_patient_id_instrument_taken_at"),
        "score_versions",
        ["clinic_id", "patient_id", "instrument", "taken_at"],
        unique=False,
    )
    op.create_index(
        "uq_score_versions_place",
        "score_versions",
        ["clinic_id", "patient_id", "instrument", "taken_at"],
        unique=True,
        postgresql_where=sa.text("superseded_at IS NULL"),
        sqlite_where=sa.text("superseded_at IS NULL"),
    )

    op.create_table(
        "session_versions",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", _moment(), nullable=False),
        sa.Column("recorded_by_kind", sa.String(), nullable=False),
        sa.Column("recorded_by_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("content", _document(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "session_id"],
            ["sessions.clinic_id", "sessions.patient_id", "sessions.id"],
            name=op.f("fk_session_versions_clinic_id_patient_id_session_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "session_id", "version", name=op.f("pk_session_versions")),
    )
    op.create_index(
        op.f("ix_session_versions_clinic_id_patient_id_session_id"),
        "session_versions",
        ["clinic_id", "patient_id", "session_id"],
        unique=False,
    )

    op.create_table(
        "alert_acknowledgements",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alert_id", sa.Uuid(), nullable=False),
        sa.Column("by_kind", sa.String(), nullable=False),
        sa.Column("by_id", sa.Uuid(), nullable=False),
        sa.Column("at", _moment(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("disposition", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "alert_id"],
            ["alerts.clinic_id", "alerts.id"],
            name=op.f("fk_alert_acknowledgements_clinic_id_alert_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name=op.f("pk_alert_acknowledgements")),
    )
    op.create_index(
        op.f("ix_alert_acknowledgements_clinic_id_alert_id_at"),
        "alert_acknowledgements",
        ["clinic_id", "alert_id", "at"],
        unique=False,
    )

    if op.get_bind().dialect.name == "postgresql":
        _secure("clinics", "id")
        for table in _TENANT_TABLES:
            _secure(table, "clinic_id")


def downgrade() -> None:
    op.drop_index(op.f("ix_alert_acknowledgements_clinic_id_alert_id_at"), table_name="alert_acknowledgements")

    op.drop_table("alert_acknowledgements")
    op.drop_index(op.f("ix_session_versions_clinic_id_patient_id_session_id"), table_name="session_versions")

    op.drop_table("session_versions")
    op.drop_index(
        "uq_score_versions_place",
        table_name="score_versions",
        postgresql_where=sa.text("superseded_at IS NULL"),
        sqlite_where=sa.text("superseded_at IS NULL"),
    )
    op.drop_index(op.f("ix_score_versions_clinic_id_patient_id_instrument_taken_at"), table_name="score_versions")
    op.drop_index(op.f("ix_score_versions_clinic_id_check_in_id_version"), table_name="score_versions")

    op.drop_table("score_versions")
    op.drop_index(op.f("ix_infusion_versions_clinic_id_session_id_version"), table_name="infusion_versions")
    op.drop_index(op.f("ix_infusion_versions_clinic_id_patient_id_started_at"), table_name="infusion_versions")

    op.drop_table("infusion_versions")
    op.drop_index(op.f("ix_check_in_versions_clinic_id_patient_id_recorded_at"), table_name="check_in_versions")

    op.drop_table("check_in_versions")
    op.drop_index(op.f("ix_alerts_clinic_id_state_late_raised_at_id"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_clinic_id_patient_id_state"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_clinic_id_check_in_id"), table_name="alerts")

    op.drop_table("alerts")
    op.drop_table("tracks")
    op.drop_index(op.f("ix_sessions_clinic_id_patient_id_started_at_id"), table_name="sessions")

    op.drop_table("sessions")
    op.drop_table("patient_versions")
    op.drop_table("enrolments")
    op.drop_index(op.f("ix_domain_statuses_clinic_id_domain_status_stale_on_since_on"), table_name="domain_statuses")

    op.drop_table("domain_statuses")
    op.drop_index(op.f("ix_devices_clinic_id_patient_id"), table_name="devices")

    op.drop_table("devices")
    op.drop_index(op.f("ix_check_ins_clinic_id_patient_id_taken_at_id"), table_name="check_ins")

    op.drop_table("check_ins")
    op.drop_index(op.f("ix_audit_subjects_clinic_id_patient_id_event_id"), table_name="audit_subjects")

    op.drop_table("audit_subjects")
    op.drop_table("users")
    op.drop_index(op.f("ix_refresh_tokens_clinic_id_parent_id"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_clinic_id_expires_at"), table_name="refresh_tokens")
    op.drop_index(op.f("ix_refresh_tokens_clinic_id_family_id"), table_name="refresh_tokens")

    op.drop_table("refresh_tokens")
    op.drop_index(op.f("ix_patients_clinic_id_created_at_id"), table_name="patients")

    op.drop_table("patients")
    op.drop_index(op.f("ix_kept_answers_clinic_id_created_at"), table_name="kept_answers")

    op.drop_table("kept_answers")
    op.drop_table("clients")
    op.drop_index(op.f("ix_audit_events_clinic_id_at_id"), table_name="audit_events")
    op.drop_index(op.f("ix_audit_events_clinic_id_actor_id_at"), table_name="audit_events")

    op.drop_table("audit_events")
    op.drop_table("clinics")
