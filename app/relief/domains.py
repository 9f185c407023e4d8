"""Which instrument answers for a domain. Source: clinical reference 4.6, Domain answer, and 4.7 (a)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from app.relief.lines import VERSION
from app.relief.values import Immutable
from app.relief.verdict import Verdict


class Candidate(Immutable, frozen=True):
    """One instrument's verdict, and the instant of its latest score of any kind (None: no score)."""

    verdict: Verdict
    latest_score_at: datetime | None


def choose(
    order: Sequence[str], candidates: Mapping[str, Candidate], primary: str | None, version: str = VERSION
) -> tuple[str, str | None]:
    """The instrument that answers for a domain, and the note `instrument_changed` where another one has a later score.

    `order` is the domain's order of instruments; `candidates` those with a track; `primary` the declared one; `version`
    the rule's.
    """
    chosen = primary if primary in order else _first(order, candidates, version)
    assert chosen is not None  # _first always names one
    own = candidates[chosen].latest_score_at if chosen in candidates else None
    later = any(
        other.latest_score_at is not None and (own is None or other.latest_score_at > own)
        for code, other in candidates.items()
        if code != chosen and code in order
    )
    return chosen, "instrument_changed" if later else None


def _first(order: Sequence[str], candidates: Mapping[str, Candidate], version: str) -> str:
    known = [(code, candidates[code]) for code in order if code in candidates]
    able = [(c, k) for c, k in known if k.verdict.baseline is not None and k.verdict.status != "not_evaluable"]
    heard = (c for c, k in able if version == "2026.1" or not _is_passed_over(k.verdict))
    evaluable = (c for c, _ in able)
    with_baseline = (c for c, k in known if k.verdict.baseline is not None)
    scored = (c for c, k in known if k.latest_score_at is not None)
    return next(heard, None) or next(evaluable, None) or next(with_baseline, None) or next(scored, None) or order[0]


def _is_passed_over(verdict: Verdict) -> bool:
    """Whether the silence of one instrument may be hidden behind another one: not where relief was lost or fading."""
    return verdict.status == "stale" and verdict.last_known not in ("lost", "fading")
