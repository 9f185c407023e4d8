"""The words of the OpenAPI document: a sentence for each property and parameter, a name for each set of values, and a
meaning for each value. They stand under the fields of the models, and in `words.toml`."""

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from app.api.fields import BODIES

Node = dict[str, Any]
SCHEMAS = "#/components/schemas/"


def operations(found: Node) -> Iterator[tuple[str, Node]]:
    """Each operation with its path."""
    for path, methods in found["paths"].items():
        for operation in methods.values():
            yield path, operation


def nodes(node: Any) -> Iterator[Node]:
    """Every object of a document but those of examples, outer ones first."""
    if isinstance(node, dict):
        yield node
        for name, value in list(node.items()):
            if name not in ("example", "examples"):
                yield from nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value)


@cache
def _words() -> Node:
    return tomllib.loads((files("app.api") / "words.toml").read_text(encoding="utf-8"))


@cache
def _under_fields(module: str) -> dict[str, dict[str, str]]:
    """The sentence that stands under each field of the classes of a module, whose source must be there."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ClassDef):
            texts = found[node.name] = {}
            for pair in pairwise(node.body):
                match pair:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        texts[name] = text
    return found


def _sentences() -> dict[str, dict[str, str]]:
    """The sentences of each model's fields, also of those it inherits. Pydantic can read them while it makes the model;
    that is a tenth of the start of a service whose document nobody may ask for."""
    found: dict[str, dict[str, str]] = {}
    models = [*BODIES, BaseModel]
    for model in models:
        models += model.__subclasses__()
        ours = [base for base in reversed(model.__mro__) if base.__module__.startswith("app.")]
        if ours and ours[-1] is model:
            texts = {
                f: text for base in ours for f, text in _under_fields(base.__module__).get(base.__name__, {}).items()
            }
            if found.setdefault(model.__name__, texts) != texts:  # the document knows models by their names
                raise ValueError(f"two models are called {model.__name__}, and say different things")
    return found


def describe(schemas: Node) -> None:
    """Gives each property its sentence, unless it has one. A default is said in words: as `default` it would make a
    request's property required in some clients."""
    words, sentences = _words()["fields"], _sentences()
    for model, schema in schemas.items():
        for name, about in schema.get("properties", {}).items():
            text = about.get("description", "") or " ".join(sentences.get(model, {}).get(name, "").split())
            if not text:
                text = words.get(f"{model}.{name}") or words.get(name, text)
            default = about.pop("default", None)
            if default not in (None, "", [], {}):
                text += f" Without it: `{json.dumps(default)}`."
            about["description"] = text


def describe_parameters(found: Node) -> None:
    words = _words()["parameters"]
    for _, operation in operations(found):
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            said = words.get(f"{operation['operationId']}.{name}") or words.get(name)
            if "description" not in parameter and said is not None:
                parameter["description"] = said


def name_values(found: Node, schemas: Node, more: Mapping[str, Mapping[str, str]]) -> None:
    """Names each closed set of values, and says what each value means, also of those sets that may grow."""
    words = _words()
    named, known_by = {**words["values"], **more}, words["known"]
    for model, schema in schemas.items():
        for name, shown in schema.get("properties", {}).items():
            set_name = known_by.get(f"{model}.{name}") or known_by.get(name)
            if set_name is not None and "enum" not in shown:
                shown.setdefault("x-known-values", list(named[set_name]))
    for node in list(nodes(found)):
        known = node.get("x-known-values")
        if isinstance(known, list):
            means = next((m for m in named.values() if list(m) == known), None)
            means = means or next((m for m in named.values() if set(known) <= set(m)), {})
            if "description" in node:
                node["description"] += _listed({value: means[value] for value in known if value in means})
        values = node.get("enum")
        if isinstance(values, list) and all(isinstance(value, str) for value in values):
            name = next((n for n, means in named.items() if set(means) == set(values)), None)
            if name is not None:
                schemas[name] = {"type": "string", "enum": values, "description": _listed(named[name]).strip()}
                for said in ("enum", "type", "maxLength"):
                    node.pop(said, None)
                node["$ref"] = SCHEMAS + name


def _listed(means: Mapping[str, str]) -> str:
    return "".join(f"\n- `{value}`: {meaning}" for value, meaning in means.items())
