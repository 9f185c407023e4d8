"""What outcomes answer. Faces only: outcomes have no tables."""

from datetime import date

from app.api.fields import Answer, Id, MomentOut
from app.tracks.answers import DomainOut, SpellOut, TrackOut


class ReliefOut(Answer):
    """Is relief holding? Per domain, and per instrument with every score it rests on. `known_at` is when the newest
    version used was recorded: asking again with it gives this answer again."""

    patient_id: Id
    as_of: date
    known_at: MomentOut | None
    rule: str
    domains: list[DomainOut]
    tracks: list[TrackOut]
    previous_spells: list[SpellOut]


class WorklistPatientOut(Answer):
    """Whose row."""

    id: Id
    external_id: str
    label: str | None


class WorklistRowOut(Answer):
    """One domain of one patient, as `GET relief` says it on the worklist's day."""

    patient: WorklistPatientOut
    domain: str
    instrument: str
    status: str
    last_known: str | None
    """While awaiting or stale: the status at the latest reading that counted."""
    flags: list[str]
    since_on: date | None
    improvement_percent: float | None
    latest_value: int | float | None
    days_since_last_score: int | None
    days_since_last_session: int | None
    open_alerts: int
    """Open alerts of the patient, in any domain, late ones included."""
    self_harm_unknown_since: MomentOut | None
    """When the first total without items was taken since a self-harm item was last answered: unknown is never zero."""


class WorklistOut(Answer):
    """A page of the worklist, most pressing first: open timely alerts, lost, silent after lost, fading, silent after
    fading, deteriorated, and so on; within each the longest standing first. `as_of` stays the same on every page."""

    as_of: date
    items: list[WorklistRowOut]
    next_cursor: str | None
