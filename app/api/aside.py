"""Work on large requests and responses, off the event loop: one at a time, because each takes the processor from all
other requests."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")

_thread = ThreadPoolExecutor(1, "holdfast-aside")


async def aside(work: Callable[[], T]) -> T:
    """The result of `work`."""
    return await asyncio.get_running_loop().run_in_executor(_thread, copy_context().run, work)
