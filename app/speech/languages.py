"""The languages: gettext catalogues, dates and numbers."""

import gettext
import io
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

# What is written in the source; the others have a catalogue each.
SOURCE = "en"
LANGUAGES = (SOURCE, "es")


def chosen(wanted: str | None, accepted: str) -> str:
    """The language of a page: the one that was chosen, or the first of an Accept-Language header (RFC 9110, 12.5.4)
    that there is."""
    if wanted in LANGUAGES:
        return wanted
    found: list[tuple[float, str]] = []
    for part in accepted.split(",")[:20]:
        name, _, weight = part.partition(";")
        language = name.strip().lower().split("-")[0]
        if language in LANGUAGES:
            found.append((_weight(weight), language))
    return max(found, key=lambda one: one[0], default=(0.0, SOURCE))[1]


def _weight(text: str) -> float:
    try:
        return float(text.strip().removeprefix("q=")) if text.strip() else 1.0
    except ValueError:
        return 0.0


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The catalogue of a language, compiled when it is first asked for."""
    if language == SOURCE:
        return gettext.NullTranslations()
    text = (files("app.speech") / "locale" / language / "LC_MESSAGES" / "messages.po").read_bytes()
    compiled = io.BytesIO()
    write_mo(compiled, read_po(io.BytesIO(text), locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


@cache
def _locale(language: str) -> Locale:
    # Of the region of most of the clinics: month before day in English, 12 hours in both.
    return Locale.parse({"en": "en_US", "es": "es_US"}[language])


def day_in(language: str, day: date, form: str = "long") -> str:
    """A day in words, as in 6 January 2025. `form`: `short`, `medium`, `long` or `full`."""
    return format_date(day, form, locale=_locale(language))


def day_of_year_in(language: str, day: date) -> str:
    """A day in words without its year."""
    return format_skeleton("MMMMd", day, locale=_locale(language))


def moment_in(language: str, moment: datetime, zone: ZoneInfo) -> str:
    """A moment in the clinic's zone: its day and time."""
    return format_datetime(moment, "medium", tzinfo=zone, locale=_locale(language)).replace("\u202f", " ")


def hour_in(language: str, moment: datetime, zone: ZoneInfo) -> str:
    """The time of a moment in the clinic's zone."""
    return format_time(moment, "short", tzinfo=zone, locale=_locale(language)).replace("\u202f", " ")


def number_in(language: str, value: float) -> str:
    """A number, without decimals that say nothing."""
    return format_decimal(value, locale=_locale(language))


def calendar_in(language: str) -> dict[str, object]:
    """The names of days and months in the form of d3-time-format."""
    locale = _locale(language)
    days = {width: locale.days["stand-alone"][width] for width in ("wide", "abbreviated")}
    months = {width: locale.months["stand-alone"][width] for width in ("wide", "abbreviated")}
    found: dict[str, object] = {"dateTime": "%x %X", "date": "%-d/%-m/%Y", "time": "%H:%M:%S", "periods": ["AM", "PM"]}
    for name, width in (("days", "wide"), ("shortDays", "abbreviated")):
        found[name] = [days[width][(day + 6) % 7] for day in range(7)]  # Sunday first
    for name, width in (("months", "wide"), ("shortMonths", "abbreviated")):
        found[name] = [months[width][month] for month in range(1, 13)]
    return found


def digits_in(language: str) -> dict[str, object]:
    """How numbers are written in the form of d3-format."""
    symbols = _locale(language).number_symbols["latn"]
    return {"decimal": symbols["decimal"], "thousands": symbols["group"], "grouping": [3], "currency": ["$", ""]}


def decimal_in(language: str, value: float) -> str:
    """A number with one decimal."""
    return format_decimal(value, "#,##0.0", locale=_locale(language))
