"""Use cases of a clinic's settings."""

from datetime import datetime
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import MISSING

from app.access import store
from app.access.models import Clinic, CrisisContact
from app.access.service import NOTICE
from app.alerts import mailing
from app.alerts.mailing import Mail, reaches_nobody
from app.audit.service import Act
from app.clinic.models import ClinicOut, ClinicPatch
from app.errors import Fault, Invalid, NotFound
from app.facts import Fact, require_version
from app.speech import message as _
from app.storage import Transaction
from app.tracks import store as tracks

DEFAULT_CONTACTS = [{"label": _("Emergency"), "contact": _("your local emergency number")}]


def add_clinic(
    db: Transaction,
    clinic_id: UUID,
    name: str,
    time_zone: str,
    contacts: list[dict[str, str]],
    now: datetime,
    *,
    synthetic: bool = False,
    second_factor: str = "optional",
) -> None:
    """Adds a clinic. Raises Invalid for an unknown IANA time zone."""
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
    """Raises Invalid for an unknown IANA time zone."""
    if time_zone not in available_timezones():
        raise Invalid(errors=[fault])


def one(db: Transaction, clinic_id: UUID, mail: Mail | None) -> Fact[ClinicOut]:
    """A clinic's settings."""
    clinic = store.clinic(db, clinic_id)
    if clinic is None:
        raise NotFound
    return Fact(clinic_out(clinic, mail), version=clinic.version)


def update(db: Transaction, act: Act, expected: int | None, patch: ClinicPatch, mail: Mail | None) -> Fact[ClinicOut]:
    """Changes the settings and returns them. A patch that changes nothing makes no version. Raises PreconditionFailed,
    and Invalid for an unknown time zone, or for a change of time zone after a check-in was recorded."""
    clinic = store.locked_clinic(db, act.clinic_id)
    require_version(expected, clinic.version)
    sent = {name: value for name in ClinicPatch.model_fields if (value := getattr(patch, name)) is not MISSING}
    if "crisis_contacts" in sent:
        sent["crisis_contacts"] = [contact.model_dump() for contact in sent["crisis_contacts"]]
    changed = {name: value for name, value in sent.items() if getattr(clinic, name) != value}
    if "time_zone" in changed:
        check_zone(Fault("pointer", "/time_zone", "must be an IANA time zone"), changed["time_zone"])
        if tracks.has_scores(db, act.clinic_id):
            raise Invalid(errors=[Fault("pointer", "/time_zone", "is fixed once a check-in is recorded")])
        tracks.outdate(db, act.clinic_id)  # stored days are those of the old time zone
    for name, value in changed.items():
        setattr(clinic, name, value)
    if changed.get("alert_recipients"):
        mailing.wake(db, act.clinic_id)
    clinic.version += bool(changed)
    db.add(clinic)
    db.flush()
    return Fact(clinic_out(clinic, mail), version=clinic.version, changes_callers=True)


def clinic_out(clinic: Clinic, mail: Mail | None) -> ClinicOut:
    """The response body of a clinic's settings."""
    why = None if clinic.alert_recipients else "no_recipients"
    return ClinicOut(
        id=clinic.id,
        name=clinic.name,
        time_zone=clinic.time_zone,
        synthetic=clinic.synthetic,
        notice=NOTICE,
        crisis_contacts=[CrisisContact(**contact) for contact in clinic.crisis_contacts],
        alert_recipients=clinic.alert_recipients,
        alerts_reach_nobody=reaches_nobody(clinic.alert_recipients, mail),
        alerts_reach_nobody_because=why or (None if mail else "no_mail_server"),
        patient_view=clinic.patient_view,
        second_factor=clinic.second_factor,
        smallest_group=clinic.smallest_group,
        created_at=clinic.created_at,
        version=clinic.version,
    )
