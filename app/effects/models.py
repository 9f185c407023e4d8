"""What the effects of sessions are shown as. Bodies only: the room has no tables."""

from pydantic import Field

from app.api.fields import Id, MomentOut, ResponseBody, grows
from app.tracks.output import ReadingOut, Value


class AfterOut(ResponseBody):
    """One score after the session. `change` is from `before`, on the score's own scale; `improvement_percent` is of the
    episode's baseline. `counts` is false for scores of the session's own day, and for one that a later score of its day
    replaces."""

    score_id: Id
    taken_at: MomentOut
    hours_after: float
    value: Value
    change: Value | None
    improvement_percent: float | None
    counts: bool


class InstrumentEffectOut(ResponseBody):
    """What a session did, by one instrument. `after` holds every score up to the next session; responses are judged
    against the episode's baseline."""

    instrument: str
    domain: str
    before: ReadingOut | None
    """The latest score before the session, at most 28 days earlier."""
    after: list[AfterOut]
    best: ReadingOut | None
    """The mildest of those that count or are of the session's own day."""
    hours_to_response: float | None
    """From the session's start to the first score that shows response, on its own day too."""
    relief_days: int | None
    """Days from the first response that counts to the onset of a loss, or to the last reading before what ended it."""
    relief_ended_by: str = grows("lost", "rescue", "next_session", "still_holding", "never_responded", "unknown")


class SessionEffectOut(ResponseBody):
    """What one session did: mood, anxiety and pain side by side."""

    patient_id: Id
    session_id: Id
    instruments: list[InstrumentEffectOut]


class ChangePerBoosterOut(ResponseBody):
    """Whether relief comes to hold for less: the change of `relief_days` from each maintenance or booster session of
    the episode to the next (Theil-Sen slope with censored values), with its 95% interval. A session without response
    counts 0 days; relief cut off by the next session counts as at least as long. Null with fewer than five sessions,
    or where too little ended under measurement. Sources: Sen 1968; Akritas, Murphy and LaValley 1995."""

    instrument: str
    domain: str
    sessions: int
    ended_under_measurement: int
    change_days: float | None
    ci: list[float | None] | None = Field(min_length=2, max_length=2)
