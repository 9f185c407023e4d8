"""What is due when: relative to sessions and courses, by the plan in force on each day."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from app.plans.schedule import DEFAULT_ITEMS, Answer, Due, Item, Template, due, in_force
from app.relief import Infusion, positions

ZONE = ZoneInfo("America/New_York")
START = date(2025, 1, 6)
ENROLLED = date(2024, 12, 30)
SESSION = Item("session", 3, 2, ("nrs-pain",))
COURSE = Item("course", 14, 3, ("phq-9",))


def infusion(day: date, number: int = 0) -> Infusion:
    at = datetime.combine(day, time(10), ZONE)
    return Infusion(f"s{number}-{day}", at, day, day)


def asked(
    items: tuple[Item, ...], *days: int, answered: dict[str, list[Answer]] | None = None
) -> list[tuple[int, tuple[str, ...]]]:
    infusions = [infusion(START + timedelta(days=day)) for day in days]
    template = Template(date.min, items)
    found = due([template], [], ENROLLED, infusions, positions(infusions), answered or {}, date.min, date.max)
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
        days = {"nrs-pain": [Answer(START + timedelta(days=day)) for day in answered]}
        template = Template(date.min, (SESSION,))
        [one] = due([template], [], ENROLLED, infusions, positions(infusions), days, date.min, date.max)
        return one.state(START + timedelta(days=today))

    assert [state(day) for day in (2, 3, 4, 5, 6)] == ["upcoming", "due", "overdue", "overdue", "missed"]
    assert [state(6, day) for day in (1, 2, 3, 5, 6)] == ["missed", "done", "done", "done", "missed"]
    assert state(2, 2) == "done", "and is not asked again tomorrow"


def test_the_default_asks_about_now_first_and_about_two_weeks_when_they_are_clean() -> None:
    found = [(day, codes) for day, codes in asked(DEFAULT_ITEMS, 0) if day >= 0]
    assert [day for day, _ in found][:6] == [1, 3, 7, 14, 21, 28]
    assert found[-1][0] == 364
    assert all("phq-9" not in codes for day, codes in found if day < 14)
    assert all("phq-9" in codes for day, codes in found if day >= 14)


days = st.integers(0, 400)


@given(st.lists(days, max_size=12), st.integers(0, 400), st.lists(st.integers(0, 400), max_size=20))
def test_editing_a_plan_never_changes_a_past_day(sessions: list[int], edited: int, answered: list[int]) -> None:
    infusions = [infusion(START + timedelta(days=day), number) for number, day in enumerate(sessions)]
    found = positions(infusions)
    seen = {"nrs-pain": [Answer(START + timedelta(days=day)) for day in answered]}
    before = Template(date.min, (SESSION, COURSE))
    after = Template(START + timedelta(days=edited), (Item("session", 5, 1, ("nrs-mood",)),))
    last = after.from_on - timedelta(days=1)
    old = due([before], [], ENROLLED, infusions, found, seen, date.min, last)
    new = due([before, after], [], ENROLLED, infusions, found, seen, date.min, last)
    assert old == new
    later = due([before, after], [], ENROLLED, infusions, found, seen, after.from_on, date.max)
    assert all(one.instruments == ("nrs-mood",) for one in later)


@given(st.lists(days, max_size=10))
def test_every_day_asked_lies_between_its_session_and_the_next(sessions: list[int]) -> None:
    infusions = sorted((infusion(START + timedelta(days=day), n) for n, day in enumerate(sessions)), key=lambda i: i.at)
    for one in due([], [], ENROLLED, infusions, positions(infusions), {}, date.min, date.max):
        if one.session_id is None:
            assert not sessions or one.due_on < min(i.day for i in infusions)
            continue
        anchor = next(i for i in infusions if i.id == one.session_id)
        later = [i.day for i in infusions if i.at > anchor.at]
        assert one.due_on > anchor.day
        assert not later or one.due_on < min(later)


def test_a_patients_plan_goes_before_the_clinics_and_may_go_back_to_it() -> None:
    clinic = [Template(date(2025, 1, 1), (SESSION,))]
    mine = [Template(date(2025, 2, 1), (COURSE,)), Template(date(2025, 3, 1), None)]
    assert in_force(clinic, mine, date(2024, 12, 31)).items == DEFAULT_ITEMS
    assert in_force(clinic, mine, date(2025, 1, 31)).items == (SESSION,)
    assert in_force(clinic, mine, date(2025, 2, 28)).items == (COURSE,)
    assert in_force(clinic, mine, date(2025, 3, 1)).items == (SESSION,)
    assert in_force(clinic, [Template(date(2025, 1, 1), ())], date(2025, 1, 2)).items == (), "nothing may be asked for"


def served(items: tuple[Item, ...], answers: dict[str, list[int]], *days: int, whole: bool = True) -> list[str]:
    """The state of every item, ninety days later."""
    infusions = [infusion(START + timedelta(days=day)) for day in days]
    given = {code: [Answer(START + timedelta(days=day), whole) for day in some] for code, some in answers.items()}
    found = due([Template(date.min, items)], [], ENROLLED, infusions, positions(infusions), given, date.min, date.max)
    return [one.state(START + timedelta(days=90)) for one in found]


def test_an_early_answer_counts_and_serves_one_item() -> None:
    three, four = Item("session", 3, 0, ("nrs-pain",)), Item("session", 4, 0, ("nrs-pain",))
    assert served((three,), {"nrs-pain": [2]}, 0) == ["done"]
    assert served((three,), {"nrs-pain": [1]}, 0) == ["missed"], "a day early at most"
    assert served((Item("session", 3, 0, ("nrs-pain",), early=2),), {"nrs-pain": [1]}, 0) == ["done"]
    assert served((Item("session", 3, 0, ("nrs-pain",), early=0),), {"nrs-pain": [2]}, 0) == ["missed"]
    assert served((three, four), {"nrs-pain": [3]}, 0) == ["done", "missed"]
    assert served((three, four), {"nrs-pain": [2, 3]}, 0) == ["done", "done"]
    assert served((three, four), {"nrs-pain": [3, 3]}, 0) == ["done", "done"]


def test_an_early_answer_is_never_of_the_sessions_own_day_nor_looks_back_past_it() -> None:
    assert served((Item("session", 1, 0, ("nrs-pain",)),), {"nrs-pain": [0]}, 0) == ["missed"]
    fortnight = Item("course", 14, 0, ("phq-9",), early=3)
    assert served((fortnight,), {"phq-9": [13]}, 0) == ["missed"], "it is about days before the infusion too"
    assert served((Item("course", 16, 0, ("phq-9",), early=3),), {"phq-9": [14]}, 0) == ["done"]


def test_an_answer_with_unanswered_items_declines_what_was_asked() -> None:
    assert served((SESSION,), {"nrs-pain": [3]}, 0, whole=False) == ["declined"]
    both = Item("session", 3, 2, ("nrs-pain", "phq-9"))
    assert served((both,), {"nrs-pain": [3]}, 0, whole=False) == ["missed"], "the other was not answered"
    infusions = [infusion(START)]
    given = {"nrs-pain": [Answer(START + timedelta(days=3), whole=False), Answer(START + timedelta(days=4))]}
    [one] = due(
        [Template(date.min, (SESSION,))], [], ENROLLED, infusions, positions(infusions), given, date.min, date.max
    )
    assert one.state(START + timedelta(days=90)) == "done", "the whole one serves it"


def test_the_baseline_is_asked_for_from_enrolment_until_there_is_an_infusion() -> None:
    asked_for = due([], [], ENROLLED, [], {}, {}, date.min, date.max)
    assert [(one.due_on - ENROLLED).days for one in asked_for[:3]] == [0, 28, 56]
    assert {one.instruments for one in asked_for} == {("phq-9", "gad-7", "nrs-pain")}
    infusions = [infusion(ENROLLED + timedelta(days=30))]
    until = [
        one
        for one in due([], [], ENROLLED, infusions, positions(infusions), {}, date.min, date.max)
        if not one.session_id
    ]
    assert [(one.due_on - ENROLLED).days for one in until] == [0, 28]
    assert until[-1].window_ends_on == infusions[0].day


@given(
    st.lists(days, max_size=6), st.lists(st.integers(-30, 400), max_size=30), st.integers(0, 400), st.integers(0, 60),
)  # fmt: skip
def test_what_is_done_does_not_depend_on_the_days_asked_for(
    sessions: list[int], answered: list[int], first: int, length: int
) -> None:
    infusions = [infusion(START + timedelta(days=day), n) for n, day in enumerate(sessions)]
    given_answers = {"nrs-pain": [Answer(START + timedelta(days=day)) for day in answered]}

    def asked_for(start: date, end: date) -> list[Due]:
        return due([], [], ENROLLED, infusions, positions(infusions), given_answers, start, end)

    start, end = START + timedelta(days=first), START + timedelta(days=first + length)
    assert asked_for(start, end) == [one for one in asked_for(date.min, date.max) if start <= one.due_on <= end]
