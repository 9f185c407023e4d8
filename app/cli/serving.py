"""`holdfast serve` and `work`."""

import gc
import os
import socket
import sys
from typing import Annotated

import typer
import uvicorn

from app import metrics
from app import work as background
from app.api.connections import Bounded
from app.cli.opening import database, fail, settings
from app.logs import configure
from app.main import create_app, mail_of, public_url_of
from app.settings import Settings
from app.storage import Database, role_faults
from app.tables import APPEND_ONLY, CLINIC_TABLES

# How many seconds running requests get when the service is told to stop. A request whose client has sent only half of
# it is dropped then.
_STOPPING_SECONDS = 8
# A process that is starting on a busy machine does not answer its parent for a while.
_WORKER_SILENT_SECONDS = 120
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on

Port = Annotated[int, typer.Option(min=1, max=65_535)]


def serve(
    host: str = "127.0.0.1",
    port: Port = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes; SQLite serves with one")] = 1,
    no_work: Annotated[bool, typer.Option("--no-work", help="Leave background jobs to `holdfast work`")] = False,
) -> None:
    """Serve the API.

    Example: holdfast serve --host 0.0.0.0 --port 8000 --workers 2

    Reads HOLDFAST_DATABASE_URL, HOLDFAST_SECRET_KEY, HOLDFAST_PUBLIC_URL and the variables of docs/operating.md.
    """
    found = settings()
    if workers > 1 and found.is_sqlite:
        fail("SQLite serves with one process: use PostgreSQL for more workers")
    configure(found.log_level, found.log_format)
    check_start(found)
    check_port(host, port)
    if found.metrics_port:
        check_port(host, found.metrics_port)
        metrics.serve(found, host, workers)
    # Worker processes read their settings from the environment.
    os.environ["HOLDFAST_BACKGROUND_JOBS"] = "false" if no_work else "true"
    os.environ.setdefault("HOLDFAST_PUBLIC_URL", found.public_url or address_of(host, port))
    uvicorn.run(
        "app.cli.serving:served",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        http=Bounded,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(found.trusted_proxies),
        forwarded_allow_ips=found.trusted_proxies,
        timeout_keep_alive=int(found.idle_seconds),
        timeout_graceful_shutdown=_STOPPING_SECONDS,
        timeout_worker_healthcheck=_WORKER_SILENT_SECONDS,
    )


def served() -> object:
    """Makes the application; `serve` calls this in each process."""
    found = settings()
    configure(found.log_level, found.log_format)
    app = create_app(found)
    # Objects loaded at start live as long as the process, so the garbage collector need not scan them again and again.
    gc.freeze()
    # A collection stops every request while it lasts, so that each looks at few objects.
    gc.set_threshold(2_000, 800, 10)
    # Requests take turns on one processor. One that comes waits this long for each thread that is computing.
    sys.setswitchinterval(0.0005)
    return app


def work() -> None:
    """Run background jobs until interrupted: mail, seals of the audit log, and hourly cleaning.

    Reads HOLDFAST_DATABASE_URL, HOLDFAST_SECRET_KEY and HOLDFAST_SMTP_URL.
    """
    found = settings()
    configure(found.log_level, found.log_format)
    check_start(found)
    database = Database(found.database_url, *found.secrets)
    background.forever(database, mail_of(found), public_url_of(found), found.webhook_host_names)


def address_of(host: str, port: int) -> str:
    """Where a client on this machine reaches the service."""
    name = "127.0.0.1" if host in _ANY_ADDRESS else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def check_start(found: Settings) -> None:
    """Ends the command if the database is not this release's and this secret's, or if the service's role could get
    around row-level security or append-only tables."""
    faults = role_faults(found.database_url, CLINIC_TABLES, APPEND_ONLY)
    if faults:
        fail("the service's database role is not safe: it " + "; it ".join(faults))
    with database(found):
        pass


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except socket.gaierror:
            fail(f"{host} is no address of this machine: choose another with --host")
        except OSError as error:
            reason = "is in use" if error.errno == 98 else "cannot be used"
            fail(f"port {port} of {host} {reason}: choose another with --port")
