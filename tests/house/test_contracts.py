"""The house keeps its shape: imports point down, the core is pure, and nothing is left lying about."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from app.settings import Settings
from app.storage import open_engine
from app.tables import OPEN_TABLES, metadata

ROOT = Path(__file__).parents[2]


def test_imports_point_down() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_the_core_imports_the_standard_library_our_refusals_and_the_makings_of_values_alone() -> None:
    allowed = {"app.errors", "app.instruments", "app.relief", "msgspec", "msgspec.structs"}
    for file in [*(ROOT / "app/relief").rglob("*.py"), *(ROOT / "app/instruments").rglob("*.py")]:
        for module in re.findall(r"^(?:from|import) ([\w.]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            inside = ".".join(module.split(".")[:2])
            assert inside in allowed or module.split(".")[0] in sys.stdlib_module_names, (file.name, module)


def test_no_import_hides_in_a_function() -> None:
    for file in (ROOT / "app").rglob("*.py"):
        assert not re.search(r"^ +(from|import) \w", file.read_text(encoding="utf-8"), re.MULTILINE), file


def test_every_module_says_what_it_is_for() -> None:
    for file in (ROOT / "app").rglob("*.py"):
        assert file.read_text(encoding="utf-8").startswith('"""'), file


def test_every_tenant_table_leads_with_the_clinic() -> None:
    for table in metadata.tables.values():
        if table.name == "clinics":
            continue
        if "clinic_id" not in table.columns:
            assert table.name in {"leases", "rate_counts", "throttles"}, table.name
            continue
        assert next(iter(table.primary_key.columns)).name == "clinic_id", table.name
        for index in table.indexes:
            if index.name == "ix_alert_notices_due_at":  # asked over all clinics at once
                continue
            assert next(iter(index.columns)).name == "clinic_id", index.name


@pytest.mark.postgresql
def test_row_level_security_covers_every_table_but_the_open_ones(settings: Settings) -> None:
    if not settings.database_url.startswith("postgresql"):
        pytest.skip("row-level security is PostgreSQL's")
    engine = open_engine(settings.database_url)
    query = "select relname, relrowsecurity, relforcerowsecurity from pg_class where relkind = 'r' and relnamespace = "
    with engine.connect() as connection:
        rows = connection.execute(text(query + "current_schema()::regnamespace")).all()
        role = "select rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        assert tuple(connection.execute(text(role)).one()) == (False, False)
        owned = "select count(*) from pg_tables where tableowner = current_user"
        assert connection.execute(text(owned)).scalar() == 0
        # Without a clinic, nothing is seen.
        for table in metadata.tables:
            if table not in OPEN_TABLES:
                assert connection.execute(text(f"select count(*) from {table}")).scalar() == 0, table
    engine.dispose()
    unprotected = {name for name, enabled, forced in rows if not (enabled and forced)}
    assert unprotected == OPEN_TABLES | {"alembic_version"}


def test_nothing_names_a_questionnaires_wording() -> None:
    wording = ("over the last two weeks", "how often have you been bothered", "little interest or pleasure")
    for file in (ROOT / "app").rglob("*.py"):
        content = file.read_text(encoding="utf-8").lower()
        assert not any(words in content for words in wording), file
