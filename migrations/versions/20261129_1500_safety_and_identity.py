"""Answers that were left out, statements and clocks as they were known, one alert for each onset, who changed what of a
patient, and records that go on elsewhere.

Tracks are folded again by the background job. The onsets of alerts are filled in by `holdfast alerts backfill`, or when
the patient's next score changes them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261129_1500"
down_revision = "20261129_1200"
branch_labels = None
depends_on = None

_FILLED = ("check_in_versions", "score_versions", "alerts", "identifiers", "patient_versions", "devices")
_BY_DOMAIN = {
    "anxiety": "'gad-7', 'gad-2', 'promis-anxiety-4a', 'nrs-anxiety'",
    "pain": "'peg', 'nrs-pain', 'promis-pain-interference-4a'",
    "ptsd": "'pcl-5'",
    "ocd": "'y-bocs'",
    "wellbeing": "'who-5'",
}


def _document() -> sa.types.TypeEngine:
    return sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def _moment() -> sa.types.TypeEngine:
    return sa.BigInteger().with_variant(sa.DateTime(timezone=True), "postgresql")


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def _forced(on: bool) -> None:
    """On PostgreSQL the owner sees every clinic's rows only while row-level security does not hold him."""
    for table in () if _is_sqlite() else _FILLED:
        op.execute(f"alter table {table} {'' if on else 'no '}force row level security")


def upgrade() -> None:
    _forced(False)
    _check_ins()
    _scores()
    _alerts()
    _patients()
    for name in ("moved_from", "moved_to"):
        op.add_column("session_versions", sa.Column(name, sa.Uuid(), nullable=True))
    _known_posts()
    _forced(True)


