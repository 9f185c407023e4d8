"""The OpenAPI document: what every operation shares is said here once."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi


def openapi_with_shared_rules(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, less its own 422 (which we never give), cached."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            separate_input_output_schemas=False,
        )
        for name in ("HTTPValidationError", "ValidationError"):
            document.get("components", {}).get("schemas", {}).pop(name, None)
        for path in document["paths"].values():
            for operation in path.values():
                refusal = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(refusal):
                    del operation["responses"]["422"]
        app.openapi_schema = document
    return app.openapi_schema
