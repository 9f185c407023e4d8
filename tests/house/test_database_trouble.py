"""A database that is locked, frozen, full or gone: others go on, and the answer is `busy`, never 500."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import PendingRollbackError

from app.api.parts import DATABASE
from app.errors import Busy
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, new_id, open_engine, shares
from app.storage.shares import Pool
from tests.conftest import SECRET, Api, app_of, days_ago, fresh_settings, new_clinic
from tests.house.processes import PASSWORD, run, serving


@pytest.fixture
def postgres(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    return settings


def post(api: Api, patient: str, minutes: int) -> Any:
    body = {"taken_at": days_ago(1 + minutes / 1440), "responses": [{"instrument": "nrs-pain", "score": 3}]}
    return api.post(f"/v1/patients/{patient}/check-ins", body)


@pytest.mark.postgresql
def test_a_lock_on_one_clinics_rows_stops_no_other_clinic(postgres: Settings) -> None:
    with TestClient(create_app(postgres)) as client:
        locked, free = new_clinic(client), new_clinic(client)
        patient, other = locked.patient(), free.patient()
        engine = open_engine(postgres.migration_database_url or "")
        with engine.connect() as holder:
            holder.execute(text("alter table patients no force row level security"))
            holder.commit()
            holder.execute(text("select 1 from patients where id = :id for update"), {"id": UUID(patient)})
            waiting: list[Any] = []

            def change(label: str) -> None:
                waiting.append(locked.patch(f"/v1/patients/{patient}", {"label": label}, 1))

            threads = [threading.Thread(target=change, args=(str(n),)) for n in range(16)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            began = time.monotonic()
            assert post(free, other, 1).status_code == 201
            assert free.get(f"/v1/patients/{other}/relief").status_code == 200
            assert time.monotonic() - began < 1.5
            for thread in threads:
                thread.join(30)
            assert {answer.status_code for answer in waiting} == {503}
            assert waiting[0].json()["code"] == "busy"
            assert waiting[0].headers["retry-after"]
            holder.rollback()
            holder.execute(text("alter table patients force row level security"))
            holder.commit()
        engine.dispose()
        assert locked.patch(f"/v1/patients/{patient}", {"label": "now"}, 1).status_code == 200


@pytest.mark.postgresql
def test_a_frozen_database_is_not_ready_within_two_seconds(postgres: Settings) -> None:
    made = run(postgres, "clinics", "add", "--name", "N", "--time-zone", "UTC", "--admin-email", "a@example.org",
               "--admin-password-stdin", stdin=f"{PASSWORD}\n")  # fmt: skip
    assert made["clinic_id"]
    with serving(postgres, "--no-work") as address:
        backends = _backends(postgres)
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(3):
                began = time.monotonic()
                answer = httpx.get(f"{address}/readyz", timeout=10)
                assert (answer.status_code, time.monotonic() - began < 2.5) == (503, True)
                assert httpx.get(f"{address}/livez", timeout=10).status_code == 200
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        time.sleep(0.5)
        assert httpx.get(f"{address}/readyz", timeout=10).status_code == 200


def _backends(settings: Settings) -> list[int]:
    """The server's processes that serve this database, and the one that makes more of them."""
    engine = open_engine(settings.migration_database_url or "")
    with engine.connect() as connection:
        query = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        found = [row[0] for row in connection.execute(text(query))]
        mine = connection.execute(text("select pg_backend_pid()")).scalar_one()
        parent = int(Path(f"/proc/{mine}/stat").read_text().rsplit(")", 1)[1].split()[1])
    engine.dispose()
    return [*found, parent]


def test_a_clinic_has_its_share_of_threads_and_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "_TURN_SECONDS", 0.3)
    monkeypatch.setattr(shares, "_ANSWER_SECONDS", 0.5)
    gate = threading.Event()

    async def story() -> None:
        pool, one, two = Pool(3, 2, "test"), new_id(), new_id()
        held = [asyncio.create_task(pool.run(one, gate.wait)) for _ in range(4)]
        await asyncio.sleep(0.05)
        assert await pool.run(two, lambda: "mine") == "mine", "the other clinic's turn is free"
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Busy] * 4
        gate.set()
        await asyncio.sleep(0.1)
        assert await pool.run(one, lambda: "again") == "again", "turns come back"
        pool.shutdown()

    asyncio.run(story())


