"""Reads a check-in in its usual form, straight from its bytes."""

from pydantic import ValidationError

from app.checkins.models import CheckInIn

# A quoted text has two quotes. With no escapes, a key that is repeated shows by more of them than the fields read have.
_QUOTES_OF_RESPONSE = 2
_TEXTS = ("id", "taken_at", "sent_at", "session_id")


def plain_check_in(body: bytes) -> CheckInIn | None:
    """The check-in in a body, as the route reads it; None where it is not plain, or refused."""
    if b"\\" in body:
        return None
    try:
        found = CheckInIn.model_validate_json(body)
    except ValidationError:
        return None
    quotes = 2 * len(found.model_fields_set)
    quotes += 2 * sum(getattr(found, name) is not None for name in _TEXTS)
    for response in found.responses:
        quotes += _QUOTES_OF_RESPONSE + 2 * len(response.model_fields_set)
    return found if body.count(b'"') == quotes else None
