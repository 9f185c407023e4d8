"""Up to which day a patient's due check-ins were told. What was due before the upgrade is not told any more."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "20261130_0800"
down_revision = "20261130_0600"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("patients", sa.Column("due_told_on", sa.Date(), nullable=True))
    patients = sa.table("patients", sa.column("due_told_on", sa.Date()))
    # No clinic's day is earlier: what becomes due from today on is told in each.
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:  # even the owner is held to one clinic, unless told otherwise
        op.execute("alter table patients no force row level security")
    op.execute(patients.update().values(due_told_on=yesterday))
    if is_postgresql:
        op.execute("alter table patients force row level security")


def downgrade() -> None:
    op.drop_column("patients", "due_told_on")
