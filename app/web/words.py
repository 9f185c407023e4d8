"""The words in which pages say what the service knows: the names of codes, and the answer in one sentence a domain."""

from collections.abc import Callable

from app.instruments import INSTRUMENTS
from app.speech import Speech
from app.speech import message as _
from app.tracks.output import DomainOut, TrackOut

Gettext = Callable[[str], str]

NAMES = {
    # Domains.
    "mood": _("Mood"),
    "anxiety": _("Anxiety"),
    "pain": _("Pain"),
    "ptsd": _("PTSD"),
    "ocd": _("OCD"),
    "wellbeing": _("Wellbeing"),
    # Statuses.
    "not_started": _("Not started"),
    "no_baseline": _("No baseline"),
    "not_evaluable": _("Not evaluable"),
    "awaiting_follow_up": _("Awaiting follow-up"),
    "stale": _("No recent score"),
    "lost": _("Lost"),
    "fading": _("Fading"),
    "holding": _("Holding"),
    "partial_response": _("Partial response"),
    "no_response": _("No response"),
    # Flags.
    "emergent_symptoms": _("symptoms that were not there before"),
    "recovered_without_retreatment": _("recovered without another infusion"),
    "reliable_deterioration": _("reliably worse than the baseline"),
    "remission": _("in remission"),
    "worse_than_best": _("worse than at best"),
    # Alerts.
    "self_harm_item": _("Self-harm item answered"),
    "relief_lost": _("Relief lost"),
    "severe_side_effect": _("Severe side effect"),
    "urgent": _("Urgent"),
    "high": _("High"),
    "routine": _("Routine"),
    "open": _("Open"),
    "acknowledged": _("Acknowledged"),
    "withdrawn": _("Withdrawn"),
    "historic": _("Historic"),
    # What was done about them.
    "contacted": _("Patient contacted"),
    "escalated": _("Passed on to somebody else"),
    "already_known": _("Known already"),
    "could_not_reach": _("Could not reach the patient"),
    "other": _("Other"),
    # Care.
    "active": _("Active"),
    "paused": _("Paused"),
    "discharged": _("Discharged"),
    "deceased": _("Deceased"),
    "entered_in_error": _("Entered in error"),
    # Sessions.
    "completed": _("Completed"),
    "stopped_early": _("Stopped early"),
    "not_done": _("Not done"),
    "moved": _("Moved to another record"),
    "induction": _("Induction"),
    "maintenance": _("Maintenance"),
    "booster": _("Booster"),
    "iv": _("Intravenous"),
    "im": _("Intramuscular"),
    "sc": _("Subcutaneous"),
    "in": _("Nasal"),
    "sl": _("Under the tongue"),
    "po": _("By mouth"),
    "dizziness": _("Dizziness"),
    "confusion": _("Confusion"),
    "nausea": _("Nausea"),
    "vomiting": _("Vomiting"),
    "hallucination": _("Hallucination"),
    "dissociation": _("Dissociation"),
    "headache": _("Headache"),
    "sedation": _("Sedation"),
    "respiratory_depression": _("Slow breathing"),
    "hypertension": _("High blood pressure"),
    "mild": _("Mild"),
    "moderate": _("Moderate"),
    "severe": _("Severe"),
    # How relief after a session ended.
    "rescue": _("ended by a rescue infusion"),
    "next_session": _("until the next session"),
    "still_holding": _("still holding"),
    "never_responded": _("no response"),
    "unknown": _("Unknown"),
    # Check-ins.
    "baseline": _("Baseline"),
    "pre_infusion": _("Before an infusion"),
    "post_infusion": _("After an infusion"),
    "follow_up": _("Follow-up"),
    "recorded": _("Recorded"),
    "voided": _("Voided"),
    # Imports.
    "receiving": _("Being received"),
    "validating": _("Being checked"),
    "applying": _("Being applied"),
    "cancelling": _("Being taken back"),
    "cancelled": _("Taken back"),
    "refused": _("Refused"),
    "failed": _("Failed"),
    "partly_refused": _("Refused in part"),
    "denied": _("Denied"),
    "not_found": _("Not found"),
    # Plans.
    "upcoming": _("Upcoming"),
    "due": _("Due"),
    "overdue": _("Overdue"),
    "done": _("Done"),
    "declined": _("Not all answered"),
    "missed": _("Missed"),
    "session": _("each session"),
    "course": _("each course"),
    "enrolment": _("enrolment"),
    # Conditions and treatments.
    "major_depressive_disorder": _("Major depressive disorder"),
    "bipolar_depression": _("Bipolar depression"),
    "anxiety_disorder": _("Anxiety disorder"),
    "suicidal_ideation": _("Suicidal ideation"),
    "substance_use_disorder": _("Substance use disorder"),
    "chronic_pain": _("Chronic pain"),
    "psychotherapy": _("Psychotherapy"),
    "antidepressant": _("Antidepressant"),
    "anxiolytic": _("Anxiolytic"),
    "opioid": _("Opioid"),
    "ect": _("ECT"),
    "tms": _("TMS"),
    # Events.
    "medication_started": _("Medication started"),
    "medication_changed": _("Medication changed"),
    "medication_stopped": _("Medication stopped"),
    "admission": _("Admission"),
    "missed_session": _("Missed session"),
    "life_event": _("Life event"),
    # People.
    "admin": _("Administrator"),
    "clinician": _("Clinician"),
    "user": _("A person"),
    "client": _("An integration"),
    "device": _("The patient's phone"),
    "operator": _("The operator"),
}

