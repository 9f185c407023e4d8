"""Callers who may not see patients are answered from one snapshot, so that asking before and after tells nothing."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from app import clock
from app.access.models import Client
from app.access.policies import SCOPES, why_scopes_clash
from app.api.parts import DATABASE
from app.cohorts import snapshots, store
from app.cohorts.snapshots import Person, Snapshot, renewed
from app.cohorts.tallies import Question
from app.storage import Database
from app.work import renew_snapshots
from tests.cohorts.conftest import at
from tests.conftest import Api, app_of, new_client, new_clinic

ASKED = {"instrument": "phq-9"}


def responder(api: Api, number: int, indications: list[str]) -> str:
    patient = api.patient(external_id=f"p-{number}", indications=indications)
    api.session(patient, at(0, 1))
    for offset, score in ((0, 20), (4, 5), (12, 6 + number % 3)):
        api.check_in(patient, at(offset), "phq-9", score)
    return patient


@pytest.fixture
def cohort(server: TestClient) -> tuple[Api, Api, list[str]]:
    """14 patients in response, of whom 12 have PTSD; and an integration that sees no patients."""
    api = new_clinic(server, zone="UTC")
    patients = [responder(api, n, ["ptsd"] if n < 12 else ["ocd"]) for n in range(14)]
    return api, new_client(server, api.clinic_id, "cohorts:read"), patients


def lose(api: Api, patient: str) -> None:
    api.check_in(patient, at(20), "phq-9", 19)
    api.check_in(patient, at(27), "phq-9", 19)


def later(api: Api, days: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hourly job, some days later."""
    now = clock.now() + timedelta(days=days)
    monkeypatch.setattr(clock, "now", lambda: now)
    renew_snapshots(DATABASE.in_app(app_of(api.server)))
    monkeypatch.undo()


