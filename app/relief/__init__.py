"""Is relief holding, since when, and for how long? Pure functions: fold events, read the state on a day."""

from app.relief.confirming import CONFIRM_FROM, CONFIRM_UNTIL, confirm_on
from app.relief.courses import InfusionPosition, positions
from app.relief.domains import Candidate, choose
from app.relief.effects import Effect, effects
from app.relief.events import Event, Infusion, Score, order
from app.relief.lines import BASELINE_LOOKBACK_DAYS, EARLIER_VERSIONS, EARLY_TO_DAYS, STALE_AFTER_DAYS, VERSION
from app.relief.onsets import Onset
from app.relief.readings import Reading, Readings, readings
from app.relief.spells import Boosters, Endpoint, Outcome, Record, Spell
from app.relief.track import Track, fold, onsets, records, step
from app.relief.verdict import Verdict, assess, read, response_severity, silenced

__all__ = [
    "BASELINE_LOOKBACK_DAYS",
    "CONFIRM_FROM",
    "CONFIRM_UNTIL",
    "EARLIER_VERSIONS",
    "EARLY_TO_DAYS",
    "STALE_AFTER_DAYS",
    "VERSION",
    "Boosters",
    "Candidate",
    "Effect",
    "Endpoint",
    "Event",
    "Infusion",
    "InfusionPosition",
    "Onset",
    "Outcome",
    "Reading",
    "Readings",
    "Record",
    "Score",
    "Spell",
    "Track",
    "Verdict",
    "assess",
    "choose",
    "confirm_on",
    "effects",
    "fold",
    "onsets",
    "order",
    "positions",
    "read",
    "readings",
    "records",
    "response_severity",
    "silenced",
    "step",
]
