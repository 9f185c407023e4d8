"""Y-BOCS: obsessions and compulsions over a week, rated by a clinician."""

from app.instruments.model import CONVENTION, Band, Example, Instrument, Rule, items, total_of_items

_ASPECTS = ("time", "interference", "distress", "resistance", "control")

Y_BOCS = Instrument(
    code="y-bocs",
    name="Y-BOCS",
    domain="ocd",
    rater="clinician",
    recall_days=7,
    items=items([f"obsessions: {a}" for a in _ASPECTS] + [f"compulsions: {a}" for a in _ASPECTS], 0, 4),
    method="sum",
    points=tuple(range(41)),
    per_unit=1,
    direction="lower_is_better",
    loinc=None,
    bands=(
        Band("subclinical", 0, 7),
        Band("mild", 8, 15),
        Band("moderate", 16, 23),
        Band("severe", 24, 31),
        Band("extreme", 32, 40),
    ),
    rule=Rule(16, "percent", 35, 25, 5, "convention", CONVENTION, 12, 7),
    sources=(
        "Response of 35%, partial line of 25%, remission at 12 or less: Mataix-Cols 2016 World Psychiatry",
        "Reliable change of 5 points: convention",
    ),
    rights="Distribution needs authorisation. Totals and item numbers only; wording is not shipped.",
    examples=(Example((2,) * 10, 20), Example((3, 3, 2, 2, 1, 4, 4, 3, 2, 1), 25), Example((4,) * 10, 40)),
    total=total_of_items,
)
