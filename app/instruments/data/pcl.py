"""PCL-5: symptoms of post-traumatic stress over a month."""

from app.instruments.model import Band, Example, Instrument, Rule, items, total_of_items

_LABELS = (
    "memories",
    "dreams",
    "flashbacks",
    "upset by reminders",
    "bodily reaction",
    "avoiding thoughts",
    "avoiding reminders",
    "memory gaps",
    "negative beliefs",
    "blame",
    "negative feelings",
    "lost interest",
    "distance",
    "lost positive feelings",
    "anger",
    "risk taking",
    "watchfulness",
    "startle",
    "concentration",
    "sleep",
)

PCL_5 = Instrument(
    code="pcl-5",
    name="PCL-5",
    domain="ptsd",
    rater="self",
    recall_days=30,
    items=items(_LABELS, 0, 4),
    method="sum",
    points=tuple(range(81)),
    per_unit=1,
    direction="lower_is_better",
    loinc=None,
    bands=(Band("below the cut", 0, 30), Band("at or over the cut", 31, 80)),
    rule=Rule(31, "percent", 30, 15, 15, "published", 28, 30),
    sources=(
        "Reliable change of 15 points and end score of 28 or less: Marx 2022 Psychol Assess 34:197",
        "Response of 30% (after Feder 2021, on another scale) and partial line of 15%: convention",
    ),
    rights="Public domain (US National Center for PTSD). Wording is not shipped.",
    examples=(Example((2,) * 20, 40), Example((4,) * 20, 80)),
    total=total_of_items,
)
