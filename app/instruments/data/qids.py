"""QIDS-SR16: depressive symptoms over a week; sixteen items make nine domains."""

from app.instruments.model import CONVENTION, Answers, Band, Example, Instrument, Rule, SelfHarmItem, items

_LABELS = (
    "falling asleep",
    "waking at night",
    "waking early",
    "sleeping long",
    "sad mood",
    "less appetite",
    "more appetite",
    "weight lost",
    "weight gained",
    "concentration",
    "self-view",
    "suicidal thoughts",
    "interest",
    "energy",
    "slowed",
    "restless",
)
_DOMAINS = ((1, 2, 3, 4), (5,), (6, 7, 8, 9), (10,), (11,), (12,), (13,), (14,), (15, 16))


def _sum_of_domains(answers: Answers) -> int:
    """The sum of nine domains, each the largest of its items. Source: Rush 2003 Biol Psychiatry 54:573."""
    return sum(max(answers[number - 1] or 0 for number in domain) for domain in _DOMAINS)


QIDS_SR16 = Instrument(
    code="qids-sr16",
    name="QIDS-SR16",
    domain="mood",
    rater="self",
    recall_days=7,
    items=items(_LABELS, 0, 3),
    method="sum_of_domain_maxima",
    points=tuple(range(28)),
    per_unit=1,
    direction="lower_is_better",
    loinc=None,
    bands=(
        Band("none", 0, 5),
        Band("mild", 6, 10),
        Band("moderate", 11, 15),
        Band("severe", 16, 20),
        Band("very severe", 21, 27),
    ),
    rule=Rule(11, "percent", 50, 25, 6, "convention", CONVENTION, 5, 7),
    sources=(
        "Scoring: Rush 2003 Biol Psychiatry 54:573",
        "Bands, response and remission: the owners' site, ids-qids.org",
        "Reliable change of 6 points and partial line of 25%: convention",
    ),
    rights="Copyrighted; electronic or commercial use needs a licence. Wording is not shipped.",
    examples=(Example((0, 3, 1, 0, 2, 1, 0, 2, 0, 1, 2, 0, 3, 2, 1, 2), 17), Example((3,) * 16, 27)),
    total=_sum_of_domains,
    either_or=((6, 7), (8, 9)),
    self_harm=SelfHarmItem(number=12, line=1, urgent=2, largest_total_without=24),
)
