"""Response bodies of instruments."""

from itertools import pairwise

from app.api.fields import ResponseBody, grows
from app.instruments import INSTRUMENTS, Instrument, Rule
from app.relief import VERSION

Value = int | float


class ItemOut(ResponseBody):
    """One question, by number, a short concept label of our own and its LOINC code. Wording is not shipped."""

    number: int
    label: str
    min: int
    max: int
    loinc: str | None


class ScaleOut(ResponseBody):
    """How the score is made and which way it runs."""

    method: str
    min: Value
    max: Value
    step: Value | None
    direction: str = grows("lower_is_better", "higher_is_better")
    loinc: str | None


class BandOut(ResponseBody):
    """A severity band of the score, both ends included."""

    label: str
    min: Value
    max: Value


class RuleOut(ResponseBody):
    """The lines of the verdict. Numbers are severities in the instrument's own unit (WHO-5: 100 - x); `response` and
    `partial` are percent of the baseline severity, or points of fall where `basis` is "points"."""

    version: str
    scale: str
    basis: str = grows("percent", "points")
    entry: Value
    response: Value
    partial: Value
    reliable_change: Value
    reliable_change_kind: str = grows("nhs", "published", "computed", "convention")
    remission: Value | None


class InstrumentOut(ResponseBody):
    """An instrument. `rule` is null for the screens, which have no track."""

    code: str
    name: str
    domain: str
    rater: str = grows("self", "clinician")
    recall_days: int
    items: list[ItemOut]
    score: ScaleOut
    bands: list[BandOut]
    rule: RuleOut | None
    sources: list[str]
    rights: str


class InstrumentList(ResponseBody):
    """Every instrument that is served."""

    items: list[InstrumentOut]
    next_cursor: str | None


def instrument_out(instrument: Instrument) -> InstrumentOut:
    """The response body of an instrument, with scores in its own unit."""
    value, points = instrument.value, instrument.points
    steps = {b - a for a, b in pairwise(points)}
    low, high = value(points[0]), value(points[-1])
    return InstrumentOut(
        code=instrument.code,
        name=instrument.name,
        domain=instrument.domain,
        rater=instrument.rater,
        recall_days=instrument.recall_days,
        items=[ItemOut(number=i.number, label=i.label, min=i.min, max=i.max, loinc=i.loinc) for i in instrument.items],
        score=ScaleOut(
            method=instrument.method,
            min=low,
            max=high,
            step=value(steps.pop()) if len(steps) == 1 else None,
            direction=instrument.direction,
            loinc=instrument.loinc,
        ),
        bands=[
            BandOut(label=b.label, min=max(value(b.min), low), max=min(value(b.max), high)) for b in instrument.bands
        ],
        rule=None if instrument.rule is None else _rule_out(instrument, instrument.rule),
        sources=list(instrument.sources),
        rights=instrument.rights,
    )


def _rule_out(instrument: Instrument, rule: Rule) -> RuleOut:
    percent = rule.basis == "percent"
    value = instrument.value
    return RuleOut(
        version=VERSION,
        scale="severity",
        basis=rule.basis,
        entry=value(rule.entry),
        response=rule.response if percent else value(rule.response),
        partial=rule.partial if percent else value(rule.partial),
        reliable_change=value(rule.reliable_change),
        reliable_change_kind=rule.reliable_change_kind,
        remission=None if rule.remission is None else value(rule.remission),
    )


CATALOGUE = {code: instrument_out(instrument) for code, instrument in INSTRUMENTS.items()}
