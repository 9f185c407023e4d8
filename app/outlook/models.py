"""What the outlook gives. Bodies only: the room has no tables."""

from datetime import date

from app.api.fields import Id, MomentOut, ResponseBody, grows


class AheadOut(ResponseBody):
    """The share of earlier spells that held `days` more, with its 95% interval; null where fewer than 5 were followed
    so long and some still held. `lost`: ended by a loss or a rescue within those days; `followed`: followed so long;
    `boosted`: had a course of infusions begin within those days."""

    days: int
    held: float | None
    ci: list[float] | None
    lost: int
    followed: int
    boosted: int


class DepthOut(ResponseBody):
    """The same over the spells on the patient's side: whose reading was at least 75% below its baseline (`deep`), or
    was not (`shallow`)."""

    side: str = grows("deep", "shallow")
    n: int
    patients: int
    ahead: list[AheadOut]


class OutlookOut(ResponseBody):
    """What became of the clinic's earlier spells of other patients that were in response about as long as this one:
    measured past, not a forecast. `days_held` runs from the spell's origin to the latest reading; `n` spells of
    `patients` count. `ahead` is empty where there is a `reason`. `by_depth` is null where too few are on the patient's
    side, and for scales in points."""

    patient_id: Id
    instrument: str
    as_of: date
    known_at: MomentOut
    rule: str
    days_held: int | None
    n: int | None
    patients: int | None
    smallest_group: int
    reason: str | None = grows("not_holding", "spell_ended", "no_spell", "too_few")
    ahead: list[AheadOut]
    by_depth: DepthOut | None
    explanation: str
