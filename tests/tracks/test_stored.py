"""What is stored is what folding afresh gives, and a domain's row is right on any later day without a write."""

import asyncio
import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from sqlmodel import col, select

from app import clock, work
from app.access import service as access
from app.access.service import Caller
from app.access.tokens import Claims
from app.clinic import service as clinics
from app.demo.clinic import Filled, fill
from app.migrating import upgrade
from app.people import service as people
from app.relief_answers import service as relief_answers
from app.storage import Database, new_id
from app.tracks import answers
from app.tracks import service as tracks
from app.tracks import store as tracks_store
from app.tracks.days import local_day
from app.tracks.domains import ENDLESS, advanced
from app.tracks.models import DomainStatus, EpisodeRow, FoldRow
from tests.conftest import ENGINES, Api, fresh_settings, question

Clinic = tuple[Database, Caller, Filled]


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A synthetic clinic whose scores came late, twice and out of order."""
    settings = fresh_settings(request.param, request, Path(tmp_path_factory.mktemp("stored")))
    upgrade(settings)
    database = Database(settings.database_url, settings.secret)
    clinic_id, now = new_id(), clock.now()
    database.writing(clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "S", "Pacific/Auckland", [], now))
    user_id = database.writing(
        clinic_id,
        lambda db: people.add_user(db, clinic_id, f"{clinic_id}@example.org", "admin", "a password of mine", now),
    )
    caller = database.reading(
        clinic_id, lambda db: access.caller_of_token(db, Claims("user", user_id, clinic_id, "", 0))
    )
    filled = fill(database, caller, 30, 240, now, seed=11)
    yield database, caller, filled
    database.close()


def test_stored_tracks_equal_folding_afresh(clinic: Clinic) -> None:
    database, caller, filled = clinic
    today = local_day(clock.now(), caller.time_zone)

    def compare(db: Any) -> int:
        folds = 0
        for patient_id in filled.patient_ids:
            stored = tracks.gather(db, caller.clinic_id, [patient_id])[patient_id]
            folded, _ = answers.known_on(db, caller.clinic_id, patient_id, caller.time_zone, today, None)
            assert stored.folded == stored.stored
            assert replace(stored.folded, last_taken_at=None) == folded.folded
            folds += len(stored.tracks)
        return folds

    assert database.reading(caller.clinic_id, compare) >= 3 * len(filled.patient_ids)


def test_a_domains_row_says_on_any_later_day_what_relief_says(clinic: Clinic) -> None:
    database, caller, filled = clinic
    now = clock.now()

    def compare(db: Any) -> set[str]:
        rows: dict[Any, list[DomainStatus]] = {}
        for row in db.exec(select(DomainStatus)):
            rows.setdefault(row.patient_id, []).append(row)
        seen = set()
        for patient_id in filled.patient_ids:
            for days in (0, 1, 20, 36, 70):
                later = now + timedelta(days=days)
                answer = relief_answers.relief_of(db, question(caller, patient_id, later)).value
                assert sorted(r.domain for r in rows[patient_id]) == sorted(d.domain for d in answer.domains)
                for row in rows[patient_id]:
                    domain = next(d for d in answer.domains if d.domain == row.domain)
                    then = advanced(row.model_dump(), local_day(later, caller.time_zone))
                    assert (then["instrument"], then["status"]) == (domain.instrument, domain.status)
                    assert then["since_on"] == domain.since_on or (then["since_on"], domain.since_on) == (ENDLESS, None)
                    seen.add(domain.status)
        return seen

    assert database.reading(caller.clinic_id, compare) >= {"holding", "stale", "no_response", "no_baseline"}


def test_a_track_of_an_older_rule_is_folded_again(clinic: Clinic) -> None:
    database, caller, filled = clinic
    now = clock.now()
    patient_id = random.Random(3).choice(filled.patient_ids)

    def relief(db: Any) -> Any:
        return relief_answers.relief_of(db, question(caller, patient_id, now))

    before = database.reading(caller.clinic_id, relief)

    def age(db: Any) -> None:
        for row in db.exec(select(FoldRow).where(FoldRow.patient_id == patient_id)):
            row.rule, row.state = "2020.1", b""
            db.add(row)

    database.writing(caller.clinic_id, age)
    assert database.reading(caller.clinic_id, relief) == before


def test_folding_again_after_an_upgrade_lets_posts_through(clinic: Clinic) -> None:
    """Everything is folded again, a few patients at a time, and a write need not wait for all of it."""
    database, caller, filled = clinic
    clinic_id = caller.clinic_id

    def age(db: Any) -> None:
        for row in db.exec(select(FoldRow)):
            row.rule = "2020.1"
            db.add(row)
        for episode in db.exec(select(EpisodeRow)):
            db.delete(episode)

    def kept(db: Any) -> tuple[list[str], int]:
        episodes = sorted(row.model_dump_json() for row in db.exec(select(EpisodeRow)))
        return episodes, len(tracks_store.outdated(db, clinic_id, 1_000))

    before, _ = database.reading(clinic_id, kept)
    database.writing(clinic_id, age)
    assert database.reading(clinic_id, kept) == ([], len(filled.patient_ids))

    async def meanwhile() -> int:
        """How many are left to be folded when a post gets its turn."""
        folding = asyncio.create_task(work.refold(database))
        left = len(filled.patient_ids)
        while left == len(filled.patient_ids):
            left = await database.write(clinic_id, lambda db: len(tracks_store.outdated(db, clinic_id, 1_000)))
        await folding
        return left

    assert 0 < asyncio.run(meanwhile()) < len(filled.patient_ids)
    assert database.reading(clinic_id, kept) == (before, 0)


def test_a_domain_that_is_no_longer_listed_has_no_row(server: TestClient, api: Api, database: Database) -> None:
    patient_id = api.patient(indications=["ocd"])

    def rows() -> list[str]:
        query = select(DomainStatus).where(col(DomainStatus.patient_id) == UUID(patient_id))
        return database.reading(api.clinic_id, lambda db: sorted(row.domain for row in db.exec(query)))

    assert rows() == ["anxiety", "mood", "ocd", "pain"]
    receipt = api.check_in(patient_id, "2025-01-06T09:00:00Z", "pcl-5", 40)
    assert rows() == ["anxiety", "mood", "ocd", "pain", "ptsd"]
    path = f"/v1/patients/{patient_id}/check-ins/{receipt['id']}/amendments"
    api.post(path, {"reason": "wrong patient", "void": True}, headers={"If-Match": '"1"'})
    api.patch(f"/v1/patients/{patient_id}", {"indications": []}, 1)
    assert rows() == ["anxiety", "mood", "pain"]


def test_a_booster_without_follow_up_is_stale_from_its_own_silence(api: Api, database: Database) -> None:
    patient_id = api.patient()
    api.check_in(patient_id, "2025-01-06T09:00:00-05:00", "nrs-mood", 1)
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    api.check_in(patient_id, "2025-01-20T09:00:00-05:00", "nrs-mood", 8)
    api.session(patient_id, "2025-03-10T10:00:00-05:00")
    query = select(DomainStatus).where(
        col(DomainStatus.patient_id) == UUID(patient_id), col(DomainStatus.domain) == "mood"
    )
    row = database.reading(api.clinic_id, lambda db: db.exec(query).one())
    assert (row.status, row.state, row.since_on, row.next_on) == ("stale", "holding", date(2025, 4, 15), None)
    stale = api.relief(patient_id, as_of="2025-04-15")["domains"][0]
    assert (stale["status"], stale["since_on"]) == ("stale", "2025-04-15")
