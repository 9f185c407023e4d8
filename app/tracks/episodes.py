"""Converts a track to one row per episode. Answers over many patients read these rows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.relief import Record, Track, records


def episode_values(track: Track, stood: Track | None = None) -> list[dict[str, Any]]:
    """One row per episode, the current one last, without those that are as they were in the track that `stood` before;
    none before the first infusion."""
    if track.last is None:
        return []
    was: Sequence[Record] = ()
    if stood is not None and stood.last is not None and stood.last.day == track.last.day:
        was = records(stood)
    every = enumerate(records(track))
    changed = (record for n, record in every if n >= len(was) or was[n] != record)
    return [{"last_on": track.last.day, **_values(record)} for record in changed]


def _values(record: Record) -> dict[str, Any]:
    spell = record.spell
    return {
        "episode": record.episode,
        "first_session_id": UUID(record.first_session),
        "first_session_on": record.first_session_on,
        "induction_sessions": record.induction_sessions,
        "induction_ended_on": record.induction_ended_on,
        "baseline": record.baseline,
        "evaluable": record.evaluable,
        "followed": record.followed,
        "early": record.early,
        "early_days": record.early_days,
        "median_gap_days": record.median_gap_days,
        "days": spell and spell.days,
        "event": spell and spell.event,
        "days_before_course": spell and spell.days_before_course,
        "days_before_rescue": spell and spell.days_before_rescue,
        "last_response": spell and spell.last_response_days,
        "diary": spell and spell.diary,
    }
