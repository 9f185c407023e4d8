"""The audit log only grows, is sealed in order, and says what was done to it."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import Session

from app import clock, work
from app.access.door import operate
from app.api.parts import DATABASE
from app.audit import sealing, store
from app.audit.sealing import Witness
from app.audit.service import by_operator
from app.errors import Busy, NotFound
from app.facts import Fact
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, new_id, open_engine
from tests.conftest import ENGINES, Api, app_of, fresh_settings, new_clinic, new_device


class Log:
    """A clinic's log in a database of its own, and somebody who may change anything in it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.server = TestClient(create_app(settings))
        self.database: Database = DATABASE.in_app(app_of(self.server))
        self.api = new_clinic(self.server)
        for _ in range(6):
            self.api.patient()
        self.api.get("/v1/patients")

    def seal(self) -> None:
        work.seal(self.database)

    def events(self) -> list[UUID]:
        return sorted(self.database.reading(self.api.clinic_id, lambda db: store.ids(db, self.api.clinic_id)))

    def found(self, *witnesses: Witness) -> list[tuple[str, str]]:
        clinic = self.api.clinic_id
        wrong = self.database.reading(clinic, lambda db: sealing.verify(db, clinic, witnesses))
        return [(problem.kind, problem.what) for problem in wrong]

    def witness(self) -> Witness:
        told = self.database.reading(self.api.clinic_id, lambda db: sealing.last_witness(db, self.api.clinic_id))
        assert told is not None
        clinic, number, mac = told.split(":")
        return Witness(UUID(clinic), int(number), mac)

    def change(self, *statements: str, **values: Any) -> None:
        """As the owner of everything, with every guard taken away."""
        engine = open_engine(self.settings.migration_database_url or self.settings.database_url)
        try:
            self._change(engine, statements, values)
        finally:
            engine.dispose()

    @staticmethod
    def _change(engine: Engine, statements: Sequence[str], values: dict[str, Any]) -> None:
        sqlite = engine.dialect.name == "sqlite"
        with engine.begin() as connection:
            tables = ("audit_events", "audit_subjects", "audit_seals", "audit_unsealed")
            for table in tables:
                if not sqlite:
                    connection.execute(text(f"alter table {table} no force row level security"))
                for action in ("update", "delete") if sqlite else ():
                    connection.execute(text(f"drop trigger if exists {table}_no_{action}"))
            for statement in statements:
                bound = {k: v.bytes if sqlite and isinstance(v, UUID) else v for k, v in values.items()}
                connection.execute(text(statement), bound)
            for table in tables if not sqlite else ():
                connection.execute(text(f"alter table {table} force row level security"))


@pytest.fixture(params=ENGINES)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    settings = fresh_settings(request.param, request, tmp_path)
    upgrade(settings)
    found = Log(settings)
    found.seal()
    yield found
    found.database.close()


def test_an_untouched_log_is_as_it_was_sealed(log: Log) -> None:
    assert log.found() == []
    log.api.patient()
    assert log.found() == [], "what is not sealed yet is not wrong"
    log.seal()
    log.seal()
    assert log.found(log.witness()) == []
    assert log.witness().number == 2, "nothing is sealed twice"


