"""The order in which domains wait for a person in the worklist."""

from enum import IntEnum


class Priority(IntEnum):
    """Smaller is more pressing. Stored with each domain's status. An open timely alert of the row's domain comes before
    every status; silence (stale, or awaiting the first reading after an infusion) is as pressing as what it
    followed."""

    ALERT_URGENT = -2
    ALERT_HIGH = -1
    ALERT_ROUTINE = 0
    LOST = 1
    SILENT_AFTER_LOST = 2
    FADING = 3
    SILENT_AFTER_FADING = 4
    DETERIORATED = 5
    STALE = 6
    NO_RESPONSE = 7
    PARTIAL_RESPONSE = 8
    AWAITING = 9
    NO_BASELINE = 10
    NOT_EVALUABLE = 11
    HOLDING = 12
    NOT_STARTED = 13
