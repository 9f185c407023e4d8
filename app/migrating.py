"""Applying migrations, from a checkout or from an installed wheel."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url, text

from app.settings import Settings
from app.storage import open_engine

_HERE = Path(__file__).parent

# What the service's role may do beyond reading and inserting; whatever is not named is append-only for it.
_UPDATED = {
    "alert_notices": "*",
    "alerts": "state, amended_at, late, taken_at",
    "check_ins": "version, taken_at, voided",
    "clients": "name, scope, secret_hash, previous_secrets, disabled_at, version",
    "clinics": "name, time_zone, crisis_contacts, alert_recipients, patient_view, second_factor, smallest_group, "
    "version",
    "devices": "name, disabled_at",
    "domain_statuses": "*",
    "episodes": "*",
    "enrolments": "redeemed_at, expires_at",
    "identifiers": "external_id_digest, sealed",
    "folds": "*",
    "infusion_versions": "superseded_at",
    "leases": "*",
    "password_codes": "used_at",
    "patients": "*",
    "rate_counts": "*",
    "refresh_tokens": "used_at, revoked_at",
    "score_versions": "superseded_at",
    "sessions": "version, started_at",
    "throttles": "*",
    "users": "role, password_hash, disabled_at, sessions_ended_at, version, otp_secret, otp_pending, otp_confirmed_at, "
    "otp_last_step, recovery_hashes",
}
_DELETED = (
    "alert_notices",
    "audit_unsealed",
    "care_team_members",
    "domain_statuses",
    "enrolments",
    "episodes",
    "identifiers",
    "kept_answers",
    "password_codes",
    "patient_keys",
    "rate_counts",
    "refresh_tokens",
    "throttles",
)


def config(url: str | None = None, secret_key: str = "") -> Config:
    """Alembic's configuration for a database, with the service's secret for what is stored sealed."""
    packaged = _HERE / "_migrations"
    found = Config()
    location = packaged if packaged.is_dir() else _HERE.parent / "migrations"
    found.set_main_option("script_location", str(location).replace("%", "%%"))
    found.set_main_option("path_separator", "os")
    found.attributes["url"] = url
    found.attributes["secret_key"] = secret_key
    return found


def head() -> str:
    """The newest revision of this build."""
    revision = ScriptDirectory.from_config(config()).get_current_head()
    assert revision is not None  # there is always a first migration
    return revision


def upgrade(settings: Settings, revision: str = "head") -> None:
    """Brings the database to a revision, as its owner; on PostgreSQL then grants the service's role what it needs."""
    owner_url = settings.migration_database_url or settings.database_url
    command.upgrade(config(owner_url, settings.secret), revision)
    role = make_url(settings.database_url).username
    if owner_url.startswith("postgresql") and settings.migration_database_url and role:
        engine = open_engine(owner_url)
        with engine.begin() as connection:
            _grant(connection, role)
        engine.dispose()


def _grant(connection: Connection, role: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(role)
    schema = connection.dialect.identifier_preparer.quote(
        str(connection.execute(text("select current_schema")).scalar())
    )
    statements = [
        f"grant usage on schema {schema} to {quoted}",
        f"grant select, insert on all tables in schema {schema} to {quoted}",
        f"revoke insert on alembic_version from {quoted}",
    ]
    for table, columns in _UPDATED.items():
        what = "update" if columns == "*" else f"update ({columns})"
        statements.append(f"grant {what} on {table} to {quoted}")
    statements += [f"grant delete on {table} to {quoted}" for table in _DELETED]
    for statement in statements:
        connection.exec_driver_sql(statement)
