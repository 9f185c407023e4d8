"""The parts of the running service that requests ask for: each typed, put in once by `main`, read in one way."""

from typing import Generic, TypeVar

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from app.storage import Database

T = TypeVar("T")


class Part(Generic[T]):
    """One part, by a name of its own. A value of another type is an error to the type checker."""

    def __init__(self, name: str) -> None:
        self._name = name

    def put(self, app: FastAPI, part: T) -> None:
        setattr(app.state, self._name, part)

    def of(self, request: HTTPConnection) -> T:
        found: T = getattr(request.app.state, self._name)
        return found

    def in_app(self, app: FastAPI) -> T:
        found: T = getattr(app.state, self._name)
        return found


DATABASE: Part[Database] = Part("database")
SCHEMA_HEAD: Part[str] = Part("schema_head")
PUBLIC_URL: Part[str] = Part("public_url")
