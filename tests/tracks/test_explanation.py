"""The answer in words: true of the answer it is made from, readable, and never a medical claim."""

import random
import re
from uuid import UUID

import pytest
from msgspec.structs import replace

from app.instruments import INSTRUMENTS
from app.relief import Verdict, assess
from app.tracks.explanation import explain
from app.tracks.explanation_for_patient import explain_to_patient
from app.tracks.output import TrackOut, track_out
from tests.conftest import Api, new_device
from tests.spec.timelines import INSTRUMENTS_WITH_RULE, ZONES, events, random_timeline

CLAIMS = re.compile(r"relaps|diagnos|predict|safe|dose|dosing|should|advis|recommend|cure|patient", re.IGNORECASE)


def random_tracks(count: int) -> list[TrackOut]:
    found = []
    for seed in range(count):
        rng = random.Random(seed)
        code, zone = rng.choice(INSTRUMENTS_WITH_RULE), rng.choice(ZONES)
        rule = INSTRUMENTS[code].rule
        assert rule
        infusions, scores, as_of = random_timeline(rng, code, zone)
        found.append(track_out(INSTRUMENTS[code], with_ids(assess(events(infusions, scores, zone, None), rule, as_of))))
    return found


def with_ids(verdict: Verdict) -> Verdict:
    """The same verdict with score ids as the service has them."""
    parts = {name: getattr(verdict, name) for name in ("baseline", "best", "latest")}
    return replace(verdict, **{name: s and replace(s, id=str(UUID(int=1))) for name, s in parts.items()})


def test_every_answer_has_words_without_holes_or_claims() -> None:
    seen = set()
    for track in random_tracks(3_000):
        words = explain(track)
        seen.add(track.status)
        assert words.endswith(".")
        assert not re.search(r"None|none|null|  |\bnan\b", words), words
        assert not CLAIMS.search(words), words
        if track.status in ("holding", "fading", "lost", "partial_response", "no_response"):
            assert track.latest
            assert f"is {track.latest.value:g}" in words
            if track.days_since_last_score:
                assert f"({track.days_since_last_score} day" in words
        if "emergent_symptoms" in track.flags:
            assert "worsened" in words
            assert "risen" not in words
        for flag, word in (("remission", "remission line"), ("worse_than_best", "second best")):
            assert (flag in track.flags) == (word in words), words
    assert len(seen) == 10


@pytest.mark.parametrize(("scores", "as_of", "words"), [
    ((("01-06", 20), ("02-07", 4), ("03-07", 8), ("03-21", 10)), "2025-03-21",
     "PHQ-9 is 10, half of the baseline of 20 and so at the response line; it has been at or under the line at every "
     "reading from 7 February to 21 March 2025, 42 days. 10 is at the line; one reading of PHQ-9 is uncertain by about "
     "4 points either way."),
    ((("01-06", 20), ("01-20", 12)), "2025-01-25",
     "PHQ-9 is 12 (5 days ago), 40.0% below the baseline of 20; the response line is 10: a partial response, short of "
     "a response. 12 is within measurement error of the line, 10; one reading of PHQ-9 is uncertain by about 4 points "
     "either way."),
    ((("01-06", 20), ("01-20", 27)), "2025-01-20",
     "PHQ-9 is 27, 35.0% above the baseline of 20; the response line is 10: short of a partial response. The score is "
     "worse than the baseline by at least 6 points, a reliable change."),
    ((("01-06", 6),), "2025-01-07",
     "The PHQ-9 baseline of 6 is milder than the entry line of 10, so a percentage change from it would say little."),
    ((("01-20", 12),), "2025-01-21",
     "No PHQ-9 score from the 28 days up to the first infusion on 6 January 2025 is recorded, though later ones are: "
     "without a baseline no change can be measured."),
])  # fmt: skip
def test_the_words_of_some_answers(api: Api, scores: tuple[tuple[str, int], ...], as_of: str, words: str) -> None:
    patient_id = api.patient()
    for day, score in scores:
        api.check_in(patient_id, f"2025-{day}T08:00:00-05:00", "phq-9", score)
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    assert api.track(patient_id, "phq-9", as_of=as_of)["explanation"] == words


