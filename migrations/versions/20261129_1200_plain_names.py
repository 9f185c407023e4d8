"""Columns by plainer names: `session` means an infusion's, and `seal` what closes the audit log."""

from alembic import op

revision = "20261129_1200"
down_revision = "20261123_0140"
branch_labels = None
depends_on = None

_RENAMED = (("users", "sessions_ended_at", "signed_out_at"), ("identifiers", "sealed", "encrypted"))


def upgrade() -> None:
    for table, before, after in _RENAMED:
        op.execute(f"alter table {table} rename column {before} to {after}")


def downgrade() -> None:
    for table, before, after in _RENAMED:
        op.execute(f"alter table {table} rename column {after} to {before}")
