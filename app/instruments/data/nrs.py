"""Numeric rating scales 0-10 about now: pain, mood (10 is best) and anxiety."""

from app.instruments.model import CONVENTION, Band, Direction, Example, Instrument, Rule, total_of_items

_RIGHTS = "Generic; free."


def _scale(
    code: str,
    name: str,
    domain: str,
    direction: Direction,
    rule: Rule,
    bands: tuple[Band, ...],
    loinc: str | None,
    sources: tuple[str, ...],
) -> Instrument:
    return Instrument(
        code=code,
        name=name,
        domain=domain,
        rater="self",
        recall_days=0,
        items=(),
        method="single",
        points=tuple(range(11)),
        per_unit=1,
        direction=direction,
        loinc=loinc,
        bands=bands,
        rule=rule,
        sources=sources,
        rights=_RIGHTS,
        examples=(Example(None, 0), Example(None, 6), Example(None, 10)),
        total=total_of_items,
    )


NRS_PAIN = _scale(
    "nrs-pain",
    "Pain 0-10",
    "pain",
    "lower_is_better",
    Rule(4, "percent", 30, 15, 3, "convention", CONVENTION, None, 0),
    (Band("none", 0, 0), Band("mild", 1, 3), Band("moderate", 4, 6), Band("severe", 7, 10)),
    "72514-3",
    (
        "Response of 30%: Farrar 2001 Pain; IMMPACT, Dworkin 2008 J Pain",
        "Partial line of 15%, entry line of 4 and reliable change of 3 points: convention",
    ),
)
NRS_MOOD = _scale(
    "nrs-mood",
    "Mood 0-10 (10 is best)",
    "mood",
    "higher_is_better",
    Rule(4, "percent", 50, 25, 3, "convention", CONVENTION, None, 0),
    (),
    None,
    ("No standard anchors: 0 is worst and 10 is best here. All lines: convention",),
)
NRS_ANXIETY = _scale(
    "nrs-anxiety",
    "Anxiety 0-10",
    "anxiety",
    "lower_is_better",
    Rule(4, "percent", 50, 25, 3, "convention", CONVENTION, None, 0),
    (),
    None,
    ("No standard anchors: 0 is none and 10 is worst here. All lines: convention",),
)
