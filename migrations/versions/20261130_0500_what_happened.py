"""What happened, for the feed of changes and for webhooks. It begins empty: nothing from before is told."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_0500"
down_revision = "20261130_0100"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_WAITING = sa.text("position IS NULL")


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("patient_id", _UID, nullable=False),
        sa.Column("about_id", _UID, nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_changes_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_changes"),
    )
    op.create_index("ix_changes_position", "changes", ["clinic_id", "position"], unique=True)
    op.create_index(
        "ix_changes_waiting", "changes", ["clinic_id", "id"],
        postgresql_where=_WAITING, sqlite_where=_WAITING,
    )  # fmt: skip
    op.create_table(
        "feeds",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_feeds_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", name="pk_feeds"),
    )


def downgrade() -> None:
    op.drop_table("feeds")
    op.drop_table("changes")
