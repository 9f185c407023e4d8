"""The drill: a backup is made under load, restored into an empty database of either engine, and answers as before."""

import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app import clock, keeping
from app.access import service as access
from app.access.tokens import Claims
from app.api.parts import DATABASE
from app.clinic import service as clinics
from app.demo.clinic import fill
from app.main import create_app
from app.migrating import upgrade
from app.settings import Settings
from app.storage import Database, WrongSecretError, new_id
from app.storage.archive import ArchiveError
from app.work import seal
from tests.conftest import ENGINES, SECRET, Api, app_of, days_ago, fresh_settings, new_clinic, new_device, new_person


def quiet(_: str) -> None:
    """Says nothing."""


@pytest.fixture(params=ENGINES)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Settings, Api]]:
    """A filled clinic, another one beside it, in a running service."""
    settings = fresh_settings(request.param, request, tmp_path)
    upgrade(settings)
    with TestClient(create_app(settings)) as client:
        new_clinic(client).patient(external_id="elsewhere")
        database: Database = DATABASE.in_app(app_of(client))
        clinic_id, now = new_id(), clock.now()
        database.writing(
            clinic_id, lambda db: clinics.add_clinic(db, clinic_id, "Filled", "UTC", [], now, synthetic=True)
        )
        api = new_person(client, clinic_id, "admin")
        claims = Claims("user", api.caller_id, api.clinic_id, "", 0)
        caller = database.reading(api.clinic_id, lambda db: access.caller_of_token(db, claims))
        fill(database, caller, 6, 50, clock.now(), seed=7)
        new_device(api, api.patient(external_id="MRN-1", label="A.B."))
        seal(database)
        yield settings, api


def answers_of(api: Api) -> dict[str, Any]:
    patients = api.get("/v1/patients", params={"limit": 200}).json()["items"]
    found = {}
    for patient in patients:
        relief = api.relief(patient["id"])
        found[patient["external_id"]] = {
            key: relief[key] for key in ("domains", "tracks", "known_at", "previous_spells")
        }
    return found


@pytest.mark.parametrize("into", ENGINES)
def test_a_backup_under_load_comes_back_whole(
    kept: tuple[Settings, Api], into: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings, api = kept
    patient = api.patient(external_id="busy")
    recorded: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            body = {
                "responses": [{"instrument": "nrs-pain", "score": 4}],
                "taken_at": days_ago(1 - len(recorded) / 1e4),
            }
            answer = api.post(f"/v1/patients/{patient}/check-ins", body)
            if answer.status_code == 201:
                recorded.append(answer.json()["id"])

    worker = threading.Thread(target=load)
    worker.start()
    database = Database(settings.database_url, SECRET)
    file = tmp_path / "b.holdfast"
    try:
        while len(recorded) < 5:
            stop.wait(0.01)
        known = list(recorded)
        manifest = keeping.backup(database, file, quiet)
    finally:
        stop.set()
        worker.join()
        database.close()
    assert file.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob("*.partial"))
    answers = answers_of(api)
    read_to = api.get("/v1/changes").json()["next_after"]
    assert read_to > 0
    target = fresh_settings(into, request, tmp_path / "restored")
    upgrade(target)
    restored = Database(target.database_url, SECRET)
    rows = keeping.restore(restored, file, quiet)
    assert rows == sum(table["rows"] for table in manifest["tables"].values())
    restored.unlock(clock.now())
    assert list(keeping.verify(restored, file, quiet)) == []
    restored.close()
    with TestClient(create_app(target)) as client:
        again = Api(client, api.token, api.clinic_id, api.caller_id)
        mine = answers_of(again)
        del mine["busy"], answers["busy"]
        assert mine == answers
        there = again.get(f"/v1/patients/{patient}/check-ins", params={"limit": 200}).json()["items"]
        assert {*known} <= {item["id"] for item in there} | {*recorded[200:]}
        names = [d["name"] for p in again.get("/v1/patients").json()["items"]
                 for d in again.get(f"/v1/patients/{p['id']}/devices").json()["items"]]  # fmt: skip
        assert names == ["phone"]
        assert again.post("/v1/patients", {"external_id": "mrn-1"}).status_code == 409
        assert again.post("/v1/patients", {"external_id": "new"}).status_code == 201
        gone = again.get("/v1/changes", params={"after": read_to})
        assert (gone.status_code, gone.json()["code"]) == (410, "changes_gone"), "it may have read what is not here"
        assert again.get("/v1/changes", params={"limit": 200}).json()["items"][-1]["kind"] == "patient.changed"


