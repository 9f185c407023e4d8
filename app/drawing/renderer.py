"""Controls the drawing process: starts it when a picture is requested and ends it when it is idle."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Any, Literal

from app.errors import Busy

logger = logging.getLogger("holdfast")

Format = Literal["svg", "png"]

_MOST_WAITING = 16
_SECONDS = 20.0
_IDLE_SECONDS = 60.0
_LONGEST_LINE = 32 * 1024 * 1024


class Renderer:
    """Draws one picture at a time. If drawing takes too long or the process ends, only that picture fails."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._ending: asyncio.Task[None] | None = None

    async def draw(self, description: dict[str, Any], image: Format) -> bytes:
        """The picture of a Vega-Lite specification. Raises Busy if too many wait or it is not drawn in time, and
        ValueError if the specification cannot be drawn."""
        return await self._answer(description, image)

    async def script(self) -> bytes:
        """The JavaScript module with which a browser draws specifications: Vega, Vega-Lite and Vega-Embed, as the
        renderer brings them; its default export is `vegaEmbed`. Raises Busy."""
        return await self._answer({}, "script")

    async def _answer(self, description: dict[str, Any], form: str) -> bytes:
        if self._waiting >= _MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            async with asyncio.timeout(_SECONDS), self._turn:
                return await self._draw(json.dumps({"description": description, "format": form}))
        except TimeoutError:
            raise Busy("the picture could not be drawn in time") from None
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Ends the process."""
        if self._ending is not None:
            self._ending.cancel()
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(_IDLE_SECONDS)
        async with self._turn:
            await self._end()

    async def _draw(self, asked: str) -> bytes:
        try:
            process = await self._started()
            assert process.stdin is not None  # both are pipes
            assert process.stdout is not None
            process.stdin.write(asked.encode() + b"\n")
            answer = json.loads(await process.stdout.readline())
        except (OSError, ValueError):
            logger.warning("the drawing process ended")
            await self._end()
            raise Busy("the picture could not be drawn just now") from None
        except asyncio.CancelledError:
            await self._end()  # output left in its pipes must not answer the next request
            raise
        self._ending = asyncio.create_task(self._end_when_idle())
        if "drawn" not in answer:
            raise ValueError("the description cannot be drawn")
        return base64.b64decode(answer["drawn"])

    async def _started(self) -> Process:
        if self._ending is not None:
            self._ending.cancel()
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.drawing.child",
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                limit=_LONGEST_LINE,
                cwd="/",  # not in the folder of the service's data and settings
                env={"TZ": "UTC", "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path)},
            )
        return self._process
