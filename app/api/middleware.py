"""Wraps every request: gives it an id, the security headers and a line in the access log."""

import logging
import re
import time
from functools import lru_cache

from prometheus_client import Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from app.api.problems import render
from app.errors import Internal
from app.logs import log_unexpected

access_log = logging.getLogger("holdfast.access")

_requests = Histogram("holdfast_request_seconds", "Time of requests", ["method", "route", "status"])

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


_ONLY_HTTPS = {"Strict-Transport-Security": "max-age=31536000"}
_NOT_CACHED = {"Cache-Control": "no-store"}


@lru_cache
def _timer(method: str, template: str, status: int) -> Histogram:
    return _requests.labels(method, template, status)


class Envelope:
    """Gives each request an id and each response its headers, and writes one log line with the route's template, never
    with the path or query that was sent. Responses are not to be cached unless a route says otherwise."""

    def __init__(self, app: ASGIApp, *, is_https: bool = False) -> None:
        self._app = app
        headers = _HEADERS | (_ONLY_HTTPS if is_https else {}) | _NOT_CACHED
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = scope["request_id"] = sent if _SAFE_ID.fullmatch(sent) else str(uuid4())
        started, status, leaving = time.perf_counter(), 500, False

        async def send_with_headers(message: Message) -> None:
            nonlocal status, leaving
            if message["type"] == "http.response.start":
                leaving = True
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                told = scope.get("holdfast_headers", {}).items()
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *(pair for pair in self._headers if pair[0] not in given),
                    *((name.lower().encode(), value.encode()) for name, value in told),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            # Caught here: otherwise the server would print the exception, and its message can quote a patient's values.
            log_unexpected(error)
            if leaving:
                raise ConnectionAbortedError from None
            await render(scope["request_id"], Internal())(scope, receive, send_with_headers)
        finally:
            route = scope.get("route")
            template = getattr(route, "path", "-")
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _timer(method, template, status).observe(seconds)
            access_log.info("%s %s %s %.1fms %s", method, template, status, seconds * 1000, scope["request_id"])
