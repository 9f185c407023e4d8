"""Episodes for answers over many patients, and the place of a domain's answer in the worklist."""

import sqlalchemy as sa
from alembic import op

revision = "20261122_1945"
down_revision = "20261122_1715"
branch_labels = None
depends_on = None

_LIVE = ["clinic_id", "care_status", "priority", "stale_on", "since_on", "patient_id", "domain"]
_STALE = ["clinic_id", "care_status", "stale_priority", "stale_on", "patient_id", "domain"]
_UNKNOWN = sa.text("superseded_at IS NULL AND self_harm_item IS NULL AND instrument IN ('madrs', 'phq-9', 'qids-sr16')")

# Where each row stands; tracks are folded again by the background job, which also fills `episodes`.
_PLACED = """
update domain_statuses set
  care_status = (select care_status from patients
                 where patients.clinic_id = domain_statuses.clinic_id and patients.id = domain_statuses.patient_id),
  priority = case
    when status in ('stale', 'awaiting_follow_up') and state = 'lost' then 2
    when status in ('stale', 'awaiting_follow_up') and state = 'fading' then 4
    when status = 'no_response' and cast(flags as text) like '%reliable_deterioration%' then 5
    when status = 'lost' then 1 when status = 'fading' then 3 when status = 'stale' then 6
    when status = 'no_response' then 7 when status = 'partial_response' then 8
    when status = 'awaiting_follow_up' then 9 when status = 'no_baseline' then 10
    when status = 'not_evaluable' then 11 when status = 'holding' then 12 else 13 end,
  stale_priority = case when stale_on is null then null
    when state = 'lost' then 2 when state = 'fading' then 4 else 6 end
"""


def _across_clinics(tables: tuple[str, ...], statement: str) -> None:
    """Runs a statement over every clinic: on PostgreSQL even the owner is held to one."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in tables if postgresql else ():
        op.execute(f"alter table {table} no force row level security")
    op.execute(statement)
    for table in tables if postgresql else ():
        op.execute(f"alter table {table} force row level security")


def upgrade() -> None:
    op.create_table(
        "episodes",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("instrument", sa.String(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("last_on", sa.Date(), nullable=False),
        sa.Column("induction_sessions", sa.Integer(), nullable=False),
        sa.Column("induction_ended_on", sa.Date(), nullable=False),
        sa.Column("baseline", sa.Integer(), nullable=True),
        sa.Column("evaluable", sa.Boolean(), nullable=False),
        sa.Column("followed", sa.Boolean(), nullable=False),
        sa.Column("early", sa.Integer(), nullable=True),
        sa.Column("median_gap_days", sa.Float(), nullable=True),
        sa.Column("days", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(), nullable=True),
        sa.Column("days_before_course", sa.Integer(), nullable=True),
        sa.Column("days_before_rescue", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id"],
            ["patients.clinic_id", "patients.id"],
            name=op.f("fk_episodes_clinic_id_patient_id"),
        ),
        sa.PrimaryKeyConstraint("clinic_id", "instrument", "patient_id", "episode", name=op.f("pk_episodes")),
    )
    op.add_column("domain_statuses", sa.Column("care_status", sa.String(), nullable=False, server_default="active"))
    op.add_column("domain_statuses", sa.Column("priority", sa.Integer(), nullable=False, server_default="13"))
    op.add_column("domain_statuses", sa.Column("stale_priority", sa.Integer(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        clinic = "clinic_id = nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
        op.execute("alter table episodes enable row level security")
        op.execute("alter table episodes force row level security")
        op.execute(f"create policy one_clinic on episodes using ({clinic}) with check ({clinic})")
    _across_clinics(("domain_statuses", "patients"), _PLACED)
    op.drop_index("ix_domain_statuses_clinic_id_domain_status_stale_on_since_on", table_name="domain_statuses")
    op.create_index("ix_domain_statuses_live", "domain_statuses", _LIVE)
    op.create_index("ix_domain_statuses_stale", "domain_statuses", _STALE)
    op.create_index("ix_tracks_clinic_id_rule", "tracks", ["clinic_id", "rule"])
    op.create_index(
        "ix_score_versions_self_harm_unknown",
        "score_versions",
        ["clinic_id", "patient_id", "taken_at"],
        postgresql_where=_UNKNOWN,
        sqlite_where=_UNKNOWN,
    )


def downgrade() -> None:
    op.drop_index("ix_score_versions_self_harm_unknown", table_name="score_versions")
    op.drop_index("ix_tracks_clinic_id_rule", table_name="tracks")
    op.drop_index("ix_domain_statuses_stale", table_name="domain_statuses")
    op.drop_index("ix_domain_statuses_live", table_name="domain_statuses")
    op.create_index(
        "ix_domain_statuses_clinic_id_domain_status_stale_on_since_on",
        "domain_statuses",
        ["clinic_id", "domain", "status", "stale_on", "since_on"],
    )
    op.drop_column("domain_statuses", "stale_priority")
    op.drop_column("domain_statuses", "priority")
    op.drop_column("domain_statuses", "care_status")
    op.drop_table("episodes")
    _across_clinics(("tracks",), "update tracks set rule = ''")  # kept in a shape that older releases cannot read
