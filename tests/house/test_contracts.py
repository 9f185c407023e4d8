"""The structure of the code: imports go from upper rooms to lower ones, and the core is pure."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.settings import Settings
from app.storage import open_engine, rights_of
from app.tables import OPEN_TABLES, metadata
from tests.conftest import new_clinic
from tests.house.test_routes import World

ROOT = Path(__file__).parents[2]


def linted(root: Path) -> str:
    """What the import contracts say of a checkout."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    # Without this, the installed `app` would be checked instead of the one in the folder.
    result = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


def test_the_import_contracts_are_kept() -> None:
    assert ", 0 broken." in linted(ROOT)


BREACHES = [
    ("Dependencies point down", "patients/service.py", "from app.checkins import store as upper"),
    ("Dependencies point down", "trend/service.py", "from app.worklist import store as neighbour"),
    ("Dependencies point down", "novelty/__init__.py", "from app import clock"),
    ("The core is pure", "relief/track.py", "import pydantic"),
    ("The core is pure", "facts.py", "from app import clock"),
    ("Only routes and the HTTP plumbing know the web framework", "checkins/reading.py", "import fastapi"),
    ("Only routes and the HTTP plumbing know the web framework", "access/door.py", "from starlette import status"),
    ("Use cases speak no HTTP", "sessions/policies.py", "from app.api.rendering import as_json"),
    ("Use cases speak no HTTP", "plans/service.py", "from app.access.dependencies import DoorOf"),
    ("Use cases speak no HTTP", "trend/service.py", "from app.alerts.routes import MAIL"),
    ("Use cases speak no HTTP", "sessions/service.py", "from app.access.door import operate"),
    ("Use cases speak no HTTP", "plans/store.py", "from app.api import novelty"),
    ("Only the door records audit events", "alerts/service.py", "from app.audit.recording import record"),
    ("Only the door records audit events", "alerts/routes.py", "from app.audit.recording import record"),
    ("Only tables and stores build SQL", "tracks/explanation_for_patient.py", "import sqlalchemy"),
    ("Only tables and stores build SQL", "relief_answers/service.py", "from sqlmodel import select"),
    ("Only tables and stores build SQL", "patients/service.py", "import psycopg"),
    ("Only the drawing process loads the renderer", "pictures/panel.py", "import vl_convert"),
    ("Nothing imports the drawing process", "pictures/routes.py", "from app.drawing.child import main"),
]


