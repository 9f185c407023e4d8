"""The timelines of the book, asserted day by day: in the engine, in the second engine and over HTTP."""

from datetime import UTC, date
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.instruments import INSTRUMENTS, score
from app.relief import assess
from tests.conftest import Api, new_clinic
from tests.spec.book import BOOK, Timeline, render
from tests.spec.oracle import InfusionVersion, ScoreVersion
from tests.spec.oracle import verdict as oracle
from tests.spec.timelines import as_oracle_says, events, parameters

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "relief.md"
every_timeline = pytest.mark.parametrize("timeline", BOOK, ids=lambda t: t.title.split(":")[0])


def versions(timeline: Timeline) -> tuple[list[InfusionVersion], list[ScoreVersion]]:
    instrument = INSTRUMENTS[timeline.instrument]
    infusions = [
        InfusionVersion(f"i{n}", 1, start.astimezone(UTC), start, end, True)
        for n, (start, end) in enumerate(timeline.started_and_ended())
    ]
    scores = []
    for n, (taken, value) in enumerate(timeline.scores):
        moment = timeline.moment(taken)
        points = score(instrument, None, value).points
        assert points is not None
        severity = instrument.severity(points)
        scores.append(ScoreVersion(f"s{n}", 1, moment.astimezone(UTC), moment, severity, True))
    return infusions, scores


@every_timeline
def test_both_engines_answer_as_written(timeline: Timeline) -> None:
    rule = INSTRUMENTS[timeline.instrument].rule
    assert rule
    infusions, scores = versions(timeline)
    for day in timeline.days:
        as_of = date.fromisoformat(day.on)
        mine = as_oracle_says(assess(events(infusions, scores, timeline.zone, None), rule, as_of))
        assert mine["status"] == day.status, day.on
        assert mine == oracle(parameters(rule), infusions, scores, timeline.zone, as_of), day.on


def record(api: Api, timeline: Timeline) -> str:
    """Posts a timeline as a clinic would, in order of time."""
    patient_id = api.patient()
    posts: list[tuple[Any, Any]] = [(start, end) for start, end in timeline.started_and_ended()]
    posts += [(timeline.moment(taken), value) for taken, value in timeline.scores]
    for moment, what in sorted(posts, key=lambda post: post[0]):
        if isinstance(what, int | float):
            api.check_in(patient_id, moment.isoformat(), timeline.instrument, what)
        else:
            api.session(patient_id, moment.isoformat(), **({"ended_at": what.isoformat()} if what else {}))
    return patient_id


@every_timeline
def test_the_service_answers_as_written(server: TestClient, timeline: Timeline) -> None:
    api = new_clinic(server, zone=timeline.zone)
    patient_id = record(api, timeline)
    for day in timeline.days:
        answer = api.relief(patient_id, as_of=day.on)
        tracks = [t for t in answer["tracks"] if t["instrument"] == timeline.instrument]
        domain = INSTRUMENTS[timeline.instrument].domain
        statuses = {d["domain"]: d["status"] for d in answer["domains"]}
        if not tracks:  # no score that early: the domain answers all the same
            assert day.status == "not_started"
            assert set(statuses.values()) == {"not_started"}
            continue
        assert statuses[domain] == day.status
        track = tracks[0]
        assert track["status"] == day.status, day.on
        for name, value in day.says.items():
            assert track[name] == value, (day.on, name)
        assert track["explanation"]


def test_the_page_of_the_book_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: make docs"
