"""The wording of questionnaires that clinics load."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_1600"
down_revision = "20261130_1500"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "clinic_wording",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("content", _DOCUMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("updated_by_id", _UID, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_clinic_wording_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "instrument", "language", name="pk_clinic_wording"),
    )


def downgrade() -> None:
    op.drop_table("clinic_wording")
