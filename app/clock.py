"""The only module that reads the wall clock."""

from datetime import UTC, datetime, timedelta

# How far the clocks of two processes may be apart. A time that was set further in the future than this was set while a
# clock was wrong.
CLOCKS_DIFFER = timedelta(seconds=60)


def now() -> datetime:
    """The current time in UTC, timezone-aware, to the microsecond."""
    return datetime.now(UTC)
