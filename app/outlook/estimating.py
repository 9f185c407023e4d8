"""The share of contributions that held on, with its interval. Source: clinical reference 4.7 (f)."""

from collections import Counter
from collections.abc import Sequence

from app.outlook.models import AheadOut
from app.relief.outlook import LOOKED_AHEAD_DAYS, Contribution
from app.statistics import Times, kaplan_meier, wilson_of_share

_FEWEST_FOLLOWED = 5


def ahead(contributions: Sequence[Contribution]) -> list[AheadOut]:
    """What became of at least one contribution, 14, 28 and 56 days on."""
    return [_ahead(contributions, days) for days in LOOKED_AHEAD_DAYS]


def _ahead(contributions: Sequence[Contribution], days: int) -> AheadOut:
    followed = sum(one.days >= days for one in contributions)
    share, trials = _estimated(contributions, days, followed)
    is_known = followed >= _FEWEST_FOLLOWED or share == 0
    interval = wilson_of_share(share, trials) if is_known else None
    return AheadOut(
        days=days,
        held=share if is_known else None,
        ci=list(interval) if interval is not None else None,
        lost=sum(one.is_event and one.days <= days for one in contributions),
        followed=followed,
        boosted=sum(one.next_course is not None and one.next_course <= days for one in contributions),
    )


def _estimated(contributions: Sequence[Contribution], days: int, followed: int) -> tuple[float, float]:
    """The share that held for `days`, and on how many trials it rests: as many as would give a proportion the same
    variance (Rothman 1978 J Chronic Dis 31:557); where all or none held, those followed so long, or all."""
    events = Counter(one.days for one in contributions if one.is_event)
    censored = Counter(one.days for one in contributions if not one.is_event)
    steps = [step for step in kaplan_meier(Times(events, censored)) if step.time <= days]
    share = steps[-1].survival
    if share in (0, 1):
        return share, float(len(contributions) if share == 0 else followed)
    hazard = sum(step.events / (step.at_risk * (step.at_risk - step.events)) for step in steps)
    return share, (1 - share) / (share * hazard)
