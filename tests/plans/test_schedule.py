"""What is due when: relative to sessions and courses, by the plan in force on each day."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.plans.schedule import DEFAULT_ITEMS, Item, Template, due, in_force
from app.relief import Infusion, positions

ZONE = ZoneInfo("America/New_York")
START = date(2025, 1, 6)
SESSION = Item("session", 3, 2, ("nrs-pain",))
COURSE = Item("course", 14, 3, ("phq-9",))


def infusion(day: date, number: int = 0) -> Infusion:
    at = datetime.combine(day, time(10), ZONE)
    return Infusion(f"s{number}-{day}", at, day, day)


def asked(
    items: tuple[Item, ...], *days: int, answered: dict[str, set[date]] | None = None
) -> list[tuple[int, tuple[str, ...]]]:
    infusions = [infusion(START + timedelta(days=day)) for day in days]
    template = Template(date.min, items)
    found = due([template], [], infusions, positions(infusions), answered or {}, date.min, date.max)
    return [((one.due_on - START).days, one.instruments) for one in found]


def test_each_session_begins_anew_and_a_course_counts_from_its_last() -> None:
    assert asked((SESSION,), 0, 2, 7) == [(5, ("nrs-pain",)), (10, ("nrs-pain",))]
    assert asked((COURSE,), 0, 2, 7) == [(21, ("phq-9",))]
    assert asked((COURSE,), 0, 40) == [(14, ("phq-9",)), (54, ("phq-9",))]


def test_what_a_next_session_comes_before_is_not_asked() -> None:
    found = asked((COURSE, SESSION), 0, 10, 24)
    assert [day for day, _ in found] == [3, 13, 27, 38]
    assert asked((Item("session", 0, 1, ("nrs-pain",)),), 0, 0) == [(0, ("nrs-pain",))]


def test_equal_days_are_asked_as_one() -> None:
    both = (Item("session", 7, 2, ("nrs-pain",)), Item("course", 7, 2, ("phq-9", "nrs-pain")))
    [(day, codes)] = asked(both, 0)
    assert (day, sorted(codes)) == (7, ["nrs-pain", "phq-9"])


def test_states_follow_the_days_and_the_answers() -> None:
    infusions = [infusion(START)]

    def state(today: int, *answered: int) -> str:
        days = {"nrs-pain": {START + timedelta(days=day) for day in answered}}
        template = Template(date.min, (SESSION,))
        [one] = due([template], [], infusions, positions(infusions), days, date.min, date.max)
        return one.state(START + timedelta(days=today))

    assert [state(day) for day in (2, 3, 4, 5, 6)] == ["upcoming", "due", "overdue", "overdue", "missed"]
    assert [state(6, day) for day in (2, 3, 5, 6)] == ["missed", "done", "done", "missed"]


def test_the_default_asks_about_now_first_and_about_two_weeks_when_they_are_clean() -> None:
    found = asked(DEFAULT_ITEMS, 0)
    assert [day for day, _ in found][:6] == [1, 3, 7, 14, 21, 28]
    assert found[-1][0] == 364
    assert all("phq-9" not in codes for day, codes in found if day < 14)
    assert all("phq-9" in codes for day, codes in found if day >= 14)


days = st.integers(0, 400)


@given(st.lists(days, max_size=12), st.integers(0, 400), st.lists(st.integers(0, 400), max_size=20))
def test_editing_a_plan_never_changes_a_past_day(sessions: list[int], edited: int, answered: list[int]) -> None:
    infusions = [infusion(START + timedelta(days=day), number) for number, day in enumerate(sessions)]
    found = positions(infusions)
    seen = {"nrs-pain": {START + timedelta(days=day) for day in answered}}
    before = Template(date.min, (SESSION, COURSE))
    after = Template(START + timedelta(days=edited), (Item("session", 5, 1, ("nrs-mood",)),))
    last = after.from_on - timedelta(days=1)
    old = due([before], [], infusions, found, seen, date.min, last)
    new = due([before, after], [], infusions, found, seen, date.min, last)
    assert old == new
    later = due([before, after], [], infusions, found, seen, after.from_on, date.max)
    assert all(one.instruments == ("nrs-mood",) for one in later)


@given(st.lists(days, max_size=10))
def test_every_day_asked_lies_between_its_session_and_the_next(sessions: list[int]) -> None:
    infusions = sorted((infusion(START + timedelta(days=day), n) for n, day in enumerate(sessions)), key=lambda i: i.at)
    for one in due([], [], infusions, positions(infusions), {}, date.min, date.max):
        anchor = next(i for i in infusions if i.id == one.session_id)
        later = [i.day for i in infusions if i.at > anchor.at]
        assert one.due_on > anchor.day
        assert not later or one.due_on < min(later)


def test_a_patients_plan_goes_before_the_clinics_and_may_go_back_to_it() -> None:
    clinic = [Template(date(2025, 1, 1), (SESSION,))]
    mine = [Template(date(2025, 2, 1), (COURSE,)), Template(date(2025, 3, 1), None)]
    assert in_force(clinic, mine, date(2024, 12, 31)) == DEFAULT_ITEMS
    assert in_force(clinic, mine, date(2025, 1, 31)) == (SESSION,)
    assert in_force(clinic, mine, date(2025, 2, 28)) == (COURSE,)
    assert in_force(clinic, mine, date(2025, 3, 1)) == (SESSION,)
    assert in_force(clinic, [Template(date(2025, 1, 1), ())], date(2025, 1, 2)) == (), "nothing may be asked for"
