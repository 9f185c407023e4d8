"""Imports every room's models, for Alembic. Nothing else."""

from sqlmodel import SQLModel

import app.access.models
import app.alerts.models
import app.api.idempotency
import app.audit.models
import app.checkins.models
import app.patients.models
import app.sessions.models
import app.tracks.models  # noqa: F401

metadata = SQLModel.metadata
