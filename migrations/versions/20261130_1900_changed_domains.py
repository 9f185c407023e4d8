"""Which domains a change of relief was of."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_1900"
down_revision = "20261130_1800"
branch_labels = None
depends_on = None

_OF_RELIEF = sa.text("kind = 'relief.changed'")


def upgrade() -> None:
    op.add_column("changes", sa.Column("domains", sa.String(), nullable=True))
    op.create_index(
        "ix_changes_relief", "changes", ["clinic_id", "id"], postgresql_where=_OF_RELIEF, sqlite_where=_OF_RELIEF
    )


def downgrade() -> None:
    op.drop_index("ix_changes_relief", "changes")
    op.drop_column("changes", "domains")
