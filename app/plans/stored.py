"""Stored versions of plans, read as templates."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from app.plans.models import ClinicPlanVersion, PatientPlanVersion, PlanItemIn
from app.plans.schedule import Template
from app.tracks.days import local_day


def template(version: ClinicPlanVersion | PatientPlanVersion, zone: ZoneInfo) -> Template:
    """A version of a plan as the schedule reads it."""
    items = version.items
    asked = None if items is None else tuple(PlanItemIn.model_validate(item).item() for item in items)
    return Template(from_on(version, zone), asked, version.confirm)


def from_on(version: ClinicPlanVersion | PatientPlanVersion, zone: ZoneInfo) -> date:
    """The first day on which a version applies: the one after it was recorded."""
    return local_day(version.recorded_at, zone) + timedelta(days=1)
