"""Every sentence of the pages in every language."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from importlib.resources import files
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po

from app.events.models import Kind as EventKind
from app.patients.models import Indication
from app.pictures.panel import KINDS
from app.pictures.style import STATUS_COLOURS
from app.sessions.models import Route
from app.speech import in_language, languages
from app.speech.languages import LANGUAGES, SOURCE, chosen, day_in, hour_in, moment_in, number_in
from app.tracks.explanation import explain
from app.tracks.explanation_for_patient import explain_to_patient
from tests.conftest import Api, days_ago, new_device
from tests.tracks.test_explanation import random_tracks
from tests.web.catalogue import messages
from tests.web.pages import Browser

OTHERS = [name for name in LANGUAGES if name != SOURCE]
_PLACE = re.compile(r"%\((\w+)\)[sd]|%%")


def catalogue(name: str) -> dict[str, tuple[str, ...]]:
    """The messages of a catalogue with their translations."""
    path = files("app.speech") / "locale" / name / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        found = read_po(file, locale=name, abort_invalid=True)
    shown = {}
    for message in found:
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            shown[key] = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    return shown


@pytest.mark.parametrize("name", OTHERS)
def test_every_sentence_is_translated_and_none_is_left_over(name: str) -> None:
    said, known = messages(), catalogue(name)
    assert set(said) - set(known) == set(), "add these to the catalogue"
    assert set(known) - set(said) == set(), "nothing says these any more"
    for message, translations in known.items():
        assert all(translations), message
        assert len(translations) == (1 if said[message] is None else 2), message
        for text in translations:
            assert sorted(_PLACE.findall(text)) == sorted(_PLACE.findall(message)), message


def test_a_page_says_nothing_in_another_language(api: Api) -> None:
    patient = api.patient(label="A.B.")
    api.check_in(patient, days_ago(40), "gad-7", 16)
    api.session(patient, days_ago(39))
    api.check_in(patient, days_ago(3), "gad-7", 5)
    device = new_device(api, patient)
    english = {message for message, found in catalogue("es").items() if len(message) > 14 and message not in found}
    base = f"/patients/{patient}"
    own = ("", "/history", "/plan", "/edit", "/sessions/new", "/check-ins/new", "/letter", "/authorisation")
    admin = ("", "/people", "/integrations", "/plan", "/imports", "/audit", "/webhooks", "/wording")
    paths = ["/", "/alerts", "/patients", "/cohorts", "/account", "/account/second-factor", "/sign-in", "/password",
             *(base + more for more in own), *("/admin" + more for more in admin)]  # fmt: skip
    for browser, mine in (
        (Browser(api, language="es"), paths),
        (
            Browser(device, "holdfast-check-in", "es"),
            ["/check-in", "/check-in/scores", "/check-in/reminders", "/check-in/enrol"],
        ),
    ):
        for path in mine:
            page = browser.get(path).text
            assert '<html lang="es">' in page
            assert [one for one in english if f">{one}<" in page or f" {one} " in page] == [], path


def test_the_language_is_chosen_by_the_reader_or_by_the_browser(api: Api) -> None:
    assert chosen(None, "fr-CH, es-MX;q=0.9, en;q=0.8") == "es"
    assert chosen(None, "fr, *;q=0.5") == "en"
    assert chosen(None, "en;q=x, es;q=0.1") == "es"
    assert chosen("es", "en") == "es"
    assert chosen("fr", "") == "en"
    browser = Browser(api)
    kept = browser.post("/language", language="es", next="/alerts")
    assert (kept.headers["location"], "holdfast-language=es" in kept.headers["set-cookie"]) == ("/alerts", True)
    other = browser.post("/language", language="xx", next="https://elsewhere.example")
    assert (other.headers["location"], "set-cookie" in other.headers) == ("/", False)
    answer = api.server.get("/sign-in", headers={"Accept-Language": "es"})
    assert "Iniciar sesión" in answer.text


def test_days_and_moments_are_told_in_the_clinics_zone_and_the_readers_language() -> None:
    at, zone = datetime(2026, 1, 6, 3, 30, tzinfo=UTC), ZoneInfo("America/New_York")
    assert moment_in("en", at, zone) == "Jan 5, 2026, 10:30:00 PM"
    assert "5 ene 2026" in moment_in("es", at, zone)
    assert hour_in("en", at, zone) == "10:30 PM"
    assert day_in("es", date(2026, 1, 6)) == "6 de enero de 2026"
    assert (number_in("en", 1234.5), number_in("es", 7.0)) == ("1,234.5", "7")
    assert languages.translations("en").gettext("Mood") == "Mood"


_ENGLISH = re.compile(r"\b(the|of|is|was|were|to|score|scores|day|days|reading|response|baseline|session|since|from)\b")


@pytest.mark.parametrize("name", OTHERS)
def test_answers_are_explained_in_the_readers_language(name: str) -> None:
    speech = in_language(name)
    for track in random_tracks(1_500):
        for text in (explain(track, speech), explain_to_patient(track, speech)):
            assert not _ENGLISH.search(text), text
            assert not re.search(r"%\(|None", text), text


def test_what_codes_are_called_is_in_every_catalogue() -> None:
    kinds = get_args(EventKind)
    groups = (*get_args(Indication), *get_args(Route), "treatment_resistant", "not_treatment_resistant", "unknown")
    codes = {*STATUS_COLOURS, "not_started", *KINDS, *kinds, *groups, "none_recorded", *("mood", "anxiety", "pain")}
    for name in OTHERS:
        known = catalogue(name)
        assert {code for code in codes if code.replace("_", " ") not in known} == set()


def test_pictures_speak_the_language_that_is_asked_for(api: Api) -> None:
    patient = api.patient(label="A.B.", indications=["major_depressive_disorder"])
    for days, score in ((40, 20), (36, 12), (30, 8), (2, 7)):
        api.check_in(patient, days_ago(days), "phq-9", score)
    api.check_in(patient, days_ago(3), "nrs-pain", 4)
    for days in (39, 37):
        api.session(patient, days_ago(days))
    api.post(f"/v1/patients/{patient}/events", {"kind": "medication_changed", "on": days_ago(10)[:10]})
    base = f"/v1/patients/{patient}"
    by = "?instrument=phq-9"
    for path in (
        f"{base}/overview.vl.json",
        f"{base}/trend.vl.json{by}",
        f"{base}/effects.vl.json{by}",
        f"/v1/cohorts/durability.vl.json{by}",
    ):
        sign = "&" if "?" in path else "?"
        plain = api.get(path)
        assert api.get(f"{path}{sign}language=en").content == plain.content
        spanish = api.get(f"{path}{sign}language=es").json()
        assert spanish["config"]["locale"]["time"]["shortMonths"][0] == "ene"
        for text in _texts({**spanish, "config": {}, "encoding": {}}):
            assert not _ENGLISH.search(text), (path, text)
    refused = api.get(f"{base}/overview.vl.json?language=fr")
    assert (refused.status_code, refused.json()["errors"][0]["parameter"]) == (422, "language")
    svg = api.get(f"{base}/overview.svg?language=es").text
    assert "línea de respuesta" in svg
    assert "cambio de medicación" in svg or "medicación cambiada" in svg


def _texts(found: Any) -> Iterator[str]:
    """What a specification says: its words of several letters, but for the names of its own fields."""
    if isinstance(found, str) and " " in found and "datum" not in found and "toDate" not in found:
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _texts(value)
    elif isinstance(found, list):
        for value in found:
            yield from _texts(value)
