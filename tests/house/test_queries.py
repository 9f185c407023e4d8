"""Queries per request are counted, and do not grow with the clinic, the history or the batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import event

from app.storage import Database, new_id
from app.storage.shares import Pool
from tests.conftest import Api, days_ago
from tests.exchange.files import imported


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        # Once a second the process shares its request counts. That belongs to no request, so it is not counted here.
        if not statement.startswith(("BEGIN", "INSERT INTO rate_counts")):
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def grow(api: Api, patient_id: str, weeks: int) -> None:
    for n in range(0, weeks, 10):
        api.session(patient_id, f"2024-{1 + n // 28:02}-{1 + n % 28:02}T10:00:00-05:00")
    items = [
        {"patient_id": patient_id, "taken_at": f"2024-{1 + n // 28:02}-{1 + n % 28:02}T09:00:00-05:00",
         "responses": [{"instrument": "phq-9", "score": n % 28}, {"instrument": "nrs-pain", "score": n % 11}]}
        for n in range(weeks)
    ]  # fmt: skip
    items.append({
        "patient_id": patient_id, "taken_at": days_ago(0.1),
        "responses": [{"instrument": "phq-9", "answers": [1] * 9}],
    })  # fmt: skip
    assert api.post("/v1/check-ins/batch", {"items": items}).status_code == 200
    api.session(patient_id, days_ago(1))


def told(body: Any) -> int:
    """How much a body tells, however deep: its members that are neither empty nor null."""
    inner = body.values() if isinstance(body, dict) else body if isinstance(body, list) else None
    return int(body not in (None, "", False, 0)) if inner is None else sum(map(told, inner))


def post(api: Api, patient_id: str, taken_at: str) -> Response:
    body = {
        "taken_at": taken_at,
        "responses": [{"instrument": code, "score": 5} for code in ("phq-9", "gad-7", "nrs-pain")],
    }
    return api.post(f"/v1/patients/{patient_id}/check-ins", body)


@pytest.mark.parametrize(("request_of", "most"), [
    (lambda api, patient: post(api, patient, days_ago(0.01)), (12, 8)),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/relief"), (5, 3)),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/check-ins"), 10),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/sessions"), 6),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/sessions", params={"include": "effect"}), 7),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/trend", params={"instrument": "phq-9"}), 8),
    (lambda api, patient: api.get("/v1/worklist"), 11),
    (lambda api, patient: api.get("/v1/cohorts/durability", params={"instrument": "phq-9"}), 10),
    (lambda api, patient: api.get("/v1/cohorts/outcomes", params={"instrument": "phq-9"}), 11),
    (lambda api, patient: api.get("/v1/alerts"), 7),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/plan/due"), 9),
    (lambda api, patient: api.get(f"/v1/patients/{patient}/record"), 21),
    (lambda api, patient: api.post("/v1/patients/search", {"external_id": patient}), (8, 6)),
    (lambda api, patient: api.get("/v1/patients"), 7),
], ids=["post", "relief", "check-ins", "sessions", "effects", "trend", "worklist", "durability", "rates", "alerts",
        "due", "record", "search", "patients"])  # fmt: skip
def test_a_request_takes_a_bounded_number_of_queries_whatever_the_history(
    api: Api, database: Database, request_of: Callable[[Api, str], Response], most: int | tuple[int, int]
) -> None:
    counts = []
    for weeks in (1, 200):
        patient_id = str(new_id())
        api.patient(id=patient_id, external_id=patient_id)
        grow(api, patient_id, weeks)
        assert post(api, patient_id, "2025-02-01T09:00:00-05:00").status_code == 201
        with counted(database) as statements:
            answer = request_of(api, patient_id)
        assert answer.status_code in (200, 201), answer.text
        assert told(answer.json()) >= 4, "there is something to read"
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 3, counts  # more where there are alerts to show
    bound = most if isinstance(most, int) else most[not database.is_sqlite]  # one statement for several tables
    assert counts[1] <= bound, counts


def test_a_search_that_finds_nobody_takes_few_queries(api: Api, database: Database) -> None:
    api.patient()
    with counted(database) as statements:
        assert api.post("/v1/patients/search", {"external_id": "x"}).json()["items"] == []
    assert len(statements) <= 4


def test_a_file_that_names_each_patient_twice_over_takes_as_many_queries_as_a_short_one(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export has `patient_id` and `external_id` on each line. While nobody else writes, 200 records are one step."""
    counts = []
    monkeypatch.setattr(Pool, "asked_of_late", lambda _: 0)
    table: list[str] = []
    for size in (5, 150):
        for n in range(len(table), size):
            patient = api.patient(external_id=f"MRN-{n}")
            table.append(f"{patient},MRN-{n},2026-01-01T09:00:00Z,nrs-pain,{n % 11}\n")
        text = "patient_id,external_id,taken_at,instrument,score\n" + "".join(table)
        with counted(database) as statements:
            imported(api, database, text, dry_run=True)
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 4, counts


def test_a_batch_takes_as_many_queries_as_a_handful(
    api: Api, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to 50 items are one transaction, while nobody else writes; a larger batch is several of these."""
    counts = []
    monkeypatch.setattr(Pool, "is_in_demand", lambda _: False)
    for size in (5, 50, 200):
        ids = [api.patient() for _ in range(5)]
        items = [
            {"patient_id": ids[n % 5], "taken_at": f"2025-01-01T09:{n % 60:02}:{n // 60:02}Z",
             "responses": [{"instrument": "nrs-pain", "score": n % 11}]}
            for n in range(size)
        ]  # fmt: skip
        with counted(database) as statements:
            assert api.post("/v1/check-ins/batch", {"items": items}).status_code == 200
        counts.append(len(statements))
    assert counts[1] <= counts[0] + 4, counts
    assert counts[2] <= 4 * counts[1], counts
