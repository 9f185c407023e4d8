"""Episodes as they are stored, which answer like `relief.Record`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from app.relief import Record, Spell

# Answers count days from the origin of a spell, whatever its date.
_ORIGIN = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class _Kept:
    """The part of a `relief.Record` that counts are made of."""

    episode: int
    induction_sessions: int
    induction_ended_on: date
    baseline: int | None
    evaluable: bool
    followed: bool
    early: int | None
    early_days: int | None
    median_gap_days: float | None
    spell: Spell | None
    first_session: str = ""
    first_session_on: date = _ORIGIN


def kept_record(values: Sequence[Any], first_session: str = "", first_session_on: date = _ORIGIN) -> Record:
    """An episode from its values in the order of `store.EPISODE_VALUES`; earlier releases kept fewer."""
    episode, sessions, ended_on, baseline, evaluable, followed, early, gap, days, event, *rest = values
    before_course, before_rescue, last_response, early_days = [*rest, None, None][:4]
    spell = None
    if days is not None:
        ends = [None if end is None else _ORIGIN + timedelta(days=end) for end in (before_course, before_rescue)]
        through = _ORIGIN + timedelta(days=days)
        diary = "" if last_response is None else "s".rjust(last_response + 1, ".")
        spell = Spell(episode, 1, _ORIGIN, through, event, None, None, ends[0], ends[1], diary)
    kept = _Kept(
        episode,
        sessions,
        date.fromisoformat(ended_on) if isinstance(ended_on, str) else ended_on,
        baseline,
        bool(evaluable),
        bool(followed),
        early,
        early_days,
        gap,
        spell,
        first_session,
        first_session_on,
    )
    return cast("Record", kept)
