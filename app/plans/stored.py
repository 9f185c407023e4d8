"""Stored versions of plans, read as templates."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.plans.models import ClinicPlanVersion, PatientPlanVersion, PlanItemIn
from app.plans.schedule import Template
from app.tracks.days import local_day


def template(version: ClinicPlanVersion | PatientPlanVersion, zone: ZoneInfo) -> Template:
    """A version of a plan as the schedule reads it."""
    return template_of(version.recorded_at, version.items, zone, confirm=version.confirm)


def template_of(
    recorded_at: datetime, items: Sequence[Mapping[str, Any]] | None, zone: ZoneInfo, *, confirm: bool | None
) -> Template:
    """The same, from what a version holds."""
    asked = None if items is None else tuple(PlanItemIn.model_validate(item).item() for item in items)
    return Template(_applies_from(recorded_at, zone), asked, confirm)


def from_on(version: ClinicPlanVersion | PatientPlanVersion, zone: ZoneInfo) -> date:
    """The first day on which a version applies: the one after it was recorded."""
    return _applies_from(version.recorded_at, zone)


def _applies_from(recorded_at: datetime, zone: ZoneInfo) -> date:
    return local_day(recorded_at, zone) + timedelta(days=1)
