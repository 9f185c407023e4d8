"""The outlook in words, made from the answer alone. It tells what happened; it forecasts nothing."""

from app.outlook.models import AheadOut, OutlookOut

_REASONS = {
    "not_holding": "It is told only while the status is holding.",
    "no_spell": "No reading since the course's last infusion shows response yet, so there is no spell to compare.",
    "spell_ended": "This episode's first spell has ended; what others' first spells did after that long says nothing.",
}
# Under this many spells the answer says little more than the clinic's curve: measured, see docs/accuracy.md.
_TELLING_FROM = 50


def explain(outlook: OutlookOut) -> str:
    """One to three sentences."""
    if outlook.reason == "too_few":
        people = f"{outlook.patients} other patient{'' if outlook.patients == 1 else 's'}"
        return (
            f"Spells of {people} here were in response about {_days(outlook.days_held)} in; at least "
            f"{outlook.smallest_group} are needed."
        )
    if outlook.reason is not None:
        return _REASONS[outlook.reason]
    told = next((one for one in (outlook.ahead[1], outlook.ahead[0]) if one.held is not None), None)
    opening = f"Of {outlook.n} earlier spells here in response about {_days(outlook.days_held)} in, "
    if told is None:
        return f"{opening}too few were followed for two weeks more."
    few = ""
    if outlook.n is not None and outlook.n < _TELLING_FROM:
        few = f" Fewer than {_TELLING_FROM} spells say little more than the clinic's durability curve."
    return f"{opening}{_held(told)}. This is what happened, not a forecast.{few}"


def _held(told: AheadOut) -> str:
    assert told.held is not None
    assert told.ci is not None
    low, high = (round(100 * end) for end in told.ci)
    boosted = f"{told.boosted} of them had a booster in that time" if told.boosted else "none had a booster meanwhile"
    return f"{round(100 * told.held)}% ({low} to {high}%) held {told.days} days more; {boosted}"


def _days(days: int | None) -> str:
    return f"{days} day{'' if days == 1 else 's'}"
