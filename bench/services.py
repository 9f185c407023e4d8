"""Services to be measured, started as an operator starts them, on a core of their own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.settings import Settings
from bench.load import SERVER_CORE


@dataclass(frozen=True)
class Service:
    """A running process, its port, and the seconds until it answered."""

    port: int
    pid: int
    started_in: float

    def kill(self) -> None:
        """SIGKILL: it can do nothing about it."""
        os.kill(self.pid, signal.SIGKILL)

    def peak_memory(self) -> float:
        """MiB, since the process began."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def memory(self) -> float:
        """MiB, now."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@contextmanager
def holdfast(settings: Settings, **variables: str) -> Iterator[Service]:
    """`holdfast serve` with its jobs, without a limit of requests."""
    port = _free_port()
    given = {"HOLDFAST_DATABASE_URL": settings.database_url, "HOLDFAST_SECRET_KEY": settings.secret}
    command = [str(Path(sys.executable).with_name("holdfast")), "serve", "--port", str(port)]
    with _running(command, given | {"HOLDFAST_RATE_LIMIT": "0"} | variables, port, "/readyz") as service:
        yield service


@contextmanager
def bare(key: str, receipt: str, relief: str) -> Iterator[Service]:
    """The yardstick, on the same server with the same settings."""
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.bare:app", "--port", str(port), "--no-access-log"]
    given = {"BARE_KEY": key, "BARE_RECEIPT": receipt, "BARE_RELIEF": relief}
    with _running([*command, "--no-server-header", "--log-level", "warning"], given, port, "/ready") as service:
        yield service


@contextmanager
def _running(command: list[str], given: dict[str, str], port: int, ready: str) -> Iterator[Service]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")} | given
    began = time.perf_counter()
    pinned = ["taskset", "-c", str(SERVER_CORE), *command]
    with subprocess.Popen(pinned, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://127.0.0.1:{port}{ready}")
            yield Service(port, process.pid, time.perf_counter() - began)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def _wait_for(address: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise RuntimeError("the service did not come up")
        time.sleep(0.02)
