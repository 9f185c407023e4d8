"""Real processes of the service, as an operator starts them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.settings import Settings
from tests.conftest import SECRET, free_port

HOLDFAST = str(Path(sys.executable).with_name("holdfast"))
PASSWORD = "correct horse battery"


def environment(settings: Settings) -> dict[str, str]:
    found = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    found |= {"HOLDFAST_DATABASE_URL": settings.database_url, "HOLDFAST_SECRET_KEY": SECRET}
    if settings.migration_database_url:
        found["HOLDFAST_MIGRATION_DATABASE_URL"] = settings.migration_database_url
    return found


def run(settings: Settings, *words: str, stdin: str = "") -> dict[str, str]:
    result = subprocess.run(
        [HOLDFAST, *words], env=environment(settings), input=stdin, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, str] = json.loads(result.stdout) if result.stdout.startswith("{") else {}
    return found


@contextmanager
def serving(settings: Settings, *words: str, log: Path | None = None, **variables: str) -> Iterator[str]:
    """A service of its own, at an address; its log goes into a file."""
    port = free_port()
    command = [HOLDFAST, "serve", "--port", str(port), *words]
    with (
        (log or Path(os.devnull)).open("ab") as said,
        subprocess.Popen(command, env=environment(settings) | variables, stderr=said) as process,
    ):
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address, process)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_for(address: str, process: subprocess.Popen[Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        assert process.poll() is None, "the service ended"
        assert time.monotonic() < deadline, "the service did not come up"
        time.sleep(0.1)
