"""No change of the contract breaks clients that were made from the released document."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.breaking import bare, breaks
from tests.house.test_routes import DOCUMENT
from tests.render import REFERENCE

RELEASED = json.loads((REFERENCE / "released.json").read_text(encoding="utf-8"))
NOW = bare(DOCUMENT)
Change = Callable[[dict[str, Any]], object]


def operation(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    found: dict[str, Any] = document["paths"][path][method]
    return found


def model(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def test_nothing_breaks_the_clients_of_the_released_document() -> None:
    """What must break needs a new version of the API. After a release: python -m tests.render --release."""
    assert breaks(RELEASED, NOW) == []


BREAKING: list[tuple[str, Change]] = [
    ("get_worklist is gone", lambda d: d["paths"].pop("/v1/worklist")),
    ("list_alerts: kind is no longer taken", lambda d: operation(d, "/v1/alerts", "get")["parameters"].pop(3)),
    (
        "get_me needs patients:read",
        lambda d: operation(d, "/v1/me", "get")["security"][1].update(oauth2=["patients:read"]),
    ),
    ("get_patient: 200/label is no longer given", lambda d: model(d, "PatientOut")["properties"].pop("label")),
    ("get_patient: 200/external_id may be absent", lambda d: model(d, "PatientOut")["required"].remove("external_id")),
    (
        "get_patient: 200/external_id may be null",
        lambda d: model(d, "PatientOut")["properties"].update(external_id={"anyOf": [{"type": "string"},
                                                                                     {"type": "null"}]}),
    ),
    ("create_patient: body/label is required", lambda d: model(d, "PatientIn")["required"].append("label")),
    ("create_patient: body/label is no longer taken", lambda d: model(d, "PatientIn")["properties"].pop("label")),
    ("record_session: body/route may no longer be po", lambda d: model(d, "Route")["enum"].remove("po")),
    (
        "record_check_ins: body/items: maxItems is 100",
        lambda d: model(d, "BatchIn")["properties"]["items"].update(maxItems=100),
    ),
    (
        "create_user: body/email may no longer be string",
        lambda d: model(d, "UserIn")["properties"].update(email={"type": "integer"}),
    ),
    (
        "get_trend_svg: 200: image/svg+xml is no longer given",
        lambda d: operation(d, "/v1/patients/{patient_id}/trend.svg", "get")["responses"]["200"].update(content={}),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("said", "change"), BREAKING, ids=[said for said, _ in BREAKING])
def test_what_would_break_a_client_is_told(said: str, change: Change) -> None:
    changed = copy.deepcopy(NOW)
    change(changed)
    assert said in breaks(NOW, changed)


def test_what_is_added_breaks_nobody() -> None:
    changed = copy.deepcopy(NOW)
    changed["paths"]["/v1/novelties"] = changed["paths"]["/v1/me"]
    model(changed, "PatientOut")["properties"]["novelty"] = {"type": "string"}
    model(changed, "PatientOut")["required"].append("novelty")
    model(changed, "PatientIn")["properties"]["novelty"] = {"type": "string"}
    model(changed, "Route")["enum"].append("novel")
    operation(changed, "/v1/alerts", "get")["parameters"].append(
        {"in": "query", "name": "novelty", "schema": {"type": "string"}, "required": False}
    )
    assert breaks(NOW, changed) == []
