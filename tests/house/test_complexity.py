"""What a request costs does not grow with the clinic: counted in steps of SQLite's virtual machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event

from app.storage import Database
from tests.conftest import Api, days_ago, new_clinic

_STEPS = 20
SMALL, LARGE = 40, 400
# Both clinics have this many open alerts, because the cost of the worklist and of the list of alerts depends on them.
ALERTS = 12


@contextmanager
def steps(database: Database) -> Iterator[list[int]]:
    """Counts the steps of SQLite's virtual machine, in units of 20."""
    taken = [0]

    def tick() -> int:
        taken[0] += 1
        return 0

    def watch(connection: Connection) -> None:
        driver(connection).set_progress_handler(tick, _STEPS)

    def leave(connection: Connection) -> None:
        driver(connection).set_progress_handler(None, _STEPS)

    def driver(connection: Connection) -> Any:
        return connection.connection.driver_connection

    listened = {"begin": watch, "commit": leave, "rollback": leave}
    for name, listener in listened.items():
        event.listen(database.engine, name, listener)
    yield taken
    for name, listener in listened.items():
        event.remove(database.engine, name, listener)


def filled(api: Api, patients: int) -> str:
    """A clinic of so many patients, each with an infusion and three check-ins; one of them."""
    ids = [api.patient() for _ in range(patients)]
    for patient_id in ids:
        api.session(patient_id, days_ago(30))
    items = [
        {"patient_id": patient_id, "taken_at": days_ago(day + n / 1_000),
         "responses": [{"instrument": "phq-9", "score": 20 - day % 19}, {"instrument": "nrs-pain", "score": day % 11}]}
        for n, patient_id in enumerate(ids) for day in (31, 20, 10)
    ]  # fmt: skip
    items += [
        {"patient_id": patient_id, "taken_at": days_ago(0.5 + n / 10_000),
         "responses": [{"instrument": "phq-9", "answers": [1] * 9}]}
        for n, patient_id in enumerate(ids[:ALERTS])
    ]  # fmt: skip
    for first in range(0, len(items), 500):
        assert api.post("/v1/check-ins/batch", {"items": items[first : first + 500]}).status_code == 200
    return ids[patients // 2]


@pytest.fixture(scope="module")
def clinics(server: Any, settings: Any) -> tuple[tuple[Api, str], tuple[Api, str]]:
    if not settings.database_url.startswith("sqlite"):
        pytest.skip("the steps of SQLite's machine are counted")
    small, large = new_clinic(server), new_clinic(server)
    return (small, filled(small, SMALL)), (large, filled(large, LARGE))


def post(api: Api, patient_id: str, day: float) -> Any:
    answers = [{"instrument": "phq-9", "score": 7}, {"instrument": "nrs-pain", "score": 4}]
    return api.post(f"/v1/patients/{patient_id}/check-ins", {"taken_at": days_ago(day), "responses": answers})


_REQUESTS = {
    "relief": lambda api, patient: api.get(f"/v1/patients/{patient}/relief"),
    "trend": lambda api, patient: api.get(f"/v1/patients/{patient}/trend", params={"instrument": "phq-9"}),
    "check-ins": lambda api, patient: api.get(f"/v1/patients/{patient}/check-ins"),
    "sessions": lambda api, patient: api.get(f"/v1/patients/{patient}/sessions"),
    "due": lambda api, patient: api.get(f"/v1/patients/{patient}/plan/due"),
    "worklist": lambda api, patient: api.get("/v1/worklist", params={"limit": 10}),
    "alerts": lambda api, patient: api.get("/v1/alerts"),
    "patients": lambda api, patient: api.get("/v1/patients", params={"limit": 5}),
    "post": lambda api, patient: post(api, patient, 1),
    "late post": lambda api, patient: post(api, patient, 15.5),
}


@pytest.mark.parametrize("name", _REQUESTS)
def test_a_request_costs_the_same_in_a_clinic_ten_times_as_large(
    clinics: tuple[tuple[Api, str], tuple[Api, str]], database: Database, name: str
) -> None:
    taken = []
    for api, patient in clinics:
        with steps(database) as count:
            answer = _REQUESTS[name](api, patient)
        assert answer.status_code in (200, 201)
        assert answer.json().get("items", answer.json()), "there is something to read"
        assert count[0] > 0
        taken.append(count[0] * _STEPS)
    assert taken[1] <= 1.3 * taken[0] + 200, taken
