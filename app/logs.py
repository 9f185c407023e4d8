"""The service's log: one line per event. A line contains no values of a patient, no path and no query.

Every line that is written while a request is handled bears the request's id, and where the caller sent a W3C trace
context, the id of its trace.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime

logger = logging.getLogger("holdfast")

# The id of the request that is being handled, and of the trace that it belongs to.
REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
TRACE_ID: ContextVar[str] = ContextVar("trace_id", default="")


class _Text(logging.Formatter):
    """`2026-01-06T10:00:00.123Z INFO holdfast message request=...`"""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_at(record)} {record.levelname} {record.name} {record.getMessage()}"
        return " ".join([line, *(f"{name}={value}" for name, value in _about().items())])


class _Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {"at": _at(record), "level": record.levelname, "logger": record.name, "message": record.getMessage()}
            | _about()
        )


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _about() -> dict[str, str]:
    """What the line is about, beside its message."""
    found = {"request": REQUEST_ID.get(), "trace": TRACE_ID.get()}
    return {name: value for name, value in found.items() if value}


def configure(level: str, form: str = "text") -> None:
    """Logs to standard error, as text or as JSON. Other libraries log warnings and errors only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # The format prints neither the source line nor the thread or process, so looking them up for each line is turned
    # off.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("holdfast").setLevel(level.upper())
    # Of an error in a pipeline the driver says that it could not end it well, with the database's address.
    logging.getLogger("psycopg").setLevel("ERROR")
    logging.getLogger("uvicorn.error").setLevel("INFO")


def log_unexpected(error: Exception) -> None:
    """Logs the exception's type, the constraint and our own frames; not its message, which can quote values."""
    frames = [
        f"{frame.filename.rsplit('/app/', 1)[-1]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/app/" in frame.filename
    ]
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    logger.error("unexpected %s constraint=%s at %s", type(error).__name__, constraint, " < ".join(reversed(frames)))
