"""A real browser and a real service, for the stories of people."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

from app.settings import Settings
from tests.conftest import free_port
from tests.house.processes import HOLDFAST, PASSWORD, environment, run, wait_for

CHROMIUM = "/usr/bin/chromium"
EMAIL = "a@example.org"
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
DESK: dict[str, Any] = {"viewport": {"width": 1200, "height": 900}}
_ARGUMENTS = ["--no-sandbox"]


class Service:
    """The service on a port of its own, that can be killed and started again."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.port = settings, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [HOLDFAST, "serve", "--port", str(self.port)]
        silent = subprocess.DEVNULL
        self._process = subprocess.Popen(command, env=environment(self.settings), stdout=silent, stderr=silent)
        wait_for(self.address, self._process)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=30)
        self._process = None


class Clinic:
    """A clinic on a service, and the API as its administrator sees it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        made = run(
            service.settings, "clinics", "add", "--name", "North", "--time-zone", "America/New_York", "--admin-email",
            EMAIL, "--admin-password-stdin", stdin=f"{PASSWORD}\n",
        )  # fmt: skip
        self.id = made["clinic_id"]
        self.api = self._signed_in()

    def _signed_in(self) -> httpx.Client:
        form = {"grant_type": "password", "username": EMAIL, "password": PASSWORD}
        token = httpx.post(f"{self.service.address}/oauth/token", data=form).json()["access_token"]
        # The service is killed and started again: no connection is kept.
        headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        return httpx.Client(base_url=self.service.address, headers=headers, timeout=30)

    def made(self, path: str, content: dict[str, Any]) -> dict[str, Any]:
        answer = self.api.post(path, json=content)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def playing() -> Iterator[Playwright]:
    """What drives the browser. Skips, loudly, where there is none."""
    if not os.path.exists(CHROMIUM):
        pytest.skip(f"{CHROMIUM} is not there: the pages were NOT tried in a browser (apt-get install chromium)")
    with sync_playwright() as found:
        yield found


class Watched:
    """A page of which every fault is kept: of scripts, of its policy, and answers of 500."""

    def __init__(self, page: Page) -> None:
        self.page, self.faults = page, list[str]()
        page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        page.on("console", lambda said: self.faults.append(said.text) if "Security Policy" in said.text else None)
        page.on("response", lambda got: self.faults.append(f"{got.status} {got.url}") if got.status >= 500 else None)


def signed_in(context: BrowserContext, address: str) -> Watched:
    """A page of the console, once its person has signed in by the form."""
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(address)
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")
    return watched


def launched(playing: Playwright, folder: Path | None = None, **how: Any) -> BrowserContext:
    """A browser with a profile in a folder, which a later one finds again; or with none."""
    if folder is not None:
        return playing.chromium.launch_persistent_context(folder, executable_path=CHROMIUM, args=_ARGUMENTS, **how)
    browser = playing.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
    return browser.new_context(**how)


def pages_of(pdf: bytes) -> int:
    """How many pages a PDF has."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))
