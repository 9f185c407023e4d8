"""WHO-5: wellbeing over two weeks; higher is better."""

from app.instruments.model import CONVENTION, Answers, Band, Example, Instrument, Rule, items, total_of_items


def _percentage_score(answers: Answers) -> int:
    """Four times the raw sum, 0-100. Source: Topp 2015 Psychother Psychosom 84:167."""
    return 4 * total_of_items(answers)


WHO_5 = Instrument(
    code="who-5",
    name="WHO-5",
    domain="wellbeing",
    rater="self",
    recall_days=14,
    items=items(("cheerful", "calm", "active", "rested", "engaged"), 0, 5),
    method="sum_times_4",
    points=tuple(range(0, 101, 4)),
    per_unit=1,
    direction="higher_is_better",
    loinc=None,
    bands=(Band("low wellbeing", 0, 48), Band("not low", 52, 100)),
    rule=Rule(50, "percent", 50, 25, 24, "convention", CONVENTION, None, 14),
    sources=(
        "Scoring and cut of 50: WHO/UCN/MSD/MHE/2024.1",
        "Response of 50% of severity, partial line of 25% and reliable change of 24 points: convention",
    ),
    rights="(c) WHO, CC BY-NC-SA 3.0 IGO; commercial use needs WHO's permission. Wording is not shipped.",
    examples=(Example((3, 3, 2, 1, 4), 52), Example((0,) * 5, 0), Example((5,) * 5, 100)),
    total=_percentage_score,
)
