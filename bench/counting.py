"""How many statements a request takes, in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import event

from app.api.parts import DATABASE
from app.main import create_app
from app.settings import Settings

_NOT_COUNTED = ("BEGIN", "INSERT INTO rate_counts")


@contextmanager
def counter(settings: Settings, token: str) -> Iterator[Callable[..., int]]:
    """A function that makes a request, once to warm up and once more, and gives its number of statements."""
    app = create_app(settings)
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(_NOT_COUNTED):
            statements.append(statement)

    with TestClient(app, headers={"Authorization": f"Bearer {token}"}) as client:

        def count(method: str, path: str, *bodies: Any) -> int:
            for body in bodies or (None, None):
                statements.clear()
                answer = client.request(method, path, json=body)
                if answer.status_code not in (200, 201):
                    raise RuntimeError(answer.text)
            return len(statements)

        event.listen(DATABASE.in_app(app).engine, "before_cursor_execute", note)
        yield count
