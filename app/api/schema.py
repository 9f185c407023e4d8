"""The OpenAPI document: FastAPI's, made fit for generators of clients. What is the same for all operations, properties
or values is said here, once; the sentences are in `words.toml`, the examples in `examples.json`.

Each step below is there because a generator needs it: see docs/decisions/0014-clients.md.
"""

import ast
import inspect
import json
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.api.fields import BODIES, ProblemOut
from app.api.problems import only

Node = dict[str, Any]

_FILES = ("image/svg+xml", "image/png", "text/csv", "application/x-ndjson")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_SCHEMAS, _HEADERS = "#/components/schemas/", "#/components/headers/"
_TAGS = {
    "access": "Signing in, people, integrations and patients' devices",
    "alerts": "What a person must look at",
    "audit": "Who read and wrote what",
    "check-ins": "Scores, as they are answered",
    "clinic": "The clinic's settings",
    "cohorts": "How the clinic's patients do, counted",
    "events": "What else happened to a patient",
    "exchange": "Files for other tools",
    "instruments": "What is measured, and by which rules it is read",
    "outcomes": "Is relief holding?",
    "patients": "Patients, their records and their devices",
    "pictures": "The same as pictures",
    "plans": "When patients are asked",
    "privacy": "A patient's record, and its erasure",
    "service": "The service itself",
    "sessions": "Infusions",
    "webhooks": "What happened, sent to receivers",
}
_HEADER_TEXTS = {
    "X-Request-Id": ("The request's id, for questions to the operator.", "string"),
    "RateLimit": ('How many requests are left, and for how many seconds: `"caller";r=599;t=42`.', "string"),
    "RateLimit-Policy": ('The limit: `"caller";q=600;w=60` is 600 requests in 60 seconds.', "string"),
    "ETag": ("The version of what is shown, as `If-Match` takes it.", "string"),
    "Location": ("The address of what was made.", "string"),
    "Link": ('The address of the next page, with `rel="next"`; absent on the last.', "string"),
    "Replayed": ("`true`: it was there before, from a request that was repeated.", "boolean"),
    "Idempotency-Replayed": ("`true`: the answer that was given before under the same Idempotency-Key.", "boolean"),
    "Retry-After": ("How many seconds to wait before trying again.", "integer"),
    "WWW-Authenticate": ("How to authenticate.", "string"),
    "Deprecation": ("Since when the operation is deprecated (RFC 9745); absent while it is not.", "string"),
    "Sunset": ("When the operation ends to work (RFC 8594); absent while that is not planned.", "string"),
}
# What these make has an address of its own.
_LOCATED = ("create_", "record_", "move_", "amend_check_in")
_PROBLEM = "application/problem+json"
_HTTP, _OAUTH = "token", "oauth2"


@dataclass(frozen=True, slots=True)
class About:
    """What the document says that other rooms know. `url`: where the service is reached. `scopes`: what each operation
    needs. `open_operations`: which need no token. `values`: further named sets of values with their meanings.
    `events`: what receivers of webhooks are told of, `models`: in which bodies."""

    url: str
    scopes: Mapping[str, Collection[str]]
    all_scopes: Collection[str]
    open_operations: Collection[str]
    values: Mapping[str, Mapping[str, str]]
    events: Mapping[str, str]
    models: Sequence[type[BaseModel]]


def document(app: FastAPI, about: About) -> Node:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app, about)
    return app.openapi_schema


