"""Bounds on connections, before there is a request: how many at once, how long a client may take, how large a header.

uvicorn bounds none of these when it parses with httptools, so its protocol is extended here.
"""

import asyncio
import json
import logging
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import uuid4
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.addresses import is_among, network_of
from app.api.problems import problem_body
from app.errors import BadRequest, Busy, HeadersTooLarge, Problem, RateLimited, RequestTimeout

logger = logging.getLogger("holdfast")

HEADER_BYTES = 32 * 1024
_LINGERING_SECONDS = 1.0
# A client that sends its body at least this fast is never cut off.
_SLOWEST_BYTES_A_SECOND = 8 * 1024
# An offer to go on by HTTP/2, which Java's client makes over plain http. It is not taken (RFC 9110, 7.8); the parser
# would stop for it, and the body be lost.
_OFFER = re.compile(rb"\r\n(?:upgrade|http2-settings):[^\r\n]*(?=\r\n)", re.IGNORECASE)
# A chunk of one byte comes with five more.
_FRAMING_OF_A_BYTE = 6


@dataclass(slots=True)
class Bounds:
    """What clients may take of one process, and what they have taken: see Settings. `trusted`: addresses of proxies,
    behind which many clients stand. `is_stopping`: the process is ending, and requests that wait should answer."""

    connections: int = 1_000
    per_address: int = 500
    header_seconds: float = 10
    body_seconds: float = 30
    trusted: frozenset[str] = frozenset()
    taken: Counter[str] = field(default_factory=Counter)
    is_stopping: bool = False

    def refusal(self, address: str) -> Problem | None:
        """Why another connection from an address is refused; None where it is not."""
        if self.taken.total() >= self.connections:
            return Busy("all connections are in use")
        if self.taken[network_of(address)] >= self.per_address and not is_among(address, self.trusted):
            return RateLimited("too many connections from one address", headers={"Retry-After": "1"})
        return None


# The name under which the bounds stand in the server's state, where each connection finds them.
BOUNDS = "holdfast_bounds"


class Bounded(HttpToolsProtocol):
    """A connection that is refused where there are too many, and closed where its client takes too long or sends too
    large a header. What is refused here is answered like every other error."""

    def __init__(self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds: Bounds = app_state.get(BOUNDS) or Bounds()
        self._address: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: Problem = BadRequest()
        self._is_in_header, self._is_refused = True, False
        self._header_bytes = self._received_bytes = self._body_bytes = 0
        self._deadline = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        refusal = self._bounds.refusal(address)
        if refusal is not None:
            self._refuse(refusal)
            return
        self._address = network_of(address)
        self._bounds.taken[self._address] += 1
        self._set_timer(self._bounds.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_timer()
        if self._address is not None:
            self._bounds.taken[self._address] -= 1
            if not self._bounds.taken[self._address]:
                del self._bounds.taken[self._address]
            self._address = None
        super().connection_lost(exc)

    def shutdown(self) -> None:
        self._bounds.is_stopping = True
        super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_in_header:
            head, end, rest = data.partition(b"\r\n\r\n")
            if end:
                data = _OFFER.sub(b"", head + b"\r\n")[:-2] + end + rest
            self._header_bytes += len(data)
            if self._timer is None:
                self._set_timer(self._bounds.header_seconds)
        elif self._timer is not None:
            self._received_bytes += len(data)
            self._set_timer(self._deadline - self.loop.time() + len(data) / _SLOWEST_BYTES_A_SECOND)
        super().data_received(data)
        # Chunks and trailers are no part of the body: their signs are counted by how much more came than the body.
        framing = self._received_bytes - _FRAMING_OF_A_BYTE * self._body_bytes
        too_much = self._header_bytes if self._is_in_header else framing
        if too_much > HEADER_BYTES and not self._is_refused:
            self._refuse(HeadersTooLarge())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_header = True

    def on_headers_complete(self) -> None:
        header = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if header > HEADER_BYTES:
            self._refusal = HeadersTooLarge()
            raise ValueError
        hosts = sum(name.lower() == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):  # RFC 9112, 3.2
            raise ValueError
        self._received_bytes = self._header_bytes - header  # what came with the header's end
        self._is_in_header, self._header_bytes, self._body_bytes = False, 0, 0
        self._set_timer(self._bounds.body_seconds)
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_in_header:  # after the body come trailers, which nobody here uses
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._clear_timer()
        self._is_in_header = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for a request that cannot be parsed."""
        self._refuse(self._refusal)

    def _set_timer(self, seconds: float) -> None:
        self._clear_timer()
        self._deadline = self.loop.time() + seconds
        self._timer = self.loop.call_later(max(0, seconds), self._out_of_time)

    def _clear_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self) -> None:
        self._timer = None
        if self._is_in_header and not self._header_bytes:  # it has said nothing: nothing to answer
            self.transport.close()
        else:
            self._refuse(RequestTimeout())

    def _refuse(self, problem: Problem) -> None:
        """Answers and closes; where an answer is under way already, closes."""
        self._clear_timer()
        self._is_refused = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            request_id = str(uuid4())
            body = json.dumps(problem_body(problem, request_id)).encode()
            given = {"content-type": "application/problem+json", "content-length": str(len(body)),
                     "connection": "close", "cache-control": "no-store", "x-request-id": request_id,
                     **problem.headers}  # fmt: skip
            head = b"".join(f"{name.lower()}: {value}\r\n".encode() for name, value in given.items())
            self.transport.write(STATUS_LINE[problem.status] + head + b"\r\n" + body)
            logger.info("a connection was refused: %s %s", problem.code, request_id)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        # A connection that is closed while its client still sends is reset, and the client never reads the answer. So
        # what still comes is thrown away for a moment.
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGERING_SECONDS, self.transport.close)
