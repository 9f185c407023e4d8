"""Imports every room's models, for Alembic, and lists the tables that are open before a clinic is known."""

from sqlmodel import SQLModel

import app.access.models
import app.alerts.models
import app.api.idempotency
import app.api.limits
import app.audit.models
import app.checkins.models
import app.patients.models
import app.plans.models
import app.sessions.models
import app.storage.leases
import app.tracks.models  # noqa: F401

metadata = SQLModel.metadata

# Only ever grow, for the service's role too.
APPEND_ONLY = frozenset({"audit_events", "audit_subjects", "audit_seals"})

# Read before a clinic is known, or by jobs over all clinics; none holds a patient's data. Everything else is under
# row-level security.
OPEN_TABLES = frozenset(
    {
        "alert_notices",
        "clients",
        "enrolments",
        "leases",
        "password_codes",
        "rate_counts",
        "refresh_tokens",
        "throttles",
        "users",
    }
)
CLINIC_TABLES = frozenset(metadata.tables) - OPEN_TABLES
