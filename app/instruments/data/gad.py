"""GAD-7 and GAD-2: anxiety over two weeks."""

from app.instruments.model import Band, Example, Instrument, Rule, items, total_of_items

_RIGHTS = "No permission required to reproduce, translate, display or distribute. Wording is not shipped."
_LABELS = ("nervous", "uncontrolled worry", "excess worry", "trouble relaxing", "restless", "irritable", "afraid")
_LOINC = ("69725-0", "68509-9", "69733-4", "69734-2", "69735-9", "69689-8", "69736-7")

GAD_7 = Instrument(
    code="gad-7",
    name="GAD-7",
    domain="anxiety",
    rater="self",
    recall_days=14,
    items=items(_LABELS, 0, 3, _LOINC),
    method="sum",
    points=tuple(range(22)),
    per_unit=1,
    direction="lower_is_better",
    loinc="70274-6",
    bands=(Band("minimal", 0, 4), Band("mild", 5, 9), Band("moderate", 10, 14), Band("severe", 15, 21)),
    rule=Rule(8, "percent", 50, 25, 4, "nhs", "NHS Talking Therapies", 4, 14),
    sources=(
        "Scoring and bands: Spitzer 2006 Arch Intern Med 166:1092",
        "Entry line of 8 and reliable change of 4 points: NHS Talking Therapies",
        "Remission below 5 and response of 50%: Hull 2022; Akiki 2025",
        "Partial line of 25%: common usage",
    ),
    rights=_RIGHTS,
    examples=(Example((3, 0, 1, 2, 0, 0, 1), 7), Example((3,) * 7, 21)),
    total=total_of_items,
)

GAD_2 = Instrument(
    code="gad-2",
    name="GAD-2",
    domain="anxiety",
    rater="self",
    recall_days=14,
    items=items(_LABELS[:2], 0, 3, _LOINC[:2]),
    method="sum",
    points=tuple(range(7)),
    per_unit=1,
    direction="lower_is_better",
    loinc=None,
    bands=(Band("below the cut", 0, 2), Band("at or over the cut", 3, 6)),
    rule=None,
    sources=("Cut of 3: Kroenke 2007 Ann Intern Med", "Too coarse for a 50% response: a screen only"),
    rights=_RIGHTS,
    examples=(Example((3, 0), 3), Example((1, 1), 2)),
    total=total_of_items,
)
