"""The outlook in words, made from the answer alone. It tells what happened; it forecasts nothing. Each sentence is a
message that a catalogue may translate."""

from app.outlook.models import AheadOut, OutlookOut
from app.speech import ENGLISH, Speech
from app.speech import message as _

_REASONS = {
    "not_holding": _("It is told only while the status is holding."),
    "no_spell": _("No reading since the course's last infusion shows response yet, so there is no spell to compare."),
    "spell_ended": _(
        "This episode's first spell has ended; what others' first spells did after that long says nothing."
    ),
}
# Under this many spells the answer says little more than the clinic's curve: measured, see docs/accuracy.md.
_TELLING_FROM = 50
_TOO_SHORT = _(
    "Of %(count)s earlier spells here in response about %(days)s in, too few were followed for two weeks more."
)
_TOLD = _(
    "Of %(count)s earlier spells here in response about %(days)s in, %(held)s. This is what happened, not a forecast."
)
_FEW = _("Fewer than %(count)s spells say little more than the clinic's durability curve.")


def explain(outlook: OutlookOut, speech: Speech = ENGLISH) -> str:
    """One to three sentences."""
    days = speech.days(outlook.days_held or 0)
    if outlook.reason == "too_few":
        text = speech.counted(
            "Spells of %(count)s other patient here were in response about %(days)s in; at least %(least)s are needed.",
            "Spells of %(count)s other patients here were in response about %(days)s in; at least %(least)s are "
            "needed.",
            outlook.patients or 0,
        )
        return text % {"count": outlook.patients, "days": days, "least": outlook.smallest_group}
    if outlook.reason is not None:
        return speech.translated(_REASONS[outlook.reason])
    told = next((one for one in (outlook.ahead[1], outlook.ahead[0]) if one.held is not None), None)
    values = {"count": outlook.n, "days": days}
    if told is None:
        return speech.translated(_TOO_SHORT) % values
    text = speech.translated(_TOLD) % {**values, "held": _held(told, speech)}
    if outlook.n is not None and outlook.n < _TELLING_FROM:
        return f"{text} {speech.translated(_FEW) % {'count': _TELLING_FROM}}"
    return text


def _held(told: AheadOut, speech: Speech) -> str:
    assert told.held is not None
    assert told.ci is not None
    low, high = (round(100 * end) for end in told.ci)
    boosted = _("none had a booster meanwhile")
    if told.boosted:
        boosted = _("%(count)s of them had a booster in that time")
    values = {
        "percent": round(100 * told.held), "low": low, "high": high, "days": told.days,
        "boosted": speech.translated(boosted) % {"count": told.boosted},
    }  # fmt: skip
    return speech.translated(_("%(percent)s%% (%(low)s to %(high)s%%) held %(days)s days more; %(boosted)s")) % values
