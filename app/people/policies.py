"""Rules of passwords: which ones anybody would try first."""

import re
import runpy
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_FEWEST_CHARACTERS = 4


@cache
def _common() -> frozenset[str]:
    """The 30,000 passwords that leaked most often, as the library keeps them."""
    found = find_spec("zxcvbn")
    assert found is not None
    # The file is run by itself: the library's other lists would stay in memory.
    path = Path((found.submodule_search_locations or [""])[0]) / "frequency_lists.py"
    return frozenset(runpy.run_path(str(path))["FREQUENCY_LISTS"]["passwords"])


def why_guessable(password: str, email: str, clinic: str) -> str | None:
    """Why a password is one of the first that anybody would try; None if it is not. Source: NIST SP 800-63B-4,
    3.1.1.2: passwords are compared with a list of common ones and with names of the service and the person."""
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", password.casefold())
    if password.casefold() in _common() or bare in _common():
        return "must not be one of the most common passwords, also with digits or signs around it"
    if len(set(password.casefold())) < _FEWEST_CHARACTERS:
        return f"must have at least {_FEWEST_CHARACTERS} different characters"
    letters = _letters(password)
    if letters and letters in {_letters(email), _letters(email.partition("@")[0])}:
        return "must not be the e-mail address"
    if letters and letters in {_letters(clinic), "holdfast"}:
        return "must not be the clinic's name or the service's"
    return None


def _letters(text: str) -> str:
    """The letters of a text alone, so that digits or signs added to a word do not hide it."""
    return re.sub(r"[\W\d_]", "", text.casefold())
