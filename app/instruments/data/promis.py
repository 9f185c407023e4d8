"""PROMIS short forms 4a: depression, anxiety and pain interference as T scores over a week."""

from collections.abc import Callable

from app.instruments.model import CONVENTION, Answers, Band, Example, Instrument, Rule, items, total_of_items

# T scores in tenths for raw sums 4 to 20. Source: clinical reference 1.15.
_DEPRESSION = (410, 490, 518, 539, 557, 573, 589, 605, 622, 639, 657, 675, 694, 712, 733, 757, 794)
_ANXIETY = (403, 480, 512, 537, 558, 577, 595, 614, 634, 653, 673, 693, 712, 733, 754, 779, 816)
_PAIN_INTERFERENCE = (416, 496, 520, 539, 556, 571, 585, 599, 612, 625, 638, 652, 666, 680, 697, 716, 756)


def _table(tenths: tuple[int, ...]) -> Callable[[Answers], int]:
    return lambda answers: tenths[total_of_items(answers) - 4]


def _short_form(
    code: str,
    name: str,
    domain: str,
    labels: tuple[str, ...],
    tenths: tuple[int, ...],
    reliable: int,
    loinc: str,
    item_loinc: tuple[str, ...] = (),
) -> Instrument:
    return Instrument(
        code=code,
        name=name,
        domain=domain,
        rater="self",
        recall_days=7,
        items=items(labels, 1, 5, item_loinc),
        method="t_score_table",
        points=tenths,
        per_unit=10,
        direction="lower_is_better",
        loinc=loinc,
        bands=(
            Band("normal", 0, 549),
            Band("mild", 550, 599),
            Band("moderate", 600, 699),
            Band("severe", 700, 1000),
        ),
        rule=Rule(600, "points", 100, 50, 10 * reliable, "convention", CONVENTION, 549, 7),
        sources=(
            "T scores: PROMIS short form 4a tables (US general population, mean 50, SD 10)",
            f"Response of 10 points, partial line of 5 and reliable change of {reliable} points: convention; a percent "
            "change of a T score has no meaning",
        ),
        rights="PROMIS terms of use; commercial software needs permission. Wording is not shipped.",
        examples=(
            Example((1, 1, 1, 1), tenths[0] / 10),
            Example((3, 3, 3, 3), tenths[8] / 10),
            Example((5, 5, 5, 5), tenths[-1] / 10),
        ),
        total=_table(tenths),
    )


PROMIS_DEPRESSION_4A = _short_form(
    "promis-depression-4a",
    "PROMIS Depression 4a",
    "mood",
    ("worthless", "helpless", "depressed", "hopeless"),
    _DEPRESSION,
    7,
    "71965-8",
    ("61953-6", "61955-1", "61967-6", "61973-4"),
)
PROMIS_ANXIETY_4A = _short_form(
    "promis-anxiety-4a",
    "PROMIS Anxiety 4a",
    "anxiety",
    ("fearful", "hard to focus", "overwhelmed", "uneasy"),
    _ANXIETY,
    8,
    "71967-4",
)
PROMIS_PAIN_INTERFERENCE_4A = _short_form(
    "promis-pain-interference-4a",
    "PROMIS Pain Interference 4a",
    "pain",
    ("daily activities", "work at home", "social life", "chores"),
    _PAIN_INTERFERENCE,
    6,
    "71961-7",
)
