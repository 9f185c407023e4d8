"""The instruments that are served, and the order in which instruments can answer for a domain."""

from app.instruments.data.gad import GAD_2, GAD_7
from app.instruments.data.madrs import MADRS
from app.instruments.data.nrs import NRS_ANXIETY, NRS_MOOD, NRS_PAIN
from app.instruments.data.pcl import PCL_5
from app.instruments.data.peg import PEG
from app.instruments.data.phq import PHQ_2, PHQ_9
from app.instruments.data.promis import PROMIS_ANXIETY_4A, PROMIS_DEPRESSION_4A, PROMIS_PAIN_INTERFERENCE_4A
from app.instruments.data.qids import QIDS_SR16
from app.instruments.data.who import WHO_5
from app.instruments.data.ybocs import Y_BOCS
from app.instruments.model import Instrument
from app.instruments.scoring import score

_WRITTEN = (
    PHQ_9,
    PHQ_2,
    GAD_7,
    GAD_2,
    NRS_PAIN,
    NRS_MOOD,
    NRS_ANXIETY,
    PEG,
    QIDS_SR16,
    PCL_5,
    WHO_5,
    PROMIS_DEPRESSION_4A,
    PROMIS_ANXIETY_4A,
    PROMIS_PAIN_INTERFERENCE_4A,
    MADRS,
    Y_BOCS,
)


def _examples_hold(instrument: Instrument) -> bool:
    """Whether all worked examples of an instrument, one at least, give the right value."""
    scored = [
        (score(instrument, e.answers, None if e.answers else e.value).points, e.value) for e in instrument.examples
    ]
    return bool(scored) and all(points is not None and instrument.value(points) == value for points, value in scored)


INSTRUMENTS: dict[str, Instrument] = {i.code: i for i in _WRITTEN if _examples_hold(i)}

# The instruments of each domain, in the order in which they are tried as the one that answers for it. The first three
# domains are always listed.
DOMAINS: dict[str, tuple[str, ...]] = {
    "mood": ("phq-9", "qids-sr16", "madrs", "promis-depression-4a", "nrs-mood"),
    "anxiety": ("gad-7", "promis-anxiety-4a", "nrs-anxiety"),
    "pain": ("peg", "nrs-pain", "promis-pain-interference-4a"),
    "ptsd": ("pcl-5",),
    "ocd": ("y-bocs",),
    "wellbeing": ("who-5",),
}
ALWAYS_LISTED = ("mood", "anxiety", "pain")
