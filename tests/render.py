"""Writes the pages of docs/reference that the suite checks: the book of relief and the OpenAPI document."""

import json
import tempfile
from pathlib import Path

from app.main import create_app
from app.settings import Settings
from tests.spec.book import render

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"


def openapi() -> str:
    """The OpenAPI document as it is committed."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(database_url=f"sqlite:///{folder}/none.db", secret_key="x" * 32))
        return json.dumps(app.openapi(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    (REFERENCE / "relief.md").write_text(render(), encoding="utf-8")
    (REFERENCE / "openapi.json").write_text(openapi(), encoding="utf-8")
