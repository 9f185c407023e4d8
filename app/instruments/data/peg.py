"""PEG: pain intensity and interference over a week, the mean of three ratings."""

from app.instruments.model import CONVENTION, Example, Instrument, Rule, items, total_of_items

PEG = Instrument(
    code="peg",
    name="PEG",
    domain="pain",
    rater="self",
    recall_days=7,
    items=items(
        ("average pain", "interference with enjoyment", "interference with activity"),
        0,
        10,
        ("75893-8", "91145-3", "91146-1"),
    ),
    method="mean",
    points=tuple(range(31)),
    per_unit=3,
    direction="lower_is_better",
    loinc="91147-9",
    bands=(),
    rule=Rule(
        12,
        "percent",
        30,
        15,
        9,
        "computed",
        "1.96 x sqrt 2 x 1.0, the middle standard error of measurement of six trials: Reed 2024 J Pain 25:142",
        None,
        7,
    ),
    earlier_rules={"2026.1": Rule(12, "percent", 30, 15, 6, "convention", CONVENTION, None, 7)},
    sources=(
        "Scoring: Krebs 2009 J Gen Intern Med 24:733",
        "Response of 30%: common usage in chronic pain",
        "Entry line of 4 and partial line of 15%: convention",
        "Reliable change of 3 points of the mean: computed from the standard error of measurement in six trials, 0.78 "
        "to 1.22 on the mean, middle 1.0 (Reed 2024 J Pain 25:142). Rule 2026.1 had 2 points, by convention",
    ),
    rights="Free to use. Wording is not shipped.",
    examples=(Example((7, 6, 8), 7.0), Example((6, 7, 4), 5.67), Example((10, 10, 10), 10.0)),
    total=total_of_items,
)
