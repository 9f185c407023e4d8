"""Sends a body to a receiver: to the address that was checked, without redirects, within bounds of time and bytes."""

import asyncio
import re
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.outgoing.addresses import chosen, why_not

_SECONDS = 15.0
_MOST_BYTES = 16 * 1024
# At most 11 days: who asks for more is not believed.
_SECONDS_ASKED = re.compile(r"(?a)\d{1,6}")
_LEAVES = "http11.send_request_headers.started"


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a try: the receiver's status, or `error`. `milliseconds`: how long it took. `has_left`: something
    of the request was sent, so that without an answer nobody knows whether it arrived. `retry_after`: after how many
    seconds the receiver wants another try (RFC 9110, 10.2.3); None where it does not say."""

    status: int | None
    error: str | None
    milliseconds: int
    has_left: bool = True
    retry_after: int | None = None

    @property
    def is_received(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends to receivers. `allowed`: the hosts that the operator has allowed by name."""

    def __init__(self, allowed: Collection[str], seconds: float = _SECONDS) -> None:
        self._allowed, self._seconds = frozenset(allowed), seconds
        self._context = httpx.create_ssl_context(trust_env=False)  # reading the authorities takes 10 ms each time

    async def send(self, url: str, body: bytes, headers: dict[str, str]) -> Sent:
        """Sends one body. Never raises for what the receiver or the network does."""
        began = time.monotonic()
        left: list[bool] = []
        status, error, retry_after = None, None, None
        try:
            async with asyncio.timeout(self._seconds):
                status, retry_after = await self._post(url, body, headers, left)
        except (_RefusedAddressError, UnicodeError, httpx.InvalidURL):
            error = "refused_address"
        except (TimeoutError, httpx.TimeoutException):
            error = "timed_out"
        except (httpx.ConnectError, OSError):
            error = "unreachable"
        except httpx.HTTPError:
            error = "bad_answer"
        return Sent(status, error, round(1000 * (time.monotonic() - began)), bool(left), retry_after)

    async def _post(self, url: str, body: bytes, headers: dict[str, str], left: list[bool]) -> tuple[int, int | None]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if why_not(url, self._allowed) is not None:
            raise _RefusedAddressError
        found = await asyncio.get_running_loop().getaddrinfo(
            host, parts.port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
        address = chosen(parts, [str(one[4][0]) for one in found], self._allowed)
        if address is None:
            raise _RefusedAddressError

        async def traced(event: str, _: Any) -> None:
            if event == _LEAVES:
                left.append(True)

        # A client of its own for each: a connection that is kept would stand for an address, whatever its name was.
        async with httpx.AsyncClient(
            verify=self._context, trust_env=False, follow_redirects=False, timeout=self._seconds
        ) as client:
            request = client.build_request(
                "POST",
                httpx.URL(url).copy_with(host=address),
                content=body,
                headers={**headers, "Host": parts.netloc},
                extensions={"sni_hostname": host, "trace": traced},
            )
            answer = await client.send(request, stream=True)
            try:
                read = 0
                async for part in answer.aiter_raw():
                    read += len(part)
                    if read > _MOST_BYTES:  # what it says is of no interest
                        break
            finally:
                await answer.aclose()
            asked = answer.headers.get("retry-after", "")
            return answer.status_code, int(asked) if _SECONDS_ASKED.fullmatch(asked) else None


class _RefusedAddressError(Exception):
    """The host means an address that is not allowed."""