def _document(app: FastAPI, about: About) -> Node:
    found = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        contact={"name": app.title, "url": f"{about.url}/docs"},
        servers=[{"url": about.url, "description": "This service"}],
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    components = found["components"]
    schemas = components["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    models: list[type[BaseModel]] = [ProblemOut, *about.models]
    for model in models:
        schema = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
    components["headers"] = {
        name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADER_TEXTS.items()
    }
    components["securitySchemes"] = _security_schemes(about)
    for path, operation in _operations(found):
        _complete(operation)
        _declare_headers(operation, schemas, is_open=not path.startswith(("/v1", "/oauth")))
        operation["security"] = _security(operation, about)
    for node in _nodes(found):
        _plain(node)
    _describe(schemas)
    _describe_parameters(found)
    _name_values(found, schemas, about)
    _show(found)
    components["responses"] = _shared_refusals(found)
    found["webhooks"] = {kind: {"post": _event(kind, means)} for kind, means in about.events.items()}
    return found


def _operations(found: Node) -> Iterator[tuple[str, Node]]:
    """Each operation with its path."""
    for path, operations in found["paths"].items():
        for operation in operations.values():
            yield path, operation


def _nodes(node: Any) -> Iterator[Node]:
    """Every object of a document but those of examples, outer ones first."""
    if isinstance(node, dict):
        yield node
        for name, value in list(node.items()):
            if name not in ("example", "examples"):
                yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _security_schemes(about: About) -> Node:
    scopes = {scope: scope.replace(":", ": ") for scope in about.all_scopes}
    flow = {"tokenUrl": f"{about.url}/oauth/token", "scopes": scopes}
    # Both, because generated clients treat them differently: of the second some send the bare token.
    return {
        _HTTP: {"type": "http", "scheme": "bearer", "description": "An access token of `POST /oauth/token`."},
        _OAUTH: {"type": "oauth2", "flows": {"password": {**flow, "refreshUrl": f"{about.url}/oauth/token"},
                                              "clientCredentials": flow}},
    }  # fmt: skip


def _security(operation: Node, about: About) -> list[Node]:
    name = operation["operationId"]
    if name in about.open_operations:
        return []
    return [{_HTTP: []}, {_OAUTH: list(about.scopes[name])}]


def _complete(operation: Node) -> None:
    """Takes out FastAPI's own 422, which is never given, and adds what bodies are refused for."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", {})):
        del responses["422"]
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        for status, refusal in only("too_large", "unsupported_media_type").items():
            responses.setdefault(str(status), refusal)
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
        for status, refusal in only("idempotency_key_reused", "request_in_progress").items():
            known = responses.get(str(status), refusal)  # which other operations may share
            examples = known["content"][_PROBLEM]["examples"] | refusal["content"][_PROBLEM]["examples"]
            content = {_PROBLEM: {**known["content"][_PROBLEM], "examples": examples}}
            responses[str(status)] = {**known, "content": content}
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "if-match":
            parameter["name"], parameter["required"] = "If-Match", "428" in responses
        parameter["schema"] = _without_null(parameter["schema"])


def _without_null(schema: Node) -> Node:
    """A parameter is left out and never null. Otherwise typed clients send the word."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}


def _declare_headers(operation: Node, schemas: Node, *, is_open: bool) -> None:
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    for status, response in operation["responses"].items():
        names = ["X-Request-Id"] if is_open else ["X-Request-Id", "RateLimit", "RateLimit-Policy"]
        if status.startswith("2") and not is_open:
            names += ["Deprecation", "Sunset"]
            names += ["Idempotency-Replayed"] if "Idempotency-Key" in parameters else []
            names += ["Replayed"] if status == "200" and "201" in operation["responses"] else []
            names += ["Link"] if "cursor" in parameters else []
            names += ["Location"] if status == "201" and operation["operationId"].startswith(_LOCATED) else []
            shown = response.get("content", {}).get("application/json", {}).get("schema", {})
            one = shown.get("anyOf", [shown])[0].get("$ref", "").removeprefix(_SCHEMAS)
            names += ["ETag"] if "version" in schemas.get(one, {}).get("properties", {}) else []
        if "304" in operation["responses"] and status in ("200", "304"):
            names += ["ETag"]
        names += {"401": ["WWW-Authenticate"], "429": ["Retry-After"], "503": ["Retry-After"]}.get(status, [])
        response["headers"] = {name: {"$ref": _HEADERS + name} for name in names}


def _plain(node: Node) -> None:
    """What JSON Schema and generators need, wherever it stands."""
    is_schema = isinstance(node.get("type"), str) or isinstance(node.get("anyOf"), list) or "$ref" in node
    if is_schema and isinstance(node.get("title"), str):  # it only says the name again
        del node["title"]
    if isinstance(node.get("description"), str):  # of a docstring, whose lines are only as long as ours
        node["description"] = " ".join(node["description"].split())
    for name in _BOUNDS:
        if isinstance(node.get(name), float) and node[name].is_integer():
            node[name] = int(node[name])
    kinds = [kind.get("type") for kind in node.get("anyOf", [])]
    if "integer" in kinds and "number" in kinds:  # in many languages a class without members
        node["anyOf"] = [kind for kind in node["anyOf"] if kind.get("type") != "integer"]
    if len(node.get("anyOf", [])) == 1:
        node.update(node.pop("anyOf")[0])
    for kind in _FILES:
        if isinstance(node.get(kind), dict):  # without a format, generators read text
            node[kind]["schema"] = {"type": "string", "format": "binary"}


def _words() -> Node:
    return tomllib.loads((files("app.api") / "words.toml").read_text(encoding="utf-8"))


@cache
def _under_fields(module: str) -> dict[str, dict[str, str]]:
    """The sentence that stands under each field of the classes of a module."""
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
    found, models = {}, [*BODIES, BaseModel]
    for model in models:
        models += model.__subclasses__()
        ours = [base for base in reversed(model.__mro__) if base.__module__.startswith("app.")]
        found[model.__name__] = {
            f: text for base in ours for f, text in _under_fields(base.__module__).get(base.__name__, {}).items()
        }
    return found


def _describe(schemas: Node) -> None:
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


def _describe_parameters(found: Node) -> None:
    words = _words()["parameters"]
    for _, operation in _operations(found):
        for parameter in operation.get("parameters", []):
            name = parameter["name"]
            said = words.get(f"{operation['operationId']}.{name}") or words.get(name)
            if "description" not in parameter and said is not None:
                parameter["description"] = said


def _name_values(found: Node, schemas: Node, about: About) -> None:
    """Names each closed set of values, and says what each value means, also of those sets that may grow."""
    named = {**_words()["values"], **about.values}
    for node in list(_nodes(found)):
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
                node["$ref"] = _SCHEMAS + name


def _listed(means: Mapping[str, str]) -> str:
    return "".join(f"\n- `{value}`: {meaning}" for value, meaning in means.items())


def _event(kind: str, meaning: str) -> Node:
    """What a receiver is sent."""
    schema = {"$ref": f"{_SCHEMAS}WebhookEvent"}
    return {
        "operationId": f"receive_{kind.replace('.', '_')}",
        "summary": meaning[0].upper() + meaning[1:],
        "description": "Signed by Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.",
        "tags": ["webhooks"],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "204": {"description": "Received; any status from 200 to 299 is taken for that"},
            "410": {"description": "The receiver is gone: the webhook is switched off"},
        },
        "security": [],
    }


def _shared_refusals(found: Node) -> Node:
    """The refusals of all operations, each named once by the codes that it may have; half the document otherwise."""
    shared: Node = {}
    for _, operation in _operations(found):
        for status, response in operation["responses"].items():
            codes = response.get("content", {}).get(_PROBLEM, {}).get("examples", {})
            if codes:
                name = ".".join(codes)
                name += "" if shared.get(name, response) == response else ".with_notice"
                assert shared.setdefault(name, response) == response
                operation["responses"][status] = {"$ref": f"#/components/responses/{name}"}
    return shared


def _show(found: Node) -> None:
    """Puts the examples in: of each body, and of the first success of each operation."""
    examples = json.loads((files("app.api") / "examples.json").read_text(encoding="utf-8"))
    for _, operation in _operations(found):
        shown = examples.get(operation["operationId"], {})
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "request" in shown:
                content["example"] = shown["request"]
        content = operation["responses"].get(str(shown.get("status")), {}).get("content", {})
        if "application/json" in content and "response" in shown:
            content["application/json"]["example"] = shown["response"]
