"""Adding a clinic."""

from datetime import datetime
from uuid import UUID
from zoneinfo import available_timezones

from sqlmodel import Session

from app.access.models import Clinic
from app.errors import Fault, Invalid

DEFAULT_CONTACTS = [{"label": "Emergency", "contact": "your local emergency number"}]


def add_clinic(
    db: Session,
    clinic_id: UUID,
    name: str,
    time_zone: str,
    contacts: list[dict[str, str]],
    now: datetime,
    *,
    synthetic: bool = False,
    second_factor: str = "optional",
) -> None:
    """A new clinic. Raises Invalid for an unknown IANA zone."""
    check_zone(Fault("parameter", "time_zone", "must be an IANA time zone"), time_zone)
    db.add(
        Clinic(
            id=clinic_id,
            name=name,
            time_zone=time_zone,
            synthetic=synthetic,
            crisis_contacts=contacts or DEFAULT_CONTACTS,
            created_at=now,
            second_factor=second_factor,
        )
    )
    db.flush()


def check_zone(fault: Fault, time_zone: str) -> None:
    """Raises Invalid for an unknown IANA zone."""
    if time_zone not in available_timezones():
        raise Invalid(errors=[fault])
