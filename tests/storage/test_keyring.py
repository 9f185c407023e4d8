"""A database belongs to one secret. Replacing it loses nobody, lets no duplicate in, and can be stopped at any time."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import text

from app import clock, rotating
from app.access import service as access
from app.access.tokens import Claims
from app.api.parts import DATABASE
from app.audit import sealing
from app.audit.service import Act
from app.main import create_app
from app.migrating import upgrade
from app.patients import service as patients
from app.patients.models import PatientIn
from app.patients.service import ExternalIdTaken
from app.rotating import RotationRefused, rotate
from app.settings import Settings, write_key
from app.storage import NO_CLINIC, Database, Keyring, WrongSecretError, keyring, new_id, watching
from app.work import seal
from tests.conftest import ENGINES, SECRET, Api, app_of, fresh_settings, new_clinic, new_device, new_person

NEW = secrets.token_urlsafe(32)
BOTH = Keyring((NEW, SECRET))


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    found = fresh_settings(request.param, request, tmp_path)
    upgrade(found)
    return found


def with_secrets(settings: Settings, secret: str, previous: str = "") -> Settings:
    update = {"secret_key": SecretStr(secret), "previous_secret_key": SecretStr(previous)}
    return settings.model_copy(update=update)


@pytest.fixture
def served(settings: Settings) -> Iterator[tuple[Settings, Api]]:
    """A clinic with three patients, of which one has a device, in a service with one secret."""
    with TestClient(create_app(settings)) as client:
        api = new_clinic(client)
        for number in range(3):
            api.patient(external_id=f"MRN-{number}", label="A.B.")
        new_device(api, api.patient(external_id="MRN-3"))
        seal(DATABASE.in_app(app_of(client)))
        yield settings, api


def again(client: TestClient, api: Api) -> Api:
    """A person of the same clinic; their token is signed with the secret of now."""
    return new_person(client, api.clinic_id, "admin")


def labels(api: Api) -> set[str]:
    return {item["external_id"] for item in api.get("/v1/patients").json()["items"]}


ALL = {f"MRN-{number}" for number in range(4)}


def test_another_secret_does_not_start_and_breaks_nothing(served: tuple[Settings, Api]) -> None:
    settings, api = served
    other = Database(settings.database_url, NEW)
    with pytest.raises(WrongSecretError, match="is not the secret of this database"):
        other.unlock(clock.now())
    other.close()
    with pytest.raises(WrongSecretError), TestClient(create_app(with_secrets(settings, NEW))):
        pass
    assert labels(api) == ALL


def test_no_new_key_is_made_beside_a_database_that_is_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.db"
    upgrade(Settings(database_url=url, secret_key=SecretStr("")))
    (tmp_path / "h.db.key").unlink()
    with pytest.raises(ValueError, match=r"h\.db\.key is not"):
        Settings(database_url=url, secret_key=SecretStr(""))
    assert not (tmp_path / "h.db.key").exists()


def test_an_identity_that_cannot_be_read_fails_no_page(served: tuple[Settings, Api]) -> None:
    settings, api = served
    broken = api.get("/v1/patients").json()["items"][0]["id"]
    database = Database(settings.migration_database_url or settings.database_url, SECRET)

    whose = UUID(broken).bytes if database.is_sqlite else broken
    spoilt = text("update patient_keys set wrapped = :wrapped where patient_id = :whose")
    database.writing(api.clinic_id, lambda db: db.execute(spoilt, {"wrapped": b"x" * 60, "whose": whose}))
    database.close()
    page = api.get("/v1/patients")
    assert page.status_code == 200
    names = {item["id"]: item["external_id"] for item in page.json()["items"]}
    assert names[broken] == f"unreadable-{broken.replace('-', '')[-12:]}"
    assert len(labels(api) & ALL) == 3
    version = api.get(f"/v1/patients/{broken}").json()["version"]
    assert api.patch(f"/v1/patients/{broken}", {"label": "X"}, version).status_code == 422


def test_a_secret_is_replaced_while_the_service_runs(
    served: tuple[Settings, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, api = served
    monkeypatch.setattr(watching, "_LOOK_SECONDS", 0.05)
    database = Database(settings.database_url, NEW, SECRET)
    database.unlock(clock.now())
    with pytest.raises(RotationRefused, match="lack"):  # the running process has the old one alone
        rotate(database, BOTH, lambda _: None)
    api.server.__exit__(None, None, None)
    with TestClient(create_app(with_secrets(settings, NEW, SECRET))) as client:
        mine = again(client, api)
        assert labels(mine) == ALL, "sealed with the old one"
        four = {"external_id": "MRN-4"}
        before = mine.post("/v1/patients", four, headers={"Idempotency-Key": "four"})
        told: list[str] = []
        assert rotate(database, BOTH, told.append) == (5, 0)
        assert told[-1] == "5 patients"
        assert DATABASE.in_app(app_of(client)).keyring.ids[0] == BOTH.ids[0], "the process follows"
        assert labels(mine) == ALL | {"MRN-4"}
        repeated = mine.post("/v1/patients", four, headers={"Idempotency-Key": "four"})
        assert (repeated.status_code, repeated.json()["id"]) == (201, before.json()["id"])
        assert mine.post("/v1/patients", {"external_id": "mrn-0"}).status_code == 409
        everyone = [patient["id"] for patient in mine.get("/v1/patients").json()["items"]]
        devices = [d for one in everyone for d in mine.get(f"/v1/patients/{one}/devices").json()["items"]]
        assert [device["name"] for device in devices] == ["phone"]
        assert rotate(database, BOTH, told.append) == (0, 0), "done is done"
        seal(DATABASE.in_app(app_of(client)))
    database.close()
    with TestClient(create_app(with_secrets(settings, NEW))) as client:
        assert labels(again(client, api)) == ALL | {"MRN-4"}
        found = DATABASE.in_app(app_of(client)).reading(api.clinic_id, lambda db: sealing.verify(db, api.clinic_id))
        assert [one.kind for one in found] == ["not_checked"], "old seals need the old secret, and say so"
    with_both = Database(settings.database_url, NEW, SECRET)
    assert with_both.reading(api.clinic_id, lambda db: sealing.verify(db, api.clinic_id)) == []
    with_both.close()
    old = Database(settings.database_url, SECRET)
    with pytest.raises(WrongSecretError):
        old.unlock(clock.now())
    old.close()


def test_a_rotation_that_was_stopped_goes_on(served: tuple[Settings, Api], monkeypatch: pytest.MonkeyPatch) -> None:
    settings, api = served
    api.server.__exit__(None, None, None)
    database = Database(settings.database_url, NEW, SECRET)
    database.unlock(clock.now())
    monkeypatch.setattr(rotating, "_PATIENTS_A_ROUND", 2)
    rounds = 0

    def stop(_: str) -> None:
        nonlocal rounds
        rounds += 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotate(database, BOTH, stop)
    alone = Database(settings.database_url, NEW)
    with pytest.raises(WrongSecretError, match="HOLDFAST_PREVIOUS_SECRET_KEY"):
        alone.unlock(clock.now())
    alone.close()
    with TestClient(create_app(with_secrets(settings, NEW, SECRET))) as client:
        mine = again(client, api)
        assert labels(mine) == ALL, "half is sealed with either"
        for number in range(4):
            assert mine.post("/v1/patients", {"external_id": f"MRN-{number}"}).status_code == 409
            search = mine.post("/v1/patients/search", {"external_id": f"mrn-{number}"})
            assert len(search.json()["items"]) == 1
    assert rotate(database, BOTH, lambda _: None) == (2, 0)
    states = database.reading(NO_CLINIC, keyring.states)
    assert states == {BOTH.ids[0]: "current", BOTH.ids[1]: "retired"}
    database.close()


def test_a_create_is_a_replay_under_every_secret(served: tuple[Settings, Api]) -> None:
    settings, api = served
    body = {"id": str(new_id()), "external_id": "MRN-9", "label": "C.D."}
    assert api.post("/v1/patients", body).status_code == 201
    api.server.__exit__(None, None, None)
    database = Database(settings.database_url, NEW, SECRET)
    database.unlock(clock.now())
    rotate(database, BOTH, lambda _: None)
    database.close()
    with TestClient(create_app(with_secrets(settings, NEW))) as client:
        repeated = again(client, api).post("/v1/patients", body)
        assert (repeated.status_code, repeated.headers["Replayed"]) == (200, "true")


def test_one_external_id_has_one_patient_while_two_processes_seal_with_different_secrets(
    served: tuple[Settings, Api],
) -> None:
    """The database sees two keyed hashes of one external id as different; the service does not."""
    settings, api = served
    both = [Database(settings.database_url, SECRET, NEW), Database(settings.database_url, NEW, SECRET)]
    claims = Claims("user", api.caller_id, api.clinic_id, "", 0)
    caller = both[0].reading(api.clinic_id, lambda db: access.caller_of_token(db, claims))
    act = Act(api.clinic_id, "user", api.caller_id, "create_patient", "r", clock.now())

    def add(database: Database, number: int) -> bool:
        body = PatientIn(external_id=f"new-{number}")
        try:
            database.writing(api.clinic_id, lambda db: patients.create(db, caller, act, body))
        except ExternalIdTaken:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: add(both[n % 2], n // 2), range(40)))
    assert sum(done) == 20
    for database in both:
        database.close()


def test_the_key_file_is_replaced_and_the_old_one_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/h.db"
    first = Settings(database_url=url, secret_key=SecretStr(""))
    upgrade(first)
    (tmp_path / "h.db.key.next").write_text(NEW)
    both = Settings(database_url=url, secret_key=SecretStr(""))
    assert both.secrets == (NEW, first.secret)
    former = rotating.put_key_in_place(both)
    assert former is not None
    assert former.read_text() == first.secret
    assert Settings(database_url=url, secret_key=SecretStr("")).secrets == (NEW,)


def test_a_key_file_beside_the_database_is_whole_and_one_that_waits_harms_nobody(tmp_path: Path) -> None:
    """A new secret that was made and not taken up yet, a former one in a variable, a file that a full disk cut off."""
    url, fresh = f"sqlite:///{tmp_path}/h.db", SecretStr("")
    first = Settings(database_url=url, secret_key=fresh)
    upgrade(first)
    with TestClient(create_app(first)) as client:
        new_clinic(client)
    write_key(tmp_path / "h.db.key.next")
    former = "f" * 40
    found = Settings(database_url=url, secret_key=fresh, previous_secret_key=SecretStr(f"{former} {former}x"))
    assert found.secrets[1:] == (first.secret, former, f"{former}x")
    database = Database(url, *found.secrets)
    database.unlock(clock.now())
    assert database.keyring.secrets[0] == first.secret
    database.close()
    (tmp_path / "h.db.key.next").write_text("cut")
    with pytest.raises(ValueError, match=r"the key file h\.db\.key\.next holds no key"):
        Settings(database_url=url, secret_key=fresh)
