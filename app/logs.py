"""The service's log: one line per event, without a patient's values, a path or a query."""

import logging
import sys


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
