"""The OpenAPI document. What all operations share is added here, once."""

from collections.abc import Collection
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.security import OAuth2PasswordBearer

from app.api.fields import ProblemOut
from app.api.problems import problems


def document(app: FastAPI, bearer: OAuth2PasswordBearer, open_operations: Collection[str]) -> dict[str, Any]:
    """FastAPI's OpenAPI document, made once, with three changes: its own 422 response, which we never give, is removed;
    operations with a JSON body also list 413 and 415; all operations but the open ones require a token."""
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
                _complete(operation)
                if operation["operationId"] not in open_operations:
                    operation["security"] = [{bearer.scheme_name: []}]
        scheme = bearer.model.model_dump(mode="json", by_alias=True, exclude_none=True)
        found["components"]["securitySchemes"] = {bearer.scheme_name: scheme}
        app.openapi_schema = found
    return app.openapi_schema


def _complete(operation: dict[str, Any]) -> None:
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