# Statuses whose sentence says since when.
_SINCE = {
    "holding": _("relief is holding, at every reading since %(since)s."),
    "fading": _("relief is fading since %(since)s: the latest reading is no response any more."),
    "lost": _("relief was lost; the loss began on %(since)s."),
    "partial_response": _("there is a partial response, since %(since)s."),
    "no_response": _("there is no response, since %(since)s."),
}
_AS_IT_IS = {
    "not_started": _("no infusion is recorded yet."),
    "no_baseline": _("there is no score from before the first infusion, so change cannot be measured."),
    "not_evaluable": _("the score before the first infusion was too mild for a change to be judged."),
    "awaiting_follow_up": _("there is no score since the latest infusion yet."),
    "stale": _("there is no recent score, so it is not known whether relief is holding."),
}
_LAST_KNOWN = {
    "holding": _("It was holding at the latest reading, %(ago)s."),
    "fading": _("It was fading at the latest reading, %(ago)s."),
    "lost": _("It was lost at the latest reading, %(ago)s."),
    "partial_response": _("There was a partial response at the latest reading, %(ago)s."),
    "no_response": _("There was no response at the latest reading, %(ago)s."),
}
_SURE = _("The latest reading is clear of the response line by more than measurement error.")
_NOT_SURE = _("The latest reading is near the response line: one reading can fall on either side of it by chance.")
_ONE_MORE = _("One more reading from %(day)s would show whether it repeats.")
_PROVISIONAL = _("All readings so far also cover time before the infusion.")


def said(gettext: Gettext, code: str) -> str:
    """The name of a code, in words. A code that has none is named as it is, without underscores."""
    return gettext(NAMES[code]) if code in NAMES else code.replace("_", " ")


def sentence(speech: Speech, domain: DomainOut, track: TrackOut | None) -> str:
    """Whether relief is holding in a domain: its status, since when, and how sure the latest reading is."""
    status, since, gettext = domain.status, domain.since_on, speech.translated
    if status in _SINCE and since is not None:
        said_first = gettext(_SINCE[status]) % {"since": speech.day(since)}
    else:
        said_first = gettext(_AS_IT_IS[status]) if status in _AS_IT_IS else f"{said(gettext, status)}."
    parts = [said_first]
    if track is None:
        return said_first
    if domain.last_known in _LAST_KNOWN and track.days_since_last_score is not None:
        parts.append(gettext(_LAST_KNOWN[domain.last_known]) % {"ago": speech.days_ago(track.days_since_last_score)})
    if status in _SINCE and track.near_line is not None:
        parts.append(gettext(_NOT_SURE if track.near_line else _SURE))
    if track.confirm_due_on is not None:
        parts.append(gettext(_ONE_MORE) % {"day": speech.day(track.confirm_due_on)})
    if track.provisional:
        parts.append(gettext(_PROVISIONAL))
    return " ".join(parts)


def instrument(gettext: Gettext, code: str | None) -> str:
    """The name of an instrument; of none, a dash."""
    return gettext(INSTRUMENTS[code].name) if code in INSTRUMENTS else "–"
