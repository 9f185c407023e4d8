"""The rules of refusals that pages show, in the reader's language.

A refusal says its rule in English, as the API does, with the numbers of that case in it. Here are the sentences of the
rules that a page can show; `%(a)s` and `%(b)s` stand for what differs.
"""

import re
from functools import cache

from app.speech import message as _
from app.web.words import Gettext

RULES = (
    # Any field.
    _("is required"),
    _("is not known here"),
    _("is not valid here"),
    _("must be a whole number"),
    _("must be a number"),
    _("must be a finite number"),
    _("must be a string"),
    _("must be true or false"),
    _("must be a list"),
    _("must be an object"),
    _("must be a UUID"),
    _("must be null"),
    _("must have at least %(a)s characters"),
    _("must have at most %(a)s characters"),
    _("must have at least %(a)s characters, at most %(b)s"),
    _("must have at least %(a)s"),
    _("must have at most %(a)s"),
    _("must be at least %(a)s"),
    _("must be at most %(a)s"),
    _("must be at most %(a)s days"),
    _("must be more than %(a)s"),
    _("must be less than %(a)s"),
    _("must be one of: %(a)s"),
    _("must be from %(a)s to %(b)s"),
    _("must not contain control characters or lone surrogates"),
    _("must be one line that is not blank"),
    _("must name each only once"),
    _("must be an e-mail address"),
    # Days and moments.
    _("must be a calendar day, YYYY-MM-DD"),
    _("must be a date and time that exists"),
    _("must be an RFC 3339 date and time with an offset, to the microsecond at most"),
    _("must be a day and a time"),
    _("is an hour that a change of clocks makes twice or never: give a time an hour away"),
    _("must not be before 1900"),
    _("must not be in the future"),
    _("must not be after today in the clinic"),
    _("must not be more than 5 minutes in the future"),
    _("must not be more than 5 minutes in the future (send sent_at where the device's clock is wrong)"),
    _("must not be more than %(a)s days old from a patient's own device"),
    _("must not move taken_at before 1900"),
    _("must not be before from"),
    _("must be within %(a)s days of from"),
    # Scores.
    _("give answers or a score"),
    _("this instrument is one number: send it as score"),
    _("must be what the answers give"),
    _("must be a score this instrument can give: from %(a)s to %(b)s"),
    _("must be a score this instrument can give: %(a)s"),
    _("must have %(a)s answers, in item order"),
    _("must hold at least one answer"),
    _("must hold at least one answer or total"),
    _("must be named only once"),
    _("is rated by a clinician"),
    _("must name a session of this patient"),
    _("names a check-in with other content"),
    _("is allowed up to 60 minutes after the session's start"),
    _("a different answer is recorded for %(a)s at this taken_at"),
    _("another check-in holds %(a)s at this taken_at"),
    _("this check-in was moved: amend the one that goes on in its place"),
    _("must change whether the check-in is voided"),
    _("a voided check-in changes only by void: false"),
    _("must change something: taken_at, responses or void"),
    _("must leave a response (or void the check-in)"),
    _("must name an instrument of this check-in"),
    _("leaves no room for answers or a score"),
    _("is not for a patient's own device"),
    _("is not for a patient's own device: only answers may be corrected"),
    # Sessions and events.
    _("must be under systolic"),
    _("must not be before started_at"),
    _("must be within 14 days of started_at"),
    _("must be weight_kg times dose_mg_per_kg, within 5%"),
    _("must be from the session's start to 24 hours after its end"),
    _("must be from 2 hours before the session's start to 24 hours after its end"),
    _("must not overlap another session"),
    _("this session was moved: change the one that goes on in its place"),
    _("is required when times or status change"),
    _("names a session with other content"),
    _("needs the minutes after the session's start"),
    _("this event was moved: amend the one that goes on in its place"),
    _("names an event with other content"),
    _("the page is not whole: open it anew"),
    _("must name the effect"),
    _("must stand alone, or beside all items"),
    # Patients.
    _("must be keyed by: %(a)s"),
    _("%(a)s is answered by one of: %(b)s"),
    _("must not contain %(a)s"),
    _("must be unique in the clinic"),
    _("must be given: what is stored cannot be read"),
    _("names a patient with other content"),
    _("is required where care_status becomes %(a)s"),
    _("must be a person of this clinic"),
    _("the patient's identity cannot be read"),
    _("a device cannot be enrolled for a patient whose care has ended"),
    # Plans.
    _("must be a duration of whole weeks or days, as in P2W or P3D"),
    _("must be codes of /v1/instruments"),
    _("must be a code of /v1/instruments"),
    _("needs whole days"),
    # People, integrations and the clinic.
    _("must be your password"),
    _("the password has been changed meanwhile"),
    _("must not be one of the most common passwords, also with digits or signs around it"),
    _("must have at least %(a)s different characters"),
    _("must not be the e-mail address"),
    _("must not be the clinic's name or the service's"),
    _("must be admin or clinician"),
    _("must be a code of the second factor that is on"),
    _("must be a current code of the secret that was begun"),
    _("the code is unknown, used or expired"),
    _("is in use"),
    _("cohorts:read without patients:read cannot go together with a scope to write"),
    _("must be scopes from: %(a)s"),
    _("must be scopes, separated by spaces, from: %(a)s"),
    _("is fixed once a check-in is recorded"),
    _("must be an IANA time zone"),
    _("must be a language of the pages"),
    _("must be a file"),
    # Files: imports, and a questionnaire's wording.
    _("another answer stands for %(a)s at this taken_at on line %(b)s"),
    _("holds a formula that was never calculated"),
    _("is that of a ready mapping: extend it under another name"),
    _("must be a JSON document"),
    _("must be a date"),
    _("must be a date as the mapping's format says"),
    _("must be a date and time with a zone (RFC 3339)"),
    _("must have a zone, such as Z or -05:00"),
    _("must be a number without points between thousands"),
    _("must be an answer that the mapping names"),
    _("must be an hour that exists: the clocks of %(a)s were put forward over it"),
    _("must say which of two hours it is: the clocks of %(a)s were put back over it"),
    _("must be from 1900 on, and not more than 5 minutes in the future"),
    _("must be seconds since 1970"),
    _("must be text in Unicode"),
    _("must be text: a spreadsheet has made a number or a date of it"),
    _("must be text: a spreadsheet keeps no more than 15 digits of a number"),
    _("must be to the microsecond at most"),
    _("must have a time of day as the mapping's time_format says"),
    _("must have a time of day: name a time_column, or a time, in the mapping"),
    _("must have a zone that exists"),
    _("must have a zone: name the zone of its times in the mapping"),
    _("must have each value from %(a)s to %(b)s once"),
    _("must have item %(a)s in it, by linkId or code %(b)s"),
    _("must have item %(a)s once, by linkId or code %(b)s"),
    _("must be one JSON document in UTF-8"),
    _("must have the columns of an export, or be read by a mapping, which `holdfast import --sniff` proposes (%(a)s)"),
    _("must hold a file"),
    _("must name a column"),
    _("must name a mapping: see /v1/imports/mappings"),
    _("must name a session of this patient: import the sessions first"),
    _("must not answer an item of a check-in twice with other answers"),
    _("must not be a date"),
    _("must not name an instrument of a check-in twice with other content"),
    _("must say its value: valueInteger, or ordinalValue or itemWeight"),
    _("session_id and before_infusion must be the same on every line of a check-in"),
    # When the service is busy.
    _("another question that goes through the whole clinic is being answered"),
    # Webhooks.
    _("must be an address, as in https://ehr.example.org/holdfast"),
    _("must begin with https://"),
    _("must have no name, password or fragment"),
    _("must not be an address inside a network"),
    _("must be kinds of change: %(a)s"),
    _("needs the scope %(a)s"),
    _("the webhook is switched off"),
)
# What the API says in the names of its fields, as a page says it.
_PLAIN = {
    "must be an RFC 3339 date and time with an offset, to the microsecond at most": _(
        "must be a day and a time from 1900 on"
    ),
    "must not be more than 5 minutes in the future (send sent_at where the device's clock is wrong)": _(
        "must not be more than 5 minutes in the future"
    ),
    "must not move taken_at before 1900": _("must not be before 1900"),
    "must not be before started_at": _("must not be before the start"),
    "must be within 14 days of started_at": _("must be within 14 days of the start"),
    "must be weight_kg times dose_mg_per_kg, within 5%": _("must be the weight times the dose per kg, within 5%"),
    "a different answer is recorded for %(a)s at this taken_at": _("a different answer is recorded for this time"),
    "another check-in holds %(a)s at this taken_at": _("another check-in holds it for this time"),
    "is required where care_status becomes %(a)s": _("is required where care ends"),
    "a voided check-in changes only by void: false": _("what was taken out changes only by being taken back in"),
    "must change something: taken_at, responses or void": _("must change something"),
    "must be a duration of whole weeks or days, as in P2W or P3D": _("must be whole days"),
    "must be codes of /v1/instruments": _("must be codes of instruments"),
    "must be a code of /v1/instruments": _("must be the code of an instrument"),
    "must be one of: %(a)s": _("must be chosen"),
}
_PLACE = re.compile(r"%\\\((\w)\\\)s|%\((\w)\)s")


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """The rules that hold something that differs, the ones that say most first."""
    varied = sorted((rule for rule in RULES if "%(" in rule), key=lambda rule: -len(rule))
    return [(re.compile(_PLACE.sub(_group, re.escape(rule))), rule) for rule in varied]


def _group(found: re.Match[str]) -> str:
    return f"(?P<{found[1] or found[2]}>.+)"


def rule(gettext: Gettext, detail: str) -> str:
    """A rule in the reader's language; one that no form breaks stays as it is."""
    if detail in _PLAIN or detail in RULES:
        return gettext(_PLAIN.get(detail, detail))
    for pattern, text in _patterns():
        found = pattern.fullmatch(detail)
        if found is not None:
            return gettext(_PLAIN.get(text, text)) % found.groupdict()
    return gettext(detail)
