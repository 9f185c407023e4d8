"""Sessions in a browser end."""

import sqlalchemy as sa
from alembic import op

revision = "20261130_1500"
down_revision = "20261130_1100"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")


def upgrade() -> None:
    op.add_column("refresh_tokens", sa.Column("ends_at", _MOMENT, nullable=True))


def downgrade() -> None:
    op.drop_column("refresh_tokens", "ends_at")
