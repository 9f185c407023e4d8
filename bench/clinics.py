"""Clinics to be measured on, filled by the demo generator through the function that records."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlmodel import Session

from app import clock
from app.access import service as access
from app.access import tokens
from app.access.models import User
from app.access.service import Caller
from app.access.tokens import Claims
from app.clinic import service as clinics
from app.demo.clinic import fill
from app.settings import Settings
from app.storage import Database, new_id


@dataclass(frozen=True)
class Clinic:
    """A clinic, one of its people, and its patients."""

    id: UUID
    caller: Caller
    patient_ids: tuple[UUID, ...]


def filled(database: Database, patients: int, days: int, seed: int, ending: timedelta = timedelta(0)) -> Clinic:
    """A clinic of synthetic patients whose last check-ins lie `ending` before now."""
    clinic_id, now = new_id(), clock.now()
    user = User(clinic_id=clinic_id, id=new_id(), email=f"{new_id()}@example.org", role="admin",
                password_hash=None, created_at=now, disabled_at=None)  # fmt: skip

    def add(db: Session) -> None:
        clinics.add_clinic(db, clinic_id, "Bench", "America/New_York", [], now, synthetic=True)
        db.add(user)

    database.writing(clinic_id, add)
    claims = Claims("user", user.id, clinic_id, "", 0)
    caller = database.reading(clinic_id, lambda db: access.caller_of_token(db, claims))
    found = fill(database, caller, patients, days, now - ending, seed)
    return Clinic(clinic_id, caller, found.patient_ids)


def token(settings: Settings, database: Database, clinic: Clinic) -> str:
    """A token of the clinic's person, good for 15 minutes."""
    return token_of(settings, database, clinic.id, clinic.caller.id)


def token_of(settings: Settings, database: Database, clinic_id: UUID, user_id: UUID) -> str:
    """A token of a clinic's person, good for 15 minutes."""

    def work(db: Session) -> str:
        user = db.get_one(User, (clinic_id, user_id))
        return tokens.sign_in(db, user, clock.now()).access_token

    return database.writing(clinic_id, work)
