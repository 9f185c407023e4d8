"""The attack list, tried against a running service on both engines."""

from collections.abc import Iterator

import pytest

from app.settings import Settings
from tests.conftest import ENGINES, fresh_settings
from tests.house import attacks_on_pages  # noqa: F401 - it adds to the list
from tests.house.attacks import ATTACKS, Target, target


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("attacked")
    settings: Settings = fresh_settings(request.param, request, folder)
    yield from target(settings, folder)


@pytest.mark.parametrize(("kind", "tried"), [(kind, tried) for kind, all_ in ATTACKS.items() for tried in all_])
def test_the_service_holds(running: Target, kind: str, tried: str) -> None:
    came = ATTACKS[kind][tried](running)
    assert came.held, came.told
