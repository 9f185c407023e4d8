"""Row-level security repeats the rule: a query that forgets its clinic sees nothing, and no transaction has two."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, Table, Text, Uuid, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from app import clock
from app.access.models import Clinic
from app.audit import recording
from app.audit.service import Act, AuditEntry
from app.migrating import upgrade
from app.patients.models import Patient
from app.settings import Settings
from app.storage import NO_CLINIC, Database, Joined, grant, new_id, rights, role_faults, secure
from app.tables import APPEND_ONLY, CLINIC_TABLES
from tests.conftest import Api, fresh_settings, new_clinic

pytestmark = pytest.mark.postgresql


@pytest.fixture
def own(settings: Settings) -> Settings:
    if not settings.database_url.startswith("postgresql"):
        pytest.skip("row-level security is PostgreSQL's")
    return settings


def test_a_forgotten_filter_shows_one_clinic_and_without_a_clinic_nothing(
    own: Settings, api: Api, database: Database, server: Any
) -> None:
    mine, theirs = api.patient(), new_clinic(server).patient()
    seen = database.reading(api.clinic_id, lambda db: {str(p.id) for p in db.exec(select(Patient))})
    assert mine in seen
    assert theirs not in seen
    assert database.reading(NO_CLINIC, lambda db: db.exec(select(Patient)).all()) == []
    assert database.reading(NO_CLINIC, lambda db: db.exec(select(Clinic)).all()) == []


def test_nothing_is_written_into_another_clinic(own: Settings, api: Api, database: Database, server: Any) -> None:
    other = new_clinic(server).clinic_id

    def write(db: Any) -> None:
        db.connection().execute(
            text("insert into clinic_plan_versions values (:clinic, 2, now(), :clinic, '[]')"), {"clinic": other}
        )

    with pytest.raises(DBAPIError, match="row-level security"):
        database.writing(api.clinic_id, write)


def test_a_transaction_of_one_clinic_leaves_nothing_for_the_next(own: Settings, api: Api, database: Database) -> None:
    query = text("select nullif(current_setting('holdfast.clinic_id', true), '')")
    for _ in range(3):
        assert database.reading(api.clinic_id, lambda db: db.connection().execute(query).scalar()) == str(api.clinic_id)
        with database.engine.connect() as connection:  # the same pooled connection, by hand
            assert connection.execute(query).scalar() is None


def test_posts_of_two_clinics_at_once_never_share_a_transaction(own: Settings, database: Database) -> None:
    """Group commit queues per clinic: what it calls gets posts of one clinic only."""
    named = text("select current_setting('holdfast.clinic_id', true)")

    def record(db: Any, clinic_id: Any, posts: Any) -> Any:
        assert set(posts) == {clinic_id}
        assert db.connection().execute(named).scalar() == str(clinic_id)
        return list(posts)

    async def both() -> None:
        commit: Joined[Any, Any] = Joined(database.write, record)
        clinics = [new_id() for _ in range(3)]
        await asyncio.gather(*(commit.submit(clinic, clinic) for _ in range(20) for clinic in clinics))

    asyncio.run(both())


def test_a_role_that_could_see_everything_is_named(
    own: Settings, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert role_faults(own.database_url, CLINIC_TABLES, APPEND_ONLY) == []
    assert role_faults(own.migration_database_url or "", CLINIC_TABLES, APPEND_ONLY)[0].startswith("owns the table")
    superuser = make_url(request.getfixturevalue("postgres_owner_url")).set(
        database=make_url(own.database_url).database
    )
    faults = role_faults(
        superuser.set(drivername="postgresql").render_as_string(hide_password=False), CLINIC_TABLES, APPEND_ONLY
    )
    assert faults[:2] == ["is a superuser, or may become one", "bypasses row-level security, or may"]
    assert role_faults("sqlite:///x.db", CLINIC_TABLES, APPEND_ONLY) == []


@pytest.mark.parametrize(("statements", "fault"), [
    (["grant {owner} to {service}"], "owns the table"),
    (["grant {owner} to {service} with inherit false"], "owns the table"),
    (["create role {service}_above superuser", "grant {service}_above to {service} with inherit false"], "superuser"),
    (["create role {service}_free bypassrls", "grant {service}_free to {service}"], "bypasses"),
    (["alter table alerts disable row level security"], "not held by row-level security on alerts"),
    (["alter table alerts no force row level security"], "not held by row-level security on alerts"),
    (["grant update on audit_events to {service}"], "may change audit_events"),
    (["grant update (outcome) on audit_events to {service}"], "may change audit_events"),
    (["create table spatial_ref_sys (id int)"], ""),
])  # fmt: skip
def test_a_role_that_may_become_what_it_must_not_be_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, statements: list[str], fault: str
) -> None:
    settings = fresh_settings("postgresql", request, tmp_path)
    upgrade(settings)
    service = make_url(settings.database_url)
    owner = make_url(settings.migration_database_url or "").username
    admin = make_url(request.getfixturevalue("postgres_owner_url")).set(database=service.database)
    engine = create_engine(admin.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    assert role_faults(settings.database_url, CLINIC_TABLES, APPEND_ONLY) == []
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement.format(owner=owner, service=service.username)))
    engine.dispose()
    found = role_faults(settings.database_url, CLINIC_TABLES, APPEND_ONLY)
    assert (fault in " ".join(found)) if fault else found == []


def test_a_shown_answer_is_one_snapshot_and_who_saw_it_is_kept(own: Settings, api: Api, database: Database) -> None:
    patients = select(Patient.id)
    events = text("select count(*) from audit_events where request_id = 'shown'")
    act = Act(api.clinic_id, "operator", NO_CLINIC, "test", "shown", clock.now())

    def show(db: Any) -> tuple[int, int]:
        before = len(db.exec(patients).all())
        api.patient()
        recording.record(db, AuditEntry(act))
        return before, len(db.exec(patients).all())

    before, after = asyncio.run(database.write_on_snapshot(api.clinic_id, show))
    assert before == after
    assert database.reading(api.clinic_id, lambda db: len(db.exec(patients).all())) == after + 1
    assert database.reading(api.clinic_id, lambda db: db.connection().execute(events).scalar()) == 1


def test_a_new_table_is_kept_apart_by_what_it_declares(own: Settings, api: Api) -> None:
    owner = create_engine(make_url(own.migration_database_url or "").set(drivername="postgresql+psycopg"))
    role = make_url(own.database_url).username or ""
    mine, open_to_all = (
        Table(
            f"new_{name}_{api.clinic_id.hex}", MetaData(), Column("clinic_id", Uuid), Column("note", Text), **declared
        )
        for name, declared in (("clinics", rights("note")), ("open", rights(deletes=True, is_open=True)))
    )
    with owner.connect() as connection:
        for table in (mine, open_to_all):
            table.create(connection)
            secure(connection, table)
            secure(connection, table)  # a second time changes nothing
            grant(connection, table, role)
        kept = text("select relname from pg_class where relforcerowsecurity and relname like 'new_%'")
        assert connection.scalars(kept).all() == [mine.name]
        can = text(
            "select has_column_privilege(:role, :table, 'note', 'update'), has_table_privilege(:role, :table, 'delete')"
        )
        assert [tuple(connection.execute(can, {"role": role, "table": t.name}).one()) for t in (mine, open_to_all)] == [
            (True, False), (False, True),
        ]  # fmt: skip
        insert = mine.insert().values(clinic_id=api.clinic_id, note="x")
        with pytest.raises(DBAPIError, match="row-level security"), connection.begin_nested():
            connection.execute(insert)
        connection.execute(text("select set_config('holdfast.clinic_id', :id, true)"), {"id": str(api.clinic_id)})
        connection.execute(insert)
        connection.rollback()
    owner.dispose()