def test_while_others_write_a_clinic_does_one_part_of_its_long_work_at_a_time() -> None:
    async def most_at_once(pool: Pool, *, in_demand: bool) -> int:
        if in_demand:
            await pool.run(new_id(), lambda: None)
        clinic_id, running, most = new_id(), 0, 0
        lock = threading.Lock()

        def part() -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.05)
            with lock:
                running -= 1

        await asyncio.gather(
            *(pool.run_part(clinic_id, part) for _ in range(3)), *(pool.compute(clinic_id, part) for _ in range(2))
        )
        return most

    async def story() -> None:
        pool = Pool(4, 3, "test")
        assert not pool.is_in_demand()
        assert await most_at_once(pool, in_demand=False) == 4, "three parts, and one thread that computes"
        assert await most_at_once(pool, in_demand=True) == 1
        pool.shutdown()

    asyncio.run(story())


def test_a_batch_is_written_in_large_parts_and_in_small_ones_while_others_write(api: Api) -> None:
    def events_of_a_batch(day: int) -> int:
        items = [
            {"patient_id": patient, "taken_at": days_ago(day + minute / 1440),
             "responses": [{"instrument": "nrs-pain", "score": 3}]}
            for minute in range(60)
        ]  # fmt: skip
        answer = api.post("/v1/check-ins/batch", {"items": items})
        assert [result["http_status"] for result in answer.json()["results"]] == [201] * 60
        found = api.get("/v1/audit-events", params={"limit": 200}).json()["items"]
        return sum(event["request_id"] == answer.headers["x-request-id"] for event in found)

    patient = api.patient()
    time.sleep(1.1)  # whoever wrote before is forgotten
    assert events_of_a_batch(2) == 2
    post(api, patient, 0)
    assert events_of_a_batch(4) > 5


def test_a_full_disk_is_busy_and_not_ready_until_there_is_room(tmp_path: Path) -> None:
    settings = Settings(database_url=f"sqlite:///{tmp_path}/h.db", secret_key=SECRET)  # type: ignore[arg-type]
    upgrade(settings)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        api = new_clinic(client)
        patient = api.patient()
        database: Database = DATABASE.in_app(app_of(client))

        with database._in_turn() as writer:
            cursor = writer.connection.cursor()
            [pages] = cursor.execute("pragma page_count").fetchone()
            cursor.execute(f"pragma max_page_count = {pages}")
            cursor.close()
        kept = 0
        while (answer := post(api, patient, kept)).status_code == 201:
            kept += 1
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "busy", "1")
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (503, "the disk is full, or has less than 16 MiB left")
        # SQLite's connection is given up after the error, and the new one has no such limit: there is room again.
        assert post(api, patient, kept).status_code == 201
        assert client.get("/readyz").status_code == 200
        count = text("select count(*) from check_ins")
        assert database.reading(api.clinic_id, lambda db: db.execute(count).scalar_one()) == kept + 1


@pytest.mark.postgresql
def test_a_connection_that_dies_in_a_batch_is_busy(postgres: Settings) -> None:
    with TestClient(create_app(postgres), raise_server_exceptions=False) as client:
        api = new_clinic(client)
        patient = api.patient()
        database: Database = DATABASE.in_app(app_of(client))

        def die(db: Any) -> None:
            with db.begin_nested():
                pid = db.execute(text("select pg_backend_pid()")).scalar_one()
                os.kill(pid, signal.SIGTERM)
                time.sleep(0.2)
                try:
                    db.execute(text("select 1"))
                except Exception:
                    db.execute(text("select 1"))

        with pytest.raises((Busy, PendingRollbackError)) as raised:
            database.writing(api.clinic_id, die)
        assert raised.type is Busy
        assert post(api, patient, 1).status_code == 201