def test_a_filled_target_another_secret_and_a_damaged_file_are_refused_and_change_nothing(
    kept: tuple[Settings, Api], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    settings, _ = kept
    database = Database(settings.database_url, SECRET)
    file = tmp_path / "b.holdfast"
    keeping.backup(database, file, quiet)
    with pytest.raises(ArchiveError, match="holds clinics"):
        keeping.restore(database, file, quiet)
    database.close()
    target = fresh_settings("sqlite", request, tmp_path / "other")
    upgrade(target)
    other = Database(target.database_url, "another secret of at least thirty-two characters")
    with pytest.raises(ArchiveError, match="another HOLDFAST_SECRET_KEY"):
        keeping.restore(other, file, quiet)
    other.close()
    empty = Database(target.database_url, SECRET)
    for name, changed in (("check_ins.ndjson", b""), ("manifest.json", None)):
        damaged = tmp_path / f"damaged-{name}"
        with zipfile.ZipFile(file) as whole, zipfile.ZipFile(damaged, "w") as copy:
            for member in whole.namelist():
                content = whole.read(member)
                if member == name:
                    content = content.replace(b'"rows": ', b'"rows": 1') if changed is None else changed
                copy.writestr(member, content)
        with pytest.raises(ArchiveError):
            keeping.restore(empty, damaged, quiet)
    content = file.read_bytes()
    with zipfile.ZipFile(file) as whole:  # one wrong bit in the middle of each table
        members = [m for m in whole.infolist() if m.compress_size > 100]
    for place in (m.header_offset + 60 + len(m.filename) + m.compress_size // 2 for m in members):
        (tmp_path / "flipped").write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        try:
            keeping.restore(empty, tmp_path / "flipped", quiet)
        except ArchiveError:
            continue
        pytest.fail(f"a backup with a wrong bit at {place} was restored")
    (tmp_path / "no.zip").write_bytes(content[:500])
    with pytest.raises(ArchiveError, match="no backup"):
        keeping.restore(empty, tmp_path / "no.zip", quiet)
    assert keeping.restore(empty, file, quiet) > 0, "the refused ones left nothing behind"
    empty.close()


def test_what_is_restored_otherwise_is_told(kept: tuple[Settings, Api], tmp_path: Path) -> None:
    settings, api = kept
    database = Database(settings.database_url, SECRET)
    file = tmp_path / "b.holdfast"
    keeping.backup(database, file, quiet)
    api.check_in(api.get("/v1/patients").json()["items"][-1]["id"], days_ago(0.01), "phq-9", 3)
    said = list(keeping.verify(database, file, quiet))
    assert any("check_ins has" in line for line in said)
    database.close()


def test_a_fold_that_is_not_what_the_scores_give_is_found(kept: tuple[Settings, Api]) -> None:
    settings, api = kept
    database = Database(settings.migration_database_url or settings.database_url, SECRET)
    assert list(keeping.folded_otherwise(database, api.clinic_id, quiet)) == []
    database.writing(api.clinic_id, _forget_a_score)
    assert list(keeping.folded_otherwise(database, api.clinic_id, quiet)) != []
    database.close()


def _forget_a_score(db: Any) -> None:
    """As nobody may: takes the latest PHQ-9 scores away from under the folds."""

    db.execute(text("update score_versions set points = 0 where instrument = 'phq-9'"))


def test_a_restored_database_has_the_secret_of_its_backup(
    kept: tuple[Settings, Api], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Also where the secret was replaced since, and where the empty database was migrated with another one."""
    settings, _ = kept
    database, file, new = Database(settings.database_url, SECRET), tmp_path / "b.holdfast", "n" * 40
    keeping.backup(database, file, quiet)
    database.close()
    target = fresh_settings("sqlite", request, tmp_path / "later")
    upgrade(target)
    both = Database(target.database_url, new, SECRET)
    both.unlock(clock.now())
    keeping.restore(both, file, quiet)
    assert list(keeping.verify(both, file, quiet)) == []
    assert both.keyring.secrets[0] == SECRET
    both.close()
    alone = Database(target.database_url, new)
    with pytest.raises(WrongSecretError):
        alone.unlock(clock.now())
    alone.close()
