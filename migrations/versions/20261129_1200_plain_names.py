"""Columns by plainer names: `session` means an infusion's, and `seal` what closes the audit log. A stored response also
keeps what its first audit event said, so that a repeat says the same."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261129_1200"
down_revision = "20261123_0140"
branch_labels = None
depends_on = None

_RENAMED = (("users", "sessions_ended_at", "signed_out_at"), ("identifiers", "sealed", "encrypted"))


def upgrade() -> None:
    for table, before, after in _RENAMED:
        op.execute(f"alter table {table} rename column {before} to {after}")
    # The defaults are for responses stored before; the service names both.
    ids = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column("kept_answers", sa.Column("outcome", sa.String(), nullable=False, server_default="done"))
    op.add_column("kept_answers", sa.Column("refused_subjects", ids, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("kept_answers", "refused_subjects")
    op.drop_column("kept_answers", "outcome")
    for table, before, after in _RENAMED:
        op.execute(f"alter table {table} rename column {after} to {before}")
