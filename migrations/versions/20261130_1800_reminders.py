"""Reminders on patients' phones: the clinic's key, where they go, and which were sent."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_1800"
down_revision = "20261130_1700"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_LIVE, _AGAIN = sa.text("ended_at IS NULL"), sa.text("next_at IS NOT NULL")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "push_keys",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("public_key", sa.String(), nullable=False),
        sa.Column("sealed", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_push_keys_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", name="pk_push_keys"),
    )
    op.create_table(
        "push_subscriptions",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("device_id", _UID, nullable=False),
        sa.Column("endpoint_hash", sa.String(), nullable=True),
        sa.Column("sealed", sa.String(), nullable=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("looked_at", _MOMENT, nullable=False),
        sa.Column("failing_since", _MOMENT, nullable=True),
        sa.Column("failed_at", _MOMENT, nullable=True),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.Column("ended_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "device_id"],
            ["devices.clinic_id", "devices.id"],
            name="fk_push_subscriptions_clinic_id_device_id",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "device_id", name="pk_push_subscriptions"),
    )
    op.create_index(
        "ix_push_subscriptions_clinic_id_endpoint_hash", "push_subscriptions", ["clinic_id", "endpoint_hash"]
    )
    op.create_index(
        "ix_push_subscriptions_live", "push_subscriptions", ["clinic_id"], postgresql_where=_LIVE, sqlite_where=_LIVE
    )
    op.create_table(
        "reminders",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("patient_id", _UID, nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("taken_at", _MOMENT, nullable=True),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("sent_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name="fk_reminders_clinic_id_patient_id",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "patient_id", "item", name="pk_reminders"),
    )
    op.create_index(
        "ix_reminders_again", "reminders", ["clinic_id", "next_at"], postgresql_where=_AGAIN, sqlite_where=_AGAIN
    )


def downgrade() -> None:
    op.drop_table("reminders")
    op.drop_table("push_subscriptions")
    op.drop_table("push_keys")
