"""Imports of files: what was sent, what was staged of it, what it brought, and what was wrong with it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261130_1100"
down_revision = "20261130_0800"
branch_labels = None
depends_on = None

_UID = sa.Uuid().with_variant(sa.LargeBinary(16), "sqlite")
_MOMENT = sa.DateTime(timezone=True).with_variant(sa.BigInteger(), "sqlite")
_DOCUMENT = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_VERSIONED = ("check_ins", "check_in_versions", "session_versions")
_OF_IMPORTS = (
    ("import_pieces", ("number",), (sa.Column("content", sa.LargeBinary(), nullable=False),)),
    (
        "import_chunks",
        ("phase", "number"),
        (
            sa.Column("items", sa.Integer(), nullable=False),
            sa.Column("done", sa.Integer(), nullable=False),
            sa.Column("content", sa.LargeBinary(), nullable=True),
            sa.Column("brought", sa.LargeBinary(), nullable=False),
        ),
    ),
    (
        "import_problems",
        ("number",),
        (
            sa.Column("kind", sa.String(), nullable=False),
            sa.Column("line", sa.Integer(), nullable=False),
            sa.Column("column", sa.String(), nullable=True),
            sa.Column("rule", sa.String(), nullable=False),
        ),
    ),
)


def upgrade() -> None:
    for table in _VERSIONED:
        op.add_column(table, sa.Column("source_recorded_at", _MOMENT, nullable=True))
    op.create_table(
        "imports",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("id", _UID, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("mapping_name", sa.String(), nullable=True),
        sa.Column("mapping", _DOCUMENT, nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("actor_kind", sa.String(), nullable=False),
        sa.Column("actor_id", _UID, nullable=False),
        sa.Column("request_id", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("applied", sa.Integer(), nullable=False),
        sa.Column("counts", _DOCUMENT, nullable=False),
        sa.Column("problem_count", sa.Integer(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_imports_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_imports"),
    )
    op.create_index("ix_imports_created", "imports", ["clinic_id", "created_at", "id"])
    open_ones = sa.text("ended_at IS NULL")
    op.create_index(
        "ix_imports_open", "imports", ["clinic_id", "id"], postgresql_where=open_ones, sqlite_where=open_ones
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("create policy every_clinic on imports for select using (true)")
    for name, keys, columns in _OF_IMPORTS:
        op.create_table(
            name,
            sa.Column("clinic_id", _UID, nullable=False),
            sa.Column("import_id", _UID, nullable=False),
            *(sa.Column(key, sa.Integer(), nullable=False) for key in keys),
            *columns,
            sa.ForeignKeyConstraint(
                ["clinic_id", "import_id"], ["imports.clinic_id", "imports.id"], name=f"fk_{name}_clinic_id_import_id"
            ),
            sa.PrimaryKeyConstraint("clinic_id", "import_id", *keys, name=f"pk_{name}"),
        )
    op.create_table(
        "import_mappings",
        sa.Column("clinic_id", _UID, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("content", _DOCUMENT, nullable=False),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["clinic_id"], ["clinics.id"], name="fk_import_mappings_clinic_id"),
        sa.PrimaryKeyConstraint("clinic_id", "name", name="pk_import_mappings"),
    )


def downgrade() -> None:
    op.drop_table("import_mappings")
    for name, _, _ in reversed(_OF_IMPORTS):
        op.drop_table(name)
    op.drop_table("imports")
    for table in _VERSIONED:
        op.drop_column(table, "source_recorded_at")
