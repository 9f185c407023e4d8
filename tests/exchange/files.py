"""Files that go in and out, for the tests of exchange."""

import csv
import json
from io import StringIO
from typing import Any
from uuid import UUID

from app.exchange import running
from app.storage import Database
from tests.conftest import Api

CSV, NDJSON = "text/csv", "application/x-ndjson"


def sent(api: Api, content: str | bytes, media_type: str = CSV, **params: Any) -> dict[str, Any]:
    """The import that a file begins."""
    body = content.encode() if isinstance(content, str) else content
    answer = api.request("POST", "/v1/imports", content=body, headers={"Content-Type": media_type}, params=params)
    assert answer.status_code == 202, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/imports/{found['id']}"
    return found


def carried(api: Api, database: Database, found: dict[str, Any]) -> dict[str, Any]:
    """The import once there is nothing more to do."""
    portal: Any = api.server.portal
    portal.call(running.carry_through, database, api.clinic_id, UUID(found["id"]))
    answer = api.get(f"/v1/imports/{found['id']}")
    assert answer.status_code == 200, answer.text
    ended: dict[str, Any] = answer.json()
    return ended


def imported(
    api: Api, database: Database, content: str | bytes, media_type: str = CSV, state: str = "done", **params: Any
) -> dict[str, Any]:
    """What became of a file."""
    ended = carried(api, database, sent(api, content, media_type, **params))
    assert ended["state"] == state, ended
    return ended


def counted(found: dict[str, Any]) -> dict[str, int]:
    """What an import counts, without what there was nothing of."""
    return {name: number for name, number in found["counts"].items() if number}


def exported(api: Api, name: str, **params: Any) -> str:
    answer = api.get(f"/v1/exports/{name}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.text


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def written(table: list[dict[str, Any]]) -> str:
    """A table as CSV."""
    out = StringIO()
    writer = csv.DictWriter(out, list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return out.getvalue()
