"""Webhooks, what is sent to them, and each try."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_0600"
down_revision = "20261130_0500"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("events", _DOCUMENT, nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("previous_secret", sa.String(), nullable=True),
        sa.Column("previous_until", _MOMENT, nullable=True),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("owner_kind", sa.String(), nullable=False),
        sa.Column("owner_id", _UID, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("disabled_at", _MOMENT, nullable=True),
        sa.Column("disabled_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_webhooks_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_webhooks"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("create policy every_clinic on webhooks for select using (true)")
    op.create_table(
        "webhook_deliveries",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("webhook_id", _UID, nullable=False),
        sa.Column("change_id", _UID, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("patient_id", _UID, nullable=True),
        sa.Column("about_id", _UID, nullable=True),
        sa.Column("happened_at", _MOMENT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "webhook_id"], ["webhooks.clinic_id", "webhooks.id"],
            name="fk_webhook_deliveries_clinic_id_webhook_id", ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_webhook_deliveries"),
    )  # fmt: skip
    op.create_index(
        "ix_webhook_deliveries_clinic_id_webhook_id_state_position_id", "webhook_deliveries",
        ["clinic_id", "webhook_id", "state", "position", "id"],
    )  # fmt: skip
    op.create_index("ix_webhook_deliveries_created", "webhook_deliveries", ["clinic_id", "created_at"])
    op.create_table(
        "webhook_tries",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("delivery_id", _UID, nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "delivery_id"], ["webhook_deliveries.clinic_id", "webhook_deliveries.id"],
            name="fk_webhook_tries_clinic_id_delivery_id", ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_webhook_tries"),
    )  # fmt: skip
    op.create_index("ix_webhook_tries_clinic_id_delivery_id_at", "webhook_tries", ["clinic_id", "delivery_id", "at"])


def downgrade() -> None:
    op.drop_table("webhook_tries")
    op.drop_table("webhook_deliveries")
    op.drop_table("webhooks")