def _known_posts() -> None:
    op.create_table(
        "known_posts",
        sa.Column("clinic_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("patient_id", sa.Uuid(), nullable=False),
        sa.Column("check_in_id", sa.Uuid(), nullable=False),
        sa.Column("posted", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["clinic_id", "patient_id", "check_in_id"],
            ["check_ins.clinic_id", "check_ins.patient_id", "check_ins.id"],
            name="fk_known_posts_clinic_id_patient_id_check_in_id",
        ),
        sa.PrimaryKeyConstraint("clinic_id", "id", name="pk_known_posts"),
    )
    if not _is_sqlite():
        op.execute("alter table known_posts enable row level security")
        op.execute("alter table known_posts force row level security")
        clinic = "nullif(current_setting('holdfast.clinic_id', true), '')::uuid"
        op.execute(
            f"create policy one_clinic on known_posts using (clinic_id = {clinic}) with check (clinic_id = {clinic})"
        )


def _check_ins() -> None:
    table = "check_in_versions"
    op.add_column(table, sa.Column("stated_before_at", _moment(), nullable=True))
    # A statement was made when the version was recorded that says the time it is about.
    op.execute(
        f"update {table} set stated_before_at = (select min(other.recorded_at) from {table} as other "
        f"where other.clinic_id = {table}.clinic_id and other.check_in_id = {table}.check_in_id "
        f"and other.taken_at = {table}.taken_at) where before_infusion"
    )
    op.drop_column(table, "before_infusion")
    op.execute(f"alter table {table} rename column clock_corrected_by_seconds to clock_offset_seconds")
    op.add_column(table, sa.Column("clock_suspect", sa.Boolean(), nullable=False, server_default=sa.false()))
    for name in ("moved_from", "moved_to"):
        op.add_column(table, sa.Column(name, sa.Uuid(), nullable=True))


def _scores() -> None:
    table = "score_versions"
    mine = f"v.clinic_id = {table}.clinic_id and v.check_in_id = {table}.check_in_id"
    op.add_column(table, sa.Column("stated_before_at", _moment(), nullable=True))
    op.execute(
        f"update {table} set stated_before_at = (select v.stated_before_at from check_in_versions as v "
        f"where {mine} and v.version = {table}.version) where before_infusion"
    )
    op.drop_column(table, "before_infusion")
    op.add_column(table, sa.Column("late", sa.Boolean(), nullable=False, server_default=sa.false()))
    three_days = "259200000000" if _is_sqlite() else "interval '72 hours'"
    first = f"(select v.recorded_at from check_in_versions as v where {mine} and v.version = 1)"
    op.execute(f"update {table} set late = coalesce({first}, recorded_at) - taken_at > {three_days}")
    if not _is_sqlite():
        op.alter_column(table, "points", nullable=True)
        return
    # SQLite cannot drop NOT NULL, and building the table anew would be dear: a new column takes the place of the old.
    op.add_column(table, sa.Column("points_or_null", sa.Integer(), nullable=True))
    op.execute(f"update {table} set points_or_null = points")
    op.drop_column(table, "points")
    op.execute(f"alter table {table} rename column points_or_null to points")


def _alerts() -> None:
    op.add_column("alerts", sa.Column("domain", sa.String(), nullable=False, server_default="mood"))
    for domain, codes in _BY_DOMAIN.items():
        op.execute(f"update alerts set domain = '{domain}' where instrument in ({codes})")
    op.add_column("alerts", sa.Column("rank", sa.Integer(), nullable=False, server_default="2"))
    op.execute("update alerts set rank = case priority when 'urgent' then 0 when 'high' then 1 else 2 end")
    op.add_column("alerts", sa.Column("onset_on", sa.Date(), nullable=True))
    op.add_column("alerts", sa.Column("withdrawn_at", _moment(), nullable=True))
    op.add_column("alerts", sa.Column("withdrawn_because", sa.String(), nullable=True))
    op.add_column("alerts", sa.Column("score_refused", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("alerts", sa.Column("repeats", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("alerts", sa.Column("moved_at", _moment(), nullable=True))
    op.add_column("alerts", sa.Column("refused", _document(), nullable=True))
    op.add_column("alerts", sa.Column("former", _document(), nullable=False, server_default="[]"))
    op.drop_index("ix_alerts_clinic_id_state_late_raised_at_id", "alerts")
    op.create_index(
        "ix_alerts_clinic_id_state_rank_late_raised_at_id",
        "alerts",
        ["clinic_id", "state", "rank", "late", "raised_at", "id"],
    )


def _patients() -> None:
    op.add_column("patients", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.add_column("patients", sa.Column("merged_at", _moment(), nullable=True))
    merged = sa.text("merged_into IS NOT NULL")
    op.create_index(
        "ix_patients_merged", "patients", ["clinic_id", "merged_into"], postgresql_where=merged, sqlite_where=merged
    )
    op.add_column("identifiers", sa.Column("form", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("identifiers", sa.Column("clashes", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index("ix_identifiers_clinic_id_form", "identifiers", ["clinic_id", "form"])
    op.add_column("patient_versions", sa.Column("recorded_by_kind", sa.String(), nullable=True))
    op.add_column("patient_versions", sa.Column("recorded_by_id", sa.Uuid(), nullable=True))
    op.add_column("patient_versions", sa.Column("reason", sa.String(), nullable=True))
    op.add_column("patient_versions", sa.Column("changed", _document(), nullable=False, server_default="[]"))
    op.add_column("patient_versions", sa.Column("content", _document(), nullable=False, server_default="{}"))
    op.add_column("devices", sa.Column("former_patient_ids", _document(), nullable=False, server_default="[]"))


def downgrade() -> None:
    _forced(False)
    op.drop_table("known_posts")
    op.drop_column("devices", "former_patient_ids")
    for name in ("content", "changed", "reason", "recorded_by_id", "recorded_by_kind"):
        op.drop_column("patient_versions", name)
    op.drop_index("ix_identifiers_clinic_id_form", "identifiers")
    for name in ("clashes", "form"):
        op.drop_column("identifiers", name)
    op.drop_index("ix_patients_merged", "patients")
    for name in ("merged_at", "merged_into"):
        op.drop_column("patients", name)
    op.drop_index("ix_alerts_clinic_id_state_rank_late_raised_at_id", "alerts")
    op.create_index(
        "ix_alerts_clinic_id_state_late_raised_at_id", "alerts", ["clinic_id", "state", "late", "raised_at", "id"]
    )
    for name in (
        "former",
        "refused",
        "moved_at",
        "repeats",
        "score_refused",
        "withdrawn_because",
        "withdrawn_at",
        "onset_on",
        "rank",
        "domain",
    ):
        op.drop_column("alerts", name)
    for name in ("moved_to", "moved_from"):
        op.drop_column("session_versions", name)
    # The release before knows no score without a value, and would read one as a reading.
    op.execute("update score_versions set superseded_at = recorded_at where points is null and superseded_at is null")
    op.execute("update score_versions set points = 0 where points is null")
    if _is_sqlite():
        op.add_column("score_versions", sa.Column("points_or_zero", sa.Integer(), nullable=False, server_default="0"))
        op.execute("update score_versions set points_or_zero = points")
        op.drop_column("score_versions", "points")
        op.execute("alter table score_versions rename column points_or_zero to points")
    else:
        op.alter_column("score_versions", "points", nullable=False)
    op.drop_column("score_versions", "late")
    for table in ("score_versions", "check_in_versions"):
        op.add_column(table, sa.Column("before_infusion", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.execute(f"update {table} set before_infusion = stated_before_at is not null")
        op.drop_column(table, "stated_before_at")
    for name in ("moved_to", "moved_from", "clock_suspect"):
        op.drop_column("check_in_versions", name)
    op.execute("alter table check_in_versions rename column clock_offset_seconds to clock_corrected_by_seconds")
    _forced(True)