CHANGES: dict[str, tuple[Callable[[list[UUID]], dict[str, Any]], list[str], list[str]]] = {
    "altered": (
        lambda ids: {"one": ids[2]},
        ["update audit_events set operation = 'nothing' where id = :one"],
        ["altered 2"],
    ),
    "who it showed is altered": (
        lambda ids: {"one": ids[0], "other": ids[1]},
        ["update audit_events set patient_id = :other where id = :one"],
        ["altered 0"],
    ),
    "whom it showed is removed": (
        lambda ids: {"one": ids[1]},
        ["update audit_events set patient_id = null where id = :one"],
        ["altered 1"],
    ),
    "removed": (
        lambda ids: {"one": ids[3]},
        ["delete from audit_events where id = :one"],
        ["removed 3"],
    ),
    "inserted": (
        lambda ids: {"one": ids[0], "other": UUID(int=7)},
        [
            "insert into audit_events (clinic_id, id, at, actor_kind, actor_id, operation, request_id, outcome, "
            "address, patient_attempted) select clinic_id, :other, at, actor_kind, actor_id, operation, request_id, "
            "outcome, address, patient_attempted from audit_events where id = :one"
        ],
        ["inserted 7"],
    ),
    "reordered": (
        lambda ids: {"one": ids[1], "other": ids[2]},
        [],
        ["reordered 1", "reordered 2"],
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_was_done_to_an_event_is_named(log: Log, kind: str) -> None:
    values, statements, expected = CHANGES[kind]
    ids = log.events()
    if kind == "reordered":
        _swap(log, *list(values(ids).values())[:2])
    else:
        log.change(*statements, **values(ids))
    named = {f"event {event_id}": str(number) for number, event_id in enumerate(ids)}
    named[f"event {UUID(int=7)}"] = "7"
    assert [f"{found} {named[what]}" for found, what in log.found()] == expected


def _swap(log: Log, one: UUID, other: UUID) -> None:
    """What two events say, exchanged."""
    columns = ("at", "actor_kind", "actor_id", "operation", "request_id", "patient_id")
    sets = ", ".join(f"{c} = (select {c} from audit_events as o where o.id = :other)" for c in columns)
    back = ", ".join(f"{c} = (select {c} from swapped)" for c in columns)
    log.change(
        f"create table swapped as select {', '.join(columns)} from audit_events where id = :one",
        f"update audit_events set {sets} where id = :one",
        f"update audit_events set {back} where id = :other",
        "drop table swapped",
        one=one,
        other=other,
    )


def test_a_seal_that_was_changed_or_removed_is_named(log: Log) -> None:
    for _ in range(2):
        log.api.patient()
        log.seal()
    log.change("update audit_seals set mac = (select mac from audit_seals where number = 1) where number = 2")
    assert ("broken_seal", "seal 2") in log.found()
    log.change("delete from audit_seals where number = 2")
    kinds = {kind for kind, _ in log.found()}
    assert {"removed", "inserted"} <= kinds, "a seal is gone, and an event that nothing covers is there"


def test_a_cut_tail_shows_against_the_seal_in_the_log(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log.api.patient()
    caplog.set_level(logging.INFO, "holdfast.audit")
    log.seal()
    written = next(r.getMessage() for r in caplog.records if r.name == "holdfast.audit")
    clinic, number, mac = written.removeprefix("sealed ").split(":")
    witness = Witness(UUID(clinic), int(number), mac)
    assert log.found(witness) == []
    last = log.events()[-1]
    log.change(
        "delete from audit_seals where number = 2",
        "delete from audit_events where id = :last",
        last=last,
    )
    assert log.found() == [], "cut with its seal, the tail is not missed"
    assert log.found(witness) == [("cut_tail", "seal 2 of the service's log")]


def test_another_key_opens_nothing(log: Log) -> None:
    other = Database(log.settings.database_url, "another secret of at least thirty-two characters")
    clinic = log.api.clinic_id
    found = other.reading(clinic, lambda db: sealing.verify(db, clinic))
    assert {one.kind for one in found} == {"not_checked"}
    assert "HOLDFAST_PREVIOUS_SECRET_KEY" in found[0].what
    other.close()


def test_the_services_own_role_can_neither_change_nor_remove_an_event(log: Log) -> None:
    one = log.events()[0]
    assert len([log.api.patient() for _ in range(2)]) == len(
        log.api.get("/v1/patients", params={"limit": 2}).json()["items"]
    )
    log.seal()
    for statement in (
        "update audit_events set operation = 'x' where id = :one",
        "delete from audit_subjects",
        "delete from audit_events where id = :one",
        "update audit_seals set number = 9",
        "delete from audit_seals",
    ):

        def work(db: Any, statement: str = statement) -> None:
            value = one.bytes if log.database.is_sqlite else one
            db.connection().execute(text(statement), {"one": value} if ":one" in statement else {})

        with pytest.raises(DBAPIError, match=r"permission denied|only ever grows"):
            log.database.writing(log.api.clinic_id, work)
    assert log.found() == []


def test_an_event_cannot_be_removed_before_it_is_sealed(log: Log) -> None:
    log.api.patient()
    with pytest.raises(DBAPIError, match=r"(?i)foreign key|only ever grows"):  # the queue points at it
        log.change("delete from audit_events where id = :last", last=log.events()[-1])


def test_the_age_of_the_unsealed_tail_is_known(log: Log) -> None:
    clinic = log.api.clinic_id
    assert log.database.reading(clinic, lambda db: store.oldest_unsealed_at(db, clinic)) is None
    before = clock.now()
    log.api.patient()
    log.api.patient()
    oldest = log.database.reading(clinic, lambda db: store.oldest_unsealed_at(db, clinic))
    assert oldest is not None
    assert before <= oldest <= clock.now()


def audited(api: Api, operation: str) -> list[dict[str, Any]]:
    events = api.get("/v1/audit-events", params={"limit": 200}).json()["items"]
    return [event for event in events if event["operation"] == operation]


def test_what_was_refused_or_not_found_is_audited(server: TestClient, api: Api) -> None:
    patient_id, stranger = api.patient(), new_clinic(server)
    device = new_device(api, patient_id)
    assert stranger.get(f"/v1/patients/{patient_id}").status_code == 404
    assert device.get("/v1/patients").status_code == 403
    assert device.get(f"/v1/patients/{api.patient()}/relief").status_code == 404
    [tried] = audited(stranger, "get_patient")
    assert (tried["outcome"], tried["attempted"], tried["patient_ids"]) == ("not_found", {"patient_id": patient_id}, [])
    assert tried["attempted_patient_ids"] == [patient_id]
    assert tried["address"] == "testclient"
    [denied] = audited(api, "list_patients")
    assert (denied["outcome"], denied["actor"]["kind"]) == ("denied", "device")
    assert audited(api, "get_relief")[0]["outcome"] == "not_found"
    assert audited(api, "get_patient") == [], "a stranger's attempt is not this clinic's"


def test_who_asked_for_a_patient_and_did_not_get_them_is_found(api: Api) -> None:
    patient_id = api.patient()
    device = new_device(api, api.patient())
    score = {"taken_at": "2025-02-01T10:00:00Z", "responses": [{"instrument": "nrs-pain", "score": 3}]}
    device.get(f"/v1/patients/{patient_id}/relief")
    device.get(f"/v1/patients/{patient_id}/record")
    device.post("/v1/check-ins/batch", {"items": [score | {"patient_id": patient_id}]})
    events = api.get("/v1/audit-events", params={"patient_id": patient_id}).json()["items"]
    assert [(e["operation"], e["outcome"]) for e in events] == [
        ("record_check_ins", "not_found"),
        ("get_patient_record", "denied"),
        ("get_relief", "not_found"),
        ("create_patient", "done"),
    ]
    assert all(e["patient_ids"] == [] and e["attempted_patient_ids"] == [patient_id] for e in events[:3])


def test_an_event_made_up_for_an_earlier_day_is_named(log: Log) -> None:
    one = log.events()[0]
    columns = "actor_kind, actor_id, operation, request_id, outcome, address, patient_attempted"
    hour_ago = UUID(int=(one.int >> 80) - 3_600_000 << 80 | one.int & (1 << 80) - 1)
    fresh = new_id()
    made_up = (
        f"insert into audit_events (clinic_id, id, at, {columns}) "
        f"select clinic_id, :other, at, {columns} from audit_events where id = :one"
    )
    queued = (
        "insert into audit_unsealed (clinic_id, event_id) select clinic_id, :other from audit_events where id = :one"
    )
    log.change(made_up, queued, one=one, other=hour_ago)
    assert log.found() == [("out_of_time", f"event {hour_ago}")]
    log.seal()
    assert log.found() == [("out_of_time", f"event {hour_ago}")], "sealed, it is named all the same"
    earlier = "update audit_events set at = :then where id = :other"
    then: Any = 1_000_000 if log.database.is_sqlite else datetime(2020, 1, 1, tzinfo=UTC)
    log.change(made_up, queued, one=one, other=fresh)
    log.change(earlier, then=then, other=fresh)
    log.seal()
    assert set(log.found()) == {("out_of_time", f"event {hour_ago}"), ("out_of_time", f"event {fresh}")}


def test_what_cannot_even_be_read_is_named_and_hides_nothing_else(log: Log) -> None:
    if not log.database.is_sqlite:
        pytest.skip("PostgreSQL's types refuse it")
    ids = log.events()
    log.change("update audit_events set actor_id = 'x' where id = :one", one=ids[1])
    log.change("update audit_events set operation = 'x' where id = :one", one=ids[3])
    assert log.found() == [("altered", f"event {ids[1]}"), ("altered", f"event {ids[3]}")]
    log.change("update audit_events set operation = cast(x'ff' as text) where id = :one", one=ids[4])
    assert len(log.found()) == 3
    columns = "at, actor_kind, actor_id, operation, request_id, outcome, address, patient_attempted"
    log.change(
        f"insert into audit_events (clinic_id, id, {columns}) select clinic_id, 'x', {columns} from audit_events "
        "where id = :one",
        one=ids[5],
    )
    assert ("inserted", "an event whose id is none") in log.found()
    log.change("update audit_seals set entries = x'00' where number = 1")
    assert ("broken_seal", "seal 1") in log.found()


def test_a_batch_that_asks_for_strangers_is_audited(server: TestClient, api: Api) -> None:
    foreign = new_clinic(server).patient()
    own = api.patient()
    score = {"taken_at": "2025-02-01T10:00:00Z", "responses": [{"instrument": "nrs-pain", "score": 3}]}
    for ids in ([foreign], [own, foreign], [own]):
        api.post("/v1/check-ins/batch", {"items": [score | {"patient_id": p} for p in ids]})
    assert [e["outcome"] for e in audited(api, "record_check_ins")] == ["done", "partly_refused", "not_found"]


def test_a_write_refused_for_what_is_recorded_is_audited(api: Api) -> None:
    patient_id = api.patient()
    path = f"/v1/patients/{patient_id}/check-ins"
    scores = [
        {"taken_at": "2025-02-01T10:00:00Z", "responses": [{"instrument": "nrs-pain", "score": n}]} for n in (3, 4, 5)
    ]
    check_in = api.post(path, scores[0]).json()["id"]
    assert api.post(path, scores[1]).status_code == 409
    refused, kept = audited(api, "record_check_in")
    assert (refused["outcome"], refused["attempted_patient_ids"], refused["patient_ids"]) == (
        "refused",
        [patient_id],
        [],
    )
    assert kept["outcome"] == "done"
    api.post("/v1/check-ins/batch", {"items": [scores[2] | {"patient_id": patient_id}]})
    [batch] = audited(api, "record_check_ins")
    assert (batch["outcome"], batch["attempted_patient_ids"], batch["patient_ids"]) == ("refused", [patient_id], [])
    stale = api.post(f"{path}/{check_in}/amendments", {"reason": "x", "void": True}, headers={"If-Match": '"7"'})
    assert stale.status_code == 412
    assert audited(api, "amend_check_in")[0]["outcome"] == "refused"


def test_logins_are_audited_failed_ones_too(server: TestClient, api: Api) -> None:
    made = api.post("/v1/clients", {"name": "EHR", "scope": "patients:read"}).json()
    form = {"grant_type": "client_credentials", "client_id": made["id"]}
    for secret in ("wrong", made["client_secret"]):
        server.post("/oauth/token", data=form | {"client_secret": secret})
    assert [e["outcome"] for e in audited(api, "issue_token")] == ["done", "denied"]


def test_a_seal_whose_first_try_failed_is_kept_at_the_second(log: Log) -> None:
    clinic = log.api.clinic_id
    log.api.patient()
    seal = log.database.reading(clinic, lambda db: sealing.next_seal(db, clinic, clock.now()))
    assert seal is not None
    tries: list[int] = []

    def keep(db: Session) -> None:
        sealing.store_seal(db, seal)
        db.flush()
        tries.append(1)
        if len(tries) == 1:
            raise OperationalError("commit", {}, sqlite3.OperationalError("database is locked"))

    log.database.writing(clinic, keep)
    assert len(tries) == 2
    assert log.found() == []
    assert log.database.reading(clinic, lambda db: store.seal_numbers(db, clinic)) == [1, 2]


def test_of_two_seals_made_at_once_one_is_kept(log: Log) -> None:
    clinic = log.api.clinic_id
    log.api.patient()
    seals = [log.database.reading(clinic, lambda db: sealing.next_seal(db, clinic, clock.now())) for _ in range(2)]
    first, second = (partial(sealing.store_seal, seal=seal) for seal in seals if seal is not None)
    log.database.writing(clinic, first)
    with pytest.raises((DBAPIError, Busy)):
        log.database.writing(clinic, second)
    assert log.found() == []


def test_what_comes_while_a_seal_is_made_waits_for_the_next(log: Log) -> None:
    clinic = log.api.clinic_id
    log.api.patient()
    seal = log.database.reading(clinic, lambda db: sealing.next_seal(db, clinic, clock.now()))
    assert seal is not None
    log.api.patient()
    log.database.writing(clinic, partial(sealing.store_seal, seal=seal))
    assert len(log.database.reading(clinic, lambda db: store.unsealed(db, clinic))) == 1
    log.seal()
    assert log.database.reading(clinic, lambda db: store.unsealed(db, clinic)) == []
    assert log.found() == []


def test_a_round_makes_as_many_seals_as_it_takes_and_then_ends(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_EVENTS_A_SEAL", 3)
    clinic = log.api.clinic_id
    for _ in range(7):
        log.api.patient()
    log.seal()
    assert log.database.reading(clinic, lambda db: store.seal_numbers(db, clinic)) == [1, 2, 3, 4]
    assert log.found() == []


def test_an_event_out_of_time_can_be_acknowledged_with_a_reason(log: Log) -> None:
    """A clock was a day ahead when one event was recorded; the reason is kept in the log itself."""
    clinic, now = log.api.clinic_id, clock.now()
    act = by_operator(clinic, "list_users", now - timedelta(days=1))
    operate(log.database, act, lambda _: Fact(None))
    log.seal()
    [(kind, what)] = log.found()
    assert kind == "out_of_time"
    named = (("event_id", what.removeprefix("event ")), ("reason", "the clock of db2 was a day ahead"))
    said = by_operator(clinic, sealing.ACKNOWLEDGED, clock.now())
    operate(log.database, said, lambda _: Fact(None), attempted=named)
    log.seal()
    assert log.found() == [("acknowledged", f"{what} is out of time: the clock of db2 was a day ahead")]
    with pytest.raises(NotFound):
        log.database.reading(clinic, lambda db: sealing.check_event(db, clinic, new_id()))
