"""MADRS: depressive symptoms over a week, rated by a clinician."""

from app.instruments.model import CONVENTION, Band, Example, Instrument, Rule, SelfHarmItem, items, total_of_items

MADRS = Instrument(
    code="madrs",
    name="MADRS",
    domain="mood",
    rater="clinician",
    recall_days=7,
    items=items(
        (
            "observed sadness",
            "reported sadness",
            "tension",
            "sleep",
            "appetite",
            "concentration",
            "starting things",
            "lost feeling",
            "pessimism",
            "suicidal thoughts",
        ),
        0,
        6,
    ),
    method="sum",
    points=tuple(range(61)),
    per_unit=1,
    direction="lower_is_better",
    loinc=None,
    bands=(Band("none", 0, 6), Band("mild", 7, 19), Band("moderate", 20, 34), Band("severe", 35, 60)),
    rule=Rule(20, "percent", 50, 25, 7, "convention", CONVENTION, 10, 7),
    sources=(
        "Remission at 10 or less: Salloum 2020 J Affect Disord",
        "Response of 50%: usual in trials; partial line of 25% and reliable change of 7 points: convention",
    ),
    rights="Copyrighted. Totals and item numbers only; wording is not shipped.",
    examples=(Example((2,) * 10, 20), Example((4, 4, 3, 3, 2, 3, 4, 3, 2, 1), 29), Example((6,) * 10, 60)),
    total=total_of_items,
    self_harm=SelfHarmItem(number=10, line=2, urgent=4, largest_total_without=54),
)
