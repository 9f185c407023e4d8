"""The clinic's calendar days."""

from datetime import date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo


# Cached, because the scores of a check-in share an instant, and each of them is compared with all of the patient's
# infusions.
@lru_cache(maxsize=16_384)
def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day of an instant in the clinic's time zone."""
    return moment.astimezone(zone).date()
