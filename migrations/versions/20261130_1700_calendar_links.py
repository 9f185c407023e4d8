"""Links with which calendars read what is due."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_1700"
down_revision = "20261130_1600"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "calendar_links",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("device_id", _UID, nullable=False),
        sa.Column("code_hash", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "device_id"],
            ["devices.clinic_id", "devices.id"],
            name="fk_calendar_links_clinic_id_device_id",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_calendar_links"),
        sa.UniqueConstraint("code_hash", name="uq_calendar_links_code_hash"),
    )
    op.create_index("ix_calendar_links_clinic_id_device_id", "calendar_links", ["clinic_id", "device_id"])


def downgrade() -> None:
    op.drop_table("calendar_links")