@pytest.mark.parametrize(("contract", "module", "line"), BREACHES, ids=[f"{b[0]}: {b[1]}" for b in BREACHES])
def test_a_contract_that_is_breached_says_so(contract: str, module: str, line: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    breached = tmp_path / "app" / module
    breached.parent.mkdir(exist_ok=True)
    breached.write_text((breached.read_text("utf-8") if breached.exists() else "") + f"\n{line}\n", "utf-8")
    if "novelty" in line:
        (tmp_path / "app/api/novelty.py").write_text("from fastapi import Response\n", "utf-8")
    said = linted(tmp_path)
    assert re.search(rf"^{contract}.* BROKEN", said, re.MULTILINE), said


def test_the_core_imports_the_standard_library_our_refusals_and_the_makings_of_values_alone() -> None:
    allowed = {"app.errors", "app.instruments", "app.relief", "msgspec", "msgspec.structs"}
    for file in [*(ROOT / "app/relief").rglob("*.py"), *(ROOT / "app/instruments").rglob("*.py")]:
        for module in re.findall(r"^(?:from|import) ([\w.]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            inside = ".".join(module.split(".")[:2])
            assert inside in allowed or module.split(".")[0] in sys.stdlib_module_names, (file.name, module)


def test_no_import_hides_in_a_function() -> None:
    for file in (ROOT / "app").rglob("*.py"):
        assert not re.search(r"^ +(from|import) \w", file.read_text(encoding="utf-8"), re.MULTILINE), file


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the service by its path in `app`, parsed."""
    for file in sorted((ROOT / "app").rglob("*.py")):
        yield str(file.relative_to(ROOT / "app")), ast.parse(file.read_text(encoding="utf-8"))


def defined(tree: ast.Module) -> set[str]:
    """The names that a module defines itself."""
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        for target in [*getattr(node, "targets", []), getattr(node, "target", None)]:
            found |= {name.id for name in ast.walk(target) if isinstance(name, ast.Name)} if target else set()
    return found


def test_a_name_is_imported_from_the_module_that_defines_it() -> None:
    """Otherwise a module could hand on what its importers may not have, such as a query builder."""
    trees = dict(modules())
    wrong = []
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("app."):
                source = trees.get(f"{(node.module or '').removeprefix('app.').replace('.', '/')}.py")
                if source is not None:  # a package says in its `__init__` what it offers
                    wrong += [f"{path}: {name.name}" for name in node.names if name.name not in defined(source)]
    assert wrong == []


def test_only_the_door_says_that_a_request_is_recorded_and_holds_the_database_for_it() -> None:
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and path != "access/door.py":
                assert node.attr != "parts", path
                assert node.attr != "is_recorded" or isinstance(node.ctx, ast.Load), path


def test_only_stores_and_storage_run_statements() -> None:
    for path, tree in modules():
        if not path.endswith("store.py") and not path.startswith("storage/"):
            ran = [node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
            assert not {"exec", "execute", "exec_driver_sql", "scalars"} & set(ran) or path in _MIGRATES, path


_MIGRATES = {"migrating.py"}


def test_every_module_says_what_it_is_for() -> None:
    for file in (ROOT / "app").rglob("*.py"):
        assert file.read_text(encoding="utf-8").startswith('"""'), file


def test_every_tenant_table_leads_with_the_clinic() -> None:
    for table in metadata.tables.values():
        if table.name == "clinics":
            continue
        if "clinic_id" not in table.columns:
            assert table.name in {"leases", "processes", "rate_counts", "service_keys", "throttles"}, table.name
            continue
        assert next(iter(table.primary_key.columns)).name == "clinic_id", table.name
        for index in table.indexes:
            if index.name in ("ix_alert_notices_due_at", "ix_users_email"):  # asked before a clinic is known
                continue
            assert next(iter(index.columns)).name == "clinic_id", index.name


@pytest.mark.postgresql
def test_row_level_security_covers_every_table_but_the_open_ones(settings: Settings, server: TestClient) -> None:
    if not settings.database_url.startswith("postgresql"):
        pytest.skip("row-level security is PostgreSQL's")
    World(new_clinic(server))  # so that there is something to be seen
    engine = open_engine(settings.database_url)
    query = "select relname, relrowsecurity, relforcerowsecurity from pg_class where relkind = 'r' and relnamespace = "
    with engine.connect() as connection:
        rows = connection.execute(text(query + "current_schema()::regnamespace")).all()
        role = "select rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        assert tuple(connection.execute(text(role)).one()) == (False, False)
        owned = "select count(*) from pg_tables where tableowner = current_user"
        assert connection.execute(text(owned)).scalar() == 0
        # Without a clinic, nothing is seen.
        for table, declared in metadata.tables.items():
            if table not in OPEN_TABLES and not rights_of(declared).seen_by_all:
                assert connection.execute(text(f"select count(*) from {table}")).scalar() == 0, table
    engine.dispose()
    owner = open_engine(settings.migration_database_url or "")
    with owner.connect() as connection:
        for table in ("patients", "check_ins", "score_versions", "alerts", "audit_events"):
            connection.execute(text(f"alter table {table} no force row level security"))
            assert connection.execute(text(f"select count(*) from {table}")).scalar(), table
        connection.rollback()
    owner.dispose()
    unprotected = {name for name, enabled, forced in rows if not (enabled and forced)}
    assert unprotected == OPEN_TABLES | {"alembic_version"}


def test_nothing_names_a_questionnaires_wording() -> None:
    wording = ("over the last two weeks", "how often have you been bothered", "little interest or pleasure")
    for file in (ROOT / "app").rglob("*.py"):
        content = file.read_text(encoding="utf-8").lower()
        assert not any(words in content for words in wording), file
