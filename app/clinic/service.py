"""Use cases of a clinic's settings."""

from pydantic import MISSING
from sqlmodel import Session

from app.access import store
from app.access.clinics import check_zone
from app.access.faces import CrisisContact
from app.access.models import Clinic
from app.access.service import NOTICE
from app.alerts import mailing
from app.alerts.mailing import Mail, reaches_nobody
from app.api.versions import require_version
from app.audit import service as audit
from app.audit.service import Act
from app.clinic.models import ClinicOut, ClinicPatch
from app.errors import Fault, Invalid
from app.tracks import store as tracks


def update(db: Session, act: Act, expected: int | None, patch: ClinicPatch, mail: Mail | None) -> ClinicOut:
    """Changed settings; an empty patch makes no version. Raises PreconditionFailed, and Invalid for an unknown zone, or
    another one once a check-in is recorded."""
    clinic = store.locked_clinic(db, act.clinic_id)
    require_version(expected, clinic.version)
    sent = {name: value for name in ClinicPatch.model_fields if (value := getattr(patch, name)) is not MISSING}
    if "crisis_contacts" in sent:
        sent["crisis_contacts"] = [contact.model_dump() for contact in sent["crisis_contacts"]]
    changed = {name: value for name, value in sent.items() if getattr(clinic, name) != value}
    audit.record(db, act, [])
    if "time_zone" in changed:
        check_zone(Fault("pointer", "/time_zone", "must be an IANA time zone"), changed["time_zone"])
        if tracks.has_scores(db, act.clinic_id):
            raise Invalid(errors=[Fault("pointer", "/time_zone", "is fixed once a check-in is recorded")])
        tracks.outdate(db, act.clinic_id)  # the days of sessions are kept, and were those of the other zone
    for name, value in changed.items():
        setattr(clinic, name, value)
    if changed.get("alert_recipients"):
        mailing.wake(db, act.clinic_id)
    clinic.version += bool(changed)
    db.add(clinic)
    db.flush()
    return answer(clinic, mail)


def answer(clinic: Clinic, mail: Mail | None) -> ClinicOut:
    """A clinic's settings as the service shows them."""
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
