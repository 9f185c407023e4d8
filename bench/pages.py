"""What a page weighs, and how soon something is seen of it on a slow processor.

    python -m bench.pages

Serves the demo, and opens its pages in Chromium with nothing kept: at the processor's own speed and slowed down four
times. Bytes are as sent. `first` is the time to first contentful paint, `drawn` that until the charts are drawn, in
milliseconds from the start of the navigation, each the median of five. Then once more with what the browser has kept.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import free_port

_CHROMIUM = "/usr/bin/chromium"
_RUNS = 5
_FIRST = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_NOW = "performance.now()"


def main() -> None:
    with demo() as link, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        patient = page.locator("[data-rows] th a").first.get_attribute("href")
        state = context.storage_state()
        address = link.split("/sign-in")[0]
        print("| page | requests | KiB | KiB kept | first | first, 4x slower | drawn, 4x slower |")
        print("|---|---|---|---|---|---|---|")
        for name, path in (
            ("sign-in", "/sign-in"),
            ("worklist", "/"),
            ("patient", str(patient)),
            ("paper form", f"{patient}/check-ins/new"),
            ("letter", f"{patient}/letter"),
            ("cohorts", "/cohorts"),
            ("audit log", "/admin/audit"),
        ):
            _say(name, browser, state, address + path)
        page.goto(address + str(patient))
        page.get_by_role("button", name="Enrol a phone").click()
        code = page.locator("#code").inner_text()
        phone = browser.new_context()
        mine = phone.new_page()
        mine.goto(f"{address}/check-in#{code}")
        mine.get_by_role("button", name="Add this phone").click()
        mine.wait_for_url("**/check-in")
        for name in ("check-in", "check-in/scores"):
            _say(name, browser, phone.storage_state(), f"{address}/{name}")
        browser.close()


@contextmanager
def demo() -> Iterator[str]:
    """The demo, and the link that signs in to it."""
    holdfast = str(Path(sys.executable).with_name("holdfast"))
    with tempfile.TemporaryDirectory() as folder:
        command = [holdfast, "demo", "--port", str(free_port())]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                yield next(
                    found[0] for line in process.stdout if (found := re.search(r"http://\S+/sign-in/link/\S+", line))
                )
            finally:
                process.terminate()


def _say(name: str, browser: Browser, state: Any, address: str) -> None:
    runs = [_opened(browser, state, address, slower) for slower in (1, 4) for _ in range(_RUNS)]
    fast, slow = runs[:_RUNS], runs[_RUNS:]

    def middle(some: list[dict[str, float]], what: str) -> float:
        return statistics.median(run[what] for run in some)

    print(
        f"| {name} | {middle(fast, 'requests'):.0f} | {middle(fast, 'bytes') / 1024:.0f} "
        f"| {middle(fast, 'kept') / 1024:.0f} | {middle(fast, 'first'):.0f} | {middle(slow, 'first'):.0f} "
        f"| {middle(slow, 'drawn'):.0f} |",
        flush=True,
    )


def _opened(browser: Browser, state: Any, address: str, slower: int) -> dict[str, float]:
    """A page opened with nothing kept, and then once more."""
    context = browser.new_context(storage_state=state)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Emulation.setCPUThrottlingRate", {"rate": slower})
    got = {"requests": 0.0, "bytes": 0.0}

    def note(event: Any) -> None:
        got["requests"] += 1
        got["bytes"] += event["encodedDataLength"]

    session.on("Network.loadingFinished", note)
    found = _measured(page, address)
    found |= got
    got |= {"requests": 0.0, "bytes": 0.0}
    _measured(page, address)
    found["kept"] = got["bytes"]
    context.close()
    return found


def _measured(page: Page, address: str) -> dict[str, float]:
    page.goto(address)
    if page.locator("figure[data-chart]").count():
        page.wait_for_selector("figure[data-drawn]", state="attached")
    drawn = page.evaluate(_NOW)
    page.wait_for_load_state("networkidle")
    return {"first": page.evaluate(_FIRST), "drawn": drawn}


if __name__ == "__main__":
    main()
