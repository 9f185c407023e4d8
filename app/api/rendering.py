"""From facts to JSON responses: status, Location, ETag and Replayed are decided here and in routes, nowhere else."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar
from uuid import UUID

from fastapi import Response

from app.api.fields import Id, ResponseBody, as_bytes
from app.facts import Fact

B = TypeVar("B")


class WrittenOut(ResponseBody):
    """What was written, for a caller who may not read it: its id and its version."""

    id: Id
    version: int | None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A response as it leaves, and as it is stored under an Idempotency-Key. `content` is JSON, empty for none."""

    status: int
    headers: dict[str, str]
    content: str

    def response(self) -> Response:
        return Response(self.content, self.status, self.headers, "application/json" if self.content else None)


def as_json(fact: Fact[B], status: int = 200, location: str | None = None) -> Rendered:
    """The fact's value as it stands; fields that nobody set are left out."""
    headers = {} if location is None else {"Location": location}
    if fact.version is not None:
        headers["ETag"] = f'"{fact.version}"'
    if fact.is_replay:
        headers["Replayed"] = "true"
    return Rendered(status, headers, as_bytes(fact.value).decode())


def created(fact: Fact[B], location: str | None = None) -> Rendered:
    """The response to a create: 201, or 200 if the object was there before."""
    return as_json(fact, 201 if fact.is_new else 200, location)


def unseen(rendered: Rendered, fact: Fact[Any], known_as: UUID | None = None) -> Rendered:
    """The same response for a caller who may write the object and not read it."""
    value = WrittenOut(id=known_as or fact.value.id, version=fact.version)
    return replace(rendered, content=value.model_dump_json())


def no_content(fact: Fact[Any]) -> Rendered:
    """A 204 response without a body."""
    return Rendered(204, {}, "")
