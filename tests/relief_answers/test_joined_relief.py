"""Questions about relief that come together are answered and audited each on its own."""

import asyncio
from uuid import UUID

from sqlmodel import select

from app import clock
from app.access.door import audited
from app.access.service import Caller, caller_of_token
from app.access.tokens import read_token
from app.audit.models import AuditEvent
from app.audit.service import Act
from app.errors import Invalid, NotFound
from app.facts import Fact
from app.relief_answers import service as relief_answers
from app.relief_answers.models import ReliefOut
from app.relief_answers.service import Question
from app.storage import Database, new_id
from app.tracks import store as tracks_store
from tests.conftest import Api, days_ago, question

_answered = audited(relief_answers.relief_of_many)


def caller_of(api: Api, database: Database) -> Caller:
    claims = read_token(database.keyring, api.token)
    return database.reading(api.clinic_id, lambda db: caller_of_token(db, claims))


def test_each_has_its_own_answer_and_only_what_was_shown_is_audited(api: Api, database: Database) -> None:
    caller = caller_of(api, database)
    known, other = UUID(api.patient()), UUID(api.patient())
    api.check_in(str(known), days_ago(3), "phq-9", 12)
    now = clock.now()

    def requested(patient_id: UUID, name: str, rule: str | None = None) -> Question:
        act = Act(api.clinic_id, "user", caller.id, "get_relief", f"{name}-{known}", now)
        return Question(caller, act, patient_id, rule=rule)

    requests = [
        requested(known, "first"),
        requested(new_id(), "unknown"),
        requested(known, "again"),
        requested(other, "wrong", rule="0"),
        requested(other, "second"),
    ]
    show = database.write_on_snapshot(api.clinic_id, lambda db: _answered(db, api.clinic_id, requests))
    first, unknown, again, wrong, second = asyncio.run(show)
    assert isinstance(first, Fact)
    assert isinstance(first.value, ReliefOut)
    assert first == again
    assert isinstance(second, Fact)
    assert (type(unknown), type(wrong)) == (NotFound, Invalid)
    shown = database.reading(api.clinic_id, lambda db: set(db.exec(select(AuditEvent.request_id)).all()))
    assert {name for name in ("first", "unknown", "again", "wrong", "second") if f"{name}-{known}" in shown} == {
        "first",
        "again",
        "second",
    }


def test_what_has_to_be_folded_afresh_keeps_nobody_waiting_and_is_answered_alike(api: Api, database: Database) -> None:
    patient = api.patient()
    api.check_in(patient, days_ago(3), "phq-9", 12)
    stored = api.relief(patient)
    database.writing(api.clinic_id, lambda db: tracks_store.outdate(db, api.clinic_id))
    caller = caller_of(api, database)
    now = clock.now()
    request = question(caller, UUID(patient), now)
    show = database.write_on_snapshot(api.clinic_id, lambda db: _answered(db, api.clinic_id, [request]))
    assert asyncio.run(show) == [None]
    assert api.relief(patient) == stored
