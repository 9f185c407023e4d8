"""Asking once more: when one more reading would show whether the latest one repeats. Source: clinical reference 4.7
(h).

It changes no status. Six, seven and two days are conventions.
"""

from datetime import date, timedelta

from app.relief.verdict import Verdict

CONFIRM_FROM = timedelta(days=6)
CONFIRM_UNTIL = timedelta(days=7)
_LONGEST_RECALL_DAYS = 14


def confirm_on(verdict: Verdict, recall_days: int, *, near_line: bool) -> date | None:
    """The day from which one more reading would show whether the latest one repeats, by the readings alone: a plan may
    ask for one anyway. None where the status is neither `holding` nor `fading`, where the latest reading is a response
    and not `near_line` (within measurement error of the response line), where an infusion has come since, where the
    recall window would reach back to the latest one, and where the reading was first recorded more than two days after
    it was taken."""
    latest = verdict.latest
    if latest is None or verdict.days_since_last_session is None:
        return None
    if verdict.status != "fading" and not (verdict.status == "holding" and near_line):
        return None
    if not latest.prompt:
        return None
    due_on = latest.day + CONFIRM_FROM
    infused_on = verdict.as_of - timedelta(days=verdict.days_since_last_session)
    if infused_on >= latest.day:  # an infusion after the reading ends it; a reading of its day came before it
        return None
    is_clear = (due_on - infused_on).days >= min(recall_days, _LONGEST_RECALL_DAYS)
    return due_on if is_clear else None
