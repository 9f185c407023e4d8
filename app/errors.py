"""Problems: every error response that the service can give, each with a stable code. Imports no framework."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Fault:
    """One place in a request that breaks a rule. `detail` states the rule and never repeats the value."""

    where: Literal["pointer", "parameter", "header"]
    name: str
    detail: str

    def as_dict(self) -> dict[str, str]:
        return {self.where: self.name, "detail": self.detail}


class Problem(Exception):
    """An error response. Subclasses set `code`, `status` and `title`; their docstring is the page at
    /problems/<code>."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self, detail: str | None = None, *, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.more: dict[str, Any] = {}
        """Further members of the error response (RFC 9457, extension members)."""


class Invalid(Problem):
    """The request is malformed: a field is missing, unknown, of the wrong type or out of range. `errors` names each
    place and the rule it breaks. Nothing was recorded; where an answer in it needs to be seen, there is a `notice`."""

    code, status, title = "invalid", 422, "The request breaks a rule"


class ReferenceNotFound(Problem):
    """An id inside the body does not name anything of yours."""

    code, status, title = "reference_not_found", 422, "A reference in the body names nothing"


class NotFound(Problem):
    """There is no such thing, or it is not yours to see: the two are never told apart."""

    code, status, title = "not_found", 404, "Not found"


class TooManyWebhooks(Problem):
    """A clinic has at most 100 webhooks. Remove one, or let one be told of more kinds."""

    code, status, title = "too_many_webhooks", 409, "The clinic has 100 webhooks already"


class ChangesGone(Problem):
    """What happened after this position is not kept any more, since changes are kept for 90 days; or the clinic's feed
    has not come to it, since the database was restored from a backup. Read everything anew, then go on from the
    `next_after` of a request without `after`."""

    code, status, title = "changes_gone", 410, "These changes are not kept"


class Merged(Problem):
    """This record goes on in another one, which `into` names. Nothing is read or written here any more; only a read
    with a `known_at` before the merge still answers, as then."""

    code, status, title = "merged", 410, "The record was merged into another"

    def __init__(self, into: UUID | None = None, version: int | None = None) -> None:
        super().__init__(headers={} if version is None else {"ETag": f'"{version}"'})
        if into is not None:
            self.more["into"] = str(into)


class MethodNotAllowed(Problem):
    """This address does not answer that method."""

    code, status, title = "method_not_allowed", 405, "Method not allowed"


class TooLarge(Problem):
    """The body is larger than 1 MiB (4 MiB for a batch, 16 KiB where no token is needed)."""

    code, status, title = "too_large", 413, "The body is too large"


class HeadersTooLarge(Problem):
    """The request's header is larger than 32 KiB."""

    code, status, title = "headers_too_large", 431, "The header is too large"


class BadRequest(Problem):
    """What was sent is no HTTP request, or names a host that this service does not serve."""

    code, status, title = "bad_request", 400, "Not a request that can be answered"


class RequestTimeout(Problem):
    """The request did not arrive in time. Nothing was written; send it again."""

    code, status, title = "request_timeout", 408, "The request took too long to arrive"


class UnsupportedMediaType(Problem):
    """The body must be sent as application/json (the token endpoint: application/x-www-form-urlencoded), and not
    compressed."""

    code, status, title = "unsupported_media_type", 415, "Unsupported media type"


class PreconditionRequired(Problem):
    """A change needs the `If-Match` header with the ETag of the version it was made from."""

    code, status, title = "precondition_required", 428, "If-Match is required"


class PreconditionFailed(Problem):
    """The object has changed since the version named in `If-Match`. Read it again, then decide."""

    code, status, title = "precondition_failed", 412, "The object has changed"


class AlreadyRecorded(Problem):
    """A different answer stands in this place, or this id names something with other content. Nothing was
    overwritten: amend the existing one instead."""

    code, status, title = "already_recorded", 409, "Something else is recorded there"


class IdempotencyKeyReused(Problem):
    """This Idempotency-Key was used within 24 hours for a different request."""

    code, status, title = "idempotency_key_reused", 422, "The idempotency key belongs to another request"


class RequestInProgress(Problem):
    """The first request with this Idempotency-Key is still running. Try again shortly."""

    code, status, title = "request_in_progress", 409, "The same request is still running"


class AlreadyDone(Problem):
    """This was done before, and its answer carried a secret that is not kept."""

    code, status, title = "already_done", 409, "Already done"


class InvalidCursor(Problem):
    """The cursor is not one this list gave to you for these filters. Start again without a cursor."""

    code, status, title = "invalid_cursor", 400, "The cursor is not valid here"


class InvalidToken(Problem):
    """The access token is missing, malformed, expired or no longer honoured."""

    code, status, title = "invalid_token", 401, "A valid access token is required"

    def __init__(self, detail: str | None = None, *, was_sent: bool = True) -> None:
        """`was_sent`: whether a token was sent. If not, nothing is said to be wrong with it (RFC 6750, 3.1)."""
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer error="invalid_token"' if was_sent else "Bearer"})


class InsufficientScope(Problem):
    """The caller is known, and may not do this."""

    code, status, title = "insufficient_scope", 403, "Not permitted"


class RateLimited(Problem):
    """Too many requests. `Retry-After` says when to come back."""

    code, status, title = "rate_limited", 429, "Too many requests"


class Internal(Problem):
    """The fault is ours. Nothing was written; the request id finds it in the log."""

    code, status, title = "internal", 500, "The fault is ours"


class Busy(Problem):
    """The service could not take or commit the request just now. Nothing was written; try again."""

    code, status, title = "busy", 503, "Busy"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def families() -> dict[str, type[Problem]]:
    """All subclasses of Problem, by code."""
    found: dict[str, type[Problem]] = {}
    waiting = list(Problem.__subclasses__())
    while waiting:
        family = waiting.pop()
        found[family.code] = family
        waiting.extend(family.__subclasses__())
    return dict(sorted(found.items()))
