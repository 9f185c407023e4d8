"""What the relief answer gives. Bodies only: the room has no tables."""

from datetime import date

from app.api.fields import Id, MomentOut, response_body
from app.tracks.output import DomainOut, SpellOut, TrackOut


@response_body
class ReliefOut:
    """Is relief holding? Per domain, and per instrument with every score it rests on. `known_at` is when the newest
    version used was recorded: asking again with it gives this answer again."""

    patient_id: Id
    as_of: date
    known_at: MomentOut | None
    rule: str
    domains: list[DomainOut]
    tracks: list[TrackOut]
    previous_spells: list[SpellOut]
