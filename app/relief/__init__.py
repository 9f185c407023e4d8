"""Is relief holding, since when, and how long did it last? Pure: a fold over events, and a reading of it on a day."""

from app.relief.courses import Place, places
from app.relief.domains import Candidate, choose
from app.relief.events import Event, Infusion, Score, order
from app.relief.lines import BASELINE_LOOKBACK_DAYS, STALE_AFTER_DAYS, VERSION
from app.relief.track import Spell, Track, fold, step
from app.relief.verdict import Verdict, assess, read

__all__ = [
    "BASELINE_LOOKBACK_DAYS",
    "STALE_AFTER_DAYS",
    "VERSION",
    "Candidate",
    "Event",
    "Infusion",
    "Place",
    "Score",
    "Spell",
    "Track",
    "Verdict",
    "assess",
    "choose",
    "fold",
    "order",
    "places",
    "read",
    "step",
]
