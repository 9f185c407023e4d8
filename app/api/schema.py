"""The OpenAPI document: what every operation shares is said here once."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.api.problems import ProblemOut, problems


def document(app: FastAPI, open_operations: Collection[str]) -> dict[str, Any]:
    """FastAPI's document, less its own 422 (which we never give); operations with a body also refuse its size and media
    type, and open ones ask for no token. Made once."""
    if app.openapi_schema is None:
        found = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        schemas = found["components"]["schemas"]
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["ProblemOut"] = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        for operations in found["paths"].values():
            for operation in operations.values():
                _complete(operation, open_operations)
        app.openapi_schema = found
    return app.openapi_schema


def _complete(operation: dict[str, Any], open_operations: Collection[str]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", {})):
        del responses["422"]
    if "application/json" in operation.get("requestBody", {}).get("content", {}):
        for status in (413, 415):
            refusals = problems("too_large", "unsupported_media_type")
            responses.setdefault(str(status), refusals[status])
    for parameter in operation.get("parameters", []):
        if parameter["name"] == "if-match":
            parameter["name"], parameter["required"] = "If-Match", True
    if operation["operationId"] in open_operations:
        operation.pop("security", None)
