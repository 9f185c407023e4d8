"""The service's log: one line per event. A line contains no values of a patient, no path and no query."""

import logging
import sys
import traceback

logger = logging.getLogger("holdfast")


def configure(level: str) -> None:
    """Logs to standard error. Other libraries log warnings and errors only."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    # The format prints neither the source line nor the thread or process, so looking them up for each line is turned
    # off.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("holdfast").setLevel(level.upper())
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
