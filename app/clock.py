"""The only module that reads the wall clock."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time in UTC, timezone-aware, to the microsecond."""
    return datetime.now(UTC)