def test_every_answer_has_words_for_the_patient_without_holes_claims_or_advice() -> None:
    seen = set()
    for track in random_tracks(3_000):
        words = explain_to_patient(track)
        seen.add(track.status)
        assert words.endswith("Your care team can talk with you about them.")
        assert not re.search(r"None|none|null|  |\bnan\b| -\d", words), words
        assert not CLAIMS.search(words), words
        if track.status in ("holding", "fading", "lost", "partial_response", "no_response"):
            assert track.latest
            assert track.baseline
            assert f"score is {track.latest.value:g}" in words
            assert (track.change == 0) == ("as it was before" in words)
            if track.improvement_percent:
                assert ("better" in words) == (track.improvement_percent > 0), words
                assert ("worse" in words) == (track.improvement_percent < 0), words
    assert len(seen) == 10


@pytest.mark.parametrize(("instrument", "scores", "as_of", "status", "words"), [
    ("phq-9", (("01-04", 20),), "2025-01-05", "not_started",
     "No infusion is recorded yet, so there is nothing to compare your PHQ-9 scores with."),
    ("phq-9", (("01-20", 12),), "2025-01-21", "no_baseline",
     "There is no PHQ-9 score from the four weeks before your first infusion, so a change cannot be measured. Your "
     "scores are kept all the same."),
    ("phq-9", (("01-06", 6),), "2025-01-07", "not_evaluable",
     "Your PHQ-9 score before your first infusion was already mild, so a change in percent would say little."),
    ("phq-9", (("01-06", 20),), "2025-01-07", "awaiting_follow_up",
     "There is no PHQ-9 score since your latest infusions yet. It is measured from the day after one."),
    ("phq-9", (("01-06", 20),), "2025-06-01", "stale",
     "No PHQ-9 score has come since your latest infusions, so how things stand is not known."),
    ("phq-9", (("01-06", 20), ("01-20", 4)), "2025-06-01", "stale",
     "Your latest PHQ-9 score is 132 days old, so how things stand is not known."),
    ("phq-9", (("01-06", 20), ("02-07", 4), ("03-07", 10)), "2025-03-08", "holding",
     "Your PHQ-9 score is 10: 50% better than the 20 from before your first infusion. It has been at or past the "
     "response line since 7 February 2025. A single score this close to the response line can fall on either side of "
     "it by chance."),
    ("phq-9", (("01-06", 20), ("02-07", 4), ("03-07", 12)), "2025-03-08", "fading",
     "Your PHQ-9 score is 12: 40% better than the 20 from before your first infusion. Earlier scores were at or past "
     "the response line; the latest is not. A single score this close to the response line can fall on either side of "
     "it by chance."),
    ("phq-9", (("01-06", 20), ("02-07", 4), ("03-07", 12), ("03-14", 20)), "2025-03-15", "lost",
     "Your PHQ-9 score is 20, as it was before your first infusion. Scores at least 5 days apart have been short of "
     "the response line."),
    ("phq-9", (("01-06", 20), ("01-20", 12)), "2025-01-25", "partial_response",
     "Your PHQ-9 score is 12: 40% better than the 20 from before your first infusion. It has not come to the response "
     "line so far. A single score this close to the response line can fall on either side of it by chance."),
    ("phq-9", (("01-06", 20), ("01-20", 27)), "2025-01-20", "no_response",
     "Your PHQ-9 score is 27: 35% worse than the 20 from before your first infusion. It has not come to the response "
     "line so far."),
    ("promis-depression-4a", (("01-06", 65.7), ("01-20", 63.9)), "2025-01-20", "no_response",
     "Your PROMIS Depression 4a score is 63.9; before your first infusion it was 65.7. It has not come to the response "
     "line so far."),
])  # fmt: skip
def test_a_patient_reads_these_words(
    api: Api, instrument: str, scores: tuple[tuple[str, float], ...], as_of: str, status: str, words: str
) -> None:
    patient_id = api.patient()
    for day, score in scores:
        api.check_in(patient_id, f"2025-{day}T08:00:00-05:00", instrument, score)
    api.session(patient_id, "2025-01-06T10:00:00-05:00")
    track = new_device(api, patient_id).track(patient_id, instrument, as_of=as_of)
    assert track["status"] == status
    assert track["explanation"] == (
        f"{words} This describes your answers only. Your care team can talk with you about them."
    )
