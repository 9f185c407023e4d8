"""The service's log: one line per event, without a patient's values, a path or a query."""

import logging
import sys
import traceback

logger = logging.getLogger("holdfast")


def configure(level: str) -> None:
    """Logs to standard error. Third parties speak up from warnings on."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    # Nothing of where or in which thread a line was said is printed, so it need not be found out.
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.getLogger("holdfast").setLevel(level.upper())
    logging.getLogger("uvicorn.error").setLevel("INFO")


def log_unexpected(error: Exception) -> None:
    """Type, constraint and our own frames. The message of an exception can quote a patient's values."""
    frames = [
        f"{frame.filename.rsplit('/app/', 1)[-1]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/app/" in frame.filename
    ]
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    constraint = getattr(diagnosis, "constraint_name", None)
    logger.error("unexpected %s constraint=%s at %s", type(error).__name__, constraint, " < ".join(reversed(frames)))
