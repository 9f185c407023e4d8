"""Reads a check-in in its usual form, straight from its bytes."""

from pydantic import ValidationError

from app.checkins.models import CheckInIn

_TEXTS = ("id", "taken_at", "sent_at", "session_id")


def plain_check_in(body: bytes) -> CheckInIn | None:
    """The check-in in a body, as the route reads it; None where it is not plain, or refused."""
    if b"\\" in body:
        return None
    try:
        found = CheckInIn.model_validate_json(body)
    except ValidationError:
        return None
    # Without escapes each key and each text has two quotes: a key that is repeated shows by more of them.
    quoted = len(found.model_fields_set) + sum(getattr(found, name) is not None for name in _TEXTS)
    quoted += sum(len(response.model_fields_set) + 1 for response in found.responses)
    return found if body.count(b'"') == 2 * quoted else None
