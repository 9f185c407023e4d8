"""The telephone number in a contact, to be dialled by a tap."""

import re

_ALWAYS = re.compile(r"\b24\s*(?:/\s*7|-?\s*h(?:ours?|rs?)?)\b", re.IGNORECASE)
# A short code, or groups of digits; before them perhaps a country's code, an area's in brackets, or a single 0 or 1.
_ONE_NUMBER = re.compile(
    r"(?:[^\d+(]|\((?!\d))*"
    r"(?P<number>(?:\+\d{1,3}[ .-]?)?(?:[01][ .-]|\(\d{1,5}\)[ .-]?)?\d{2,}(?:[ .-]\d+)*)"
    r"(?P<rest>\D*)"
)
# Letters that stand for digits (`1 800 273 TALK`), or what makes a number an hour or an ordinal.
_IN_LETTERS = re.compile(r"[ -]?[A-Z]{3}|[a-z]|:|/")


def telephone(contact: str) -> str | None:
    """The number to dial that a contact names; None where it names none, or where one could dial a wrong one: a plain
    text is right, a wrong link is not. So all its digits must be one number, but for `24/7` and the like."""
    found = _ONE_NUMBER.fullmatch(_ALWAYS.sub(" ", contact))
    if found is None or _IN_LETTERS.match(found["rest"]):
        return None
    number = found["number"]
    # With blanks and hyphens both, the first part may be hours.
    if " " in number and "-" in number and number[0] not in "+(":
        return None
    return re.sub(r"[^\d+]", "", number)
