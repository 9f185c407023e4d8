"""Up to which day a patient's due check-ins were told. What was due until today is not told any more."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "20261130_0800"
down_revision = "20261130_0600"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("patients", sa.Column("due_told_on", sa.Date(), nullable=True))
    patients = sa.table("patients", sa.column("due_told_on", sa.Date()))
    op.execute(patients.update().values(due_told_on=datetime.now(UTC).date()))


def downgrade() -> None:
    op.drop_column("patients", "due_told_on")
