"""The `method` part of an answer over many patients: definitions, sources and cautions."""

from app.cohorts.models import MethodOut
from app.cohorts.policies import SMALLEST_AT_RISK, Sight
from app.cohorts.tallies import MedianRead, Question
from app.instruments import INSTRUMENTS

_EVENTS = {
    "loss_or_rescue": "loss of response on two readings at least 5 days apart, or a later course begun while the "
    "latest reading is below response; dated at the first reading of that run",
    "loss": "loss of response on two readings at least 5 days apart, dated at the first of them; a later course begun "
    "while below response censors at the last reading before it",
}
_BOOSTERS = {
    "ignore": "later courses begun during response do not end a spell",
    "censor": "a spell is censored at the last reading before the first later course",
}
_CURVES = {
    True: f"the curve ends where fewer than {SMALLEST_AT_RISK} are at risk",
    False: "the curve is read every 7 days, as far as no sum or difference of those at risk comes to fewer than "
    "{smallest}; medians, their intervals and restricted means (by trapezoids) are those of the curve as shown",
}
_CAUTIONS = [
    "Groups differ in more than the grouping: patients were not assigned to them.",
    "Patients are those with readings; those who stopped answering may be better or worse than these.",
    "Changes show at readings only: sparse readings make relief look longer.",
    "Traits of patients are taken as they stand now.",
]
_DURABILITY_CAUTIONS = [
    "A loss needs two readings: one reading short of response, or none at all, leaves a spell open. With sparse "
    "readings the curve is too high; by_last_response, which censors at the last response, is less so.",
]
_BESIDES = (
    "What groups differ in besides stands in `besides`: the mean baseline, and the share of treatment resistance."
)
_OUTCOMES = (
    "response, partial response, remission (a response at or under the line) and reliable deterioration against the "
    "episode's baseline; provisional: no response, by a reading whose recall window reaches back to the course"
)
_REMISSION = "; remission moreover needs a fall by at least the instrument's reliable change"
_FLAT = "median: the first day on which the curve is at or under one half; where it is exactly one half for some days, "
_MEDIANS = {
    "first_day": f"{_FLAT}R and SAS take the middle of them (median=midpoint)",
    "midpoint": f"{_FLAT}the middle of them, as R and SAS take it",
}


def durability_method(question: Question, median_read: MedianRead, *, sight: Sight) -> MethodOut:
    """The method of `CohortDurabilityOut`."""
    competes = (
        "cumulative incidence of loss, with which rescue competes and is dated at its onset, so that more are at risk "
        "than under the curve, which censors at the reading before: Aalen and Johansen 1978 Scand J Stat 5:141"
    )
    return MethodOut(
        unit="one spell per patient and episode of infusions, by one instrument",
        origin="the first reading after the last infusion of its course that shows response",
        event=_EVENTS[question.endpoint],
        censoring=f"at the latest reading, never at the report's date; {_BOOSTERS[question.boosters]}",
        statistics=[
            "curve: Kaplan and Meier 1958 J Am Stat Assoc 53:457",
            "standard error: Greenwood 1926 Rep Public Health Med Subj 33",
            "95% interval: log(-log), Kalbfleisch and Prentice 1980",
            _MEDIANS[median_read],
            "median interval: Brookmeyer and Crowley 1982 Biometrics 38:29",
            "comparison: log-rank, Mantel 1966 Cancer Chemother Rep 50:163",
            "restricted mean: Irwin 1949 J Hyg 47:188; its standard error by Greenwood's formula",
            "median follow-up: reverse Kaplan-Meier, Schemper and Smith 1996 Control Clin Trials 17:343",
            *([competes] if question.endpoint == "loss" else []),
        ],
        shown=f"{_CURVES[sight.sees_all].format(smallest=sight.smallest)}; {_groups_shown(sight=sight)}",
        cautions=[*_CAUTIONS, *_DURABILITY_CAUTIONS, *_grouped(question)],
    )


def outcomes_method(question: Question, *, sight: Sight) -> MethodOut:
    """The method of `CohortOutcomesOut`."""
    rule = INSTRUMENTS[question.instrument].rule
    return MethodOut(
        unit="one first course per patient and episode of infusions, by one instrument",
        origin="the latest reading 14 to 31 days after the last infusion of the first course, with no infusion between",
        event=_OUTCOMES + (_REMISSION if rule and rule.remission_needs_reliable_change else ""),
        censoring="episodes without such a reading are missing; the bounds count them as no response, and as response",
        statistics=["95% interval: Wilson 1927 J Am Stat Assoc 22:209", "window: McInnes 2022 J Affect Disord 301:486"],
        shown=_groups_shown(sight=sight),
        cautions=[*_CAUTIONS, *_grouped(question)],
    )


def _grouped(question: Question) -> list[str]:
    return [] if question.group_by == "none" else [_BESIDES]


def _groups_shown(*, sight: Sight) -> str:
    if sight.sees_all:
        return f"groups of fewer than {sight.smallest} patients are marked small"
    return (
        f"groups are hidden where anything shown would tell of fewer than {sight.smallest} patients; days are in weeks"
    )
