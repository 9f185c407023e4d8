"""Imports every room's tables, for Alembic. Each table declares what it grants and whether it belongs to clinics."""

from sqlmodel import SQLModel

import app.access.models
import app.alerts.models
import app.api.models
import app.audit.models
import app.calendars.models
import app.checkins.models
import app.cohorts.models
import app.events.models
import app.exchange.models
import app.outbox.models
import app.patients.models
import app.plans.models
import app.reminders.models
import app.sessions.models
import app.storage.keyring
import app.storage.leases
import app.tracks.models
import app.webhooks.models
import app.wording.models  # noqa: F401
from app.storage import rights_of

metadata = SQLModel.metadata

# Under row-level security.
CLINIC_TABLES = frozenset(name for name, table in metadata.tables.items() if not rights_of(table).is_open)
OPEN_TABLES = frozenset(metadata.tables) - CLINIC_TABLES
# Only grow, for the service's role too.
APPEND_ONLY = frozenset(name for name, table in metadata.tables.items() if rights_of(table).is_append_only)
