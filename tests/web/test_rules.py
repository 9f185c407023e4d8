"""Every rule that a form of the pages can break is said in the reader's language."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.api import faults
from app.speech.languages import LANGUAGES, SOURCE, translations
from app.web.rules import RULES, rule
from tests.conftest import Api
from tests.web.pages import Browser, read

APP = Path(__file__).parent.parent.parent / "app"
# Whose rules no form breaks: moves, mappings and the plumbing of requests are for programs.
_NO_FORM = ("api/strict.py", "api/idempotency.py", "api/versions.py", "api/paging.py", "exchange/mapping.py",
            "exchange/resolving.py", "moves", "reminders", "cli", "demo", "cohorts", "trend", "tracks", "access",
            "privacy", "storage")  # fmt: skip
_MARKS = {"Fault": 2, "PydanticCustomError": 1, "CellError": 0}


def _said(node: ast.expr | None) -> str | None:
    """The text of a rule, with an `x` where it has something of the case."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _said(node.left), _said(node.right)
        return None if left is None else left + (right or "x")
    return None


def _rules_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = None
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = _MARKS.get(name)
            if place is not None and len(node.args) > place:
                text = _said(node.args[place])
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "rule":
            text = _said(node.value)
        if isinstance(node, ast.Return) and path.name in ("policies.py", "addresses.py"):
            text = _said(node.value)
            text = text if text is not None and text.startswith("must ") else None
        if text:
            yield text


def gathered() -> list[str]:
    """Every rule in the code of the rooms that forms lead to."""
    paths = [path for path in APP.rglob("*.py") if not str(path.relative_to(APP)).startswith(_NO_FORM)]
    found = {text for path in paths for text in _rules_of(path)}
    words = {text.replace("{", "<{").partition("<")[0] + "x" for text in faults._PYDANTIC_WORDS.values()}
    return sorted({*found, *faults._RULES.values(), *words})


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != SOURCE])
def test_every_rule_that_a_form_can_break_is_translated(language: str) -> None:
    translated = translations(language).gettext
    said = gathered()
    assert len(said) > 90
    assert [text for text in said if rule(translated, text) == text] == []


def test_a_rule_keeps_the_numbers_of_its_case() -> None:
    spanish = translations("es").gettext
    assert rule(spanish, "must be from 0 to 3") == "debe estar entre 0 y 3"
    assert rule(spanish, "must be a score this instrument can give: from 0 to 27").endswith("de 0 a 27")
    assert rule(spanish, "must be weight_kg times dose_mg_per_kg, within 5%").endswith("5%")
    assert rule(spanish, "is something new") == "is something new"
    assert rule(str, "must not be before started_at") == "must not be before the start", "no name of a field"
    named = re.compile(r"_at\b|_kg|care_status|void:")
    files = ("another answer stands for", "session_id and before_infusion")  # of a file, whose columns are called so
    assert [text for text in RULES if named.search(rule(str, text)) and not text.startswith(files)] == []


def test_a_refused_form_is_explained_in_the_readers_language(api: Api) -> None:
    patient = api.patient()
    fields = {"instrument": "phq-9", "phq-9.1": "9", "id": "", "taken_at": "2025-01-06T10:00"}
    page = Browser(api, language="es").post(f"/patients/{patient}/check-ins", **fields)
    assert page.status_code == 422
    assert "PHQ-9, Ítem 1: debe estar entre 0 y 3" in read(page.text)
