"""The questionnaires as data, and their scoring. Pure: imports only the standard library and `app.errors`."""

from app.instruments.model import Band, Instrument, Item, Rule, SelfHarmItem
from app.instruments.registry import ALWAYS_LISTED, DOMAINS, INSTRUMENTS
from app.instruments.scoring import Scored, ScoreMismatch, score

__all__ = [
    "ALWAYS_LISTED",
    "DOMAINS",
    "INSTRUMENTS",
    "Band",
    "Instrument",
    "Item",
    "Rule",
    "ScoreMismatch",
    "Scored",
    "SelfHarmItem",
    "score",
]
