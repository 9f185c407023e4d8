"""Writes the pages of docs/reference that the suite checks: the book of relief, the OpenAPI document and the table of
permissions."""

import json
import sys
import tempfile
from pathlib import Path

from pydantic import SecretStr

from app.access.policies import OPEN_OPERATIONS, OPEN_PAGES, PAGES, PERMISSIONS, ROLE_SCOPES, Permission
from app.main import create_app
from app.settings import Settings
from tests.api.breaking import bare
from tests.examples import EXAMPLES, examples, written
from tests.spec.book import render

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def openapi() -> str:
    """The OpenAPI document as it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(database_url=f"sqlite:///{folder}/none.db", secret_key=SecretStr("x" * 32)))
        return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"


def permissions() -> str:
    """The table of permissions as a page."""
    rows = [f"| `{name}` | {_needs(p)} | {' | '.join(_may(p))} |" for name, p in PERMISSIONS.items()]
    pages = [f"| `{name}` | {_needs(p)} | {' | '.join(_may(p))} |" for name, p in PAGES.items()]
    opened = [", ".join(f"`{name}`" for name in sorted(names)) for names in (OPEN_OPERATIONS, OPEN_PAGES)]
    return "\n".join(
        [_PERMISSIONS + "\n".join(rows), _OPEN + opened[0] + ".", _PAGES, *pages, _OPEN + opened[1] + ".", ""]
    )


_PERMISSIONS = """# Who may do what

Made from `app/access/policies.py`, the one place where it is decided, and compared with what the service does: every
operation, by everyone, on their own and on others' patients and clinics (`tests/house/test_permissions.py`).

An integration needs the scopes; people and patients' devices have those of their role. Another clinic's object, and for
a device another patient's, is 404. "own" is a patient's device asking for its own patient; in brackets, what the clinic
must show its patients for it (`patient_view`).

| operation | scopes | administrator | clinician | patient's device | integration |
|---|---|---|---|---|---|
"""
_OPEN = "\nWithout a token: "
_PAGES = """
## Pages

What a form does is the operation of that name, above. These show something, and are compared with what the service does
too (`tests/web/test_page_permissions.py`). A page's caller comes from cookies; integrations have none.

| page | scopes | administrator | clinician | patient's device | integration |
|---|---|---|---|---|---|"""


def _needs(permission: Permission) -> str:
    return " ".join(f"`{scope}`" for scope in (permission.scope, permission.also) if scope) or "none"


def _may(permission: Permission) -> list[str]:
    roles = [("user", "admin"), ("user", "clinician"), ("device", "patient")]
    found = []
    for kind, role in roles:
        may = permission.admits(kind, role) and permission.missing(ROLE_SCOPES[role]) is None
        shown = "" if permission.view == "scores" else f" ({permission.view})"
        found.append("-" if not may else f"own{shown}" if kind == "device" else "yes")
    return [*found, "with the scopes" if permission.admits("client", "integration") else "-"]


if __name__ == "__main__":
    EXAMPLES.write_text(written(examples()), encoding="utf-8")
    (REFERENCE / "permissions.md").write_text(permissions(), encoding="utf-8")
    (REFERENCE / "relief.md").write_text(render(), encoding="utf-8")
    (REFERENCE / "openapi.json").write_text(openapi(), encoding="utf-8")
    if "--release" in sys.argv:  # what clients are made from, from now on
        released = bare(json.loads(openapi()))
        del released["components"]["responses"]
        (REFERENCE / "released.json").write_text(json.dumps(released, sort_keys=True) + "\n", encoding="utf-8")
