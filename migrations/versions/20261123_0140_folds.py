"""One row per patient for all that is folded, in the place of one per instrument; and a score in one index less.

Everything is folded anew, a few patients at a time, while the service runs.
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123_0140"
down_revision = "20261122_2300"
branch_labels = None
depends_on = None

_REPLACED = "ix_score_versions_clinic_id_patient_id_instrument_taken_at"
_SUPERSEDED = sa.text("superseded_at IS NOT NULL")


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _across_clinics(tables: tuple[str, ...], statement: str) -> None:
    """Runs a statement over every clinic: on PostgreSQL even the owner is held to one."""
    for table in tables if _is_postgresql() else ():
        op.execute(f"alter table {table} no force row level security")
    op.execute(statement)
    for table in tables if _is_postgresql() else ():
        op.execute(f"alter table {table} force row level security")


def _create(name: str, columns: list[sa.Column], keys: list[str]) -> None:
    op.create_table(
        name,
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f(f"fk_{name}_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{name}")),
    )
    op.create_index(f"ix_{name}_clinic_id_rule", name, ["clinic_id", "rule"])
    if _is_postgresql():
        clinic = "clinic_id = nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
        op.execute(f"alter table {name} enable row level security")
        op.execute(f"alter table {name} force row level security")
        op.execute(f"create policy one_clinic on {name} using ({clinic}) with check ({clinic})")


def upgrade() -> None:
    # First what takes long: what follows keeps everybody out.
    op.create_index(
        "ix_score_versions_superseded",
        "score_versions",
        ["clinic_id", "patient_id"],
        postgresql_where=_SUPERSEDED,
        sqlite_where=_SUPERSEDED,
    )
    columns = [sa.Column("rule", sa.String(), nullable=False), sa.Column("state", sa.String(), nullable=False)]
    _create("folds", columns, ["clinic_id", "patient_id"])
    _across_clinics(
        ("folds", "patients"),
        "insert into folds (clinic_id, patient_id, rule, state) select clinic_id, id, '', '' from patients",
    )
    op.drop_table("tracks")
    op.drop_index(_REPLACED, table_name="score_versions")


def downgrade() -> None:
    document = sa.JSON().with_variant(sa.dialects.postgresql.JSONB(), "postgresql")
    columns = [
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("state", document, nullable=False, server_default="{}"),
    ]
    _create("tracks", columns, ["clinic_id", "patient_id", "instrument"])
    _across_clinics(
        ("tracks", "score_versions"),
        "insert into tracks (clinic_id, patient_id, instrument, rule) "
        "select distinct clinic_id, patient_id, instrument, '' from score_versions "
        "where superseded_at is null and instrument not in ('phq-2', 'gad-2')",
    )
    op.drop_table("folds")
    op.create_index(_REPLACED, "score_versions", ["clinic_id", "patient_id", "instrument", "taken_at"])
    op.drop_index("ix_score_versions_superseded", table_name="score_versions")
