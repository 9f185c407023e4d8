"""A synthetic clinic for the answers over many patients, some of whom have several traits and second episodes."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from app import clock
from app.access import service as access
from app.access.service import Caller
from app.access.tokens import Claims
from app.api.parts import DATABASE
from app.clinic import service as clinics
from app.demo.clinic import fill
from app.storage import Database, new_id
from tests.conftest import Api, app_of, new_client, new_person

START = datetime(2025, 1, 6, 9, tzinfo=UTC)
_INDICATIONS = ("major_depressive_disorder", "anxiety_disorder", "chronic_pain", "ptsd")


@dataclass
class Demo:
    """The clinic, who may see all of it, and its door."""

    database: Database
    caller: Caller
    api: Api


def at(day: int, hour: int = 0) -> str:
    """A moment, counted from the start of the stories."""
    return (START + timedelta(days=day, hours=hour)).isoformat()


@pytest.fixture(scope="session")
def demo(server: TestClient) -> Demo:
    database: Database = DATABASE.in_app(app_of(server))
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Demo", "Europe/Paris", [], now))
    api = new_person(server, clinic_id, "admin")
    claims = Claims("user", api.caller_id, clinic_id, "", 0)
    caller = database.reading(clinic_id, lambda db: access.caller_of_token(db, claims))
    filled = fill(database, caller, 80, 150, now, seed=23)
    rng = random.Random(5)
    for patient_id in filled.patient_ids:
        version = api.get(f"/v1/patients/{patient_id}").json()["version"]
        traits = {
            "indications": rng.sample(_INDICATIONS, rng.choice([0, 1, 1, 1, 2, 3])),
            "failed_antidepressant_trials": rng.choice([None, 0, 1, 2, 2, 3, 5]),
        }
        api.patch(f"/v1/patients/{patient_id}", traits, version)
    twice = api.patient(indications=["ocd"])
    for day in (0, 300, 302):
        api.session(twice, at(day, 1))
    for day in (0, 300):
        for offset, score in ((0, 20), (4, 5), (12, 15), (20, 18)):
            api.check_in(twice, at(day + offset), "phq-9", score)
    return Demo(database, caller, api)


@pytest.fixture
def stranger(demo: Demo) -> Api:
    """An integration that may read cohorts and no patients."""
    return new_client(demo.api.server, demo.api.clinic_id, "cohorts:read")
