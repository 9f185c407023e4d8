"""What a page for paper cannot say, since nobody recorded it."""

from collections.abc import Callable, Iterator

from app.instruments import INSTRUMENTS
from app.sessions.models import COUNTED
from app.speech import message as _
from app.web.patient.gathering import PatientPage
from app.web.words import said

_RECENT_DAYS = 14


def missing(gettext: Callable[[str], str], it: PatientPage) -> list[str]:
    """Each thing that is missing, in a sentence; empty where nothing is."""
    return list(_missing(gettext, it))


def _missing(gettext: Callable[[str], str], it: PatientPage) -> Iterator[str]:
    if not it.patient.indications:
        yield gettext(_("No indication is recorded."))
    if it.patient.failed_antidepressant_trials is None:
        yield gettext(_("The number of failed antidepressant trials is not recorded."))
    if not it.patient.failed_treatments:
        yield gettext(_("No failed treatment is recorded."))
    for one in it.answers:
        about = {"domain": said(gettext, one.domain.domain), "instrument": INSTRUMENTS[one.domain.instrument].name}
        if one.track is None or one.track.baseline is None:
            yield gettext(_("%(domain)s: no score from the four weeks before the first infusion.")) % about
        elif one.track.latest is None:
            yield gettext(_("%(domain)s: no score since the latest infusion that counts (%(instrument)s).")) % about
        elif (one.track.days_since_last_score or 0) > _RECENT_DAYS:
            days = {"days": one.track.days_since_last_score}
            yield gettext(_("%(domain)s: the latest score (%(instrument)s) is %(days)s days old.")) % {**about, **days}
    without = [s for s in it.sessions if s.status in COUNTED and s.dose_mg is None and s.dose_mg_per_kg is None]
    if without:
        yield gettext(_("Sessions without a dose: %(number)s.")) % {"number": len(without)}
    if not any(s.status in COUNTED for s in it.sessions):
        yield gettext(_("No session is recorded."))
