"""PHQ-9 and PHQ-2: depressive symptoms over two weeks."""

from app.instruments.model import Band, Example, Instrument, Rule, SelfHarmItem, items, total_of_items

_RIGHTS = "No permission required to reproduce, translate, display or distribute. Wording is not shipped."
_LABELS = (
    "interest",
    "low mood",
    "sleep",
    "energy",
    "appetite",
    "self-worth",
    "concentration",
    "psychomotor",
    "death or self-harm thoughts",
)
_LOINC = ("44250-9", "44255-8", "44259-0", "44254-1", "44251-7", "44258-2", "44252-5", "44253-3", "44260-8")

PHQ_9 = Instrument(
    code="phq-9",
    name="PHQ-9",
    domain="mood",
    rater="self",
    recall_days=14,
    items=items(_LABELS, 0, 3, _LOINC),
    method="sum",
    points=tuple(range(28)),
    per_unit=1,
    direction="lower_is_better",
    loinc="44261-6",
    bands=(
        Band("minimal", 0, 4),
        Band("mild", 5, 9),
        Band("moderate", 10, 14),
        Band("moderately severe", 15, 19),
        Band("severe", 20, 27),
    ),
    rule=Rule(10, "percent", 50, 25, 6, "nhs", "NHS Talking Therapies", 4, 14),
    sources=(
        "Scoring and bands: Kroenke, Spitzer, Williams 2001 J Gen Intern Med 16:606",
        "Response and remission: McInnes 2022 J Affect Disord 301:486",
        "Reliable change of 6 points: NHS Talking Therapies",
        "Partial line of 25%: common usage in depression research",
    ),
    rights=_RIGHTS,
    examples=(
        Example((2, 2, 2, 2, 1, 1, 2, 0, 0), 12),
        Example((3,) * 9, 27),
        Example((0,) * 9, 0),
    ),
    total=total_of_items,
    self_harm=SelfHarmItem(number=9, line=1, urgent=2, largest_total_without=24),
)

PHQ_2 = Instrument(
    code="phq-2",
    name="PHQ-2",
    domain="mood",
    rater="self",
    recall_days=14,
    items=items(_LABELS[:2], 0, 3, _LOINC[:2]),
    method="sum",
    points=tuple(range(7)),
    per_unit=1,
    direction="lower_is_better",
    loinc="55758-7",
    bands=(Band("below the cut", 0, 2), Band("at or over the cut", 3, 6)),
    rule=None,
    sources=("Cut of 3: Arroll 2010 Ann Fam Med (PMC2906530)", "Too coarse for a 50% response: a screen only"),
    rights=_RIGHTS,
    examples=(Example((2, 2), 4), Example((0, 3), 3)),
    total=total_of_items,
)