def test_one_patients_loss_cannot_be_seen_by_asking_before_and_after(
    cohort: tuple[Api, Api, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, stranger, patients = cohort
    paths = ("/v1/cohorts/durability", "/v1/cohorts/outcomes")
    questions = [(path, ASKED | {"group_by": by}) for path in paths for by in ("none", "indication")]
    before = [stranger.get(path, params=params).json() for path, params in questions]
    assert before[0]["groups"][0]["responders"] == 14
    assert before[0]["snapshot_on"] == before[0]["as_of"] == clock.now().date().isoformat()
    lose(api, patients[0])
    assert [stranger.get(path, params=params).json() for path, params in questions] == before
    later(api, 1, monkeypatch)
    later(api, 8, monkeypatch)
    assert [stranger.get(path, params=params).json() for path, params in questions] == before, "one has changed"
    for patient in patients[1:11]:
        lose(api, patient)
    later(api, 15, monkeypatch)
    after = [stranger.get(path, params=params).json() for path, params in questions]
    assert after[0]["groups"][0]["events"] - before[0]["groups"][0]["events"] == 11
    mine = api.get(paths[0], params=ASKED).json()
    assert (mine["snapshot_on"], mine["groups"][0]["events"]) == (None, 11), "who sees patients sees today"


def test_a_snapshot_is_renewed_at_most_weekly(
    cohort: tuple[Api, Api, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, stranger, patients = cohort
    stranger.get("/v1/cohorts/durability", params=ASKED)
    for patient in patients:
        lose(api, patient)
    later(api, 6.9, monkeypatch)
    assert stranger.get("/v1/cohorts/durability", params=ASKED).json()["groups"][0]["events"] == 0
    later(api, 7.1, monkeypatch)
    assert stranger.get("/v1/cohorts/durability", params=ASKED).json()["groups"][0]["events"] == 14


def test_a_snapshot_gives_the_numbers_of_today(cohort: tuple[Api, Api, list[str]]) -> None:
    """The same counts, whether they come from a snapshot or from the stored episodes."""
    api, _, patients = cohort
    lose(api, patients[3])
    database: Database = DATABASE.in_app(app_of(api.server))
    now = clock.now()

    def both(db: Any) -> None:
        found = snapshots.taken(db, api.clinic_id, now.date(), now, 11)
        assert found is not None
        for by in ("none", "indication", "treatment_resistant", "induction_sessions"):
            asked = Question("phq-9", by, now.date())
            mine = found.tallies(asked)
            for stored in (store.spells(db, api.clinic_id, asked), store.early(db, api.clinic_id, asked)):
                for name in ("patients", "with_baseline", "evaluable", "with_follow_up", "responders", "gaps"):
                    assert getattr(mine, name) == getattr(stored, name), (by, name)
            assert mine.spells == store.spells(db, api.clinic_id, asked).spells
            assert mine.early == store.early(db, api.clinic_id, asked).early

    database.writing(api.clinic_id, both)


def test_no_client_holds_cohorts_without_patients_together_with_a_scope_to_write(api: Api) -> None:
    for scope in (s for s in SCOPES if s.endswith(":write")):
        assert why_scopes_clash({"cohorts:read", scope}) is not None
        assert why_scopes_clash({"cohorts:read", "patients:read", scope}) is None
        refused = api.post("/v1/clients", {"name": "x", "scope": f"cohorts:read {scope}"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/scope")
    made = api.post("/v1/clients", {"name": "x", "scope": "cohorts:read"}).json()
    path = f"/v1/clients/{made['id']}"
    assert api.patch(path, {"scope": "cohorts:read patients:write"}, made["version"]).status_code == 422
    assert api.patch(path, {"scope": "cohorts:read patients:read"}, made["version"]).status_code == 200


def test_a_client_that_held_both_before_gets_no_token_for_cohorts(api: Api) -> None:
    made = api.post("/v1/clients", {"name": "x", "scope": "cohorts:read"}).json()
    database: Database = DATABASE.in_app(app_of(api.server))
    held = "cohorts:read checkins:write"

    def before_the_rule(db: Any) -> None:
        client = db.get(Client, (api.clinic_id, UUID(made["id"])))
        client.scope = held
        db.add(client)

    database.writing(api.clinic_id, before_the_rule)
    form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["client_secret"]}
    assert api.server.post("/oauth/token", data=form).json()["error"] == "invalid_scope"
    assert api.server.post("/oauth/token", data=form | {"scope": "cohorts:read"}).status_code == 400
    assert api.server.post("/oauth/token", data=form | {"scope": "checkins:write"}).status_code == 200


CODES = ("ptsd", "ocd", "chronic_pain")


INSTRUMENTS = ("phq-9", "gad-7")


def person(rng: random.Random, before: Person | None = None) -> Person:
    """A patient, or one of whom something has changed: what they are treated for, or what one instrument says."""
    changes = rng.choice(["traits", *INSTRUMENTS]) if before else None
    episodes = dict(before.episodes) if before else {}
    for code in INSTRUMENTS if before is None else [changes]:
        if code in INSTRUMENTS:
            episodes[code] = [[1, rng.choice([4, 6]), "2025-01-01", rng.random()]]
    if before is not None and changes != "traits":
        return Person(before.indications, before.trials, episodes)
    indications = "[" + ", ".join(f'"{code}"' for code in rng.sample(CODES, rng.choice([0, 1, 1, 2]))) + "]"
    return Person(indications, rng.choice([None, 0, 3]), episodes)


@run(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_no_two_snapshots_tell_of_fewer_than_the_limit(seed: int, renewals: int) -> None:
    """Whatever changes, and by which instrument: of every set of patients that two snapshots both give by sums and
    differences of the groups that they show for an instrument, none or at least the limit have changed by it."""
    rng, limit = random.Random(seed), 5
    people = {str(n): person(rng) for n in range(40)}
    taken: list[Snapshot] = []
    for step in range(renewals + 1):
        for name in rng.sample(sorted(people), rng.choice([0, 1, 3, 6, 12, 20])) if taken else []:
            people = people | {name: person(rng, people[name])}
        if taken and rng.random() < 0.5:
            people = people | {f"new {step} {n}": person(rng) for n in range(rng.choice([1, 4, 8]))}
        now = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=7 * step)
        found = renewed(people, taken, now.date(), now, limit)
        if found is not None:
            taken.append(found)
    for one, two in combinations(taken, 2):
        for code, by in product(INSTRUMENTS, snapshots._GROUPINGS):
            names = [name for name in one.shown[code][by] if name in two.shown[code][by]]
            changed: Counter[tuple[bool, ...]] = Counter()
            for who in one.people.keys() | two.people.keys():
                known = [s.people.get(who) for s in (one, two)]
                said = [p and (p.indications, p.trials, p.episodes.get(code)) for p in known]
                if said[0] != said[1]:
                    changed.update({tuple(n in p.groups(by, code) for n in names) for p in known if p is not None})
            assert all(count >= limit for count in changed.values()), (code, by, changed)


def test_other_instruments_changes_do_not_hide_one_patients_loss_by_this_one() -> None:
    """Ten patients change by GAD-7 and one by PHQ-9: what is said of PHQ-9 stays as it was."""
    rng = random.Random(1)
    people = {str(n): person(rng) for n in range(40)}
    days = [date(2025, 1, 1), date(2025, 1, 8)]
    now = datetime(2025, 1, 8, tzinfo=UTC)
    first = renewed(people, [], days[0], now - timedelta(days=7), 5)
    assert first is not None
    people = dict(people)
    for n in range(11):
        code = "gad-7" if n else "phq-9"
        before = people[str(n)]
        people[str(n)] = Person(before.indications, before.trials, before.episodes | {code: [[1, 4, "2025-01-01", 99]]})
    second = renewed(people, [first], days[1], now, 5)
    assert second is not None
    assert [second.moment_of(code)[1] for code in ("phq-9", "gad-7")] == days
    assert second.people["0"].episodes["phq-9"] == first.people["0"].episodes["phq-9"]
    assert second.people["5"].episodes["gad-7"] == [[1, 4, "2025-01-01", 99]]
