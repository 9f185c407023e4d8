"""Wraps every request: gives it an id, the security headers and a line in the access log; answers HEAD like GET."""

import logging
import re
import time
from functools import lru_cache

from prometheus_client import Histogram
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid4

from app.api.problems import render
from app.errors import BadRequest, Internal
from app.logs import REQUEST_ID, TRACE_ID, log_unexpected

access_log = logging.getLogger("holdfast.access")

_requests = Histogram("holdfast_request_seconds", "Time of requests", ["method", "route", "status"])

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, 3.2: version, trace id, parent id, flags. Ids of zeros alone are not valid.
_TRACE = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_PROBES = frozenset({"/livez", "/readyz"})
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
    with the path or query that was sent. Responses are not to be cached unless a route says otherwise. `hosts`: the
    names by which clients may call the service; none means any. A machine may ask by address whether it is ready."""

    def __init__(self, app: ASGIApp, *, is_https: bool = False, hosts: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._hosts = hosts
        headers = _HEADERS | (_ONLY_HTTPS if is_https else {}) | _NOT_CACHED
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, is_head = Headers(scope=scope), scope["method"] == "HEAD"
        if is_head:  # the same answer as to GET, without its body
            scope = {**scope, "method": "GET"}
        sent, trace = headers.get("x-request-id", ""), _TRACE.fullmatch(headers.get("traceparent", ""))
        request_id = scope["request_id"] = sent if _SAFE_ID.fullmatch(sent) else str(uuid4())
        about = (REQUEST_ID.set(request_id), TRACE_ID.set(trace[1] if trace else ""))
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
                if trace:
                    message["headers"].append((b"traceparent", trace[0].encode()))
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            if self._hosts and scope["path"] not in _PROBES and _host(headers) not in self._hosts:
                await render(request_id, BadRequest("this service is not called by that name"))(
                    scope, receive, send_with_headers
                )
            else:
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
            method = "HEAD" if is_head else scope["method"] if scope["method"] in _METHODS else "other"
            _timer(method, template, status).observe(seconds)
            access_log.info("%s %s %s %.1fms", method, template, status, seconds * 1000)
            REQUEST_ID.reset(about[0])
            TRACE_ID.reset(about[1])


def _host(headers: Headers) -> str:
    """The name by which the service was called, without a port."""
    name = headers.get("host", "").lower()
    return name if name.endswith("]") else name.rsplit(":", 1)[0]
