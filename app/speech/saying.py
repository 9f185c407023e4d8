"""How to say something: whole sentences from a catalogue, and days and numbers as a language writes them.

Sentences are marked with `message`, which changes nothing: so the catalogue can be checked to have them all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache, partial

from app.speech import languages

_MONTHS = ("January", "February", "March", "April", "May", "June",
           "July", "August", "September", "October", "November", "December")  # fmt: skip


def message(text: str) -> str:
    """Marks a text as one to be translated."""
    return text


@dataclass(frozen=True, slots=True)
class Speech:
    """`translated`: a message in the language. `counted`: of two messages the one for a number, translated. `day`: a
    day in words; `day_of_year`: without its year. `number`: without decimals that say nothing; `decimal`: with one.
    `language`: its tag (RFC 5646)."""

    language: str
    translated: Callable[[str], str]
    counted: Callable[[str, str, int], str]
    day: Callable[[date], str]
    day_of_year: Callable[[date], str]
    number: Callable[[float], str]
    decimal: Callable[[float], str]

    def code(self, code: str) -> str:
        """The word for a code, such as `no_response`."""
        return self.translated(code.replace("_", " "))

    def days(self, count: int) -> str:
        """A number of days."""
        return self.counted("%(days)s day", "%(days)s days", count) % {"days": count}

    def calendar(self) -> dict[str, object]:
        """The names of days and months, as charts want them (Vega, "time format locale")."""
        return languages.calendar_in(self.language)

    def digits(self) -> dict[str, object]:
        """How numbers are written, as charts want it (Vega, "number format locale")."""
        return languages.digits_in(self.language)

    def days_ago(self, count: int) -> str:
        """How long ago a number of days is."""
        if count == 0:
            return self.translated(message("today"))
        return self.counted("%(days)s day ago", "%(days)s days ago", count) % {"days": count}


def _day_of_year(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]}"


# As the API says it: one English for everybody who reads it by a program.
ENGLISH = Speech(
    languages.SOURCE,
    str,
    lambda one, many, count: one if count == 1 else many,
    lambda day: f"{_day_of_year(day)} {day.year}",
    _day_of_year,
    lambda value: f"{value:g}",
    lambda value: f"{value:.1f}",
)


def of_pictures(language: str) -> Speech:
    """How a picture says it: in English as the API does, whoever asks."""
    return ENGLISH if language == languages.SOURCE else in_language(language)


@cache
def in_language(language: str) -> Speech:
    """How a page says it, with days and numbers as its readers write them."""
    catalogue = languages.translations(language)
    return Speech(
        language,
        catalogue.gettext,
        catalogue.ngettext,
        partial(languages.day_in, language),
        partial(languages.day_of_year_in, language),
        partial(languages.number_in, language),
        partial(languages.decimal_in, language),
    )
