"""The OpenAPI document is what generators of clients need, and says what the service does."""

import ast
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from app.access.policies import OPEN_OPERATIONS, PERMISSIONS
from tests.examples import EXAMPLES, Examples, examples, written
from tests.house.test_routes import DOCUMENT, OPERATIONS

ROOT = Path(__file__).parents[2]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
# What every answer has for browsers and caches, and every document of the service's own.
OF_EVERY_ANSWER = {
    "cache-control", "content-disposition", "content-length", "content-security-policy", "content-type",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "pragma", "referrer-policy", "x-content-type-options",
    "x-frame-options",
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Examples:
    """The examples, made anew."""
    return examples()


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document but those of examples."""
    if isinstance(node, dict):
        yield node
        for name, value in node.items():
            if name not in ("example", "examples"):
                yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


def faults(value: Any, schema: dict[str, Any]) -> list[str]:
    """What of a value a schema of the document does not allow."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return [error.message for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)]


def test_a_number_is_never_a_choice_of_integer_and_number() -> None:
    for node in nodes(DOCUMENT):
        kinds = {kind.get("type") for kind in node.get("anyOf", []) if isinstance(kind, dict)}
        assert not {"integer", "number"} <= kinds, node


def test_an_answer_that_depends_on_the_right_to_read_is_documented_both_ways() -> None:
    kept_from_some = {
        handler.name
        for file in (ROOT / "app").glob("*/routes.py")
        for handler in ast.parse(file.read_text()).body
        if isinstance(handler, ast.AsyncFunctionDef) and "door.showing(" in ast.unparse(handler)
    }
    assert len(kept_from_some) > 8
    for _, path, operation in OPERATIONS:
        if operation["operationId"] in kept_from_some:
            answers = [json.dumps(each) for status, each in operation["responses"].items() if status.startswith("2")]
            assert all("WrittenOut" in answer for answer in answers), path


def test_whatever_takes_a_key_says_what_a_key_is_refused_for() -> None:
    for _, path, operation in OPERATIONS:
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
            refusals = json.dumps([operation["responses"]["409"], operation["responses"]["422"]])
            assert "idempotency_key_reused" in refusals, path
            assert "request_in_progress" in refusals, path


def test_no_parameter_may_be_null() -> None:
    for _, path, operation in OPERATIONS:
        for parameter in operation.get("parameters", []):
            assert "null" not in json.dumps(parameter["schema"]), (path, parameter["name"])
            assert parameter["description"], (path, parameter["name"])


def test_bounds_are_those_of_json_schema_and_whole_where_they_are_whole() -> None:
    for node in nodes(DOCUMENT):
        assert not {"ge", "le", "gt", "lt"} & {name for name, value in node.items() if isinstance(value, int | float)}
        for bound in ("minimum", "maximum"):
            assert not isinstance(node.get(bound), float) or not node[bound].is_integer(), node


def test_files_are_binary() -> None:
    found = 0
    for node in nodes(DOCUMENT):
        for kind in ("image/svg+xml", "image/png", "text/csv", "application/x-ndjson"):
            if kind in node:
                assert node[kind]["schema"] == {"type": "string", "format": "binary"}
                found += 1
    assert found == 15


def test_every_operation_has_one_tag_that_is_described() -> None:
    described = {tag["name"] for tag in DOCUMENT["tags"] if tag["description"]}
    ours = {tag for _, _, operation in OPERATIONS for tag in operation["tags"]}
    sent = {tag for item in DOCUMENT["webhooks"].values() for tag in item["post"]["tags"]}
    assert ours | sent == described
    assert not ours & sent, "openapi-generator writes a file for each tag, and one over the other"
    assert all(len(operation["tags"]) == 1 for _, _, operation in OPERATIONS)
    assert DOCUMENT["servers"]
    assert {"license", "contact"} <= set(DOCUMENT["info"])


def test_scopes_are_those_of_the_permissions() -> None:
    for _, _, operation in OPERATIONS:
        name = operation["operationId"]
        if name in OPEN_OPERATIONS:
            assert operation["security"] == [], name
            continue
        bearer, oauth = operation["security"]
        assert bearer == {"token": []}
        assert oauth == {"oauth2": [s for s in (PERMISSIONS[name].scope, PERMISSIONS[name].also) if s]}
    assert {operation["operationId"] for _, _, operation in OPERATIONS} >= OPEN_OPERATIONS


def test_every_property_is_described_in_a_sentence_and_no_sentence_is_left_over() -> None:
    words = tomllib.loads((ROOT / "app/api/words.toml").read_text(encoding="utf-8"))
    used = set()
    for model, schema in SCHEMAS.items():
        for name, about in schema.get("properties", {}).items():
            text = about["description"]
            assert text[:1].isupper() or text.startswith("`"), (model, name)
            assert text.splitlines()[0].rstrip().endswith((".", ":", "`")), (model, name, text)
            used |= {key for key in (f"{model}.{name}", name) if words["fields"].get(key, "-") in text}
            assert "default" not in about, (model, name)
    assert set(words["fields"]) - used == set()


def test_values_are_explained_where_they_stand() -> None:
    words = tomllib.loads((ROOT / "app/api/words.toml").read_text(encoding="utf-8"))["values"]
    for node in nodes(DOCUMENT):
        if isinstance(node.get("x-known-values"), list):
            assert all(f"- `{value}`: " in node["description"] for value in node["x-known-values"]), node
    for name, means in words.items():
        text = json.dumps(DOCUMENT)
        assert any(f"- `{value}`: {meaning}" in text for value, meaning in means.items()), name


def test_closed_sets_of_values_are_named_once() -> None:
    for name, schema in SCHEMAS.items():
        inline = [node for node in nodes(schema) if "enum" in node and node is not schema]
        assert inline == [], name
    for _, path, operation in OPERATIONS:
        for parameter in operation.get("parameters", []):
            values = parameter["schema"].get("enum", [])
            assert len(values) <= 1, (path, parameter["name"])
    for model, name in (("ResponseIn", "instrument"), ("TokenRequest", "grant_type")):
        assert "$ref" in SCHEMAS[model]["properties"][name]
    assert "pattern" in SCHEMAS["ClientIn"]["properties"]["scope"]
    assert SCHEMAS["BatchIn"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/BatchItemIn"}


def test_the_examples_are_what_the_service_answers_today(made: Examples) -> None:
    committed = EXAMPLES.read_text(encoding="utf-8")
    assert committed == written(made), "run: make openapi"


def test_every_body_and_every_answer_has_an_example_that_its_schema_allows() -> None:
    for _, path, operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if content["schema"].get("format") == "binary":  # a file as it is
                continue
            assert faults(content["example"], content["schema"]) == [], path
        shown = {}
        for status, answer in operation["responses"].items():
            for kind, content in answer.get("content", {}).items():
                for example in content.get("examples", {}).values():
                    assert faults(example["value"], content["schema"]) == [], (path, status)
                if kind == "application/json" and "example" in content:
                    shown[status] = faults(content["example"], content["schema"])
        accepted = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        if any("application/json" in answer.get("content", {}) for answer in accepted):
            assert [found for status, found in shown.items() if status.startswith("2")] == [[]] or (
                operation["operationId"] == "get_openapi"
            ), (path, shown)


def test_the_headers_of_an_answer_are_declared_and_those_that_are_certain_are_there(made: Examples) -> None:
    for _, _, operation in OPERATIONS:
        name = operation["operationId"]
        if name == "get_openapi":
            continue
        given = set(made[name]["headers"]) - OF_EVERY_ANSWER
        declared = {header.lower() for header in operation["responses"][str(made[name]["status"])]["headers"]}
        assert given <= declared, name
        for header in ("etag", "location"):
            assert (header in given) == (header in declared), (name, header)


def test_what_is_said_of_known_values_is_of_properties_and_sets_that_are_there() -> None:
    words = tomllib.loads((ROOT / "app/api/words.toml").read_text(encoding="utf-8"))
    properties = {f"{model}.{name}" for model, schema in SCHEMAS.items() for name in schema.get("properties", {})}
    properties |= {name.split(".")[1] for name in properties}
    assert set(words["known"]) <= properties
    assert set(words["known"].values()) <= {*words["values"], "ChangeKind"}
