"""The OpenAPI document: FastAPI's, made fit for generators of clients. What is the same for all operations, properties
or values is said here, once; the sentences are in `words.toml`, the examples in `examples.json`.

Each step below is there because a generator needs it: see docs/decisions/0014-clients.md.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from app.api.describing import SCHEMAS, Node, describe, describe_parameters, name_values, nodes, operations
from app.api.fields import ProblemOut
from app.api.problems import only

_FILES = ("image/svg+xml", "image/png", "text/csv", "application/x-ndjson")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_HEADERS = "#/components/headers/"
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
    "webhook events": "What receivers of webhooks are sent",
    "webhooks": "What happened, sent to receivers",
}
_HEADER_TEXTS = {
    "X-Request-Id": ("The request's id, for questions to the operator.", "string"),
    "RateLimit": ('How many requests are left, and for how many seconds: `"caller";r=599;t=42`.', "string"),
    "RateLimit-Policy": ('The limit: `"caller";q=600;w=60` is 600 requests in 60 seconds.', "string"),
    "ETag": ("The version of what is shown, as `If-Match` takes it.", "string"),
    "Location": ("The address of what was made.", "string"),
    "Content-Disposition": ("The file's name: `attachment; filename=...`.", "string"),
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
    needs. `open_operations`: which need no token. `whom`: a sentence on who alone may do one. `values`: further named
    sets of values with their meanings. `events`: what receivers of webhooks are told of, `models`: in which
    bodies."""

    url: str
    scopes: Mapping[str, Collection[str]]
    all_scopes: Collection[str]
    open_operations: Collection[str]
    whom: Mapping[str, str]
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
        schema = model.model_json_schema(ref_template=SCHEMAS + "{model}")
        schemas |= {**schema.pop("$defs", {}), model.__name__: schema}
    components["headers"] = {
        name: {"description": text, "schema": {"type": kind}} for name, (text, kind) in _HEADER_TEXTS.items()
    }
    components["securitySchemes"] = _security_schemes(about)
    for path, operation in operations(found):
        _complete(operation)
        _declare_headers(operation, schemas, is_counted="401" in operation["responses"] or path.startswith("/oauth"))
        operation["security"] = _security(operation, about)
        whom = about.whom.get(operation["operationId"])
        operation["description"] = f"{operation['description']} {whom}" if whom else operation["description"]
    for node in nodes(found):
        _plain(node)
    describe(schemas)
    describe_parameters(found)
    name_values(found, schemas, about.values)
    _show(found)
    components["responses"] = _shared_refusals(found)
    found["webhooks"] = {kind: {"post": _event(kind, means)} for kind, means in about.events.items()}
    return found


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
    for response in responses.values():
        if "WrittenOut" in str(response.get("content", {}).get("application/json", {}).get("schema")):
            response["description"] += "; id and version alone for a caller who may not read it"
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "if-match":
            parameter["required"] = "428" in responses
        parameter["name"] = {"if-match": "If-Match", "if-none-match": "If-None-Match"}.get(
            parameter["name"], parameter["name"]
        )
        parameter["schema"] = _without_null(parameter["schema"])
        parameter["schema"].pop("description", None)  # the parameter's; beside a `$ref`, some read no type


def _without_null(schema: Node) -> Node:
    """A parameter is left out and never null. Otherwise typed clients send the word."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if "anyOf" not in schema:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**kinds[0], **rest} if len(kinds) == 1 else {**rest, "anyOf": kinds}


def _declare_headers(operation: Node, schemas: Node, *, is_counted: bool) -> None:
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    for status, response in operation["responses"].items():
        names = ["X-Request-Id", "RateLimit", "RateLimit-Policy"] if is_counted else ["X-Request-Id"]
        if status.startswith("2") and is_counted:
            names += ["Deprecation", "Sunset"]
            names += ["Idempotency-Replayed"] if "Idempotency-Key" in parameters else []
            names += ["Replayed"] if status == "200" and "201" in operation["responses"] else []
            names += ["Link"] if "cursor" in parameters else []
            is_made = "201" in operation["responses"] or status == "202"
            is_located = is_made and operation["operationId"].startswith(_LOCATED)
            names += ["Location"] if is_located else []
            names += (
                ["Content-Disposition"] if status == "200" and operation["operationId"].startswith("export_") else []
            )
            shown = response.get("content", {}).get("application/json", {}).get("schema", {})
            one = shown.get("anyOf", [shown])[0].get("$ref", "").removeprefix(SCHEMAS)
            names += ["ETag"] if "version" in schemas.get(one, {}).get("properties", {}) else []
        if "merged" in response.get("content", {}).get(_PROBLEM, {}).get("examples", {}):
            names += ["ETag"]  # of the record that was merged, which undoing the merge takes
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
    if node.get("type") == "number":  # without it, of 32 bits in Go, and a decimal in Java and C#
        node.setdefault("format", "double")
    kinds = [kind.get("type") for kind in node.get("anyOf", [])]
    if "integer" in kinds and "number" in kinds:  # in many languages a class without members
        node["anyOf"] = [kind for kind in node["anyOf"] if kind.get("type") != "integer"]
    if len(node.get("anyOf", [])) == 1:
        node.update(node.pop("anyOf")[0])
    for kind in _FILES:
        if isinstance(node.get(kind), dict):  # without a format, generators read text
            node[kind]["schema"] = {"type": "string", "format": "binary"}


def _event(kind: str, meaning: str) -> Node:
    """What a receiver is sent."""
    schema = {"$ref": f"{SCHEMAS}WebhookEvent"}
    return {
        "operationId": f"receive_{kind.replace('.', '_')}",
        "summary": meaning[0].upper() + meaning[1:],
        "description": "Signed by Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp`, `webhook-signature`.",
        "tags": ["webhook events"],
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
    for _, operation in operations(found):
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
    for _, operation in operations(found):
        shown = examples.get(operation["operationId"], {})
        for content in operation.get("requestBody", {}).get("content", {}).values():
            if "request" in shown:
                content["example"] = shown["request"]
        content = operation["responses"].get(str(shown.get("status")), {}).get("content", {})
        if "application/json" in content and "response" in shown:
            content["application/json"]["example"] = shown["response"]
