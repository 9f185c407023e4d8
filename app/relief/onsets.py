"""Onsets: the days from which a person should look, each with the run of readings that says so.

Source: clinical reference 4.6. `relief_lost` begins at the first reading of the tail that confirmed the loss.
`reliable_deterioration` begins at an episode's first reading with that flag, or at the first after a response, so that
the noise of a daily scale makes one onset. An onset depends on the readings alone, not on the order they came in.
"""

from datetime import date, datetime
from typing import Literal

from msgspec.structs import replace

from app.relief.events import Score
from app.relief.values import Immutable

Kind = Literal["relief_lost", "reliable_deterioration"]


class Onset(Immutable, frozen=True):
    """One onset. `through_on` is the last reading that says so; `said_by`, the id of the first one recorded in time, or
    else of the first one, with when that was taken and whether it is `late`. `is_over`: a later reading, or a new
    episode, has ended it."""

    kind: Kind
    onset_on: date
    through_on: date
    said_by: str
    taken_at: datetime
    late: bool
    is_over: bool = False


Onsets = tuple[Onset, ...]


def begun(onsets: Onsets, kind: Kind, onset_on: date, score: Score) -> Onsets:
    """The onsets with a new one, which `score` is the first to show."""
    return (*onsets, Onset(kind, onset_on, score.day, score.id, score.taken_at, score.late))


def continued(onsets: Onsets, kind: Kind, score: Score) -> Onsets:
    """The onsets, of which the running one of this kind is shown by `score` too. There must be one."""
    return tuple(_continued(o, score) if o.kind == kind and not o.is_over else o for o in onsets)


def over(onsets: Onsets, kind: Kind | None = None) -> Onsets:
    """The onsets, of which those of this kind (None: of all kinds) have ended."""
    if all(o.is_over or kind not in (None, o.kind) for o in onsets):
        return onsets
    return tuple(replace(o, is_over=True) if kind in (None, o.kind) else o for o in onsets)


def is_running(onsets: Onsets, kind: Kind) -> bool:
    """Whether an onset of this kind has not ended."""
    return any(o.kind == kind and not o.is_over for o in onsets)


def _continued(onset: Onset, score: Score) -> Onset:
    if onset.late and not score.late:
        return replace(onset, through_on=score.day, said_by=score.id, taken_at=score.taken_at, late=False)
    return replace(onset, through_on=score.day)
