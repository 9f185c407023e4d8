"""What an outbox in Python does with every kind of answer: python outbox.py FOLDER. Fails at what is wrong."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from holdfast_client.models import CheckInIn, InstrumentCode, ResponseIn
from holdfast_outbox import OtherPatientError, Outbox, Refused, RepeatedIdError, SignedOutError

PATIENT = uuid4()
FORM = CheckInIn(taken_at=datetime.now(UTC), responses=[ResponseIn(InstrumentCode.NRS_PAIN, score=3)])
NOTICE = {"text": "Call", "crisis_contacts": []}


Answer = Callable[[dict[str, Any]], httpx.Response] | Exception


class Service:
    """Answers requests one after the other, and keeps what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked = [*answers], list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        text = request.content.decode()
        return answer(json.loads(text) if text.startswith("{") else {})


def receipt(body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(201, json={"id": body["id"]})


def problem(status: int, code: str, **more: Any) -> Callable[[dict[str, Any]], httpx.Response]:
    return lambda _: httpx.Response(status, json={"code": code, "status": status, **more})


def page(status: int) -> Callable[[dict[str, Any]], httpx.Response]:
    return lambda _: httpx.Response(status, text="<html>something in between</html>")


def outbox(file: Path, service: Service, patient: UUID = PATIENT, **more: Any) -> Outbox:
    found = Outbox(file, "http://service", patient, http=httpx.Client(transport=httpx.MockTransport(service)), **more)
    found.sign_in("access", "refresh")
    return found


def passing_trouble_keeps_everything_in_order(folder: Path) -> None:
    pages, problems = [page(521), page(404), page(200)], [problem(503, "busy"), problem(500, "internal")]
    problems += [problem(409, "request_in_progress"), problem(429, "rate_limited")]
    problems += [problem(408, "request_timeout"), problem(400, "bad_request")]
    trouble: list[Answer] = [httpx.ConnectError("down"), *pages, *problems]
    service = Service(*trouble)
    mine = outbox(folder / "trouble.db", service)
    first, second = mine.put(FORM), mine.put(FORM)
    for _ in trouble:
        assert mine.send() is not None
        assert (mine.waiting, mine.refused) == (2, [])
    service.answers += [receipt, receipt]
    assert mine.send() is None
    sent = [json.loads(request.content)["id"] for request in service.asked]
    assert sent == [str(first)] * 11 + [str(second)]
    assert all("sent_at" in json.loads(request.content) for request in service.asked)


def a_refusal_is_set_aside_and_told(folder: Path) -> None:
    told: list[Refused] = []
    service = Service(problem(422, "invalid", notice=NOTICE), receipt)
    mine = outbox(folder / "refused.db", service, on_refused=told.append)
    wrong, right = mine.put(FORM), mine.put(FORM)
    assert mine.send() is None
    assert [(one.id, one.problem["notice"]) for one in told] == [(wrong, NOTICE)]
    assert [one.id for one in mine.refused] == [wrong]
    assert json.loads(service.asked[1].content)["id"] == str(right)


def it_waits_as_long_as_it_is_asked(folder: Path) -> None:
    service = Service(*(lambda _, asked=asked: httpx.Response(503, headers={"Retry-After": asked})
                        for asked in ("42", "1000000000")))  # fmt: skip
    mine = outbox(folder / "wait.db", service)
    mine.put(FORM)
    wait, of_the_far_future = mine.send(), mine.send()
    assert wait is not None
    assert of_the_far_future is not None
    assert wait >= 42
    assert of_the_far_future == 3_600


def tokens_are_refreshed_and_a_lost_answer_costs_nothing(folder: Path) -> None:
    new = {"access_token": "new", "refresh_token": "next"}
    service = Service(problem(401, "invalid_token"), httpx.ReadError("lost"), problem(401, "invalid_token"),
                      lambda _: httpx.Response(200, json=new), receipt)  # fmt: skip
    mine = outbox(folder / "refresh.db", service)
    mine.put(FORM)
    assert mine.send() is not None
    assert mine.send() is None
    assert [request.content for request in service.asked if b"refresh_token=" in request.content] == [
        b"grant_type=refresh_token&refresh_token=refresh"
    ] * 2
    assert service.asked[-1].headers["Authorization"] == "Bearer new"


def tokens_that_are_over_keep_what_waits(folder: Path) -> None:
    over = {"error": "invalid_grant"}
    service = Service(problem(401, "invalid_token"), lambda _: httpx.Response(400, json=over))
    mine = outbox(folder / "over.db", service)
    mine.put(FORM)
    try:
        mine.send()
    except SignedOutError:
        assert mine.waiting == 1
    else:
        raise AssertionError


def what_an_app_does_with_a_receipt_holds_back_nothing(folder: Path) -> None:
    def fails(_: Any) -> None:
        raise RuntimeError("of the app")

    service = Service(receipt, problem(422, "invalid"), receipt)
    mine = outbox(folder / "app.db", service, on_receipt=fails, on_refused=fails)
    for _ in range(3):
        mine.put(FORM)
    for left in (2, 1, 0):
        try:
            mine.send()
        except RuntimeError:
            assert mine.waiting == left
        else:
            raise AssertionError
    assert len(mine.refused) == 1


def a_time_without_an_offset_is_not_kept(folder: Path) -> None:
    mine = outbox(folder / "offset.db", Service())
    try:
        mine.put(CheckInIn(taken_at=FORM.taken_at.replace(tzinfo=None), responses=FORM.responses))
    except ValueError:
        assert mine.waiting == 0
    else:
        raise AssertionError


def an_id_waits_once(folder: Path) -> None:
    mine = outbox(folder / "twice.db", Service())
    form = CheckInIn(id=uuid4(), taken_at=FORM.taken_at, responses=FORM.responses)
    mine.put(form)
    try:
        mine.put(form)
    except RepeatedIdError:
        assert mine.waiting == 1
    else:
        raise AssertionError


def other_requests_get_a_token_that_works(folder: Path) -> None:
    new = {"access_token": "new", "refresh_token": "next"}
    service = Service(httpx.ConnectError("down"), lambda _: httpx.Response(503, headers={"Retry-After": "5"}),
                      lambda _: httpx.Response(200, json=new))  # fmt: skip
    mine = outbox(folder / "token.db", service)
    assert mine.access_token() == "access"
    assert [mine.access_token("access") for _ in range(3)] == ["access", "access", "new"]
    assert mine.access_token("access") == "new"  # another request has renewed it


def a_token_endpoint_may_ask_for_time(folder: Path) -> None:
    service = Service(problem(401, "invalid_token"), lambda _: httpx.Response(503, headers={"Retry-After": "77"}))
    mine = outbox(folder / "time.db", service)
    mine.put(FORM)
    wait = mine.send()
    assert wait is not None
    assert wait >= 77


def a_file_is_one_patients_and_outlives_the_process(folder: Path) -> None:
    file = folder / "owner.db"
    kept = outbox(file, Service()).put(FORM)
    assert file.stat().st_mode & 0o077 == 0
    try:
        outbox(file, Service(), uuid4())
    except OtherPatientError:
        pass
    else:
        raise AssertionError
    service = Service(receipt)
    again = outbox(file, service)
    assert again.send() is None
    assert json.loads(service.asked[0].content)["id"] == str(kept)
    again.sign_out()
    assert outbox(file, Service(), uuid4()).waiting == 0


if __name__ == "__main__":
    passing_trouble_keeps_everything_in_order(Path(sys.argv[1]))
    a_refusal_is_set_aside_and_told(Path(sys.argv[1]))
    it_waits_as_long_as_it_is_asked(Path(sys.argv[1]))
    tokens_are_refreshed_and_a_lost_answer_costs_nothing(Path(sys.argv[1]))
    tokens_that_are_over_keep_what_waits(Path(sys.argv[1]))
    what_an_app_does_with_a_receipt_holds_back_nothing(Path(sys.argv[1]))
    a_time_without_an_offset_is_not_kept(Path(sys.argv[1]))
    an_id_waits_once(Path(sys.argv[1]))
    other_requests_get_a_token_that_works(Path(sys.argv[1]))
    a_token_endpoint_may_ask_for_time(Path(sys.argv[1]))
    a_file_is_one_patients_and_outlives_the_process(Path(sys.argv[1]))
    print("eleven stories")
